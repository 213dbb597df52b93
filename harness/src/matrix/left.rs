//! What a cell's attempts left: verdicts, or what is known of those that ended without.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    attempt::{Attempt, How, run_dir},
    fold::telling,
    types::{Budget, Cell, KernelFrom, PatchFrom},
};
use crate::{
    engine::CHECKED_OUT,
    judge::{
        self, RunFacts,
        verdict::{Host, Kernel, Outcome, Patch, Verdict},
    },
    plan::BASE,
    report,
};

/// What an attempt left.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// Its run directory.
    pub dir: PathBuf,
    /// What is known of one that ended without a verdict there; then the directory may be missing.
    pub unjudged: Option<Verdict>,
    /// What the matrix makes of it: not the verdict's outcome where a budget stopped it. None where it was
    /// cut off.
    pub made: Option<Outcome>,
    /// Its outcome is the cell's, and that is settled.
    pub tells: bool,
}

impl Left {
    /// A run that belongs to no matrix.
    pub fn alone(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            unjudged: None,
            made: None,
            tells: true,
        }
    }
}

/// What the attempts in a cell's folder left, those left out that say nothing.
pub(super) fn left(dir: &Path, cell: &Cell, attempts: &[Attempt], budget: &Budget) -> Vec<Left> {
    let telling = telling(attempts, budget);
    let each = attempts.iter().map(|attempt| {
        let dir = run_dir(dir, attempt.number);
        let unjudged = match has_verdict(&dir) {
            true => None,
            false => Some(unjudged(cell, attempt)?),
        };
        Some(Left {
            dir,
            unjudged,
            made: match attempt.ended.as_ref().map(|ended| ended.how) {
                Some(How::Outcome(outcome)) => Some(outcome),
                Some(How::CutOff) | None => None,
            },
            tells: telling == Some(attempt.number),
        })
    });
    each.flatten().collect()
}

/// Whether there is one, or something in its place that whoever reads it will name.
fn has_verdict(run: &Path) -> bool {
    match fs::symlink_metadata(run.join(report::VERDICT)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// An attempt's outcome and reasons as a verdict that knows neither the kernel's version nor the host. None
/// for one that has not ended, that somebody stopped, or whose reasons its run said.
fn unjudged(cell: &Cell, attempt: &Attempt) -> Option<Verdict> {
    let ended = attempt.ended.as_ref()?;
    let How::Outcome(outcome) = ended.how else {
        return None;
    };
    if outcome == Outcome::Interrupted || ended.reasons.is_empty() {
        return None;
    }
    let reasons = ended.reasons.join("; ");
    let facts = RunFacts {
        kernel: Kernel {
            source: source(cell),
            ..Kernel::default()
        },
        patch: Patch {
            sha256: cell.content.patch.clone(),
            ..Patch::default()
        },
        host: Host::default(),
        seed: attempt.seed,
        started: attempt.started.clone(),
        elapsed_s: ended.seconds,
        command: cell.request().command,
    };
    let scenario = &cell.scenario.name;
    let comparison = judge::unjudged(outcome, &cell.config, scenario, variant(cell), &reasons);
    Some(judge::verdict(facts, vec![comparison]))
}

/// As a run of the cell names the source, as far as that is known.
fn source(cell: &Cell) -> String {
    match &cell.kernel.from {
        KernelFrom::Newest | KernelFrom::Locked => String::new(),
        KernelFrom::Package(name) => name.clone(),
        KernelFrom::Path(path) => path.display().to_string(),
    }
}

/// As a run of the cell names what it compares with base.
fn variant(cell: &Cell) -> &str {
    match &cell.patch.from {
        PatchFrom::Own | PatchFrom::Path(_) => &cell.patch.name,
        PatchFrom::Since(_) => CHECKED_OUT,
        PatchFrom::None => BASE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{attempt::Ended, plan::tests::of};

    const TEXT: &str = "\
name: m
kernels: [linux-source-7.2, {name: mine, path: /no/linux}]
patches: [a, none]
configs: [kasan]
scenarios: [race]
";

    fn cell(kernel: &str, patch: &str) -> Cell {
        let plan = of(TEXT).unwrap();
        let mut cells = plan.cells.into_iter().map(|planned| planned.cell);
        cells
            .find(|cell| (cell.kernel.name.as_str(), cell.patch.name.as_str()) == (kernel, patch))
            .unwrap()
    }

    fn attempt(number: u32, how: How, reasons: &[&str]) -> Attempt {
        Attempt {
            number,
            started: "2026-01-01T00:00:00Z".into(),
            host: "h".into(),
            seed: 7,
            ended: Some(Ended {
                at: "2026-01-01T00:01:00Z".into(),
                how,
                seconds: 60.0,
                reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
                for_good: false,
            }),
        }
    }

    #[test]
    fn attempts_that_say_something() {
        use Outcome::{Inconclusive, Infrastructure, Interrupted, Pass, Untestable};
        let table = [
            (
                How::Outcome(Infrastructure),
                &["no source"][..],
                Some(Infrastructure),
            ),
            (How::Outcome(Inconclusive), &["spent"], Some(Inconclusive)),
            (How::Outcome(Untestable), &["a hunk"], Some(Untestable)),
            (How::Outcome(Interrupted), &["stopped"], None),
            (How::CutOff, &["it was cut off"], None),
            // Its run directory was removed, and was recorded before.
            (How::Outcome(Pass), &[], None),
        ];
        for (how, reasons, expected) in table {
            let found = unjudged(&cell("linux-source-7.2", "a"), &attempt(1, how, reasons));
            assert_eq!(found.as_ref().map(|one| one.outcome), expected, "{how:?}");
            let Some(found) = found else { continue };
            assert_eq!(found.comparisons[0].reasons, reasons);
            assert_eq!((found.seed, found.elapsed_s), (7, 60.0));
        }
        let open = Attempt {
            ended: None,
            ..attempt(1, How::CutOff, &[])
        };
        assert_eq!(unjudged(&cell("linux-source-7.2", "a"), &open), None);
    }

    #[test]
    fn it_is_named_as_a_run_names_it() {
        let table = [
            ("linux-source-7.2", "a", "linux-source-7.2", "a"),
            ("mine", "none", "/no/linux", "base"),
        ];
        for (kernel, patch, source, variant) in table {
            let ended = attempt(1, How::Outcome(Outcome::Infrastructure), &["why"]);
            let found = unjudged(&cell(kernel, patch), &ended).unwrap();
            let own = &found.comparisons[0];
            assert_eq!(
                (found.kernel.source.as_str(), own.variant.as_str()),
                (source, variant)
            );
            assert_eq!(
                (own.config.as_str(), own.scenario.as_str()),
                ("kasan", "race")
            );
            assert!(found.command.contains(&"--scenario".to_owned()));
        }
    }

    #[test]
    fn the_telling_one_may_have_no_verdict() {
        let temp = tempfile::tempdir().unwrap();
        let make = |number: u32| fs::create_dir(run_dir(temp.path(), number)).unwrap();
        make(1);
        fs::write(temp.path().join("1/verdict.json"), "{}").unwrap();
        // It has a folder, and no verdict in it.
        make(2);
        // A file in the folder's place is for whoever reads it to name.
        fs::write(run_dir(temp.path(), 4), "").unwrap();
        let attempts = [
            attempt(1, How::Outcome(Outcome::Infrastructure), &[]),
            attempt(2, How::Outcome(Outcome::Infrastructure), &["why"]),
            attempt(3, How::CutOff, &["it was cut off"]),
            attempt(4, How::Outcome(Outcome::Infrastructure), &[]),
            attempt(5, How::Outcome(Outcome::Inconclusive), &["spent"]),
        ];
        let found = left(
            temp.path(),
            &cell("linux-source-7.2", "a"),
            &attempts,
            &Budget::default(),
        );
        let each: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.dir.file_name().unwrap().to_str().unwrap(),
                    one.unjudged.is_some(),
                    one.tells,
                )
            })
            .collect();
        let expected = [
            ("1", false, false),
            ("2", true, false),
            ("4", false, false),
            ("5", true, true),
        ];
        assert_eq!(each, expected);
    }
}
