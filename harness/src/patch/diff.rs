//! What a patch changes, file by file, and a diff of ours that says just that.
//!
//! `git apply` never sees the text that came in, only what [`emit`] writes from
//! what was read; the two can therefore not disagree about a hostile patch.

use super::{hunk::Body, series::FileChange};

/// What happens to a file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Changed,
    Created,
    Removed,
    Renamed,
    Copied,
}

/// What a diff says about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileDiff {
    pub(super) fate: Fate,
    /// The path before; for a created file the same as after.
    pub(super) old: String,
    /// The path after; for a removed file the same as before.
    pub(super) new: String,
    /// As git writes it; both where the mode changes, one for a new or a removed file.
    pub(super) old_mode: Option<&'static str>,
    pub(super) new_mode: Option<&'static str>,
    pub(super) hunks: Vec<Body>,
}

/// Writes a diff as `git apply -p1` reads it.
pub(super) fn emit(files: &[FileDiff]) -> Vec<u8> {
    let mut out = Vec::new();
    for file in files {
        file.emit(&mut out);
    }
    out
}

impl FileDiff {
    fn emit(&self, out: &mut Vec<u8>) {
        let mut say = |line: String| {
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        };
        say(format!("diff --git a/{} b/{}", self.old, self.new));
        match (self.old_mode, self.new_mode) {
            (Some(old), Some(new)) => {
                say(format!("old mode {old}"));
                say(format!("new mode {new}"));
            }
            (None, Some(new)) => say(format!("new file mode {new}")),
            (Some(old), None) => say(format!("deleted file mode {old}")),
            (None, None) => {}
        }
        let word = match self.fate {
            Fate::Renamed => Some("rename"),
            Fate::Copied => Some("copy"),
            Fate::Created | Fate::Removed | Fate::Changed => None,
        };
        if let Some(word) = word {
            say(format!("{word} from {}", self.old));
            say(format!("{word} to {}", self.new));
        }
        if !self.hunks.is_empty() {
            let side = |null: bool, letter: char, name: &str| {
                if null {
                    "/dev/null".to_owned()
                } else {
                    format!("{letter}/{name}")
                }
            };
            say(format!(
                "--- {}",
                side(self.fate == Fate::Created, 'a', &self.old)
            ));
            say(format!(
                "+++ {}",
                side(self.fate == Fate::Removed, 'b', &self.new)
            ));
        }
        for hunk in &self.hunks {
            hunk.emit(out);
        }
    }

    /// What it changes, with the numbers that the diff names. A copy counts as a new file: its
    /// source stays as it was.
    pub(super) fn change(&self) -> FileChange {
        let new_only = matches!(self.fate, Fate::Created | Fate::Copied);
        FileChange {
            old: (!new_only).then(|| self.old.clone()),
            new: (self.fate != Fate::Removed).then(|| self.new.clone()),
            hunks: self.hunks.iter().map(Body::change).collect(),
        }
    }
}
