//! Why a patch does not apply: which hunk of which file, what it expects and what stands there.

use std::fmt;

use super::{
    diff::{Fate, FileDiff},
    hunk::{Body, Side},
};
use crate::Error;

/// A patch that does not apply, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejection {
    /// The patch's subject.
    pub patch: String,
    /// Where the patch came from.
    pub origin: String,
    /// The file of the tree.
    pub file: String,
    /// The hunk, from 1; 0 where the file as a whole is the trouble.
    pub hunk: usize,
    /// The line of the file from which `found` was read, from 1; 0 without a hunk.
    pub line: u32,
    /// The lines that the hunk expects.
    pub expected: Vec<String>,
    /// The lines that stand at the likeliest place.
    pub found: Vec<String>,
    /// In words, e.g. `the file is not in this kernel`.
    pub cause: String,
}

/// Why a series could not be applied.
#[derive(Debug)]
pub enum Misfit {
    /// It does not fit this source.
    Rejected(Box<Rejection>),
    /// The host failed, or the user stopped it.
    Failed(Error),
}

impl From<Error> for Misfit {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::Rejected(why) => {
                let message = format!("the patch does not apply: {}", why.patch);
                let mend = "rebase it onto this kernel, or name the kernel that it was made for: --kernel TREE|TARBALL";
                Error::untestable(message).mend(mend).because(*why)
            }
            Misfit::Failed(error) => error,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hunk == 0 {
            return write!(f, "{}: {} ({})", self.file, self.cause, self.origin);
        }
        write!(
            f,
            "hunk {} of {}: {} ({})",
            self.hunk, self.file, self.cause, self.origin
        )?;
        if let Some(at) = self.first_difference() {
            let end = "the end of the file".to_owned();
            let quote =
                |line: Option<&String>| line.map_or(end.clone(), |l| format!("`{}`", shown(l)));
            write!(
                f,
                "; line {} should read {} and reads {}",
                self.line as usize + at,
                quote(self.expected.get(at)),
                quote(self.found.get(at))
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}

impl Rejection {
    /// The first line at which expected and found differ, from 0.
    pub fn first_difference(&self) -> Option<usize> {
        (0..self.expected.len()).find(|&i| self.expected.get(i) != self.found.get(i))
    }
}

/// A line fit for a message: no control characters, not too long.
fn shown(line: &str) -> String {
    let plain: String = line.trim().chars().take(100).collect();
    plain
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Finds what keeps these changes from applying to what `read` gives; none where everything seems
/// to fit.
pub(super) fn diagnose(
    files: &[FileDiff],
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> Option<Rejection> {
    for file in files {
        let whole = |cause: &str| {
            Some(Rejection {
                file: file.old.clone(),
                cause: cause.to_owned(),
                ..Rejection::default()
            })
        };
        let text = read(&file.old);
        match (file.fate, &text) {
            (Fate::Created, Some(_)) => {
                return whole("the patch creates the file, and it is there already");
            }
            (Fate::Created, None) => continue,
            (_, None) => return whole("the file is not in this kernel"),
            (Fate::Renamed | Fate::Copied, Some(_)) if read(&file.new).is_some() => {
                return whole(&format!("it becomes {}, which is there already", file.new));
            }
            _ => {}
        }
        let text = text.unwrap_or_default();
        let lines: Vec<&[u8]> = text
            .strip_suffix(b"\n")
            .unwrap_or(&text)
            .split(|&b| b == b'\n')
            .collect();
        for (n, hunk) in file.hunks.iter().enumerate() {
            if position(&lines, &hunk.old_text()).is_none() {
                return Some(mismatch(file, n, &lines));
            }
        }
    }
    None
}

fn mismatch(file: &FileDiff, n: usize, lines: &[&[u8]]) -> Rejection {
    let hunk = &file.hunks[n];
    let old = hunk.old_text();
    let at = likeliest(lines, &old, hunk.old_start.saturating_sub(1) as usize);
    let found = &lines[at.min(lines.len())..lines.len().min(at + old.len())];
    let text = |lines: &[&[u8]]| {
        lines
            .iter()
            .map(|l| String::from_utf8_lossy(l).into_owned())
            .collect::<Vec<_>>()
    };
    Rejection {
        file: file.old.clone(),
        hunk: n + 1,
        line: u32::try_from(at + 1).unwrap_or(u32::MAX),
        expected: text(&old),
        found: text(found),
        cause: cause(file, hunk, lines, found).into(),
        ..Rejection::default()
    }
}

fn cause(file: &FileDiff, hunk: &Body, lines: &[&[u8]], found: &[&[u8]]) -> &'static str {
    let squeezed = |lines: &[&[u8]]| -> Vec<Vec<u8>> {
        let one = |l: &&[u8]| {
            l.iter()
                .copied()
                .filter(|b| !b.is_ascii_whitespace())
                .collect()
        };
        lines.iter().map(one).collect()
    };
    let new_text = |hunk: &Body| -> Vec<Vec<u8>> {
        hunk.lines
            .iter()
            .filter(|l| l.side != Side::Old)
            .map(|l| l.text.clone())
            .collect()
    };
    let there = |hunk: &Body| {
        let new = new_text(hunk);
        !new.is_empty()
            && position(lines, &new.iter().map(Vec::as_slice).collect::<Vec<_>>()).is_some()
    };
    if file.hunks.iter().all(there) {
        "what it does is there already"
    } else if squeezed(&hunk.old_text()) == squeezed(found) {
        "only white space differs (tabs lost on the way? save the patch raw)"
    } else {
        "the lines that it changes are not there"
    }
}

/// Where these lines stand, anywhere in the file.
fn position(lines: &[&[u8]], wanted: &[&[u8]]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    lines.windows(wanted.len()).position(|w| w == wanted)
}

/// Where most of these lines stand, the nearest to `near` of equals.
fn likeliest(lines: &[&[u8]], wanted: &[&[u8]], near: usize) -> usize {
    let score = |at: usize| {
        let same = wanted
            .iter()
            .zip(&lines[at..])
            .filter(|(a, b)| a == b && !a.is_empty())
            .count();
        (same, usize::MAX - at.abs_diff(near))
    };
    (0..lines.len()).max_by_key(|&at| score(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::reader::parse;

    const FILE: &str = "int a;\nint b;\n\tint c;\nint d;\nint e;\n";

    fn diagnosed(diff: &str) -> Option<Rejection> {
        let files = parse(diff.as_bytes()).unwrap();
        diagnose(&files, |path| (path == "fs/a.c").then(|| FILE.into()))
    }

    #[test]
    fn what_stands_there_is_said() {
        let head = "--- a/fs/a.c\n+++ b/fs/a.c\n";
        let table = [
            (
                "@@ -3,3 +3,3 @@\n \tint c;\n-int x;\n+int y;\n int e;\n",
                "hunk 1 of fs/a.c: the lines that it changes are not there (); line 4 should read `int x;` and reads `int d;`",
            ),
            (
                "@@ -3,2 +3,2 @@\n  int c;\n-int d;\n+int y;\n",
                "only white space differs",
            ),
            (
                "@@ -1,2 +1,2 @@\n int a;\n-int z;\n+int b;\n",
                "what it does is there already",
            ),
            (
                "@@ -1,1 +1,1 @@\n-int a;\n+int b;\n@@ -4,2 +4,2 @@\n int d;\n-int q;\n+int r;\n",
                "hunk 2 of fs/a.c",
            ),
            (
                "@@ -5,2 +5,2 @@\n int e;\n-int f;\n+int g;\n",
                "line 6 should read `int f;` and reads the end of the file",
            ),
        ];
        for (hunks, expected) in table {
            let why = diagnosed(&format!("{head}{hunks}")).unwrap().to_string();
            assert!(why.contains(expected), "{why}\nexpected {expected}");
        }
    }

    #[test]
    fn whole_files() {
        let hunk = "@@ -1,1 +1,1 @@\n-int a;\n+int b;\n";
        let table = [
            (
                format!("--- a/fs/b.c\n+++ b/fs/b.c\n{hunk}"),
                Some("fs/b.c: the file is not in this kernel"),
            ),
            (
                "--- /dev/null\n+++ b/fs/a.c\n@@ -0,0 +1 @@\n+x\n".into(),
                Some("it is there already"),
            ),
            (
                "--- /dev/null\n+++ b/fs/b.c\n@@ -0,0 +1 @@\n+x\n".into(),
                None,
            ),
            (format!("--- a/fs/a.c\n+++ b/fs/a.c\n{hunk}"), None),
        ];
        for (diff, expected) in table {
            let why = diagnosed(&diff).map(|r| r.to_string());
            match expected {
                Some(expected) => assert!(
                    why.as_ref().is_some_and(|w| w.contains(expected)),
                    "{why:?}"
                ),
                None => assert_eq!(why, None),
            }
        }
    }

    #[test]
    fn a_rejection_is_the_variants_fault() {
        let error = Error::from(Misfit::Rejected(Box::default()));
        assert_eq!(error.fault(), crate::Fault::Untestable);
    }
}
