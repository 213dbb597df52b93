//! Several connections at once: each has ids of its own, knows no other's, and ends alone.

use std::{
    fs::File,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Error, Result};
use fastrand::Rng;
use nix::errno::Errno;

use super::trial::{COMES_BACK_WITHIN, Log, Reader, Seen, Trial, register};
use crate::{
    crew::Crew,
    fs::{
        raw::{Files, Served},
        wire::Offer,
    },
    stop::Stop,
    sys,
};

const AT: &str = "/mnt/connections";
/// How many ids the first one has, and how many more each after it.
const IDS: usize = 8;
const MORE: usize = 4;
/// Stamps of one connection's files begin so far from another's.
const STAMPS: u32 = 1 << 16;

/// Runs them side by side.
pub(super) fn run(trial: &Trial<'_>, connections: u32, rounds: u32) -> Result<Vec<String>> {
    let alive = Arc::new(AtomicU32::new(0));
    let failed = Arc::new(Mutex::new(None::<Error>));
    let stuck = Arc::new(Mutex::new(Vec::new()));
    let stop = Stop::default();
    let mut crew = Crew::default();
    for who in 0..connections {
        let count = IDS + MORE * who as usize;
        let files: Vec<(u32, File)> = (0..count as u32)
            .map(|file| who * STAMPS + file)
            .map(|stamp| Ok((stamp, trial.backing(stamp)?)))
            .collect::<Result<_>>()?;
        let one = One {
            at: format!("{AT}/{who}").into(),
            files,
            most: IDS + MORE * (connections as usize - 1),
            alive: alive.clone(),
            reader: trial.reader(),
            log: trial.log.clone(),
        };
        let mut rng = Rng::with_seed(trial.load.seed ^ u64::from(who));
        let (failed, stuck, stop) = (failed.clone(), stuck.clone(), stop.clone());
        crew.spawn(format!("connection-{who}"), move || {
            for _ in 0..rounds {
                if stop.is_set() {
                    break;
                }
                match one.round(&mut rng) {
                    Ok(left) if left.is_empty() => {}
                    Ok(left) => return lock(&stuck).extend(left),
                    Err(error) => return *lock(&failed) = Some(error),
                }
            }
        })?;
    }
    // Not under the lock, which who gets stuck wants as well.
    let late = crew.end_by(|| trial.is_over(), &stop, COMES_BACK_WITHIN);
    lock(&stuck).extend(late);
    match lock(&failed).take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *lock(&stuck))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of them.
struct One {
    at: PathBuf,
    /// What it registers, by the files' stamps.
    files: Vec<(u32, File)>,
    /// The largest number of ids that any of them has.
    most: usize,
    alive: Arc<AtomicU32>,
    reader: Reader,
    log: Arc<Log>,
}

impl One {
    /// One mount, from its first id to its end with half of the ids still there. Gives who got stuck.
    fn round(&self, rng: &mut Rng) -> Result<Vec<String>> {
        let served = Served::mount(&self.at, Offer::PASSTHROUGH, Files::new(1), 1)?;
        self.alive.fetch_add(1, Ordering::Relaxed);
        self.use_ids(&served, rng);
        self.alive.fetch_sub(1, Ordering::Relaxed);
        self.log.add("mounts");
        Ok(served.end(COMES_BACK_WITHIN))
    }

    fn use_ids(&self, served: &Served, rng: &mut Rng) {
        let (log, device) = (&self.log, served.device());
        let mut ids: Vec<(u32, u32)> = Vec::new();
        for (stamp, file) in &self.files {
            if let Some(id) = log.expect("BACKING_OPEN", Ok(()), register(device, file)) {
                ids.push((id, *stamp));
            }
        }
        rng.shuffle(&mut ids);
        for (id, stamp) in &ids {
            if self.alive.load(Ordering::Relaxed) > 1 {
                log.add("together");
            }
            let what = "an open beside other connections";
            self.reader
                .open(served, what, Some(*id), Seen::Stamp(*stamp));
        }
        // Ids go up from 1, so the connection with most of them has some that this one does not.
        let mine = |id: u32| ids.iter().any(|(own, _)| *own == id);
        for id in (1..=self.most as u32).filter(|id| !mine(*id)) {
            self.reader
                .refuse(served, "an open with another connection's id", id);
            let closed = sys::backing_close(device, id);
            log.refused(
                "BACKING_CLOSE of another connection's id",
                Errno::ENOENT,
                closed,
            );
        }
        for (id, _) in &ids[..ids.len() / 2] {
            log.expect("BACKING_CLOSE", Ok(()), sys::backing_close(device, *id));
            self.reader.refuse(served, "an open with a removed id", *id);
        }
        for (id, stamp) in &ids[ids.len() / 2..] {
            let what = "an open after others' ids are removed";
            self.reader
                .open(served, what, Some(*id), Seen::Stamp(*stamp));
        }
    }
}
