//! Mounts that end while opens are in flight: unmounted, by force or not, aborted, and forsaken by their
//! server.

use std::{
    fs::{self, File},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    mount::{MntFlags, umount2},
    sys::stat::Mode,
};

use super::trial::{COMES_BACK_WITHIN, Log, Reader, Seen, Trial, register};
use crate::{
    crew::Crew,
    fs::{
        raw::{Files, Served, file_name},
        wire::Offer,
    },
    stop::Stop,
};

const AT: &str = "/mnt/teardown";
/// Where the kernel lets connections be ended.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";
/// Threads that answer.
const SERVERS: usize = 2;
/// Ids that are registered, and files for each that openers choose from.
const IDS: usize = 16;
const FILES_AN_ID: usize = 8;
/// Opens that come back before a mount is ended.
const OPENS: u32 = 8;
/// How many files an opener keeps open, past the end of the mount.
const KEPT: usize = 4;
/// How long opens go on after an unmount.
const AFTERWARDS: Duration = Duration::from_millis(20);
/// How often the openers' state is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// What an open that a mount's end cuts off may come back with.
const CUT_OFF: [Errno; 4] = [
    Errno::ENOTCONN,
    Errno::ECONNABORTED,
    Errno::ENODEV,
    Errno::EINTR,
];

/// How a mount ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Lazily: what is in flight is answered, and the last file closed ends it.
    Unmount,
    /// Whatever is in flight fails.
    Force,
    /// The connection is aborted through sysfs.
    Abort,
    /// The server closes the device.
    Forsake,
}

/// Every way, and what it is counted as.
const WAYS: [(Way, &str); 4] = [
    (Way::Unmount, "unmounts"),
    (Way::Force, "forced_unmounts"),
    (Way::Abort, "aborts"),
    (Way::Forsake, "forsaken"),
];

/// Goes each way so many times: with opens that wait for their answers, and with what happens to be in
/// flight, by turns.
pub(super) fn run(trial: &Trial<'_>, rounds: u32, openers: u32) -> Result<Vec<String>> {
    let backings: Vec<File> = (0..IDS as u32)
        .map(|stamp| trial.backing(stamp))
        .collect::<Result<_>>()?;
    for round in 0..rounds {
        for (way, counted) in WAYS {
            if trial.is_over() {
                return Ok(Vec::new());
            }
            let stuck = end_once(trial, way, &backings, openers, round)?;
            if !stuck.is_empty() {
                return Ok(stuck);
            }
            trial.log.add(counted);
        }
    }
    Ok(Vec::new())
}

fn end_once(
    trial: &Trial<'_>,
    way: Way,
    backings: &[File],
    openers: u32,
    round: u32,
) -> Result<Vec<String>> {
    let served = Served::mount(Path::new(AT), Offer::PASSTHROUGH, Files::new(IDS), SERVERS)?;
    for (number, backing) in backings.iter().enumerate() {
        let id = register(served.device(), backing).context("register a backing id")?;
        served.files.answer_with(number, Some(id));
    }
    let root = File::open(AT).context("open the mount's root")?;
    let opening = Arc::new(Opening {
        root: root.into(),
        opened: AtomicU32::new(0),
        stop: Stop::default(),
        reader: trial.reader(),
        log: trial.log.clone(),
    });
    let mut crew = Crew::default();
    for who in 0..openers {
        let opening = opening.clone();
        let rng = Rng::with_seed(trial.load.seed ^ u64::from(round * openers + who));
        crew.spawn(format!("teardown-{who}"), move || opening.work(rng))?;
    }
    // Nothing is counted during a wait in vain, and the host gives up on that before a third is over: after
    // the first there is none but those for threads and mount to end.
    let began = until(|| opening.opened.load(Ordering::Relaxed) >= OPENS);
    if began && round.is_multiple_of(2) {
        served.files.withhold.store(true, Ordering::Release);
        until(|| served.files.held() >= openers as usize);
    }
    if served.files.held() > 0 {
        trial.log.add("in_flight");
    }

    let mut served = Some(served);
    let mut stuck = Vec::new();
    match (way, &served) {
        (Way::Forsake, _) => {
            stuck.extend(
                served
                    .take()
                    .map(|served| served.forsake(COMES_BACK_WITHIN))
                    .unwrap_or_default(),
            );
        }
        (Way::Abort, Some(served)) => {
            let path = format!("{CONNECTIONS}/{}/abort", served.number()?);
            fs::write(&path, "1").with_context(|| format!("write {path}"))?;
        }
        (Way::Force, _) => {
            // The files that are open keep the mount there; its connection has ended.
            let _ = umount2(AT, MntFlags::MNT_FORCE);
        }
        (Way::Unmount, Some(served)) => {
            umount2(AT, MntFlags::MNT_DETACH).context("unmount while files are open")?;
            served.files.withhold.store(false, Ordering::Release);
            trial.load.stop.sleep(AFTERWARDS);
            opening.stop.set();
        }
        (Way::Abort | Way::Unmount, None) => {}
    }
    stuck.extend(crew.end(match stuck.is_empty() {
        true => COMES_BACK_WITHIN,
        false => Duration::ZERO,
    }));
    if !stuck.is_empty() {
        std::mem::forget((served, opening));
        return Ok(stuck);
    }
    drop(opening);
    Ok(served
        .map(|served| served.end(COMES_BACK_WITHIN))
        .unwrap_or_default())
}

/// Waits for openers; false for one that never comes so far, which shows as such later.
fn until(done: impl Fn() -> bool) -> bool {
    let end = Instant::now() + COMES_BACK_WITHIN;
    while !done() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// What openers share.
struct Opening {
    root: OwnedFd,
    opened: AtomicU32,
    stop: Stop,
    reader: Reader,
    log: Arc<Log>,
}

impl Opening {
    /// Opens until the mount ends, or enough is enough; then reads what is still open.
    fn work(&self, mut rng: Rng) {
        let mut kept: Vec<(usize, File)> = Vec::new();
        while !self.stop.is_set() {
            let number = rng.usize(..IDS * FILES_AN_ID);
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            match openat(
                self.root.as_fd(),
                file_name(number).as_str(),
                flags,
                Mode::empty(),
            ) {
                Ok(file) => {
                    let file = File::from(file);
                    self.check("an open while its mount ends", number, &file);
                    self.log.add("opens");
                    self.opened.fetch_add(1, Ordering::Relaxed);
                    if kept.len() == KEPT {
                        kept.swap_remove(rng.usize(..KEPT));
                    }
                    kept.push((number, file));
                }
                Err(errno) if CUT_OFF.contains(&errno) => {
                    self.log.add("cut_off");
                    break;
                }
                Err(errno) => {
                    let title = format!("an open while its mount ends ended with {errno:?}");
                    self.log.wrong(&title, String::new);
                    break;
                }
            }
        }
        // Reads go to the backing file, whatever became of the server.
        for (number, file) in &kept {
            self.check("a file whose mount has ended", *number, file);
            self.log.add("reads_after");
        }
    }

    fn check(&self, what: &str, number: usize, file: &File) {
        let wanted = Seen::Stamp((number % IDS) as u32);
        self.reader.check(what, file, wanted);
    }
}
