//! A corner's load from its beginning to its end.

use std::time::{Duration, Instant};

use anyhow::Result;
use protocol::Corner;

use super::{
    allocation_failure, connections, cursor, init_race, refusals, teardown,
    trial::{Log, Trial},
};
use crate::load::run::{Context, Ended};

/// Runs it; what is left to do when the time is over is left out.
pub(crate) fn run(load: &Context<'_>, corner: &Corner, limit: Duration) -> Result<Ended> {
    let log = Log::new(load.findings.clone());
    load.heart.watch(load.phase, log.clone());
    let trial = Trial {
        load,
        log: log.clone(),
        until: Instant::now() + limit,
    };
    let stuck = match *corner {
        Corner::Cursor { limit, turns } => cursor::run(&trial, limit, turns)?,
        Corner::AllocationFailure => allocation_failure::run(&trial)?,
        Corner::Refusals => refusals::run(&trial)?,
        Corner::Teardown { rounds, openers } => teardown::run(&trial, rounds, openers)?,
        Corner::Connections {
            connections,
            rounds,
        } => connections::run(&trial, connections, rounds)?,
        Corner::InitRace {
            mounts,
            racers,
            skip_watch,
        } => init_race::run(&trial, mounts, racers, skip_watch)?,
    };
    Ok(Ended {
        progress: log,
        stuck,
    })
}
