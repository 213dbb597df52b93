//! The load from its beginning to its end.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use protocol::BackingRace;

use super::{
    churner::Churn,
    opener::Opening,
    refusal,
    server::{Answer, Server},
    slots::Slots,
    tally::{Count, Tally},
};
use crate::{
    crew::Crew,
    fs::mount::{self, Mounted},
    load::run::{Context as Load, Ended},
};

/// Where the filesystem is mounted.
const AT: &str = "/mnt/race";
/// Backing files have no names; this is where they lie.
const STORE: &str = "/tmp";
/// How long threads may take to come back. A guest under TCG with sanitizers
/// answers an open in milliseconds; this is for a host that is busy, too.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(30);
/// How long one mount is hammered before it is torn down, ids and all, and the
/// next one is set up: teardown is part of what is exercised.
const ROUND: Duration = Duration::from_secs(10);

/// Runs the load for so long.
pub(crate) fn run(load: &Load<'_>, sizes: &BackingRace, time: Duration) -> Result<Ended> {
    ensure!(
        sizes.servers > 0
            && sizes.openers > 0
            && sizes.churners > 0
            && sizes.ids > 0
            && sizes.files >= sizes.openers,
        "backing-race needs servers, openers, churners, ids, and a file for each opener"
    );
    let tally = Arc::new(Tally::default());
    load.heart.watch(load.phase, tally.clone());
    let slots = Slots::new(sizes.ids, sizes.openers, load.seed, Path::new(STORE))?;
    let slots = Arc::new(slots);
    let mut rng = Rng::with_seed(load.seed);
    let end = Instant::now() + time;
    let mut stuck = Vec::new();
    while stuck.is_empty() && Instant::now() < end && !load.stop.is_set() {
        let left = end.saturating_duration_since(Instant::now());
        // A last round that would be very short is added to the one before.
        let time = if left < 2 * ROUND { left } else { ROUND };
        stuck = round(load, sizes, &tally, &slots, &mut rng, time)?;
    }
    if stuck.is_empty() {
        stuck = refusal::run(
            &tally,
            load.findings,
            &slots,
            Path::new(AT),
            COMES_BACK_WITHIN,
        )?;
    }
    Ok(Ended {
        progress: tally,
        stuck,
    })
}

/// One mount: set up, hammered, torn down. Gives back who got stuck.
fn round(
    load: &Load<'_>,
    sizes: &BackingRace,
    tally: &Arc<Tally>,
    slots: &Arc<Slots>,
    rng: &mut Rng,
    time: Duration,
) -> Result<Vec<String>> {
    slots.clear();
    let answers: Arc<[Answer]> = (0..sizes.files).map(|_| Answer::default()).collect();
    let churn = Arc::new(Churn::new(
        slots.clone(),
        tally.clone(),
        load.findings.clone(),
        sizes.churners,
    ));
    let server = Server {
        seed: rng.u64(..),
        churn: churn.clone(),
        answers: answers.clone(),
        unasked: None,
    };
    let mounted = Mounted::new(server, Path::new(AT), sizes.servers as usize)?;
    churn.connect(mount::share(&mounted)?);
    let root = OwnedFd::from(File::open(mounted.path()).context("open the mount's root")?);
    let opening = Arc::new(Opening {
        churn: churn.clone(),
        answers,
        root,
        seed: load.seed,
        instrumented: load.instrumented,
    });

    let mut crew = Crew::default();
    for who in 0..sizes.churners as usize {
        let (churn, rng) = (churn.clone(), rng.fork());
        crew.spawn(format!("race-churn-{who}"), move || churn.work(who, rng))?;
    }
    for who in 0..sizes.openers as usize {
        let (opening, rng) = (opening.clone(), rng.fork());
        let mine: Vec<usize> = (who..sizes.files as usize)
            .step_by(sizes.openers as usize)
            .collect();
        crew.spawn(format!("race-open-{who}"), move || opening.work(&mine, rng))?;
    }
    load.stop.sleep(time);

    churn.stop.set();
    let stuck = crew.end(COMES_BACK_WITHIN);
    if !stuck.is_empty() {
        // Unmounting now could hang as well, and what they hold is in use.
        std::mem::forget(mounted);
        return Ok(stuck);
    }
    // The ids that are still registered are left to the connection's teardown.
    drop((opening, churn));
    let stuck = mounted.end(COMES_BACK_WITHIN);
    tally.add(Count::Mounts);
    Ok(stuck)
}

/// A file of the slots', for whoever only needs some file to register.
pub(super) fn any_file(slots: &Slots) -> Result<OwnedFd> {
    slots
        .file(0, 0)
        .1
        .as_fd()
        .try_clone_to_owned()
        .context("clone a backing file's descriptor")
}
