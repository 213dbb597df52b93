//! Ids at the end of their range: they go on at 1; a range without a free one is searched twice, and no
//! more; and threads that meet there never get the same id.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::fd::AsFd,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use nix::errno::Errno;

use super::{
    cyclic::Cyclic,
    trial::{COMES_BACK_WITHIN, Log, Reader, Seen, Trial, register},
};
use crate::{
    crew::Crew,
    fs::{
        raw::{Files, Served},
        wire::Offer,
    },
    stop::Stop,
    sys,
};

const AT: &str = "/mnt/cursor";
/// What the scenario's overlays add: where ids of new connections begin, the largest id of all, and, where
/// the kernel can tell, how often a range was searched.
const PARAMETERS: &str = "/sys/module/fuse/parameters";
const CURSOR: &str = "backing_debug_cursor";
const LARGEST: &str = "backing_debug_max";
const SEARCHES: &str = "backing_debug_searches";
/// The largest id that any kernel hands out.
const INT_MAX: u32 = i32::MAX.cast_unsigned();
/// How far below the largest id the cursor begins, and how many ids are taken from there.
const BELOW: u32 = 2;
const TAKEN: u32 = 6;
/// A range is searched from the cursor on, and once more from 1.
const SEARCHED: u64 = 2;
/// How many threads meet at the end of the range.
const THREADS: u32 = 3;

/// Runs all of it.
pub(super) fn run(trial: &Trial<'_>, limit: u32, turns: u32) -> Result<Vec<String>> {
    let path = Path::new(PARAMETERS).join(CURSOR);
    ensure!(
        path.exists(),
        "{} is missing: this kernel has no debug overlay for the load",
        path.display()
    );
    let mut stuck = past_the_largest(trial)?;
    for step in [full_range, some_free, together] {
        if !stuck.is_empty() || trial.is_over() {
            break;
        }
        stuck = step(trial, limit, turns)?;
    }
    set(CURSOR, 1)?;
    set(LARGEST, INT_MAX)?;
    Ok(stuck)
}

fn set(parameter: &str, value: u32) -> Result<()> {
    let path = Path::new(PARAMETERS).join(parameter);
    fs::write(&path, value.to_string()).with_context(|| format!("write {}", path.display()))
}

/// How often a range was searched; none where the kernel does not tell.
fn searches() -> Option<u64> {
    let path = Path::new(PARAMETERS).join(SEARCHES);
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A connection, and what its ids have to be.
struct Ids<'a> {
    trial: &'a Trial<'a>,
    served: Served,
    reader: Reader,
    model: Cyclic,
    files: BTreeMap<u32, (u32, File)>,
    stamps: u32,
}

impl<'a> Ids<'a> {
    fn new(trial: &'a Trial<'a>, cursor: u32, largest: u32) -> Result<Self> {
        set(CURSOR, cursor)?;
        set(LARGEST, largest)?;
        let served = Served::mount(Path::new(AT), Offer::PASSTHROUGH, Files::new(1), 1)?;
        trial.log.add("mounts");
        Ok(Self {
            trial,
            served,
            reader: trial.reader(),
            model: Cyclic::new(cursor, largest),
            files: BTreeMap::new(),
            stamps: 0,
        })
    }

    /// Registers a file: with the id that is next, or not at all where none is free.
    fn register(&mut self) -> Result<()> {
        let log = &self.trial.log;
        let stamp = self.stamps;
        let file = self.trial.backing(stamp)?;
        let expected = self.model.expected();
        let got = register(self.served.device(), &file);
        let Some(expected) = expected else {
            log.add("full");
            log.expect("BACKING_OPEN in a full range", Err(Errno::ENOSPC), got);
            return Ok(());
        };
        let Some(id) = log.expect("BACKING_OPEN with free ids left", Ok(()), got) else {
            return Ok(());
        };
        log.add("registers");
        if id != expected {
            log.wrong("an id is not the next free one", || {
                format!("{id} instead of {expected}")
            });
        } else if expected == 1 {
            log.add("wraps");
        }
        self.stamps += 1;
        self.model.take(id);
        if self.files.insert(id, (stamp, file)).is_some() {
            log.wrong("a live id was handed out twice", || id.to_string());
        }
        self.open(id);
        Ok(())
    }

    fn open(&self, id: u32) {
        if let Some((stamp, _)) = self.files.get(&id) {
            let wanted = Seen::Stamp(*stamp);
            self.reader.open(
                &self.served,
                "an open at the end of the ids",
                Some(id),
                wanted,
            );
        }
    }

    fn remove(&mut self, id: u32) {
        let log = &self.trial.log;
        let device = self.served.device();
        log.expect("BACKING_CLOSE", Ok(()), sys::backing_close(device, id));
        self.model.free(id);
        self.files.remove(&id);
        self.reader
            .refuse(&self.served, "an open with a removed id", id);
        let again = sys::backing_close(device, id);
        log.refused("BACKING_CLOSE of a removed id", Errno::ENOENT, again);
    }

    fn end(self) -> Vec<String> {
        self.served.end(COMES_BACK_WITHIN)
    }
}

/// Ids up to the largest that there is, and on from 1.
fn past_the_largest(trial: &Trial<'_>) -> Result<Vec<String>> {
    let mut ids = Ids::new(trial, INT_MAX - BELOW, INT_MAX)?;
    for _ in 0..TAKEN {
        ids.register()?;
    }
    for id in ids.model.used() {
        ids.open(id);
    }
    for id in [INT_MAX, 1] {
        ids.remove(id);
        ids.register()?;
    }
    Ok(ids.end())
}

/// Every id in use: no more, until one is removed, which is then handed out again.
fn full_range(trial: &Trial<'_>, limit: u32, turns: u32) -> Result<Vec<String>> {
    let mut rng = Rng::with_seed(trial.load.seed);
    let mut ids = Ids::new(trial, limit / 2 + 1, limit)?;
    for _ in 0..limit {
        ids.register()?;
    }
    if searches().is_some() {
        trial.log.none_of("retried_otherwise");
    }
    for _ in 0..turns {
        if trial.is_over() {
            break;
        }
        let before = searches();
        ids.register()?;
        if let (Some(before), Some(after)) = (before, searches()) {
            let searched = after.wrapping_sub(before);
            trial.log.add(match searched {
                SEARCHED => "retried_once",
                _ => "retried_otherwise",
            });
            if searched != SEARCHED {
                let title = format!("a full range was searched {searched} times, not {SEARCHED}");
                trial.log.wrong(&title, String::new);
            }
        }
        ids.remove(rng.u32(1..=limit));
        ids.register()?;
        trial.log.add("refills");
    }
    Ok(ids.end())
}

/// Ids that come and go, half of them in use.
fn some_free(trial: &Trial<'_>, limit: u32, turns: u32) -> Result<Vec<String>> {
    let mut rng = Rng::with_seed(trial.load.seed);
    let mut ids = Ids::new(trial, limit, limit)?;
    for _ in 0..turns {
        if trial.is_over() {
            break;
        }
        let used = ids.model.used();
        match rng.usize(..limit as usize) < used.len() {
            true => ids.remove(used[rng.usize(..used.len())]),
            false => ids.register()?,
        }
    }
    Ok(ids.end())
}

/// Threads that register and remove side by side, round and round: no id is theirs twice.
fn together(trial: &Trial<'_>, limit: u32, turns: u32) -> Result<Vec<String>> {
    let ids = Ids::new(trial, 1, limit)?;
    let live = Arc::new(Mutex::new(BTreeSet::new()));
    let stop = Stop::default();
    let mut crew = Crew::default();
    // Together they never hold more than half of the range.
    let most = (limit / 2 / THREADS).max(1) as usize;
    for who in 0..THREADS {
        let mut one = Together {
            log: trial.log.clone(),
            live: live.clone(),
            limit,
            mine: Vec::new(),
        };
        let (device, file) = (ids.served.share(), trial.backing(who)?);
        let mut rng = Rng::with_seed(trial.load.seed ^ u64::from(who));
        let stop = stop.clone();
        crew.spawn(format!("cursor-{who}"), move || {
            for _ in (0..turns).take_while(|_| !stop.is_set()) {
                match one.mine.len() < most && rng.bool() {
                    true => one.take(register(device.as_fd(), &file)),
                    false => one.give(&mut rng, |id| sys::backing_close(device.as_fd(), id)),
                }
            }
        })?;
    }
    let stuck = crew.end_by(|| trial.is_over(), &stop, COMES_BACK_WITHIN);
    match stuck.is_empty() {
        true => Ok(ids.end()),
        false => {
            std::mem::forget(ids);
            Ok(stuck)
        }
    }
}

/// One of them.
struct Together {
    log: Arc<Log>,
    /// Everybody's ids.
    live: Arc<Mutex<BTreeSet<u32>>>,
    limit: u32,
    mine: Vec<u32>,
}

impl Together {
    fn take(&mut self, got: Result<u32, Errno>) {
        let Some(id) = self
            .log
            .expect("BACKING_OPEN with free ids left", Ok(()), got)
        else {
            return;
        };
        self.log.add("registers");
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if !(1..=self.limit).contains(&id) {
            self.log
                .wrong("an id lies outside of the range", || id.to_string());
        }
        if !live.insert(id) {
            self.log
                .wrong("a live id was handed out twice", || id.to_string());
        }
        self.mine.push(id);
    }

    /// Removes one; it may be somebody else's as soon as the call is made.
    fn give(&mut self, rng: &mut Rng, close: impl FnOnce(u32) -> Result<(), Errno>) {
        if self.mine.is_empty() {
            return;
        }
        let id = self.mine.swap_remove(rng.usize(..self.mine.len()));
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
        self.log.expect("BACKING_CLOSE", Ok(()), close(id));
    }
}
