//! Corners of backing ids' life: what each load does there, and how often.

use serde::{Deserialize, Serialize};

/// One corner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Corner {
    /// Ids at the end of their range, and a range without a free one. Needs a kernel that can be told where
    /// ids begin and end.
    Cursor {
        /// How many ids there are, where all of them are to be in use.
        limit: u32,
        /// How often one is removed from the full range and registered again, and how often one comes or goes
        /// in a range that is not full.
        turns: u32,
    },
    /// Each allocation that is made while passthrough is negotiated, or an id registered, fails once. Needs a
    /// kernel with fault injection.
    AllocationFailure,
    /// Calls and answers that have to be refused, most of them on connections without passthrough.
    Refusals,
    /// Mounts that end while opens are in flight.
    Teardown {
        /// How often each way to end is gone.
        rounds: u32,
        /// Threads that open.
        openers: u32,
    },
    /// Several connections at once, each with ids of its own.
    Connections {
        /// How many.
        connections: u32,
        /// How many mounts each goes through.
        rounds: u32,
    },
    /// Ids are asked for while the answer to INIT is being worked off.
    InitRace {
        /// How many mounts.
        mounts: u32,
        /// Threads that ask.
        racers: u32,
        /// Of how many accesses KCSAN watches one meanwhile; none as the kernel says.
        skip_watch: Option<u32>,
    },
}

impl Corner {
    /// The load's name, as in a scenario.
    pub fn name(&self) -> &'static str {
        match self {
            Corner::Cursor { .. } => "cursor",
            Corner::AllocationFailure => "allocation-failure",
            Corner::Refusals => "refusals",
            Corner::Teardown { .. } => "teardown",
            Corner::Connections { .. } => "connections",
            Corner::InitRace { .. } => "init-race",
        }
    }
}
