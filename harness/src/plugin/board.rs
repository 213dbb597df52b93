//! The host's side of the board: made before QEMU starts, switched while it runs, read at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use protocol::board::{self, Entry as Word, Header, Kind, MAGIC, MAX_ENTRIES, WHOLE};
use serde::{Deserialize, Serialize};

use super::{
    coverage::{Coverage, Line},
    stalls::{Count, Point, Stalled},
};
use crate::{Result, error::Context};

/// Some vCPU is held for seven eighths of the time at most: the others go on meanwhile.
const SHARE: u64 = WHOLE / 8 * 7;
/// The same, where there is no other vCPU.
const SHARE_ALONE: u64 = WHOLE / 2;

/// An instruction whose execution tells something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    address: u64,
    kind: u64,
}

impl Watched {
    /// Its address, if it is of this kind.
    pub(super) fn address_of(&self, kind: Kind) -> Option<u64> {
        (self.kind == kind as u64).then_some(self.address)
    }

    /// At an address.
    pub(super) fn at(kind: Kind, address: u64) -> Self {
        Self {
            address,
            kind: kind as u64,
        }
    }
}

/// Everything that the plugin is to do in one kernel.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Where the points come from.
    pub stalled: Stalled,
    /// Where vCPUs are held.
    pub points: Vec<Point>,
    /// Where references are taken and dropped.
    pub watched: Vec<Watched>,
    /// How many bits of an address tell places within one task's stack.
    pub stack_bits: u8,
    /// The patch's lines.
    pub lines: BTreeMap<(String, u32), Vec<Range<u64>>>,
    /// Where the functions that it touches begin, copies that are inlined elsewhere included; only
    /// where no line owns code.
    pub functions: BTreeMap<String, Vec<u64>>,
}

/// One stall point, and what came of it in one boot: a line of the boot's `stalls.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointCount {
    /// Its group's, see [`Count::spec`].
    pub spec: String,
    /// The instruction's address.
    pub address: u64,
    /// See [`Count`].
    pub hits: u64,
    /// See [`Count`].
    pub holds: u64,
    /// See [`Count`].
    pub held_us: u64,
    /// See [`Count`].
    pub overlaps: u64,
}

/// A board in a file.
#[derive(Debug)]
pub struct Board {
    path: PathBuf,
    file: File,
    plan: Watch,
    /// The lines' stretches, in the order of their entries.
    stretches: Vec<(usize, Range<u64>)>,
    /// Where functions begin, each address once: of a function and one that is inlined at its head
    /// both begin there.
    starts: Vec<u64>,
}

impl Board {
    /// Makes a board, switched off. What does not fit on it is left out, stall points first.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path, seed: u64, cpus: u32, mut plan: Watch) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .host(|| format!("failed to make {}", path.display()))?;
        let mut stretches: Vec<(usize, Range<u64>)> = Vec::new();
        for (line, ranges) in plan.lines.values().enumerate() {
            stretches.extend(ranges.iter().map(|range| (line, range.clone())));
        }
        stretches.truncate(MAX_ENTRIES / 2);
        let starts: BTreeSet<u64> = plan.functions.values().flatten().copied().collect();
        let starts: Vec<u64> = starts.into_iter().take(MAX_ENTRIES / 8).collect();
        plan.watched.truncate(MAX_ENTRIES / 4);
        plan.points
            .truncate(MAX_ENTRIES - stretches.len() - starts.len() - plan.watched.len());
        let made = Self {
            path: path.to_owned(),
            file,
            plan,
            stretches,
            starts,
        };
        let entries = made.entries();
        let size = board::size(entries.len()) as u64;
        made.file.set_len(size).host(|| made.failed("size"))?;
        for (at, words) in entries.iter().enumerate() {
            for (word, value) in words {
                made.write(board::entry_offset(at, *word), *value)?;
            }
        }
        let header = [
            (Header::Seed, seed),
            (Header::Entries, entries.len() as u64),
            (Header::StackBits, made.plan.stack_bits.into()),
            (Header::Share, if cpus > 1 { SHARE } else { SHARE_ALONE }),
            (Header::Magic, MAGIC),
        ];
        for (word, value) in header {
            made.write(board::header_offset(word), value)?;
        }
        Ok(made)
    }

    /// The entries: stall points, then what is watched, then the lines' stretches and the functions'
    /// starts.
    fn entries(&self) -> Vec<Vec<(Word, u64)>> {
        let points = self.plan.points.iter().map(|point| {
            vec![
                (Word::Kind, point.kind as u64),
                (Word::Start, point.address),
                (Word::Function, point.group as u64),
                (Word::MinUs, point.hold_us.0),
                (Word::MaxUs, point.hold_us.1),
                (Word::Likely, point.likely.into()),
            ]
        });
        let watched = self
            .plan
            .watched
            .iter()
            .map(|one| vec![(Word::Kind, one.kind), (Word::Start, one.address)]);
        let stretches = self.stretches.iter().map(|(_, range)| range.clone());
        let starts = self.starts.iter().map(|start| *start..start + 1);
        let covered = stretches.chain(starts).map(|range| {
            vec![
                (Word::Kind, Kind::Cover as u64),
                (Word::Start, range.start),
                (Word::End, range.end),
            ]
        });
        points.chain(watched).chain(covered).collect()
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Switches holding on or off.
    ///
    /// # Errors
    /// The disk's.
    pub fn hold(&self, on: bool) -> Result<()> {
        self.write(board::header_offset(Header::Active), on.into())
    }

    /// Has the plugin leave the guest alone, or watch it again.
    ///
    /// # Errors
    /// The disk's.
    pub fn quiet(&self, on: bool) -> Result<()> {
        self.write(board::header_offset(Header::Quiet), on.into())
    }

    /// Whether QEMU has loaded the plugin.
    ///
    /// # Errors
    /// The disk's.
    pub fn loaded(&self) -> Result<bool> {
        Ok(self.read(board::header_offset(Header::Loaded))? != 0)
    }

    /// What came of each stall point so far.
    ///
    /// # Errors
    /// The disk's.
    pub fn points(&self) -> Result<Vec<PointCount>> {
        let groups = self.plan.stalled.counts();
        let points = self.plan.points.iter().enumerate().map(|(at, point)| {
            let read = |word| self.read(board::entry_offset(at, word));
            Ok(PointCount {
                spec: groups[point.group].spec.clone(),
                address: point.address,
                hits: read(Word::Hits)?,
                holds: read(Word::Holds)?,
                held_us: read(Word::HeldUs)?,
                overlaps: read(Word::Overlaps)?,
            })
        });
        points.collect()
    }

    /// The same, summed by spec and function.
    ///
    /// # Errors
    /// The disk's.
    pub fn counts(&self) -> Result<Vec<Count>> {
        let mut counts = self.plan.stalled.counts();
        for (point, seen) in self.plan.points.iter().zip(self.points()?) {
            let count = &mut counts[point.group];
            count.places += 1;
            for (sum, more) in [
                (&mut count.hits, seen.hits),
                (&mut count.holds, seen.holds),
                (&mut count.held_us, seen.held_us),
                (&mut count.overlaps, seen.overlaps),
            ] {
                *sum = sum.saturating_add(more);
            }
        }
        Ok(counts)
    }

    /// Which of the patch's lines ran so far, or of the functions that it touches; none where it has
    /// none.
    ///
    /// # Errors
    /// The disk's.
    pub fn coverage(&self) -> Result<Option<Coverage>> {
        if self.plan.lines.is_empty() && self.plan.functions.is_empty() {
            return Ok(None);
        }
        // A line's stretches run one after another, or as copies of one another: the one that ran
        // most often tells how often the line did.
        let first = self.plan.points.len() + self.plan.watched.len();
        let mut hits = vec![None; self.plan.lines.len()];
        for (at, (line, _)) in self.stretches.iter().enumerate() {
            let seen = self.read(board::entry_offset(first + at, Word::Hits))?;
            hits[*line] = hits[*line].max(Some(seen));
        }
        let mut coverage = Coverage::default();
        for ((file, line), hits) in self.plan.lines.keys().zip(hits) {
            match hits {
                Some(hits) => coverage.lines.push(Line {
                    file: file.clone(),
                    line: *line,
                    hits,
                }),
                None => coverage.without_code += 1,
            }
        }
        let first = first + self.stretches.len();
        let entered = self.starts.iter().enumerate().map(|(at, start)| {
            let hits = self.read(board::entry_offset(first + at, Word::Hits))?;
            Ok((*start, hits))
        });
        let entered: BTreeMap<u64, u64> = entered.collect::<Result<_>>()?;
        for (name, starts) in &self.plan.functions {
            let known = starts.iter().filter_map(|start| entered.get(start));
            let hits = known.fold(0, |sum: u64, hits| sum.saturating_add(*hits));
            coverage.functions.insert(name.clone(), hits);
        }
        Ok(Some(coverage))
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

    fn plan() -> Watch {
        let point = |group, address| Point {
            group,
            address,
            hold_us: (5, 9),
            kind: Kind::Adapt,
            likely: group == 1,
        };
        let line = |line, ranges: &[Range<u64>]| (("fs/x.c".to_owned(), line), ranges.to_vec());
        Watch {
            stalled: Stalled {
                specs: vec!["f:5us".parse().unwrap()],
                functions: ["g".to_owned()].into(),
            },
            points: vec![point(0, 16), point(0, 64), point(1, 2)],
            watched: vec![Watched::at(Kind::Put, 70)],
            stack_bits: 14,
            lines: [
                line(3, &[16..20, 30..31]),
                line(4, &[]),
                line(5, &[40..44, 50..51]),
            ]
            .into(),
            functions: BTreeMap::new(),
        }
    }

    fn count(board: &Board, at: usize, word: Word, value: u64) {
        board.write(board::entry_offset(at, word), value).unwrap();
    }

    #[test]
    fn what_the_plugin_counts_is_summed_by_spec_and_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let board = Board::create(&dir.path().join("board"), 7, 2, plan()).unwrap();
        assert!(!board.loaded().unwrap());
        for (at, hits) in [(0, 3), (1, 4), (2, 1), (3, 99), (4, 6), (5, 8)] {
            count(&board, at, Word::Hits, hits);
        }
        count(&board, 1, Word::Overlaps, 2);
        let seen = board.counts().unwrap();
        let seen: Vec<_> = seen
            .iter()
            .map(|c| (c.spec.as_str(), c.derived, c.places, c.hits, c.overlaps))
            .collect();
        assert_eq!(seen, [("f:5us", false, 2, 7, 2), ("g", true, 1, 1, 0)]);
        let coverage = board.coverage().unwrap().unwrap();
        let lines: Vec<_> = coverage.lines.iter().map(|l| (l.line, l.hits)).collect();
        assert_eq!((lines, coverage.without_code), (vec![(3, 8), (5, 0)], 1));
    }

    #[test]
    fn functions_that_begin_at_one_place_both_ran() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str, starts: &[u64]| (name.to_owned(), starts.to_vec());
        let plan = Watch {
            lines: [(("fs/x.c".to_owned(), 4), vec![])].into(),
            functions: [of("f", &[10, 30]), of("g", &[30]), of("h", &[20])].into(),
            ..plan()
        };
        let board = Board::create(&dir.path().join("board"), 7, 2, plan).unwrap();
        // After three stall points and what is watched, by their addresses.
        for (at, hits) in [(4, 1), (6, 5)] {
            count(&board, at, Word::Hits, hits);
        }
        let coverage = board.coverage().unwrap().unwrap();
        let hits: Vec<u64> = coverage.functions.values().copied().collect();
        assert_eq!((hits, coverage.entered()), (vec![6, 5, 0], 2));
        assert_eq!((coverage.lines.len(), coverage.without_code), (0, 1));
    }

    #[test]
    fn the_plugin_finds_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let board = Board::create(&dir.path().join("board"), 7, 1, plan()).unwrap();
        board.hold(true).unwrap();
        board.quiet(true).unwrap();
        board.quiet(false).unwrap();
        let bytes = std::fs::read(board.path()).unwrap();
        let words: Vec<_> = bytes
            .chunks_exact(8)
            .map(|word| {
                std::sync::atomic::AtomicU64::new(u64::from_ne_bytes(word.try_into().unwrap()))
            })
            .collect();
        let mapped = board::Board::over(&words).unwrap();
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        assert_eq!(mapped.entries(), 8);
        let word = |at, word| mapped.entry(at, word).load(relaxed);
        assert_eq!((word(1, Word::Start), word(1, Word::MaxUs)), (64, 9));
        assert_eq!(Kind::of(word(3, Word::Kind)), Some(Kind::Put));
        assert_eq!((word(5, Word::Start), word(5, Word::End)), (30, 31));
        let header = |word| mapped.header(word).load(relaxed);
        assert_eq!((header(Header::Active), header(Header::Quiet)), (1, 0));
        assert_eq!(header(Header::Share), SHARE_ALONE);
    }

    #[test]
    fn a_boot_without_a_patch_covers_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let board = Board::create(&dir.path().join("b"), 7, 2, Watch::default()).unwrap();
        assert_eq!(board.coverage().unwrap(), None);
        assert_eq!(board.counts().unwrap(), []);
    }
}
