//! What a file of claims says, and what came of each claim.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use crate::{
    judge::verdict::{Judgement, Verdict},
    scenario::Profile,
};

/// A file of claims.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// The patch that claims it: a variant of the subject's.
    pub variant: String,
    /// Its patches, where the subject does not know it.
    pub patch: Option<PathBuf>,
    /// The runs that the checks look at, by name.
    pub runs: BTreeMap<String, Run>,
    /// The claims, in the file's order.
    pub claims: Vec<Claim>,
}

/// A run that has to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// In which config.
    pub config: String,
    /// The scenario's name.
    pub scenario: String,
    /// What is compared with base; empty for the claims' own variant.
    pub variants: Vec<String>,
    /// How much time to spend.
    pub profile: Profile,
}

/// The verdicts of the runs that were made, by the runs' names, with where their files are.
pub type Runs = BTreeMap<String, (Verdict, PathBuf)>;

/// A claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// What it is called, e.g. `C1`.
    pub id: String,
    /// The claim in words.
    pub text: String,
    /// All of these must hold.
    pub checks: Vec<Check>,
}

/// One figure, and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The figure.
    pub figure: Figure,
    /// What is expected.
    pub expect: Expect,
    /// Why that, and why within that tolerance.
    pub why: String,
}

/// Where a figure is.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The run's name.
    pub run: String,
    /// The variant that is looked at; the claims' own without.
    pub variant: Option<String>,
    /// What is looked at.
    pub what: What,
    /// On which side.
    pub side: Side,
    /// Divided by this, of the same run and variant.
    pub over: Option<(What, Side)>,
}

/// What is looked at in a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A measure by name.
    Measure(String),
    /// What a load counted.
    Count(String),
    /// The size of a structure by its name, in bytes.
    Size(String),
    /// What one takes in the cache that `kmalloc` has for it, in bytes.
    Slab(String),
    /// Findings that are not base's too.
    Findings(Among),
}

/// Which findings are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Among {
    /// Of these classes; of all where none is named.
    pub classes: Vec<String>,
    /// In files whose paths begin so, as far as a finding's are known; anywhere where none is named.
    pub files: Vec<String>,
}

/// Base, the variant, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Base's figure.
    Base,
    /// The variant's.
    Variant,
    /// The variant's over base's.
    Ratio,
    /// The variant's less base's.
    Difference,
}

/// What is expected of a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// This, within so much of it, in percent.
    About(f64, f64),
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Between these, both included.
    Between(f64, f64),
    /// Less than another figure of the same run.
    Below(What, Side),
    /// One of these judgements.
    Says(Vec<Judgement>),
    /// Nothing new.
    NoneNew,
}

/// What the figures say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As claimed.
    Holds,
    /// A figure is missing, or says neither.
    CannotTell,
    /// Not as claimed.
    DoesNotHold,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claimed {
    /// What it is called.
    pub id: String,
    /// The claim in words.
    pub text: String,
    /// What was expected, all checks together.
    pub expected: String,
    /// What base showed.
    pub base: Option<String>,
    /// What the variant showed.
    pub variant: Option<String>,
    /// The worst of the checks.
    pub judgement: Outcome,
    /// The run directories that hold the figures.
    pub evidence: String,
    /// Check by check.
    pub checks: Vec<Checked>,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// The figure in words.
    pub what: String,
    /// What was expected of it.
    pub expected: String,
    /// What base showed.
    pub base: Option<String>,
    /// What the variant showed.
    pub variant: Option<String>,
    /// The figure that the expectation is about, or why there is none.
    pub measured: String,
    /// What follows.
    pub judgement: Outcome,
    /// Why this is expected, within that tolerance.
    pub why: String,
}
