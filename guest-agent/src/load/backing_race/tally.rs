//! The load's counters.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::Counters;

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

/// All counters.
#[derive(Debug, Default)]
pub(super) struct Tally([Cell; NAMES.len()]);

/// On a cache line of its own: every thread counts.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell(AtomicU64);

impl Tally {
    /// Counts one.
    pub(super) fn add(&self, what: Count) {
        self.0[what as usize].0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count so far.
    #[cfg(test)]
    pub(super) fn get(&self, what: Count) -> u64 {
        self.0[what as usize].0.load(Ordering::Relaxed)
    }
}

impl Progress for Tally {
    fn counters(&self) -> Counters {
        NAMES
            .iter()
            .zip(&self.0)
            .map(|(name, cell)| ((*name).into(), cell.0.load(Ordering::Relaxed)))
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
        assert_eq!(tally.get(Count::Mounts), 2);
    }
}
