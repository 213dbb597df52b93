//! Line numbers before and after a series (pure): where a line of base stands in the variant, and
//! which of the variant's lines the series wrote.

use std::collections::{BTreeMap, BTreeSet};

use super::series::{FileChange, Hunk, Series};

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Relative to the kernel's top.
    pub file: String,
    /// From 1.
    pub line: u32,
}

/// What a series leaves in one file, in the numbers of the whole series' result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Lines that it added or changed.
    pub added: BTreeSet<u32>,
    /// Lines before which it removed something without a line in its stead (one past the end where
    /// it removed the file's end).
    pub cuts: BTreeSet<u32>,
}

/// Where a line of base stands in the variant; none where the series removed or changed it.
pub fn map_line(series: &Series, file: &str, old_line: u32) -> Option<u32> {
    forward(series, file, old_line).map(|place| place.line)
}

/// Where a line of the variant stood in base; none where the series wrote it.
pub fn map_line_back(series: &Series, file: &str, new_line: u32) -> Option<u32> {
    backward(series, file, new_line).map(|place| place.line)
}

/// As [`map_line`], with the file's name in the variant (it may be renamed).
pub fn forward(series: &Series, file: &str, line: u32) -> Option<Place> {
    let mut place = Place {
        file: file.to_owned(),
        line,
    };
    for change in changes(series) {
        if change.old.as_deref() == Some(&place.file) {
            place = Place {
                line: line_after(&change.hunks, place.line).ok()?,
                file: change.new.clone()?,
            };
        }
    }
    Some(place)
}

/// As [`map_line_back`], with the file's name in base.
pub fn backward(series: &Series, file: &str, line: u32) -> Option<Place> {
    let mut place = Place {
        file: file.to_owned(),
        line,
    };
    for change in changes(series).collect::<Vec<_>>().into_iter().rev() {
        if change.new.as_deref() == Some(&place.file) {
            place = Place {
                line: line_before(&change.hunks, place.line)?,
                file: change.old.clone()?,
            };
        }
    }
    Some(place)
}

/// What the whole series wrote, file by file, in the variant's numbers. A removed file has no entry.
pub fn touched_lines(series: &Series) -> BTreeMap<String, Touched> {
    let mut all: BTreeMap<String, Touched> = BTreeMap::new();
    for change in changes(series) {
        let earlier = change.old.as_ref().and_then(|old| all.remove(old));
        let Some(new) = &change.new else { continue };
        let mut touched = Touched::default();
        if let Some(earlier) = earlier {
            for line in earlier.added {
                // What a later patch removes again is gone; what it changes is its own.
                if let Ok(after) = line_after(&change.hunks, line) {
                    touched.added.insert(after);
                }
            }
            for line in earlier.cuts {
                let (Ok(after) | Err(after)) = line_after(&change.hunks, line);
                touched.cuts.insert(after);
            }
        }
        for hunk in &change.hunks {
            touched
                .added
                .extend(hunk.added.iter().map(|(line, _)| *line));
            touched.cuts.extend(cuts(hunk));
        }
        all.insert(new.clone(), touched);
    }
    all
}

fn changes(series: &Series) -> impl Iterator<Item = &FileChange> {
    series.patches.iter().flat_map(|p| &p.files)
}

/// Where a line before the hunks stands after them; where it was removed, the line that stands in
/// its place as the error.
fn line_after(hunks: &[Hunk], line: u32) -> Result<u32, u32> {
    let line = i64::from(line);
    let mut grown = 0;
    for hunk in hunks {
        let first = first_line(hunk.old_start, hunk.old_lines);
        if line < first {
            break;
        }
        if line < first + i64::from(hunk.old_lines) {
            return inside(hunk, line);
        }
        grown += i64::from(hunk.new_lines) - i64::from(hunk.old_lines);
    }
    Ok(number(line + grown))
}

/// A line within a hunk, walked to from its beginning.
fn inside(hunk: &Hunk, wanted: i64) -> Result<u32, u32> {
    let mut old = first_line(hunk.old_start, hunk.old_lines);
    let mut new = first_line(hunk.new_start, hunk.new_lines);
    let mut added = hunk.added.iter().map(|(n, _)| i64::from(*n)).peekable();
    let mut removed = hunk.removed.iter().map(|(n, _)| i64::from(*n)).peekable();
    loop {
        let removes = removed.next_if_eq(&old).is_some();
        if removes && old == wanted {
            return Err(number(new));
        }
        if !removes {
            while added.next_if_eq(&new).is_some() {
                new += 1;
            }
            if old == wanted {
                return Ok(number(new));
            }
            new += 1;
        }
        old += 1;
    }
}

fn line_before(hunks: &[Hunk], line: u32) -> Option<u32> {
    let flipped: Vec<Hunk> = hunks.iter().map(flip).collect();
    line_after(&flipped, line).ok()
}

/// The hunk that undoes this one.
fn flip(hunk: &Hunk) -> Hunk {
    Hunk {
        old_start: hunk.new_start,
        old_lines: hunk.new_lines,
        new_start: hunk.old_start,
        new_lines: hunk.old_lines,
        section: String::new(),
        added: hunk.removed.clone(),
        removed: hunk.added.clone(),
    }
}

/// Lines after the hunk before which lines are missing, with none added in their stead.
fn cuts(hunk: &Hunk) -> BTreeSet<u32> {
    let added: BTreeSet<u32> = hunk.added.iter().map(|(n, _)| *n).collect();
    let one = std::slice::from_ref(hunk);
    let places = hunk
        .removed
        .iter()
        .filter_map(|(line, _)| line_after(one, *line).err());
    places
        .filter(|p| !added.contains(p) && !added.contains(&p.saturating_sub(1)))
        .collect()
}

/// A side without lines is numbered by the line before it.
fn first_line(start: u32, lines: u32) -> i64 {
    i64::from(start) + i64::from(lines == 0)
}

fn number(line: i64) -> u32 {
    u32::try_from(line.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
