//! A patch series, read and checked, not yet applied.

use serde::{Deserialize, Serialize};

/// One variant's patches, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Each patch as a plain diff that `git apply` takes, with its subject.
    pub patches: Vec<Patch>,
    /// SHA-256 over the diffs, in hex.
    pub sha256: String,
}

/// One patch of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The mail's subject without `[PATCH ...]`, or the file's name.
    pub subject: String,
    /// Where it came from, for messages: `my.mbox, mail 3`.
    pub origin: String,
    /// The diff alone.
    pub diff: Vec<u8>,
    /// What it changes.
    pub files: Vec<FileChange>,
}

/// What a patch does to one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// The path before, relative to the kernel's top; none for a new file.
    pub old: Option<String>,
    /// The path after; none for a removed file.
    pub new: Option<String>,
    /// Its hunks.
    pub hunks: Vec<Hunk>,
}

/// One hunk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// First line before, from 1 (0 for a new file).
    pub old_start: u32,
    /// Lines before.
    pub old_lines: u32,
    /// First line after.
    pub new_start: u32,
    /// Lines after.
    pub new_lines: u32,
    /// What git prints after `@@`: often the function.
    pub section: String,
    /// Line numbers after the patch of added lines, with their text.
    pub added: Vec<(u32, String)>,
    /// Line numbers before the patch of removed lines, with their text.
    pub removed: Vec<(u32, String)>,
}
