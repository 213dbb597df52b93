//! Each allocation fails once that is made while passthrough is negotiated, and while an id is
//! registered: the mount goes on without the one, and the call fails with ENOMEM.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;

use super::trial::{COMES_BACK_WITHIN, Seen, Trial, register};
use crate::{
    fs::{
        raw::{Connection, Files, Served},
        wire::Offer,
    },
    sys,
};

const AT: &str = "/mnt/allocation-failure";
/// This thread's injection: its next allocation of that number fails.
const FAIL_NTH: &str = "/proc/thread-self/fail-nth";
/// What has to be set for those that may sleep to fail too, and to say so in one line.
const SETTINGS: [(&str, &str); 2] = [
    ("/sys/kernel/debug/failslab/ignore-gfp-wait", "N"),
    ("/sys/kernel/debug/failslab/verbose", "1"),
];
/// No call makes so many allocations.
const MOST: u32 = 200;

/// Runs both.
pub(super) fn run(trial: &Trial<'_>) -> Result<Vec<String>> {
    for (path, value) in SETTINGS {
        fs::write(path, value)
            .with_context(|| format!("write {path}: this kernel injects no failures"))?;
    }
    let injection = Injection::new()?;
    trial.log.none_of("without_passthrough");
    for nth in 1..=MOST {
        if trial.is_over() {
            break;
        }
        let (stuck, failed) = negotiate(trial, &injection, nth)?;
        if !stuck.is_empty() || !failed {
            return match stuck.is_empty() {
                true => registering(trial, &injection),
                false => Ok(stuck),
            };
        }
        ensure!(nth < MOST, "answering INIT never ends to allocate");
    }
    Ok(Vec::new())
}

/// The failures of one thread, this one.
struct Injection(File);

impl Injection {
    fn new() -> Result<Self> {
        let file = File::options().read(true).write(true).open(FAIL_NTH);
        Ok(Self(file.with_context(|| format!("open {FAIL_NTH}"))?))
    }

    /// Does something whose nth allocation fails; tells whether it came so far.
    fn in_nth<T>(&self, nth: u32, what: impl FnOnce() -> T) -> Result<(T, bool)> {
        let set = |nth: u32| self.0.write_all_at(nth.to_string().as_bytes(), 0);
        set(nth).context("ask for a failure")?;
        let done = what();
        let mut left = [0; 16];
        let length = self.0.read_at(&mut left, 0);
        // First of all: every other allocation of this thread's counts as well.
        set(0).context("ask for no failure")?;
        let length = length.context("read what is left of a failure")?;
        Ok((done, left[..length].trim_ascii() == b"0"))
    }
}

/// One mount, whose nth allocation fails while INIT's answer is worked off, which the thread does that
/// writes it. Tells whether one did.
fn negotiate(trial: &Trial<'_>, injection: &Injection, nth: u32) -> Result<(Vec<String>, bool)> {
    let log = &trial.log;
    let connection = Connection::mount(Path::new(AT))?;
    let asked = connection.asked()?;
    let answer = || connection.answer(asked, Offer::PASSTHROUGH);
    let (answered, failed) = injection.in_nth(nth, answer)?;
    if failed {
        log.add("injected");
        log.add("injected_in_init");
    }
    match answered {
        Err(Errno::ENOMEM) if failed => answer().context("answer INIT again")?,
        answered => answered.context("answer INIT")?,
    }
    let served = connection.serve(Files::new(1), 1)?;
    let (device, reader) = (served.device(), trial.reader());
    // The server's own file, before and after: whatever became of passthrough, the mount works.
    let own = "an open of the server's after a failed allocation";
    reader.open(&served, own, None, Seen::Served);
    match register(device, &trial.backing(nth)?) {
        Ok(id) => {
            log.add("with_passthrough");
            let what = "an open with passthrough after a failed allocation";
            reader.open(&served, what, Some(id), Seen::Stamp(nth));
            log.expect("BACKING_CLOSE", Ok(()), sys::backing_close(device, id));
        }
        Err(errno) => {
            let call = match failed {
                true => "BACKING_OPEN after a failed allocation",
                false => "BACKING_OPEN without a failed allocation",
            };
            match (failed, errno) {
                (true, Errno::EPERM) => log.add("without_passthrough"),
                (true, _) => log.refused(call, Errno::EPERM, Err::<(), _>(errno)),
                (false, _) => drop(log.expect(call, Ok(()), Err::<(), _>(errno))),
            }
            let closed = sys::backing_close(device, 1);
            log.refused(
                "BACKING_CLOSE after a failed allocation",
                Errno::EPERM,
                closed,
            );
            let what = "an open with passthrough that a failed allocation left off";
            reader.refuse(&served, what, 1);
        }
    }
    reader.open(&served, own, None, Seen::Served);
    log.add("mounts");
    Ok((served.end(COMES_BACK_WITHIN), failed))
}

/// One mount, on which registering fails at each allocation in turn; nothing is left behind.
fn registering(trial: &Trial<'_>, injection: &Injection) -> Result<Vec<String>> {
    let (log, reader) = (&trial.log, trial.reader());
    let served = Served::mount(Path::new(AT), Offer::PASSTHROUGH, Files::new(1), 1)?;
    let device = served.device();
    let file = trial.backing(0)?;
    for nth in 1..=MOST {
        let (registered, failed) = injection.in_nth(nth, || register(device, &file))?;
        if failed {
            log.add("injected");
        }
        let id = match registered {
            Err(Errno::ENOMEM) if failed => {
                log.add("registers_failed");
                log.expect("BACKING_OPEN", Ok(()), register(device, &file))
            }
            registered => log.expect("BACKING_OPEN", Ok(()), registered),
        };
        if let Some(id) = id {
            let what = "an open with an id registered after a failure";
            reader.open(&served, what, Some(id), Seen::Stamp(0));
            log.expect("BACKING_CLOSE", Ok(()), sys::backing_close(device, id));
        }
        if !failed || trial.is_over() {
            break;
        }
        ensure!(nth < MOST, "registering never ends to allocate");
    }
    log.add("mounts");
    Ok(served.end(COMES_BACK_WITHIN))
}
