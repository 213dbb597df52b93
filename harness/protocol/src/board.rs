//! The board: memory that the host and its plugin inside QEMU share, through a file.
//!
//! Words of 64 bits in the machine's own order: a header, then one entry a stall point. The host
//! writes the plan before QEMU starts and switches it on and off while it runs; the plugin counts.
//! Either side may read at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The first word: the file is a board, of this layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ktwbrd01");
/// Stall points on one board, at most.
pub const MAX_POINTS: usize = 4096;
/// The longest hold, in microseconds: longer ones are shortened to it. A guest that is held for a
/// second is taken for one that hangs.
pub const MAX_HOLD_US: u64 = 100_000;
/// [`Header::Share`] is out of this, and so is [`Entry::Chance`].
pub const WHOLE: u64 = 65_536;

const HEADER: usize = 8;
const ENTRY: usize = 8;

/// Words of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// [`MAGIC`].
    Magic = 0,
    /// Not zero: vCPUs are held. The host's.
    Active = 1,
    /// Seeds which executions hold. The host's.
    Seed = 2,
    /// How many entries follow. The host's.
    Points = 3,
    /// How much of its time a vCPU may be held, out of [`WHOLE`]. The host's.
    Share = 4,
    /// The interface's version that the plugin speaks with QEMU, once it is loaded. The plugin's.
    Loaded = 5,
}

/// Words of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The first instruction's virtual address in the guest. The host's.
    Start = 0,
    /// The address behind the last one. The host's.
    End = 1,
    /// How long a vCPU is held before one of them, in microseconds. The host's.
    HoldUs = 2,
    /// How often it is held, out of [`WHOLE`]. The host's.
    Chance = 3,
    /// Executions while active. The plugin's.
    Hits = 4,
    /// How many of them were held. The plugin's.
    Holds = 5,
    /// For how long in all, in microseconds. The plugin's.
    HeldUs = 6,
}

/// The size of a board's file, in bytes.
pub const fn size(points: usize) -> usize {
    (HEADER + points * ENTRY) * size_of::<u64>()
}

/// Where a header's word lies in the file, in bytes.
pub const fn header_offset(word: Header) -> usize {
    word as usize * size_of::<u64>()
}

/// Where an entry's word lies in the file, in bytes.
pub const fn entry_offset(point: usize, word: Entry) -> usize {
    (HEADER + point * ENTRY + word as usize) * size_of::<u64>()
}

/// A board's words.
#[derive(Debug, Clone, Copy)]
pub struct Board<'a>(&'a [AtomicU64]);

impl<'a> Board<'a> {
    /// Over memory of [`size`] for some number of points; none where it is too small for the
    /// entries that its header promises, or no board.
    pub fn over(words: &'a [AtomicU64]) -> Option<Self> {
        let board = Self(words);
        if words.len() < HEADER || board.header(Header::Magic).load(Relaxed) != MAGIC {
            return None;
        }
        let points = usize::try_from(board.header(Header::Points).load(Relaxed)).ok()?;
        let fits = points <= MAX_POINTS && words.len() >= HEADER + points * ENTRY;
        fits.then_some(board)
    }

    /// A header's word.
    pub fn header(&self, word: Header) -> &'a AtomicU64 {
        &self.0[word as usize]
    }

    /// How many entries there are.
    pub fn points(&self) -> usize {
        let promised = self.header(Header::Points).load(Relaxed);
        usize::try_from(promised)
            .unwrap_or(0)
            .min((self.0.len() - HEADER) / ENTRY)
    }

    /// An entry's word. Panics where there is no such entry.
    pub fn entry(&self, point: usize, word: Entry) -> &'a AtomicU64 {
        assert!(point < self.points(), "no stall point {point}");
        &self.0[HEADER + point * ENTRY + word as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize, points: u64) -> Vec<AtomicU64> {
        let words: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        words[0].store(MAGIC, Relaxed);
        words[Header::Points as usize].store(points, Relaxed);
        words
    }

    #[test]
    fn a_board_holds_what_its_header_promises() {
        let whole = words(HEADER + 2 * ENTRY, 2);
        let board = Board::over(&whole).unwrap();
        board.entry(1, Entry::Hits).fetch_add(3, Relaxed);
        assert_eq!(whole[entry_offset(1, Entry::Hits) / 8].load(Relaxed), 3);
        assert_eq!(size(2), whole.len() * 8);
        assert!(
            Board::over(&words(HEADER + 2 * ENTRY, 3)).is_none(),
            "too short"
        );
        assert!(Board::over(&words(HEADER, u64::MAX)).is_none());
        assert!(
            Board::over(&words(4, 0)).is_none() || Board::over(&words(4, 0)).unwrap().points() == 0
        );
        let other = words(HEADER, 0);
        other[0].store(7, Relaxed);
        assert!(Board::over(&other).is_none(), "no board");
    }
}
