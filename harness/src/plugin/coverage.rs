//! Which of a patch's lines own code, and which of them ran; where none does, which of the functions
//! that it touches.

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};

use crate::splat::Symbolizer;

/// A line of a patch that owns instructions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// Relative to the kernel's top, after the patch.
    pub file: String,
    /// From 1, after the patch.
    pub line: u32,
    /// How often its code began to run.
    pub hits: u64,
}

/// What ran of a patch, in one boot or several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Its lines that own code, by file and number.
    pub lines: Vec<Line>,
    /// How many more of its lines own none: declarations, braces, and what the compiler found
    /// nothing to do for.
    pub without_code: u64,
    /// How often the functions that it touches were entered: those of this kernel, and only where no
    /// line of its own owns code, as where it deletes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<String, u64>,
    /// Why it is not known what ran, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwatched: Option<String>,
}

impl Coverage {
    /// How many lines ran.
    pub fn executed(&self) -> usize {
        self.lines.iter().filter(|line| line.hits > 0).count()
    }

    /// How many of the touched functions ran.
    pub fn entered(&self) -> usize {
        self.functions.values().filter(|hits| **hits > 0).count()
    }

    /// Adds another boot of the same kernel.
    pub fn add(&mut self, other: &Self) {
        let mut all: BTreeMap<(String, u32), u64> = BTreeMap::new();
        for line in self.lines.drain(..).chain(other.lines.iter().cloned()) {
            let hits = all.entry((line.file, line.line)).or_default();
            *hits = hits.saturating_add(line.hits);
        }
        let lines = all.into_iter();
        self.lines = lines
            .map(|((file, line), hits)| Line { file, line, hits })
            .collect();
        self.without_code = self.without_code.max(other.without_code);
        for (function, hits) in &other.functions {
            let sum = self.functions.entry(function.clone()).or_default();
            *sum = sum.saturating_add(*hits);
        }
    }
}

/// The stretches of code that each of some lines was compiled to; lines without any have none.
pub fn lines(
    wanted: impl IntoIterator<Item = (String, u32)>,
    kernel: &Symbolizer,
) -> BTreeMap<(String, u32), Vec<Range<u64>>> {
    let mut all: BTreeMap<(String, u32), Vec<Range<u64>>> = wanted
        .into_iter()
        .map(|place| (place, Vec::new()))
        .collect();
    kernel.each_stretch(&mut |file, line, range| {
        if let Some(ranges) = all.get_mut(&(file.to_owned(), line)) {
            ranges.push(range);
        }
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(lines: &[(u32, u64)], without_code: u64) -> Coverage {
        let line = |(line, hits): &(u32, u64)| Line {
            file: "fs/x.c".into(),
            line: *line,
            hits: *hits,
        };
        Coverage {
            lines: lines.iter().map(line).collect(),
            without_code,
            ..Coverage::default()
        }
    }

    #[test]
    fn boots_add_up() {
        let mut all = Coverage::default();
        all.add(&coverage(&[(3, 0), (9, 2)], 4));
        all.add(&coverage(&[(3, 5), (9, u64::MAX)], 4));
        assert_eq!(all, coverage(&[(3, 5), (9, u64::MAX)], 4));
        assert_eq!(all.executed(), 2);
    }

    #[test]
    fn touched_functions_add_up() {
        let of = |hits: [u64; 2]| Coverage {
            functions: [("f".to_owned(), hits[0]), ("g".to_owned(), hits[1])].into(),
            ..Coverage::default()
        };
        let mut all = of([0, 2]);
        all.add(&of([0, u64::MAX]));
        assert_eq!((all.clone(), all.entered()), (of([0, u64::MAX]), 1));
    }

    #[test]
    fn a_line_of_this_very_program_owns_code() {
        let line = line!() + 1;
        let answer = std::hint::black_box(41) + 1;
        assert_eq!(answer, 42);
        let program = std::env::current_exe().unwrap();
        let symbols = Symbolizer::load(&program, Vec::<String>::new()).unwrap();
        let mut file = String::new();
        symbols.each_stretch(&mut |path, _, _| {
            if path.ends_with("plugin/coverage.rs") {
                file = path.to_owned();
            }
        });
        let found = lines([(file.clone(), line), (file.clone(), 1)], &symbols);
        assert!(!found[&(file.clone(), line)].is_empty());
        assert!(found[&(file, 1)].is_empty(), "a comment owns none");
    }
}
