//! The slots whose ids are registered and removed over and over, and the
//! backing files that they are registered with.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
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

/// No slot.
const NONE: u64 = u64::MAX;

/// One slot.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The id that servers answer with; 0 if there is none. It stays for as
    /// long as its removal takes, for that is the race.
    pub(super) current: AtomicU32,
    /// The id before it.
    pub(super) previous: AtomicU32,
    /// Held by the churner at work on it: how many registrations it has had.
    pub(super) turn: Mutex<u32>,
}

/// All slots.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Box<[Apart<Slot>]>,
    files: Vec<OwnedFd>,
    /// The slot that a server has just answered with, until a churner takes it.
    hot: Apart<AtomicU64>,
}

impl Slots {
    /// Makes the slots and their stamped backing files, nameless in `dir`.
    pub(super) fn new(count: u32, seed: u64, dir: &Path) -> Result<Slots> {
        let file = |stamp| Ok(OwnedFd::from(stamped_file(dir, seed, stamp)?));
        Ok(Slots {
            slots: (0..count).map(|_| Apart::default()).collect(),
            files: (0..count.saturating_mul(FILES_A_SLOT))
                .map(file)
                .collect::<Result<_>>()?,
            hot: Apart(AtomicU64::new(NONE)),
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

    /// A server is answering with this slot's id.
    pub(super) fn heat(&self, index: usize) {
        self.hot.store(index as u64, Ordering::Relaxed);
    }

    /// Takes the slot answered with last: the one most worth removing, once.
    pub(super) fn take_hot(&self) -> Option<usize> {
        // Read first: a line that is only read stays with every CPU.
        if self.hot.load(Ordering::Relaxed) == NONE {
            return None;
        }
        let index = self.hot.swap(NONE, Ordering::Relaxed);
        (index != NONE).then_some(index as usize)
    }

    /// No ids any more: the connection that gave them out is gone.
    pub(super) fn clear(&self) {
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
    fn each_registration_of_a_slot_has_a_file_of_its_own() {
        let slots = Slots::new(2, 1, &std::env::temp_dir()).unwrap();
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
