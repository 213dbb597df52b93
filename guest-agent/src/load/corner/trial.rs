//! What all corners share: counts, what went wrong, opens that are checked by what they read.

use std::{
    collections::BTreeMap,
    fs::File,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileExt,
    },
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use nix::errno::Errno;
use protocol::{Counters, FindingKind};

use crate::{
    findings::Findings,
    fs::raw::{SERVED, Served},
    heartbeat::Progress,
    load::{
        outcome::unlike,
        run::Context,
        stamp::{STAMP_LEN, stamp_of, stamped_file},
    },
    sys,
};

/// How long threads and unmounting may take. A guest under emulation with sanitizers answers an open in
/// milliseconds; this is for a host that is busy, too.
pub(super) const COMES_BACK_WITHIN: Duration = Duration::from_secs(30);
/// Backing files have no names; this is where they lie.
const STORE: &str = "/tmp";
/// What the count of findings is called.
const WRONG: &str = "wrong";

/// A load that runs.
pub(super) struct Trial<'a> {
    pub(super) load: &'a Context<'a>,
    pub(super) log: Arc<Log>,
    pub(super) until: Instant,
}

impl Trial<'_> {
    /// Whether nothing more is to be begun.
    pub(super) fn is_over(&self) -> bool {
        self.load.stop.is_set() || Instant::now() > self.until
    }

    /// A backing file whose content tells it from all others.
    pub(super) fn backing(&self, stamp: u32) -> Result<File> {
        stamped_file(Path::new(STORE), self.load.seed, stamp)
    }

    pub(super) fn reader(&self) -> Reader {
        Reader {
            seed: self.load.seed,
            log: self.log.clone(),
        }
    }
}

/// Counts and findings of a load.
pub(super) struct Log {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    findings: Findings,
}

impl Log {
    pub(super) fn new(findings: Findings) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::new(BTreeMap::from([(WRONG, 0)])),
            findings,
        })
    }

    /// Counts one.
    pub(super) fn add(&self, what: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what).or_default() += 1;
    }

    /// Shows what may never happen as 0.
    pub(super) fn none_of(&self, what: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(what).or_default();
    }

    /// What the kernel should not have done.
    pub(super) fn wrong(&self, title: &str, detail: impl FnOnce() -> String) {
        self.add(WRONG);
        self.findings.report(FindingKind::WrongData, title, detail);
    }

    /// A call has to end so; gives what it returned.
    pub(super) fn expect<T>(
        &self,
        call: &str,
        wanted: Result<(), Errno>,
        got: Result<T, Errno>,
    ) -> Option<T> {
        let (ended, value) = match got {
            Ok(value) => (Ok(()), Some(value)),
            Err(errno) => (Err(errno), None),
        };
        if let Some(title) = unlike(call, wanted, ended) {
            self.wrong(&title, String::new);
        }
        value
    }

    /// A call has to be refused.
    pub(super) fn refused<T>(&self, call: &str, with: Errno, got: Result<T, Errno>) {
        self.add("refused");
        self.expect(call, Err(with), got);
    }
}

impl Progress for Log {
    fn counters(&self) -> Counters {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let named = counts.iter().map(|(name, count)| ((*name).into(), *count));
        named.collect()
    }
}

/// Opens files and says what they hold.
#[derive(Clone)]
pub(super) struct Reader {
    seed: u64,
    log: Arc<Log>,
}

/// What an open file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The backing file of this stamp.
    Stamp(u32),
    /// What the server itself gave.
    Served,
    /// Neither.
    Other,
}

impl Reader {
    /// What the file holds.
    pub(super) fn look(&self, file: &File) -> Result<Seen, Errno> {
        let mut read = [0; STAMP_LEN];
        let length = file
            .read_at(&mut read, 0)
            .map_err(|error| sys::errno_of(&error))?;
        Ok(match stamp_of(self.seed, &read[..length]) {
            Some(stamp) => Seen::Stamp(stamp),
            None if read == [SERVED; STAMP_LEN] => Seen::Served,
            None => Seen::Other,
        })
    }

    /// The file has to hold that.
    pub(super) fn check(&self, what: &str, file: &File, wanted: Seen) {
        match self.look(file) {
            Ok(seen) if seen == wanted => {}
            Ok(seen) => {
                let title = format!("wrong data: {what} read what it should not");
                let detail = || format!("{seen:?} instead of {wanted:?}");
                self.log.wrong(&title, detail);
            }
            Err(errno) => {
                let title = format!("a read through {what} ended with {errno:?}");
                self.log.wrong(&title, String::new);
            }
        }
    }

    /// Opens the first file, answered with this id, and checks what it holds; without an id the server
    /// itself is read.
    pub(super) fn open(&self, served: &Served, what: &str, id: Option<u32>, wanted: Seen) {
        let opened = open_answered(served, id);
        if let Some(file) = self.log.expect(what, Ok(()), opened) {
            self.log.add("opens");
            self.check(what, &file, wanted);
        }
    }

    /// Opens the first file, answered with an id that is none: the open has to fail.
    pub(super) fn refuse(&self, served: &Served, what: &str, id: u32) {
        let opened = open_answered(served, Some(id));
        self.log.refused(what, Errno::EIO, opened);
    }
}

fn open_answered(served: &Served, id: Option<u32>) -> Result<File, Errno> {
    served.files.answer_with(0, id);
    File::open(served.path(0)).map_err(|error| sys::errno_of(&error))
}

/// Registers a file.
pub(super) fn register(device: BorrowedFd<'_>, file: &File) -> Result<u32, Errno> {
    sys::backing_open(device, file.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_otherwise_is_a_finding_and_counted() {
        let findings = Findings::default();
        let log = Log::new(findings.clone());
        assert_eq!(log.expect("call", Ok(()), Ok(7)), Some(7));
        log.refused("call", Errno::EPERM, Err::<(), _>(Errno::EPERM));
        assert!(findings.take().is_empty());
        log.refused("call", Errno::EPERM, Ok(7));
        let found = findings.take();
        assert_eq!(found[0].title, "call ended with success, not EPERM");
        let counters = log.counters();
        assert_eq!((counters["refused"], counters[WRONG]), (2, 1));
    }
}
