//! What a patch touches: functions, lines, and whether any of it is code.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::{
    csource::{Definition, functions, structures, without_comments},
    moves::{Line, Moves},
    related::related,
};
use crate::{
    patch::{FileChange, Series, is_kernel_code},
    splat::{Frame, Place},
};

/// Comparing one file ends here, and goes on coarsely: a hostile patch may make it slow.
const DIFF_LIMIT: Duration = Duration::from_secs(5);

/// Files with C's comments.
const C_LIKE: [&str; 4] = [".c", ".h", ".S", ".rs"];

/// What a patch series touches, from the kernel's source before and after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Touched {
    /// Every file, by its path after the series, or before where it is removed.
    files: BTreeSet<String>,
    /// File and name of every function with a changed line of code.
    functions: BTreeSet<(String, String)>,
    /// The touched functions, and those that handle the same structures.
    related: BTreeSet<String>,
    /// File and name of every structure with a changed line in its definition, before or after.
    structures: BTreeSet<(String, String)>,
    /// Files that are still there with changed code outside functions: what may change the size of a
    /// structure, theirs or another.
    shaping: BTreeSet<String>,
    /// Changed lines of code, by their numbers after the series.
    lines: BTreeMap<String, BTreeSet<u32>>,
    /// Base's lines to the variant's, for touched files.
    moved: BTreeMap<String, Moved>,
    /// Those of [`Self::lines`] that stood elsewhere before.
    brought: BTreeMap<String, BTreeSet<u32>>,
    /// Files with changed code that are still there.
    code: BTreeSet<String>,
    /// Removed files that held code.
    removed_code: BTreeSet<String>,
}

/// Where a file's unchanged lines went.
#[derive(Debug, Clone, Default, PartialEq)]
struct Moved {
    to: Option<String>,
    /// First old line, first new line, how many.
    runs: Vec<(u32, u32, u32)>,
    /// Those that the series took out here and put in elsewhere: the line, and where it is now.
    away: BTreeMap<u32, (String, u32)>,
}

impl Touched {
    /// From a series and the texts of files before and after it. A file whose text is not at hand
    /// is judged by its hunks alone, which is coarser.
    pub fn of(
        series: &Series,
        before: &dyn Fn(&str) -> Option<String>,
        after: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let mut touched = Self::default();
        let mut moves = Moves::default();
        for (old, new) in paths(series) {
            touched.files.extend(new.clone().or(old.clone()));
            // What moves to the tree's programs is gone from the kernel, as what is removed.
            let [old, new] = [old, new].map(|path| path.filter(|path| is_kernel_code(path)));
            if old.is_none() && new.is_none() {
                continue;
            }
            let text = |path: &Option<String>, read: &dyn Fn(&str) -> Option<String>| match path {
                None => Some(String::new()),
                Some(path) => read(path),
            };
            match (text(&old, before), text(&new, after)) {
                (Some(a), Some(b)) => {
                    touched.add_texts(old.as_deref(), new.as_deref(), [&a, &b], &mut moves);
                }
                _ => touched.add_hunks(series, old.as_deref(), new.as_deref()),
            }
        }
        for ((file, line), to) in moves.found() {
            let brought = touched.brought.entry(to.0.clone()).or_default();
            brought.insert(to.1);
            if let Some(moved) = touched.moved.get_mut(&file) {
                moved.away.insert(line, to);
            }
        }
        touched
    }

    /// From a past run's record: files, and the lines that the patch wrote.
    pub fn of_lines(files: &BTreeSet<String>, lines: &BTreeSet<(String, u32)>) -> Self {
        let mut touched = Self {
            files: files.clone(),
            ..Self::default()
        };
        for (file, line) in lines {
            touched.lines.entry(file.clone()).or_default().insert(*line);
        }
        touched
    }

    /// Adds a function that is known to be touched from elsewhere.
    pub fn add_function(&mut self, file: &str, name: &str) {
        self.functions.insert((file.to_owned(), name.to_owned()));
        self.related.insert(name.to_owned());
    }

    /// Every touched file.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Files with changed code that are still there.
    pub(super) fn code_files(&self) -> impl Iterator<Item = &str> {
        self.code.iter().map(String::as_str)
    }

    /// The names of the touched functions.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().map(|(_, name)| name.as_str())
    }

    /// The touched functions, and those of the same files that handle the same structures.
    pub fn related(&self) -> &BTreeSet<String> {
        &self.related
    }

    /// The structures whose definition the series changes, adds or removes: file and name, before and
    /// after it.
    pub fn structures(&self) -> &BTreeSet<(String, String)> {
        &self.structures
    }

    /// The files, after the series, whose changes may alter the size of a structure.
    pub fn shaping(&self) -> &BTreeSet<String> {
        &self.shaping
    }

    /// The changed lines of code, by file and their numbers after the series.
    pub fn lines(&self) -> impl Iterator<Item = (String, u32)> {
        let files = self.lines.iter();
        files.flat_map(|(file, lines)| lines.iter().map(|line| (file.clone(), *line)))
    }

    /// Does it change the kernel's code: more than comments, documentation and the tree's own programs?
    pub fn has_code(&self) -> bool {
        !self.code.is_empty() || !self.removed_code.is_empty()
    }

    /// Where a line of base is on the variant; none where it is not any more.
    pub fn map_line(&self, file: &str, line: u32) -> Option<(String, u32)> {
        let Some(moved) = self.moved.get(file) else {
            return Some((file.to_owned(), line));
        };
        if let Some(to) = moved.away.get(&line) {
            return Some(to.clone());
        }
        let run = moved
            .runs
            .iter()
            .find(|(old, _, len)| (*old..old.saturating_add(*len)).contains(&line))?;
        Some((moved.to.clone()?, run.1 + (line - run.0)))
    }

    /// Did the series write the place's very line, and not merely move it there?
    pub fn wrote(&self, place: &Place) -> bool {
        let is_in = |lines: &BTreeMap<String, BTreeSet<u32>>| {
            let lines = lines.get(&place.file);
            lines.is_some_and(|lines| lines.contains(&place.line))
        };
        is_in(&self.lines) && !is_in(&self.brought)
    }

    /// Is the place in a touched function or on a touched line?
    pub(super) fn place(&self, place: &Place) -> bool {
        let function = (place.file.clone(), place.function.clone());
        self.functions.contains(&function) || self.wrote(place)
    }

    /// A touched function in the frame, in words; by name alone where it is not symbolized.
    pub(super) fn frame(&self, frame: &Frame) -> Option<String> {
        if frame.places.is_empty() {
            return self
                .functions()
                .any(|name| name == frame.function)
                .then(|| frame.function.clone());
        }
        frame
            .places
            .iter()
            .find(|place| self.place(place))
            .map(|place| format!("{} ({}:{})", place.function, place.file, place.line))
    }

    fn add_texts(
        &mut self,
        old: Option<&str>,
        new: Option<&str>,
        [a, b]: [&str; 2],
        moves: &mut Moves,
    ) {
        let path = new.or(old).unwrap_or_default();
        let is_c = C_LIKE.iter().any(|end| path.ends_with(end));
        let (a, b) = match is_c {
            true => (without_comments(a), without_comments(b)),
            false => (a.to_owned(), b.to_owned()),
        };
        let (left, right): (Vec<&str>, Vec<&str>) = (
            a.lines().map(str::trim).collect(),
            b.lines().map(str::trim).collect(),
        );
        let ops = capture_diff_slices_deadline(
            Algorithm::Myers,
            &left,
            &right,
            Some(Instant::now() + DIFF_LIMIT),
        );
        let mut runs = Vec::new();
        let (mut removed, mut added) = (BTreeSet::new(), BTreeSet::new());
        for op in ops {
            if let DiffOp::Equal {
                old_index,
                new_index,
                len,
            } = op
            {
                runs.push((number(old_index), number(new_index), clamp(len)));
                continue;
            }
            let code = |lines: &[&str], range: std::ops::Range<usize>| -> Vec<u32> {
                range
                    .filter(|&i| lines.get(i).is_some_and(|line| !line.is_empty()))
                    .map(number)
                    .collect()
            };
            removed.extend(code(&left, op.old_range()));
            added.extend(code(&right, op.new_range()));
        }
        if !removed.is_empty() || !added.is_empty() {
            self.add_code(old, new);
        }
        let side = |file: Option<&str>, text: &[&str], lines: &BTreeSet<u32>| -> Vec<Line> {
            let Some(file) = file else { return Vec::new() };
            let lines = lines.iter().map(|line| {
                let text = text.get(*line as usize - 1).copied().unwrap_or_default();
                (text.to_owned(), (file.to_owned(), *line))
            });
            lines.collect()
        };
        moves.removed.extend(side(old, &left, &removed));
        moves.added.extend(side(new, &right, &added));
        if is_c {
            let removed = self.add_definitions(old, &a, &removed);
            let added = self.add_definitions(new, &b, &added);
            if removed || added {
                self.shaping.extend(new.map(str::to_owned));
            }
        }
        if let Some(old) = old {
            let to = new.map(str::to_owned);
            let away = BTreeMap::new();
            self.moved.insert(old.to_owned(), Moved { to, runs, away });
        }
        if let Some(new) = new {
            self.lines.insert(new.to_owned(), added);
        }
    }

    fn add_code(&mut self, old: Option<&str>, new: Option<&str>) {
        match (new, old) {
            (Some(new), _) => self.code.insert(new.to_owned()),
            (None, Some(old)) => self.removed_code.insert(old.to_owned()),
            (None, None) => false,
        };
    }

    /// Adds the functions and structures that these lines lie in; says whether any lies in no function.
    fn add_definitions(&mut self, file: Option<&str>, code: &str, lines: &BTreeSet<u32>) -> bool {
        let Some(file) = file else { return false };
        let all = functions(code);
        let touched = |one: &Definition| lines.range(one.lines.clone()).next().is_some();
        for function in all.iter().filter(|function| touched(function)) {
            self.add_function(file, &function.name);
        }
        let related = related(code, &all, &touched);
        self.related.extend(related.into_iter().map(str::to_owned));
        let changed = structures(code).into_iter().filter(|one| touched(one));
        self.structures
            .extend(changed.map(|one| (file.to_owned(), one.name)));
        let within = |line: &u32| all.iter().any(|function| function.lines.contains(line));
        !lines.iter().all(within)
    }

    /// Without the texts: lines as the hunks number them, functions as git names them.
    fn add_hunks(&mut self, series: &Series, old: Option<&str>, new: Option<&str>) {
        let path = new.or(old).unwrap_or_default();
        let changes = changes(series).filter(|change| {
            [change.old.as_deref(), change.new.as_deref()]
                .iter()
                .flatten()
                .any(|one| Some(*one) == old || Some(*one) == new)
        });
        for hunk in changes.flat_map(|change| &change.hunks) {
            let added: Vec<u32> = code_lines(&hunk.added);
            let changed = !added.is_empty() || !code_lines(&hunk.removed).is_empty();
            if changed {
                self.add_code(old, new);
                self.shaping.extend(new.map(str::to_owned));
            }
            self.lines.entry(path.to_owned()).or_default().extend(added);
            if changed {
                let around = format!("{}\n{{\n}}\n", hunk.section.trim());
                for function in functions(&without_comments(&around)) {
                    self.add_function(path, &function.name);
                }
            }
        }
    }
}

fn changes(series: &Series) -> impl Iterator<Item = &FileChange> {
    series.patches.iter().flat_map(|patch| &patch.files)
}

/// Each touched file's path before the whole series and after it.
fn paths(series: &Series) -> Vec<(Option<String>, Option<String>)> {
    let mut all: Vec<(Option<String>, Option<String>)> = Vec::new();
    for change in changes(series) {
        let known = all
            .iter_mut()
            .find(|(_, latest)| latest.is_some() && *latest == change.old);
        match known {
            Some((_, latest)) => latest.clone_from(&change.new),
            None => all.push((change.old.clone(), change.new.clone())),
        }
    }
    all.retain(|(old, new)| old.is_some() || new.is_some());
    all
}

/// Lines that do not look like a comment's: a guess, as the lines around them are unknown.
fn code_lines(lines: &[(u32, String)]) -> Vec<u32> {
    lines
        .iter()
        .filter(|(_, text)| {
            let code = without_comments(text);
            let code = code.trim();
            let inside = code == "*" || code.starts_with("* ") || code.starts_with("*/");
            !code.is_empty() && !inside
        })
        .map(|(number, _)| *number)
        .collect()
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// An index as a line number.
fn number(index: usize) -> u32 {
    clamp(index).saturating_add(1)
}
