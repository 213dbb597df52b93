//! The server: files that exist only as names, opened with an id of the moment.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use fastrand::Rng;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, OpenFlags, ReplyAttr, ReplyEntry, ReplyOpen, Request,
};

use super::churner::Churn;
use crate::{
    fs::{TTL, attr, mount},
    load::stamp::STAMP_LEN,
    sys,
};

/// The first file's inode number; 1 is the root's.
const FIRST: u64 = 2;
/// One answer in so many names an id that was removed a moment ago.
const STALE_ONE_IN: u32 = 12;
/// The id of an answer is removed within two to the power of this turns of the churners': sooner or
/// later, evenly over the powers, since how long its opener takes to look it up, and is held there, may
/// be anything from microseconds to tens of milliseconds.
const REMOVED_WITHIN: u32 = 7;
/// One answer in so many is followed by the removal of its id, at once.
const PULL_ONE_IN: u32 = 16;

/// What the server told about a file's last open. Its opener is the only one
/// who opens it, and reads this once the open is back.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The id.
    pub(super) id: AtomicU32,
    /// The tick before it was sent.
    pub(super) at: AtomicU32,
}

/// The names that openers choose from.
pub(super) fn file_name(index: usize) -> String {
    format!("f{index}")
}

/// The server, shared by its threads.
pub(super) struct Server {
    pub(super) seed: u64,
    pub(super) churn: Arc<Churn>,
    pub(super) answers: Arc<[Answer]>,
    /// What every open is answered with where passthrough is not asked for in the answer to INIT; none
    /// where it is.
    pub(super) unasked: Option<u32>,
}

impl Server {
    /// An id to answer an open of this file with, and the slot whose current one it is.
    fn choose(&self, file: usize, rng: &mut Rng) -> (u32, Option<usize>) {
        if let Some(id) = self.unasked {
            return (id, None);
        }
        let slots = &self.churn.slots;
        let stale = rng.u32(..STALE_ONE_IN) == 0;
        for _ in 0..8 {
            let index = rng.usize(..slots.len());
            let slot = slots.at(index);
            let id = if stale { &slot.previous } else { &slot.current }.load(Ordering::Acquire);
            match id {
                0 => {}
                id if stale => return (id, None),
                id => {
                    let due = self.churn.turn().wrapping_add(turns(rng));
                    slots.aim(file, index, due);
                    return (id, Some(index));
                }
            }
        }
        // Nothing is registered yet. No kernel has an id of this size so early.
        (i32::MAX.cast_unsigned(), None)
    }

    fn attr(&self, ino: INodeNo) -> Option<FileAttr> {
        let (kind, perm) = match ino.0 {
            1 => (FileType::Directory, 0o755),
            _ if index_of(ino).is_some_and(|index| index < self.answers.len()) => {
                (FileType::RegularFile, 0o444)
            }
            _ => return None,
        };
        Some(attr::made_up(ino, kind, perm, STAMP_LEN as u64))
    }
}

/// After how many turns an id is removed.
fn turns(rng: &mut Rng) -> u32 {
    let power = 1 << rng.u32(..REMOVED_WITHIN);
    power + rng.u32(..power) - 1
}

fn index_of(ino: INodeNo) -> Option<usize> {
    usize::try_from(ino.0.checked_sub(FIRST)?).ok()
}

fn parse_name(name: &OsStr) -> Option<INodeNo> {
    let digits = std::str::from_utf8(name.as_bytes().strip_prefix(b"f")?).ok()?;
    Some(INodeNo(digits.parse::<u32>().ok()?.into())).map(|index: INodeNo| INodeNo(index.0 + FIRST))
}

impl Filesystem for Server {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        match self.unasked {
            None => mount::negotiate_passthrough(config),
            Some(_) => mount::limit_writes(config),
        }
    }

    fn lookup(&self, _req: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match parse_name(name).and_then(|ino| self.attr(ino)) {
            Some(attr) => reply.entry(&TTL, &attr, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(ino) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let file = index_of(ino).filter(|file| *file < self.answers.len());
        let Some((file, answer)) = file.map(|file| (file, &self.answers[file])) else {
            return reply.error(Errno::ENOENT);
        };
        let mut rng = Rng::with_seed(self.seed ^ req.unique().0);
        let (id, slot) = self.choose(file, &mut rng);
        answer.id.store(id, Ordering::Release);
        answer.at.store(self.churn.ledger.tick(), Ordering::Release);
        sys::answer_open(reply, FileHandle(0), FopenFlags::FOPEN_NOFLUSH, id);
        if let Some(index) = slot.filter(|_| rng.u32(..PULL_ONE_IN) == 0) {
            self.churn.pull(index, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        findings::Findings,
        load::backing_race::{slots::Slots, tally::Tally},
    };

    #[test]
    fn without_passthrough_every_open_is_answered_alike() {
        let slots = Slots::new(64, 1, 1, &std::env::temp_dir()).unwrap();
        let tally = Arc::<Tally>::default();
        let churn = Churn::new(Arc::new(slots), tally, Findings::default(), 0);
        let server = Server {
            seed: 0,
            churn: Arc::new(churn),
            answers: Arc::new([Answer::default()]),
            unasked: Some(1),
        };
        let mut rng = Rng::with_seed(1);
        for _ in 0..100 {
            assert_eq!(server.choose(0, &mut rng), (1, None));
        }
    }

    #[test]
    fn names_and_inodes_go_together() {
        assert_eq!(
            parse_name(OsStr::new(&file_name(3))).and_then(index_of),
            Some(3)
        );
        for name in ["f", "g3", "f-1", "f4294967296", "3", ""] {
            assert_eq!(parse_name(OsStr::new(name)), None, "{name}");
        }
    }
}
