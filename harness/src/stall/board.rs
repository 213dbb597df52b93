//! The host's side of the board: made before QEMU starts, switched while it runs, read at the end.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use protocol::board::{self, Entry, Header, MAGIC, WHOLE};
use serde::{Deserialize, Serialize};

use super::{points::Point, spec::Spec};
use crate::{Result, error::Context};

/// vCPUs are held for at most half of their time: the load must go on.
const SHARE: u64 = WHOLE / 2;

/// What came of one spec in one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// As the user wrote it.
    pub spec: String,
    /// How many places of the kernel it stands for.
    pub places: u64,
    /// How often they were executed.
    pub hits: u64,
    /// How often a vCPU was held there.
    pub holds: u64,
    /// For how long in all, in microseconds.
    pub held_us: u64,
}

/// A board in a file.
#[derive(Debug)]
pub struct Board {
    path: PathBuf,
    file: File,
    specs: Vec<Spec>,
    points: Vec<Point>,
}

impl Board {
    /// Makes a board, switched off.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path, seed: u64, specs: &[Spec], points: Vec<Point>) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .host(|| format!("failed to make {}", path.display()))?;
        let made = Self {
            path: path.to_owned(),
            file,
            specs: specs.to_vec(),
            points,
        };
        let size = board::size(made.points.len()) as u64;
        made.file.set_len(size).host(|| made.failed("size"))?;
        for (at, point) in made.points.iter().enumerate() {
            let words = [
                (Entry::Start, point.start),
                (Entry::End, point.end),
                (Entry::HoldUs, point.hold_us),
                (Entry::Chance, point.chance),
            ];
            for (word, value) in words {
                made.write(board::entry_offset(at, word), value)?;
            }
        }
        let header = [
            (Header::Seed, seed),
            (Header::Points, made.points.len() as u64),
            (Header::Share, SHARE),
            (Header::Magic, MAGIC),
        ];
        for (word, value) in header {
            made.write(board::header_offset(word), value)?;
        }
        Ok(made)
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Switches holding on or off.
    ///
    /// # Errors
    /// The disk's.
    pub fn switch(&self, on: bool) -> Result<()> {
        self.write(board::header_offset(Header::Active), on.into())
    }

    /// Whether QEMU has loaded the plugin.
    ///
    /// # Errors
    /// The disk's.
    pub fn loaded(&self) -> Result<bool> {
        Ok(self.read(board::header_offset(Header::Loaded))? != 0)
    }

    /// What came of each spec so far.
    ///
    /// # Errors
    /// The disk's.
    pub fn counts(&self) -> Result<Vec<Count>> {
        let named = self.specs.iter().map(|spec| Count {
            spec: spec.to_string(),
            ..Count::default()
        });
        let mut counts: Vec<Count> = named.collect();
        for (at, point) in self.points.iter().enumerate() {
            let count = &mut counts[point.spec];
            count.places += 1;
            for (word, sum) in [
                (Entry::Hits, &mut count.hits),
                (Entry::Holds, &mut count.holds),
                (Entry::HeldUs, &mut count.held_us),
            ] {
                *sum = sum.saturating_add(self.read(board::entry_offset(at, word))?);
            }
        }
        Ok(counts)
    }

    // The plugin has the file mapped; on Linux both see one copy.
    fn write(&self, offset: usize, value: u64) -> Result<()> {
        let written = self.file.write_all_at(&value.to_ne_bytes(), offset as u64);
        written.host(|| self.failed("write"))
    }

    fn read(&self, offset: usize) -> Result<u64> {
        let mut bytes = [0; size_of::<u64>()];
        let read = self.file.read_exact_at(&mut bytes, offset as u64);
        read.host(|| self.failed("read"))?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn failed(&self, how: &str) -> String {
        format!("failed to {how} the board {}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_plugin_counts_is_summed_by_spec() {
        let dir = tempfile::tempdir().unwrap();
        let specs: Vec<Spec> = ["f:5us", "g+0x2:9us"].map(|s| s.parse().unwrap()).into();
        let point = |spec, start, end| Point {
            spec,
            start,
            end,
            hold_us: 5,
            chance: WHOLE,
        };
        let points = vec![point(0, 16, 32), point(0, 64, 80), point(1, 2, 3)];
        let board = Board::create(&dir.path().join("board"), 7, &specs, points).unwrap();
        assert!(!board.loaded().unwrap());
        board.switch(true).unwrap();
        for (at, hits) in [(0, 3), (1, 4), (2, 1)] {
            board
                .write(board::entry_offset(at, Entry::Hits), hits)
                .unwrap();
        }
        let seen = board.counts().unwrap();
        let seen: Vec<_> = seen
            .iter()
            .map(|c| (c.spec.as_str(), c.places, c.hits))
            .collect();
        assert_eq!(seen, [("f:5us", 2, 7), ("g+0x2:9us", 1, 1)]);
        // The plugin finds what was written.
        let bytes = std::fs::read(board.path()).unwrap();
        let words: Vec<_> = bytes
            .chunks_exact(8)
            .map(|word| {
                std::sync::atomic::AtomicU64::new(u64::from_ne_bytes(word.try_into().unwrap()))
            })
            .collect();
        let mapped = board::Board::over(&words).unwrap();
        assert_eq!(mapped.points(), 3);
        let word = |at, word| {
            mapped
                .entry(at, word)
                .load(std::sync::atomic::Ordering::Relaxed)
        };
        assert_eq!(
            (
                word(1, Entry::Start),
                word(1, Entry::End),
                word(2, Entry::End)
            ),
            (64, 80, 3)
        );
        assert_eq!(
            mapped
                .header(Header::Active)
                .load(std::sync::atomic::Ordering::Relaxed),
            1
        );
    }
}
