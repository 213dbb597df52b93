//! Ids that are asked for, and removed, while the answer to INIT is being worked off: each call is
//! refused, or does what it says.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use super::trial::{COMES_BACK_WITHIN, Log, Seen, Trial, register};
use crate::{
    crew::Crew,
    fs::{
        raw::{Connection, Files},
        wire::Offer,
    },
    kcsan::Watching,
    stop::Stop,
    sys,
};

const AT: &str = "/mnt/init-race";
/// The first id of a connection, which whoever removes is after.
const FIRST: u32 = 1;
/// How long a racer may go on being refused.
const TRIES_FOR: Duration = Duration::from_secs(20);

/// Mounts so many times.
pub(super) fn run(
    trial: &Trial<'_>,
    mounts: u32,
    racers: u32,
    skip_watch: Option<u32>,
) -> Result<Vec<String>> {
    let backing = Arc::new(trial.backing(0)?);
    for _ in 0..mounts {
        if trial.is_over() {
            break;
        }
        let stuck = one(trial, racers, skip_watch, &backing)?;
        if !stuck.is_empty() {
            return Ok(stuck);
        }
    }
    Ok(Vec::new())
}

/// One mount.
fn one(
    trial: &Trial<'_>,
    racers: u32,
    skip_watch: Option<u32>,
    backing: &Arc<File>,
) -> Result<Vec<String>> {
    let connection = Connection::mount(Path::new(AT))?;
    let asked = connection.asked()?;
    let race = Arc::new(Race {
        device: connection.share(),
        backing: backing.clone(),
        log: trial.log.clone(),
        trying: AtomicU32::new(0),
        go: AtomicBool::new(false),
        ids: Mutex::default(),
        over: Stop::default(),
    });
    let (mut registering, mut removing) = (Crew::default(), Crew::default());
    for who in 0..racers {
        let race = race.clone();
        registering.spawn(format!("init-race-{who}"), move || race.register())?;
    }
    let remover = race.clone();
    removing.spawn("init-race-close", move || remover.remove())?;
    let end = Instant::now() + COMES_BACK_WITHIN;
    while race.trying.load(Ordering::Acquire) <= racers && Instant::now() < end {
        std::thread::yield_now();
    }
    // Only now: a mount and its end are no part of the race, and many times longer.
    let watching = match skip_watch {
        Some(accesses) => Watching::one_in(accesses)?,
        None => None,
    };
    race.go.store(true, Ordering::Release);
    connection
        .answer(asked, Offer::PASSTHROUGH)
        .context("answer INIT")?;
    let mut stuck = registering.end(COMES_BACK_WITHIN);
    race.over.set();
    stuck.extend(removing.end(COMES_BACK_WITHIN));
    drop(watching);
    if !stuck.is_empty() {
        std::mem::forget(connection);
        return Ok(stuck);
    }
    let ids = std::mem::take(&mut *race.ids());
    drop(race);
    if ids.len() == racers as usize {
        trial.log.add("raced");
    }
    let served = connection.serve(Files::new(1), 1)?;
    // The first one may have been removed.
    if let Some(id) = ids.into_iter().find(|id| *id != FIRST) {
        let what = "an open with an id that raced with INIT's answer";
        trial.reader().open(&served, what, Some(id), Seen::Stamp(0));
    }
    trial.log.add("mounts");
    Ok(served.end(COMES_BACK_WITHIN))
}

/// What the racers of one mount share.
struct Race {
    device: Arc<OwnedFd>,
    backing: Arc<File>,
    log: Arc<Log>,
    /// Racers that were refused once.
    trying: AtomicU32,
    /// INIT is about to be answered.
    go: AtomicBool,
    ids: Mutex<Vec<u32>>,
    /// Everybody has an id.
    over: Stop,
}

impl Race {
    fn ids(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Was refused once, and goes on when everybody was. Whoever spins keeps the others off the CPU.
    fn wait(&self) {
        self.trying.fetch_add(1, Ordering::AcqRel);
        while !self.go.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    }

    /// Asks for an id until there is one.
    fn register(&self) {
        let end = Instant::now() + TRIES_FOR;
        let mut first = true;
        while Instant::now() < end {
            match register(self.device.as_fd(), &self.backing) {
                Ok(id) => return self.ids().push(id),
                Err(Errno::EPERM) => self.log.add("refused"),
                // Passthrough is visible before the stack depth.
                Err(Errno::ELOOP) => self.log.add("loops"),
                Err(errno) => {
                    let title = format!("BACKING_OPEN while INIT is answered ended with {errno:?}");
                    return self.log.wrong(&title, String::new);
                }
            }
            if std::mem::take(&mut first) {
                self.wait();
            }
        }
        let title = "BACKING_OPEN is refused though passthrough was negotiated";
        self.log.wrong(title, String::new);
    }

    /// Removes the first id, or tries to.
    fn remove(&self) {
        let mut first = true;
        while !self.over.is_set() {
            match sys::backing_close(self.device.as_fd(), FIRST) {
                Ok(()) => return self.log.add("removes"),
                Err(Errno::EPERM) => self.log.add("refused"),
                // Passthrough is on, and the id not yet there.
                Err(Errno::ENOENT) => self.log.add("early"),
                Err(errno) => {
                    let title =
                        format!("BACKING_CLOSE while INIT is answered ended with {errno:?}");
                    return self.log.wrong(&title, String::new);
                }
            }
            if std::mem::take(&mut first) {
                self.wait();
            }
        }
    }
}
