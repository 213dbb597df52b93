//! Comparisons without boots: what broke before, and whose fault it was.

use std::collections::BTreeMap;

use super::{
    observe::tidy,
    verdict::{Comparison, Finding, Kind, Outcome, Status},
};
use crate::plan::BASE;

/// A patch that does not apply or a kernel that does not build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// [`Kind::PatchRejected`] or [`Kind::BuildFailed`].
    pub kind: Kind,
    /// Stable from run to run: the file and hunk, or the compiler's first error.
    pub title: String,
    /// A path in the run directory.
    pub evidence: String,
    /// The whole message.
    pub detail: String,
}

/// A comparison that no boot was made for: the host's fault, interrupted, or not begun.
pub fn unjudged(
    outcome: Outcome,
    config: &str,
    scenario: &str,
    variant: &str,
    reason: &str,
) -> Comparison {
    Comparison {
        config: config.to_owned(),
        scenario: scenario.to_owned(),
        base: BASE.to_owned(),
        variant: variant.to_owned(),
        outcome,
        findings: Vec::new(),
        exercise: BTreeMap::new(),
        exercise_base: BTreeMap::new(),
        coverage: None,
        detectors: BTreeMap::new(),
        proved: BTreeMap::new(),
        measures: Vec::new(),
        structures: Vec::new(),
        reasons: Some(reason.to_owned())
            .filter(|reason| !reason.is_empty())
            .into_iter()
            .collect(),
    }
}

/// The comparison of a variant whose patch does not apply or whose kernel does not build.
pub fn untestable(config: &str, scenario: &str, variant: &str, broken: &Broken) -> Comparison {
    Comparison {
        findings: vec![broken_finding(broken, Status::New)],
        ..unjudged(Outcome::Untestable, config, scenario, variant, "")
    }
}

/// The comparison of a variant that could not be built any more than base.
pub fn broken_base(config: &str, scenario: &str, variant: &str, base: &Broken) -> Comparison {
    Comparison {
        findings: vec![Finding {
            why: "on both sides".into(),
            ..broken_finding(base, Status::Common)
        }],
        ..unjudged(
            Outcome::Infrastructure,
            config,
            scenario,
            variant,
            &format!("base does not build either: {}", tidy(&base.title, 240)),
        )
    }
}

pub(super) fn broken_finding(broken: &Broken, status: Status) -> Finding {
    Finding {
        kind: broken.kind,
        class: match broken.kind {
            Kind::PatchRejected => "patch-rejected".to_owned(),
            _ => "build-failed".to_owned(),
        },
        title: tidy(&broken.title, 240),
        status,
        count: 1,
        first_s: None,
        evidence: broken.evidence.clone(),
        why: match status {
            Status::Fixed => "on base only".to_owned(),
            _ => "on the variant only".to_owned(),
        },
        detail: broken.detail.clone(),
        files: Vec::new(),
        accepted: None,
    }
}
