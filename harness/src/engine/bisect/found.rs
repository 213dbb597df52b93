//! What came of a bisect: `--json` of it, too.

use std::path::PathBuf;

use serde::Serialize;

/// How a bisect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// One commit is sure enough.
    Found,
    /// One of several: those between them cannot be tried.
    Ambiguous,
    /// An end is not as it was said to be.
    Unconfirmed,
    /// The user stopped it; the same command goes on.
    Interrupted,
}

/// A commit, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// Its id.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// Name and address.
    pub author: String,
}

/// The evidence: one commit's trials.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tried {
    /// Its id.
    pub commit: String,
    /// Trials that showed the finding.
    pub hits: u32,
    /// All trials that could say.
    pub trials: u32,
    /// Whether it cannot be tried.
    pub skipped: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How likely the culprit lies in its history.
    pub has_it: f64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// How it ended.
    pub outcome: Ended,
    /// The commit that brought the finding.
    pub culprit: Option<Commit>,
    /// Those that no trial tells from each other, the likeliest first.
    pub candidates: Vec<Commit>,
    /// How sure that is.
    pub confidence: f64,
    /// Every commit that was tried, older ones first.
    pub trials: Vec<Tried>,
    /// How often a commit with the culprit shows the finding.
    pub hit_rate: f64,
    /// How many commits were in question.
    pub commits: usize,
    /// The title that was seen most often.
    pub title: Option<String>,
    /// The decoded splat of the commit's own trials, or of any later one.
    pub splat: Option<String>,
    /// The file that shows it, of the same trials.
    pub evidence: Option<PathBuf>,
    /// Why it ended without a commit, in words.
    pub reasons: Vec<String>,
    /// The folder that holds it all.
    pub dir: PathBuf,
    /// The same as `git bisect replay` takes it.
    #[serde(skip)]
    pub log: String,
}
