//! Whether a run shows nothing that base does not have (pure).

use std::collections::BTreeSet;

use protocol::DetectorState;

use super::{
    look,
    types::{Among, Outcome},
};
use crate::{
    judge::is_by_chance,
    judge::verdict::{self, Comparison, Finding, Kind, Status},
    splat,
};

/// The classes of what is no report on the console.
const BESIDE_SPLATS: [&str; 8] = [
    "boot-failed",
    "build-failed",
    "command-failed",
    "instructions",
    "memory",
    "patch-rejected",
    "throughput",
    "wrong-data",
];

/// Classes that only a detector reports, and what the verdict calls it. Without one no kernel shows them.
const DETECTED: [(&str, &str); 5] = [
    ("kasan", "kasan"),
    ("kcsan", "kcsan"),
    ("lockdep", "lockdep"),
    ("memleak", "kmemleak"),
    ("rcu-usage", "lockdep"),
];

/// After one of these the variant's kernel was not watched to the end.
const CUT_SHORT: [Kind; 4] = [
    Kind::Hang,
    Kind::BootFailed,
    Kind::BuildFailed,
    Kind::PatchRejected,
];

/// Why counts may be those of a part of the work, if they may: loads count as they go, and what ended one
/// early, on either side, left the rest undone.
pub(super) fn counted_in_part(comparison: &Comparison) -> Option<String> {
    use verdict::Outcome::{Infrastructure, Interrupted, Untestable};
    if matches!(
        comparison.outcome,
        Infrastructure | Interrupted | Untestable
    ) {
        return Some(crate::report::outcome_word(comparison.outcome).to_owned());
    }
    let ended = comparison.findings.iter().find(|finding| {
        // What base reports as well is mostly a race, and ends nothing.
        let splat = finding.kind == Kind::Splat && finding.status == Status::New;
        splat || CUT_SHORT.contains(&finding.kind)
    });
    ended.map(|finding| finding.title.clone())
}

/// Every class that a finding may have.
pub(super) fn classes() -> BTreeSet<&'static str> {
    splat::classes().into_iter().chain(BESIDE_SPLATS).collect()
}

/// What follows for these findings, and what was seen.
pub(super) fn none_new(comparison: &Comparison, among: &Among) -> (Outcome, String) {
    let all = &Among::default();
    let titles = |findings: &[&Finding]| {
        let titles: Vec<&str> = findings.iter().map(|one| one.title.as_str()).collect();
        titles.join("; ")
    };
    let new = look::news(comparison, among, Status::New);
    // A patch that does not apply, or whose kernel does not build, was not looked at.
    if comparison.outcome != verdict::Outcome::Untestable && !new.is_empty() {
        return (Outcome::DoesNotHold, titles(&new));
    }
    let chance = look::news(comparison, among, Status::Unconfirmed);
    if !chance.is_empty() {
        let text = format!("unconfirmed: {}", titles(&chance));
        return (Outcome::CannotTell, text);
    }
    let elsewhere = look::news(comparison, all, Status::Unconfirmed);
    let mut others = look::news(comparison, all, Status::New);
    others.extend(elsewhere.iter().copied());
    let cut_short = others.iter().any(|one| CUT_SHORT.contains(&one.kind));
    let nothing_lacks = comparison.reasons.iter().all(|reason| {
        let mut elsewhere = elsewhere.iter();
        elsewhere.any(|one| is_by_chance(reason, &one.title))
    });
    let looked = match comparison.outcome {
        verdict::Outcome::Pass => true,
        // Another finding's: what was asked for is not there, if its detector was.
        verdict::Outcome::Regression => nothing_lacks && !cut_short,
        verdict::Outcome::Inconclusive => !elsewhere.is_empty() && nothing_lacks && !cut_short,
        _ => false,
    };
    let deaf = DETECTED.iter().find(|(class, detector)| {
        let state = comparison.detectors.get(*detector);
        among.classes.iter().any(|asked| asked == class) && state != Some(&DetectorState::On)
    });
    match deaf {
        Some((class, detector)) if looked => {
            let config = &comparison.config;
            let text = format!("{class}: {detector} did not watch in {config} to the end");
            return (Outcome::CannotTell, text);
        }
        None if looked => return (Outcome::Holds, "none".into()),
        _ => {}
    }
    let word = crate::report::outcome_word(comparison.outcome);
    let why = match comparison.reasons.as_slice() {
        [] => titles(&look::news(comparison, all, Status::New)),
        reasons => reasons.join("; "),
    };
    (Outcome::CannotTell, format!("{word}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::sample;

    /// A finding of the reports' sample, as something else.
    fn finding(kind: Kind, class: &str, status: Status) -> Finding {
        let mut finding = sample().comparisons[0].findings[0].clone();
        (finding.kind, finding.class, finding.status) = (kind, class.to_owned(), status);
        (finding.title, finding.accepted) = (class.to_owned(), None);
        finding
    }

    #[test]
    fn only_what_is_new_does_not_hold() {
        use Kind::{BuildFailed, Hang, Splat};
        use Outcome::{CannotTell, DoesNotHold, Holds};
        use Status::{Common, New, Unconfirmed};
        use verdict::Outcome::{Inconclusive, Infrastructure, Pass, Regression, Untestable};
        let splat = |status| finding(Splat, "kasan", status);
        let table = [
            (Pass, vec![], "", Holds, "none"),
            (Pass, vec![splat(Common)], "", Holds, "none"),
            (Regression, vec![splat(New)], "", DoesNotHold, "kasan"),
            (
                Inconclusive,
                vec![splat(Unconfirmed)],
                "chance",
                CannotTell,
                "unconfirmed: kasan",
            ),
            (
                Untestable,
                vec![finding(BuildFailed, "build-failed", New)],
                "",
                CannotTell,
                "untestable: build-failed",
            ),
            (
                Infrastructure,
                vec![],
                "no space",
                CannotTell,
                "infrastructure: no space",
            ),
        ];
        for (outcome, findings, reason, judgement, text) in table {
            let comparison = comparison(outcome, findings, reason);
            let got = none_new(&comparison, &Among::default());
            assert_eq!(got, (judgement, text.to_owned()));
        }
        // Where one class is asked for, another's finding leaves that one open if it cut the run short,
        // or if something else is missing.
        let table = [
            (finding(Splat, "lockdep", New), "", Holds),
            (finding(Splat, "lockdep", New), "KASAN stopped", CannotTell),
            (finding(Hang, "hang", New), "", CannotTell),
        ];
        for (found, reason, judgement) in table {
            let comparison = comparison(Regression, vec![found], reason);
            let got = none_new(&comparison, &of("kasan"));
            assert_eq!(got.0, judgement, "{}", got.1);
        }
    }

    #[test]
    fn what_is_elsewhere_leaves_a_folder_as_it_was() {
        use Kind::{Hang, Splat};
        use Outcome::{CannotTell, DoesNotHold, Holds};
        use Status::{New, Unconfirmed};
        use verdict::Outcome::{Inconclusive, Regression};
        let fuse = Among {
            files: vec!["fs/fuse/".into()],
            ..Among::default()
        };
        let chance = "on the variant only, and it may be chance: race (in 1 of 3 boots)";
        for (outcome, kind, status, file, reason, judgement) in [
            (Inconclusive, Splat, Unconfirmed, "mm/slub.c", chance, Holds),
            (
                Inconclusive,
                Splat,
                Unconfirmed,
                "fs/fuse/a.c",
                chance,
                CannotTell,
            ),
            (Inconclusive, Splat, Unconfirmed, "", chance, CannotTell),
            (
                Inconclusive,
                Splat,
                Unconfirmed,
                "mm/slub.c",
                "KCSAN stopped",
                CannotTell,
            ),
            (Regression, Splat, New, "mm/slub.c", "", Holds),
            (Regression, Splat, New, "fs/fuse/a.c", "", DoesNotHold),
            (Regression, Splat, New, "", "", DoesNotHold),
            (Regression, Hang, New, "mm/slub.c", "", CannotTell),
        ] {
            let mut found = finding(kind, "race", status);
            found.files = [file]
                .into_iter()
                .filter(|file| !file.is_empty())
                .map(str::to_owned)
                .collect();
            // Two races of one title are one reason.
            let comparison = comparison(outcome, vec![found.clone(), found], reason);
            let got = none_new(&comparison, &fuse);
            assert_eq!(got.0, judgement, "{outcome:?} {file} {reason}: {}", got.1);
        }
    }

    #[test]
    fn a_detector_that_did_not_watch_tells_nothing() {
        use DetectorState::{Absent, Off, On};
        for (class, detector, state, judgement) in [
            ("kasan", "kasan", Some(On), Outcome::Holds),
            ("kasan", "kasan", Some(Absent), Outcome::CannotTell),
            ("kasan", "kasan", None, Outcome::CannotTell),
            ("rcu-usage", "lockdep", Some(Off), Outcome::CannotTell),
            ("memleak", "kmemleak", Some(On), Outcome::Holds),
            // Nothing has to be built in for these.
            ("warning", "kasan", None, Outcome::Holds),
        ] {
            let mut comparison = comparison(verdict::Outcome::Pass, vec![], "");
            let states = state.map(|state| (detector.to_owned(), state));
            comparison.detectors = states.into_iter().collect();
            let got = none_new(&comparison, &of(class));
            assert_eq!(got.0, judgement, "{class} {state:?}: {}", got.1);
        }
    }

    #[test]
    fn each_class_that_needs_a_detector_is_one() {
        let known = classes();
        for (class, _) in DETECTED {
            assert!(known.contains(class), "{class}");
        }
        for class in BESIDE_SPLATS {
            assert!(!splat::classes().contains(class), "{class}");
        }
    }

    fn of(class: &str) -> Among {
        Among {
            classes: vec![class.to_owned()],
            ..Among::default()
        }
    }

    fn comparison(outcome: verdict::Outcome, findings: Vec<Finding>, reason: &str) -> Comparison {
        let mut comparison = sample().comparisons[0].clone();
        comparison.outcome = outcome;
        comparison.findings = findings;
        comparison.reasons = [reason.to_owned()]
            .into_iter()
            .filter(|reason| !reason.is_empty())
            .collect();
        comparison
    }
}
