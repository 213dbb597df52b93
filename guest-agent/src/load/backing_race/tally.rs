//! The load's counters.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use protocol::Counters;

use super::apart::Apart;
use crate::heartbeat::Progress;

/// One counter. The names on the wire are in [`NAMES`], in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Count {
    /// Opens that an opener tried.
    Opens,
    /// Opens that came back with passthrough.
    Lookups,
    /// Opens that came back with EIO: the id was gone.
    Misses,
    /// Opens of an inode that was open with another backing, refused as they must be.
    Refused,
    /// Ids registered.
    Registers,
    /// Ids removed.
    Removes,
    /// Removals of an id that somebody else had removed.
    Enoents,
    /// Opens during which, after the server's answer, a removal of that id ran.
    Overlaps,
    /// Opens that read another backing file's stamp.
    WrongData,
    /// Errors that the race does not explain.
    Errors,
    /// Reads whose stamp could not be judged, for the ledger had forgotten.
    Unjudged,
    /// Mounts set up, hammered and torn down.
    Mounts,
}

const NAMES: [&str; 12] = [
    "opens",
    "lookups",
    "misses",
    "refused",
    "registers",
    "removes",
    "enoents",
    "overlaps",
    "wrong_data",
    "errors",
    "unjudged",
    "mounts",
];

/// Copies of the counters; threads are dealt over them, for every one counts.
const COPIES: usize = 8;

/// All counters.
#[derive(Debug, Default)]
pub(super) struct Tally([Apart<[AtomicU64; NAMES.len()]>; COPIES]);

impl Tally {
    /// Counts one.
    pub(super) fn add(&self, what: Count) {
        static DEALT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static COPY: usize = DEALT.fetch_add(1, Ordering::Relaxed) % COPIES;
        }
        let copy = &self.0[COPY.with(|copy| *copy)];
        copy[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The count so far.
    fn get(&self, what: usize) -> u64 {
        self.0
            .iter()
            .map(|copy| copy[what].load(Ordering::Relaxed))
            .sum()
    }
}

impl Progress for Tally {
    fn counters(&self) -> Counters {
        NAMES
            .iter()
            .enumerate()
            .map(|(what, name)| ((*name).into(), self.get(what)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_its_name() {
        let tally = Tally::default();
        tally.add(Count::Opens);
        tally.add(Count::Mounts);
        tally.add(Count::Mounts);
        let counters = tally.counters();
        assert_eq!(
            (counters["opens"], counters["mounts"], counters["lookups"]),
            (1, 2, 0)
        );
        assert_eq!(tally.get(Count::Mounts as usize), 2);
    }
}
