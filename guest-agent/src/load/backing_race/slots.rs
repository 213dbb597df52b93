//! The slots whose ids are registered and removed over and over, and the
//! backing files that they are registered with.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use anyhow::Result;

use super::apart::Apart;
use crate::load::stamp::stamped_file;

/// Backing files a slot goes through in turn. A slot has one registration at a
/// time, so no file is ever registered twice at once, and no stamp is ever
/// rewritten; that a stale one is read again by accident would take a delay of
/// so many registrations of the same slot.
const FILES_A_SLOT: u32 = 2;

/// No aim.
const NONE: u64 = u64::MAX;
/// So many turns ahead no aim lies.
const FAR: u32 = 1 << 30;

/// Whether one turn comes before another; turns wrap.
fn before(turn: u32, other: u32) -> bool {
    turn.wrapping_sub(other).cast_signed() < 0
}

/// One slot.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The id that servers answer with; 0 if there is none. It stays for as
    /// long as its removal takes, for that is the race.
    pub(super) current: AtomicU32,
    /// The id before it.
    pub(super) previous: AtomicU32,
    /// A removal is aimed at it: until that is due, churners leave it alone.
    pub(super) aimed: AtomicBool,
    /// Held by the churner at work on it: how many registrations it has had.
    pub(super) turn: Mutex<u32>,
}

/// All slots.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Box<[Apart<Slot>]>,
    files: Vec<OwnedFd>,
    /// For each opener the slot that it was last answered with: when that is to be removed, in turns, and
    /// its number.
    aims: Box<[Apart<AtomicU64>]>,
    /// The turn before which none of them is due, so that most turns look no further. A hint: who
    /// writes it may have missed an aim that was just taken, which is then met by the next look.
    soonest: Apart<AtomicU32>,
}

impl Slots {
    /// Makes the slots and their stamped backing files, nameless in `dir`, for so many openers.
    pub(super) fn new(count: u32, openers: u32, seed: u64, dir: &Path) -> Result<Slots> {
        let aim = |_| Apart(AtomicU64::new(NONE));
        let file = |stamp| Ok(OwnedFd::from(stamped_file(dir, seed, stamp)?));
        Ok(Slots {
            slots: (0..count).map(|_| Apart::default()).collect(),
            files: (0..count.saturating_mul(FILES_A_SLOT))
                .map(file)
                .collect::<Result<_>>()?,
            aims: (0..openers).map(aim).collect(),
            soonest: Apart::default(),
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// One of them.
    pub(super) fn at(&self, index: usize) -> &Slot {
        &self.slots[index]
    }

    /// The stamp of a slot's registration number `turn`, and its file.
    pub(super) fn file(&self, index: usize, turn: u32) -> (u32, impl AsFd + '_) {
        let stamp = index * FILES_A_SLOT as usize + (turn % FILES_A_SLOT) as usize;
        (stamp as u32, &self.files[stamp])
    }

    /// A server is about to answer an open of this file with this slot's id: it is to be removed at that
    /// turn of the churners'. Files are dealt over openers, each of whom waits for one answer at a time.
    pub(super) fn aim(&self, file: usize, index: usize, due: u32) {
        self.at(index).aimed.store(true, Ordering::Relaxed);
        let aim = u64::from(due) << 32 | index as u64;
        let last = self.aims[file % self.aims.len()].swap(aim, Ordering::Release);
        // The same slot is still aimed at.
        if last as u32 != aim as u32 {
            self.missed(last);
        }
        if before(due, self.soonest.load(Ordering::Relaxed)) {
            self.soonest.store(due, Ordering::Release);
        }
    }

    /// Takes a slot whose removal is due.
    pub(super) fn due(&self, turn: u32) -> Option<usize> {
        // Read first: a line that is only read stays with every CPU.
        let hint = self.soonest.load(Ordering::Acquire);
        if before(turn, hint) {
            return None;
        }
        let mut soonest = turn.wrapping_add(FAR);
        for aim in self.aims.iter() {
            let seen = aim.load(Ordering::Acquire);
            let due = (seen >> 32) as u32;
            if seen == NONE {
                continue;
            }
            if before(turn, due) {
                if before(due, soonest) {
                    soonest = due;
                }
                continue;
            }
            // The hint stays as it is: there may be more that are due.
            let taken = aim.compare_exchange(seen, NONE, Ordering::Relaxed, Ordering::Relaxed);
            if let Ok(taken) = taken {
                return self.missed(taken);
            }
        }
        let _ = self
            .soonest
            .compare_exchange(hint, soonest, Ordering::Relaxed, Ordering::Relaxed);
        None
    }

    /// An aim is no more: gives its slot.
    fn missed(&self, aim: u64) -> Option<usize> {
        let index = Some(aim as u32 as usize).filter(|_| aim != NONE)?;
        self.at(index).aimed.store(false, Ordering::Relaxed);
        Some(index)
    }

    /// No ids any more: the connection that gave them out is gone.
    pub(super) fn clear(&self) {
        for aim in self.aims.iter() {
            self.missed(aim.swap(NONE, Ordering::Relaxed));
        }
        self.soonest.store(0, Ordering::Relaxed);
        for slot in self.slots.iter() {
            slot.current.store(0, Ordering::Release);
            slot.previous.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt};

    use super::*;
    use crate::load::stamp::{STAMP_LEN, stamp_of};

    #[test]
    fn a_slot_that_is_aimed_at_is_taken_once_when_it_is_due() {
        let slots = Slots::new(3, 3, 1, &std::env::temp_dir()).unwrap();
        let aimed = |index: usize| slots.at(index).aimed.load(Ordering::Relaxed);
        let soon = u32::MAX.wrapping_add(3);
        slots.aim(0, 2, soon);
        assert!(aimed(2));
        assert_eq!(slots.due(u32::MAX), None, "turns wrap");
        assert_eq!(slots.due(soon), Some(2));
        assert_eq!((slots.due(soon), aimed(2)), (None, false));
        // An opener's next answer takes the place of its last one.
        slots.aim(1, 0, 7);
        slots.aim(1, 1, 7);
        assert_eq!((aimed(0), aimed(1)), (false, true));
        assert_eq!((slots.due(9), slots.due(9)), (Some(1), None));
        // It may name the same slot again.
        slots.aim(1, 1, 7);
        slots.aim(1, 1, 8);
        assert!(aimed(1));
        assert_eq!((slots.due(7), slots.due(8)), (None, Some(1)));
        // Another opener's, of whatever file, does not.
        slots.aim(0, 0, 7);
        slots.aim(8, 2, 7);
        assert_eq!((aimed(0), aimed(2)), (true, true));
        assert_eq!((slots.due(9), slots.due(9)), (Some(0), Some(2)));
        slots.aim(1, 1, 7);
        slots.clear();
        assert_eq!((slots.due(9), aimed(1)), (None, false));
    }

    #[test]
    fn each_registration_of_a_slot_has_a_file_of_its_own() {
        let slots = Slots::new(2, 1, 1, &std::env::temp_dir()).unwrap();
        let stamps: Vec<u32> = (0..FILES_A_SLOT)
            .flat_map(|turn| [slots.file(0, turn).0, slots.file(1, turn).0])
            .collect();
        let distinct: std::collections::BTreeSet<u32> = stamps.iter().copied().collect();
        assert_eq!(distinct.len(), stamps.len());
        let (stamp, file) = slots.file(1, 3);
        let file = File::from(file.as_fd().try_clone_to_owned().unwrap());
        let mut read = [0; STAMP_LEN];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(stamp_of(1, &read), Some(stamp));
    }
}
