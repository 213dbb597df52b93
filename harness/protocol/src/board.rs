//! The board: memory that the host and its plugin inside QEMU share, through a file.
//!
//! Words of 64 bits in the machine's own order: a header, then one entry for every place in the
//! guest's kernel that the plugin watches. The host writes the plan before QEMU starts and switches
//! it on and off while it runs; the plugin counts. Either side may read at any time. Entries that hold
//! come first.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The first word: the file is a board, of this layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ktwbrd02");
/// Entries on one board, at most.
pub const MAX_ENTRIES: usize = 16_384;
/// The longest hold, in microseconds: longer ones are shortened to it. A guest that is held for a
/// second is taken for one that hangs.
pub const MAX_HOLD_US: u64 = 100_000;
/// [`Header::Share`] is out of this.
pub const WHOLE: u64 = 65_536;

const HEADER: usize = 8;
const ENTRY: usize = 12;

/// Words of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// [`MAGIC`].
    Magic = 0,
    /// Not zero: vCPUs are held. The host's.
    Active = 1,
    /// Seeds which executions hold, and for how long. The host's.
    Seed = 2,
    /// How many entries follow. The host's.
    Entries = 3,
    /// For how much of the time some vCPU may be held, out of [`WHOLE`]. The host's.
    Share = 4,
    /// The interface's version that the plugin speaks with QEMU, once it is loaded. The plugin's.
    Loaded = 5,
    /// Not zero: nothing is watched, and nothing costs anything. The host's.
    Quiet = 6,
    /// An address in a task's stack, shifted right by so many bits, is the task's own. The host's.
    StackBits = 7,
}

/// What the plugin does at an entry's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Holds a vCPU at the instruction whenever its share allows.
    Hold = 0,
    /// The same, rather where holds were seen to matter.
    Adapt = 1,
    /// Counts executions of a stretch of code.
    Cover = 2,
    /// Notes the address at which a reference is taken unless the count is zero: a lookup.
    Get = 3,
    /// Notes the address at which a reference is dropped.
    Put = 4,
    /// A function begins: a reference dropped from here on is this function's doing.
    Enter = 5,
    /// A function ends.
    Leave = 6,
    /// Another task's stack is taken up: notes where it lies.
    Switch = 7,
}

impl Kind {
    /// From an entry's word.
    pub fn of(word: u64) -> Option<Self> {
        let all = [
            Self::Hold,
            Self::Adapt,
            Self::Cover,
            Self::Get,
            Self::Put,
            Self::Enter,
            Self::Leave,
            Self::Switch,
        ];
        all.into_iter().find(|kind| *kind as u64 == word)
    }
}

/// Words of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A [`Kind`]. The host's.
    Kind = 0,
    /// The first instruction's virtual address in the guest. The host's.
    Start = 1,
    /// The address behind the last one; only [`Kind::Cover`] has more than one. The host's.
    End = 2,
    /// The function that a hold belongs to: holds in one are judged together. The host's.
    Function = 3,
    /// The shortest hold, in microseconds. The host's.
    MinUs = 4,
    /// The longest. The host's.
    MaxUs = 5,
    /// Executions; of stall points, those while active. The plugin's.
    Hits = 6,
    /// How many of them were held. The plugin's.
    Holds = 7,
    /// For how long in all, in microseconds. The plugin's.
    HeldUs = 8,
    /// Holds of a lookup during which another vCPU dropped a reference to the very object that the
    /// lookup found. The plugin's.
    Overlaps = 9,
    /// Those among them that came before the lookup took its own reference. The plugin's.
    Early = 10,
    /// Not zero: before anything was seen, holds are taken to matter here. The host's.
    Likely = 11,
}

/// The size of a board's file, in bytes.
pub const fn size(entries: usize) -> usize {
    (HEADER + entries * ENTRY) * size_of::<u64>()
}

/// Where a header's word lies in the file, in bytes.
pub const fn header_offset(word: Header) -> usize {
    word as usize * size_of::<u64>()
}

/// Where an entry's word lies in the file, in bytes.
pub const fn entry_offset(entry: usize, word: Entry) -> usize {
    (HEADER + entry * ENTRY + word as usize) * size_of::<u64>()
}

/// A board's words.
#[derive(Debug, Clone, Copy)]
pub struct Board<'a>(&'a [AtomicU64]);

impl<'a> Board<'a> {
    /// Over memory of [`size`] for some number of entries; none where it is too small for the
    /// entries that its header promises, or no board.
    pub fn over(words: &'a [AtomicU64]) -> Option<Self> {
        let board = Self(words);
        if words.len() < HEADER || board.header(Header::Magic).load(Relaxed) != MAGIC {
            return None;
        }
        let entries = usize::try_from(board.header(Header::Entries).load(Relaxed)).ok()?;
        let fits = entries <= MAX_ENTRIES && words.len() >= HEADER + entries * ENTRY;
        fits.then_some(board)
    }

    /// A header's word.
    pub fn header(&self, word: Header) -> &'a AtomicU64 {
        &self.0[word as usize]
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        let promised = self.header(Header::Entries).load(Relaxed);
        usize::try_from(promised)
            .unwrap_or(0)
            .min((self.0.len() - HEADER) / ENTRY)
    }

    /// An entry's word. Panics where there is no such entry.
    pub fn entry(&self, entry: usize, word: Entry) -> &'a AtomicU64 {
        assert!(entry < self.entries(), "no entry {entry}");
        &self.0[HEADER + entry * ENTRY + word as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize, entries: u64) -> Vec<AtomicU64> {
        let words: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        words[0].store(MAGIC, Relaxed);
        words[Header::Entries as usize].store(entries, Relaxed);
        words
    }

    #[test]
    fn a_board_holds_what_its_header_promises() {
        let whole = words(HEADER + 2 * ENTRY, 2);
        let board = Board::over(&whole).unwrap();
        board.entry(1, Entry::Hits).fetch_add(3, Relaxed);
        assert_eq!(whole[entry_offset(1, Entry::Hits) / 8].load(Relaxed), 3);
        assert_eq!(size(2), whole.len() * 8);
        let short = words(HEADER + 2 * ENTRY, 3);
        assert!(Board::over(&short).is_none(), "too short");
        assert!(Board::over(&words(HEADER, u64::MAX)).is_none());
        let other = words(HEADER, 0);
        other[0].store(7, Relaxed);
        assert!(Board::over(&other).is_none(), "no board");
    }

    #[test]
    fn every_kind_is_read_back() {
        let known = (0..8).map(|word| Kind::of(word).map(|kind| kind as u64));
        assert!(known.eq((0..8).map(Some)));
        assert_eq!(Kind::of(8), None);
    }
}
