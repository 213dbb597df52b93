//! The verdict of a whole run, from its comparisons.

use super::verdict::{Comparison, Host, Kernel, Patch, SCHEMA, Verdict};
use crate::{exit, patch::Series};

/// What a run says besides its comparisons.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFacts {
    /// The base kernel.
    pub kernel: Kernel,
    /// The patch of the first variant.
    pub patch: Patch,
    /// Where it ran.
    pub host: Host,
    /// The run's seed.
    pub seed: u64,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// How long it took, in seconds.
    pub elapsed_s: f64,
    /// The command line that asked for it.
    pub command: Vec<String>,
}

/// The verdict.
pub fn verdict(facts: RunFacts, comparisons: Vec<Comparison>) -> Verdict {
    let RunFacts {
        kernel,
        patch,
        host,
        seed,
        started,
        elapsed_s,
        command,
    } = facts;
    Verdict {
        schema: SCHEMA,
        outcome: exit::combine(comparisons.iter().map(|one| one.outcome)),
        kernel,
        patch,
        host,
        seed,
        started,
        elapsed_s,
        command,
        comparisons,
    }
}

impl Patch {
    /// A series as the verdict names it.
    pub fn of(series: &Series) -> Self {
        let changes = series.patches.iter().flat_map(|patch| &patch.files);
        let mut files: Vec<String> = changes
            .filter_map(|change| change.new.clone().or_else(|| change.old.clone()))
            .collect();
        files.sort();
        files.dedup();
        Self {
            files,
            sha256: series.sha256.clone(),
            mails: series.mails(),
        }
    }
}
