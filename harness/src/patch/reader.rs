//! The unified diff parser: git's extended headers, plain `---`/`+++` headers, and nothing that it
//! does not fully understand.

use super::{
    diff::{Fate, FileDiff},
    hunk::{self, Body, Malformed, Side},
    name,
};

/// File modes in a diff: what is taken, as what, and why the rest is not.
const MODES: &[(&str, Result<&str, &str>)] = &[
    ("100644", Ok("100644")),
    ("100664", Ok("100644")),
    ("100600", Ok("100644")),
    ("100755", Ok("100755")),
    ("100775", Ok("100755")),
    (
        "120000",
        Err("is a symbolic link; patches with links are refused"),
    ),
    (
        "160000",
        Err("is a submodule; a kernel tree has none, and they are refused"),
    ),
];

const MAKE_AGAIN: &str = "make it again with `git format-patch` or `git diff`";

/// Splits text into lines as the parser counts them. Where a header ends in CRLF, every line does:
/// that is the transport's doing, as no tool writes such headers.
pub(super) fn lines_of(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
    if lines.last().is_some_and(|l| l.is_empty()) {
        lines.pop();
    }
    let is_header = |l: &[u8]| {
        [&b"@@ -"[..], b"+++ ", b"diff --git "]
            .iter()
            .any(|p| l.starts_with(p))
    };
    if lines.iter().any(|l| is_header(l) && l.ends_with(b"\r")) {
        for line in &mut lines {
            *line = line.strip_suffix(b"\r").unwrap_or(line);
        }
    }
    lines
}

/// Everything that a text changes; prose between diffs is passed over. No diff at all is an empty
/// list.
pub(super) fn parse(text: &[u8]) -> Result<Vec<FileDiff>, Malformed> {
    let mut reader = Reader {
        lines: lines_of(text),
        at: 0,
    };
    let mut files = Vec::new();
    while reader.at < reader.lines.len() {
        if reader.line(0).starts_with(b"diff --git ") {
            files.push(reader.git_file()?);
        } else if reader.is_plain_header() {
            files.push(reader.plain_file()?);
        } else if let Some((what, mend)) = reader.unreadable() {
            return Err(reader.wrong(what, mend));
        } else {
            reader.at += 1;
        }
    }
    Ok(files)
}

struct Reader<'a> {
    lines: Vec<&'a [u8]>,
    at: usize,
}

/// Git's extended header, as far as it was there.
#[derive(Default)]
struct Extended<'a> {
    old_mode: Option<&'static str>,
    new_mode: Option<&'static str>,
    fate: Option<Fate>,
    from: Option<&'a [u8]>,
    to: Option<&'a [u8]>,
}

impl<'a> Reader<'a> {
    /// The line `ahead` of this one; empty past the end.
    fn line(&self, ahead: usize) -> &'a [u8] {
        self.lines.get(self.at + ahead).copied().unwrap_or_default()
    }

    fn wrong(&self, what: impl Into<String>, mend: &'static str) -> Malformed {
        Malformed {
            line: self.at,
            what: what.into(),
            mend,
        }
    }

    fn is_plain_header(&self) -> bool {
        self.line(0).starts_with(b"--- ")
            && self.line(1).starts_with(b"+++ ")
            && self.line(2).starts_with(b"@@ -")
    }

    /// Forms of diff that we know and do not take.
    fn unreadable(&self) -> Option<(&'static str, &'static str)> {
        let line = self.line(0);
        if hunk::header(line).is_some() {
            return Some(("a hunk stands here without a file's header", MAKE_AGAIN));
        }
        if line.starts_with(b"@@@ -") {
            return Some((
                "a merge's combined diff cannot be applied",
                "give the diff against one parent",
            ));
        }
        if line.starts_with(b"*** ")
            && self.line(1).starts_with(b"--- ")
            && self.line(2).starts_with(b"*****")
        {
            return Some((
                "a context diff cannot be read",
                "make it again with `diff -u`",
            ));
        }
        if line.starts_with(b"Binary files ") && line.ends_with(b" differ") {
            return Some((
                "a binary file changes here, and binary patches are refused",
                "leave that file out",
            ));
        }
        None
    }

    fn names(&self, old: &[u8], new: &[u8]) -> Result<(Option<String>, Option<String>), Malformed> {
        name::pair(old, new).map_err(|what| self.wrong(what, MAKE_AGAIN))
    }

    fn mode(&self, digits: &[u8], named: &str) -> Result<&'static str, Malformed> {
        let digits = String::from_utf8_lossy(digits);
        match MODES.iter().find(|(mode, _)| *mode == digits) {
            Some((_, Ok(mode))) => Ok(mode),
            Some((_, Err(why))) => {
                Err(self.wrong(format!("`{named}` {why}"), "leave that file out"))
            }
            None => Err(self.wrong(format!("`{named}` has an unknown file mode"), MAKE_AGAIN)),
        }
    }

    /// A file that begins with `diff --git`.
    fn git_file(&mut self) -> Result<FileDiff, Malformed> {
        let rest = &self.line(0)[b"diff --git ".len()..];
        let words: Vec<&[u8]> = rest.trim_ascii().split(|&b| b == b' ').collect();
        let [old, new] = words[..] else {
            let what = format!("cannot tell two names in `{}`", shown(rest));
            return Err(self.wrong(what, "kernel files have no blanks in their names"));
        };
        let (old, new) = self.names(old, new)?;
        let (Some(mut old), Some(mut new)) = (old, new) else {
            return Err(self.wrong("git never writes /dev/null here", MAKE_AGAIN));
        };
        self.at += 1;
        let extended = self.extended(&new)?;
        let mut fate = extended.fate.unwrap_or(Fate::Changed);
        let renames = matches!(fate, Fate::Renamed | Fate::Copied);
        for (from, name) in [(extended.from, &mut old), (extended.to, &mut new)] {
            if let Some(from) = from {
                *name = name::bare(from).map_err(|what| self.wrong(what, MAKE_AGAIN))?;
            }
        }
        if self.is_plain_header() {
            let (before, after) = self.header_names()?;
            // The three places where names stand must agree, or it is unclear what is meant.
            let agrees = before.as_ref().is_none_or(|n| *n == old)
                && after.as_ref().is_none_or(|n| *n == new);
            if !agrees {
                return Err(self.wrong(
                    "this names other files than the `diff --git` line",
                    MAKE_AGAIN,
                ));
            }
            match (before, after) {
                (None, None) => return Err(self.wrong("both names are /dev/null", MAKE_AGAIN)),
                (None, _) => fate = Fate::Created,
                (_, None) => fate = Fate::Removed,
                _ => {}
            }
            self.at += 2;
        } else if self.line(0).starts_with(b"--- ") {
            return Err(self.wrong(format!("the diff of `{new}` is cut off"), MAKE_AGAIN));
        }
        if !renames && old != new {
            return Err(self.wrong(
                format!("`{old}` and `{new}` differ, and no rename is said"),
                MAKE_AGAIN,
            ));
        }
        let hunks = self.hunks()?;
        self.finish(FileDiff {
            fate,
            old,
            new,
            old_mode: extended.old_mode,
            new_mode: extended.new_mode,
            hunks,
        })
    }

    /// Git's lines between `diff --git` and `---`.
    fn extended(&mut self, named: &str) -> Result<Extended<'a>, Malformed> {
        let mut header = Extended::default();
        loop {
            let line = self.line(0);
            let after = |prefix: &str| {
                line.strip_prefix(prefix.as_bytes())
                    .map(<[u8]>::trim_ascii_end)
            };
            if let Some(mode) = after("old mode ") {
                header.old_mode = Some(self.mode(mode, named)?);
            } else if let Some(mode) = after("new mode ") {
                header.new_mode = Some(self.mode(mode, named)?);
            } else if let Some(mode) = after("new file mode ") {
                header.new_mode = Some(self.mode(mode, named)?);
                header.fate = Some(Fate::Created);
            } else if let Some(mode) = after("deleted file mode ") {
                header.old_mode = Some(self.mode(mode, named)?);
                header.fate = Some(Fate::Removed);
            } else if let Some(from) = after("rename from ") {
                (header.from, header.fate) = (Some(from), Some(Fate::Renamed));
            } else if let Some(from) = after("copy from ") {
                (header.from, header.fate) = (Some(from), Some(Fate::Copied));
            } else if let Some(to) = after("rename to ").or_else(|| after("copy to ")) {
                header.to = Some(to);
            } else if let Some(index) = after("index ") {
                // `index OLD..NEW MODE`: the mode stands here where it does not change.
                if let Some(mode) = index.split(|&b| b == b' ').nth(1) {
                    self.mode(mode, named)?;
                }
            } else if line.starts_with(b"GIT binary patch") || line.starts_with(b"Binary files ") {
                let what = format!("`{named}` changes as binary, and binary patches are refused");
                return Err(self.wrong(what, "leave that file out"));
            } else if after("similarity index ")
                .or_else(|| after("dissimilarity index "))
                .is_none()
            {
                return Ok(header);
            }
            self.at += 1;
        }
    }

    /// A file that begins with `---` and `+++`, as diff and quilt write it.
    fn plain_file(&mut self) -> Result<FileDiff, Malformed> {
        let epoch = |line: &[u8]| {
            // `diff -N` marks a missing file by the epoch, in whatever time zone.
            let stamp = line
                .iter()
                .position(|&b| b == b'\t')
                .map(|i| &line[i + 1..]);
            stamp.is_some_and(|s| s.starts_with(b"1970-01-01 ") || s.starts_with(b"1969-12-31 "))
        };
        let (old_epoch, new_epoch) = (epoch(self.line(0)), epoch(self.line(1)));
        let (old, new) = self.header_names()?;
        self.at += 2;
        let hunks = self.hunks()?;
        let sole = |count: fn(&Body) -> u32| hunks.len() == 1 && count(&hunks[0]) == 0;
        let fate = match (&old, &new) {
            (None, None) => return Err(self.wrong("both names are /dev/null", MAKE_AGAIN)),
            (None, _) => Fate::Created,
            (_, None) => Fate::Removed,
            _ if old_epoch && sole(|h| h.old_lines) => Fate::Created,
            _ if new_epoch && sole(|h| h.new_lines) => Fate::Removed,
            _ => Fate::Changed,
        };
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => (old, new),
            (old, new) => {
                let one = old.or(new).unwrap_or_default();
                (one.clone(), one)
            }
        };
        if old != new {
            // `diff x.c.orig x.c`: the change is made to the latter.
            if !old.starts_with(&new) && !new.starts_with(&old) {
                return Err(self.wrong(format!("`{old}` and `{new}` are two files"), MAKE_AGAIN));
            }
            let one = if old.len() < new.len() { old } else { new };
            return self.finish(FileDiff {
                fate,
                old: one.clone(),
                new: one,
                old_mode: None,
                new_mode: None,
                hunks,
            });
        }
        self.finish(FileDiff {
            fate,
            old,
            new,
            old_mode: None,
            new_mode: None,
            hunks,
        })
    }

    fn header_names(&self) -> Result<(Option<String>, Option<String>), Malformed> {
        self.names(
            name::of_header(&self.line(0)[4..]),
            name::of_header(&self.line(1)[4..]),
        )
    }

    fn hunks(&mut self) -> Result<Vec<Body>, Malformed> {
        let mut hunks: Vec<Body> = Vec::new();
        while self.line(0).starts_with(b"@@ -") {
            let (body, next) = hunk::read(&self.lines, self.at)?;
            let behind = hunks
                .last()
                .is_none_or(|h| body.old_start >= h.old_start + h.old_lines);
            if !behind {
                return Err(self.wrong("this hunk begins before the last one ends", MAKE_AGAIN));
            }
            hunks.push(body);
            self.at = next;
        }
        Ok(hunks)
    }

    /// Checks what only the whole shows.
    fn finish(&self, mut file: FileDiff) -> Result<FileDiff, Malformed> {
        const PLAIN: Option<&str> = Some("100644");
        (file.old_mode, file.new_mode) = match (file.fate, file.old_mode, file.new_mode) {
            (Fate::Created, _, new) => (None, new.or(PLAIN)),
            (Fate::Removed, old, _) => (old.or(PLAIN), None),
            (_, Some(old), Some(new)) => (Some(old), Some(new)),
            // Half a change of mode is none.
            _ => (None, None),
        };
        let mode_changes = file.new_mode.is_some();
        if file.fate == Fate::Changed && file.hunks.is_empty() && !mode_changes {
            return Err(self.wrong(
                format!("the diff of `{}` has no hunk", file.new),
                MAKE_AGAIN,
            ));
        }
        let floating = |h: &Body| h.lines.iter().all(|l| l.side == Side::New) && h.old_start > 0;
        if matches!(file.fate, Fate::Changed | Fate::Renamed) && file.hunks.iter().any(floating) {
            let what = format!(
                "a hunk of `{}` has no line of context to place it by",
                file.new
            );
            return Err(self.wrong(
                what,
                "make it again with three lines of context (`git diff -U3`)",
            ));
        }
        Ok(file)
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(120)])
        .escape_debug()
        .to_string()
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
