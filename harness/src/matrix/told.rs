//! The attempts that a cell's outcome rests on, and what they found (pure).

use super::{
    attempt::{Attempt, CELLS},
    summary::FindingSummary,
    types::Cell,
};
use crate::judge::verdict::{Outcome, Verdict};

/// An attempt that the outcome is of, or another one that did not pass.
pub(super) struct Told<'a> {
    /// The attempt.
    pub(super) attempt: &'a Attempt,
    /// What it ended with.
    pub(super) outcome: Outcome,
    /// What its run left, where that can be read.
    pub(super) verdict: Option<Verdict>,
    /// What it found.
    pub(super) findings: Vec<FindingSummary>,
}

impl<'a> Told<'a> {
    /// Reads what an attempt left.
    pub(super) fn read(
        (attempt, outcome): (&'a Attempt, Outcome),
        verdict: &dyn Fn(u32) -> Option<Verdict>,
    ) -> Self {
        let verdict = verdict(attempt.number);
        Self {
            attempt,
            outcome,
            findings: verdict.as_ref().map(FindingSummary::of).unwrap_or_default(),
            verdict,
        }
    }

    /// Its run directory, relative to the matrix's folder; none where nothing can be read there.
    pub(super) fn run(&self, cell: &Cell) -> Option<String> {
        self.verdict.as_ref()?;
        Some(format!("{CELLS}/{}/{}", cell.id, self.attempt.number))
    }

    /// Why there is no verdict either way, as its run says it, and then as its record does.
    pub(super) fn reasons(&self) -> impl Iterator<Item = &String> {
        let comparisons = self.verdict.iter().flat_map(|own| &own.comparisons);
        let own = comparisons.flat_map(|comparison| &comparison.reasons);
        own.chain(self.attempt.ended.iter().flat_map(|ended| &ended.reasons))
    }
}

/// All that the first attempt found, and of the others what none before them found alike, which then says
/// in which run it lies.
pub(super) fn findings(cell: &Cell, told: &[Told<'_>]) -> Vec<FindingSummary> {
    let Some((first, others)) = told.split_first() else {
        return Vec::new();
    };
    let mut all = first.findings.clone();
    for other in others {
        for finding in &other.findings {
            let alike = |known: &FindingSummary| {
                let parts = |one: &FindingSummary| (one.status, one.accepted.is_some());
                known.title == finding.title && parts(known) == parts(finding)
            };
            if !all.iter().any(alike) {
                all.push(FindingSummary {
                    run: other.run(cell),
                    ..finding.clone()
                });
            }
        }
    }
    if all.len() > first.findings.len() {
        // A report shows so many, and what another attempt found last is not what it may leave out.
        all.sort_by_key(|finding| !finding.counts());
    }
    all
}
