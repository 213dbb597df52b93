//! Outcomes that are others than the last time.

use std::path::Path;

use rusqlite::params;
use serde::Serialize;

use super::{
    ask::doing,
    asked,
    store::History,
    write::{key, of_word},
};
use crate::{
    Result,
    error::Context,
    exit,
    judge::verdict::{Comparison, Outcome, Verdict},
    matrix::cell_of,
};

/// A comparison whose outcome is another one than the last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The config.
    pub config: String,
    /// The scenario.
    pub scenario: String,
    /// The variant; the patch is known by its name.
    pub variant: String,
    /// How it came out the last time; null where there is no last time.
    pub before: Option<Outcome>,
    /// How it came out now.
    pub after: Outcome,
    /// The last time's run directory, when it went in.
    pub before_run: Option<String>,
}

/// The newest first. What was interrupted says nothing, and what somebody was to be told of and was not,
/// which is all that is above 1, is no last time; nor are the other attempts at the same cell.
const BEFORE: &str = "
SELECT c.outcome, r.folder FROM comparisons c JOIN runs r ON r.id = c.run
WHERE c.config = ?1 AND c.scenario = ?2 AND c.variant = ?3
    AND r.asked_kernel = ?4 AND r.program = ?5 AND r.profile = ?6
    AND r.key <> ?7 AND c.started <= ?8 AND c.outcome <> 'interrupted'
    AND (?9 = '' OR substr(r.folder, 1, length(?9)) <> ?9)
    AND r.told <= 1 AND rtrim(r.folder, '0123456789') NOT IN (
        SELECT rtrim(folder, '0123456789') FROM runs
        WHERE told > 1 AND folder GLOB '*/cells/*/[0-9]*')
ORDER BY c.started DESC, c.id DESC LIMIT 50";

impl History {
    /// The comparisons of a run that came out otherwise than in the newest run that began before it, of
    /// the same config, scenario (or program), variant, profile and kernel as it was named on the command
    /// line; its version may be another one. What is compared for the first time, and does not pass, is
    /// one of them; what was interrupted is none. The attempts at a matrix's cell are one run, with the
    /// cell's outcome.
    ///
    /// # Errors
    /// The host's: the database cannot be read.
    pub fn changes(&self, verdict: &Verdict, run: &Path) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        for comparison in &verdict.comparisons {
            if comparison.outcome == Outcome::Interrupted {
                continue;
            }
            let newest = self.before(verdict, comparison, run).host(doing)?;
            let before = last_time(&newest);
            if before.map_or(Outcome::Pass, |(outcome, _)| outcome) != comparison.outcome {
                changes.push(Change {
                    config: comparison.config.clone(),
                    scenario: comparison.scenario.clone(),
                    variant: comparison.variant.clone(),
                    before: before.map(|(outcome, _)| outcome),
                    after: comparison.outcome,
                    before_run: before.map(|(_, folder)| folder.to_owned()),
                });
            }
        }
        Ok(changes)
    }

    fn before(
        &self,
        verdict: &Verdict,
        comparison: &Comparison,
        run: &Path,
    ) -> rusqlite::Result<Vec<(Outcome, String)>> {
        // A folder beside it may have a name that begins the same.
        let own = cell_of(run).map_or(String::new(), |cell| format!("{}/", cell.display()));
        let same = params![
            comparison.config,
            comparison.scenario,
            comparison.variant,
            asked::kernel(&verdict.command, &verdict.kernel.source),
            asked::program(&verdict.command),
            asked::profile(&verdict.command),
            key(verdict),
            verdict.started,
            own
        ];
        let mut query = self.connection.prepare_cached(BEFORE)?;
        let rows = query.query_map(same, |row| {
            let outcome: String = row.get(0)?;
            Ok((of_word(&outcome), row.get(1)?))
        })?;
        let known = |row: rusqlite::Result<(Option<Outcome>, String)>| {
            row.map(|(outcome, folder)| Some((outcome?, folder)))
        };
        rows.filter_map(|row| known(row).transpose()).collect()
    }
}

/// The last time of several runs, the newest first: the newest, or, where that is an attempt at a matrix's
/// cell, the attempt whose outcome is the cell's.
fn last_time(newest: &[(Outcome, String)]) -> Option<(Outcome, &str)> {
    let cell = |folder: &str| cell_of(Path::new(folder)).map(Path::to_owned);
    let (_, first) = newest.first()?;
    let own = cell(first);
    let attempts = newest
        .iter()
        .take_while(|(_, folder)| own.is_some() && cell(folder) == own);
    let telling = attempts.filter(|(outcome, _)| *outcome != Outcome::Infrastructure);
    let worst = exit::combine(telling.clone().map(|(outcome, _)| *outcome));
    let telling = telling.filter(|(outcome, _)| *outcome == worst).last();
    let (outcome, folder) = telling.or(newest.first())?;
    Some((*outcome, folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::sample;

    /// A run of one comparison on a day of November.
    fn night(day: u32, outcome: Outcome) -> Verdict {
        let mut verdict = sample();
        verdict.comparisons.truncate(1);
        verdict.started = format!("2026-11-{day:02}T01:00:00Z");
        verdict.command = ["cargo", "xtask", "run", "kasan"].map(str::to_owned).into();
        verdict.comparisons[0].outcome = outcome;
        verdict
    }

    fn history(nights: &[Verdict]) -> (tempfile::TempDir, History) {
        let temp = tempfile::tempdir().unwrap();
        let mut history = History::at(&temp.path().join("h.sqlite")).unwrap();
        for (at, night) in nights.iter().enumerate() {
            assert!(history.add(night, &[], &format!("/m/{at}/run")).unwrap());
        }
        (temp, history)
    }

    #[test]
    fn an_outcome_is_compared_with_the_last_times() {
        use Outcome::{Inconclusive, Interrupted, Pass, Regression};
        let table = [
            (&[][..], Pass, None),
            (&[], Regression, Some(None)),
            (&[], Interrupted, None),
            (&[Pass], Pass, None),
            (&[Pass], Regression, Some(Some(Pass))),
            (&[Regression], Pass, Some(Some(Regression))),
            (&[Regression, Pass], Pass, None),
            (&[Pass, Interrupted], Pass, None),
            (&[Regression], Inconclusive, Some(Some(Regression))),
            (&[Regression], Interrupted, None),
        ];
        for (before, after, expected) in table {
            let nights: Vec<Verdict> = (1..).zip(before).map(|(day, o)| night(day, *o)).collect();
            let (_temp, mut history) = history(&nights);
            let tonight = night(20, after);
            // Whether it is recorded already makes no difference.
            for _ in 0..2 {
                let changes = history.changes(&tonight, Path::new("/m/tonight")).unwrap();
                let got = changes.first().map(|change| change.before);
                assert_eq!(got, expected, "{before:?} {after:?}");
                assert!(changes.iter().all(|change| change.after == after));
                history.add(&tonight, &[], "/m/tonight").unwrap();
            }
        }
    }

    #[test]
    fn only_the_same_is_compared() {
        type Turn = fn(&mut Verdict);
        let table: [(&str, bool, Turn); 9] = [
            ("another version", true, |v| v.kernel.version = "7.9".into()),
            ("another seed", true, |v| v.seed += 1),
            ("another content of the patch", true, |v| {
                v.patch.sha256 = "f".into();
            }),
            ("another kernel", false, |v| {
                v.command.push("--locked".into())
            }),
            ("another profile", false, |v| {
                v.command.push("--profile=full".into());
            }),
            ("another program", false, |v| {
                v.command.extend(["--", "./repro"].map(str::to_owned));
            }),
            ("another config", false, |v| {
                v.comparisons[0].config = "other".into();
            }),
            ("another scenario", false, |v| {
                v.comparisons[0].scenario = "other".into();
            }),
            ("another variant", false, |v| {
                v.comparisons[0].variant = "other".into();
            }),
        ];
        for (what, same, turn) in table {
            let last = night(1, Outcome::Regression);
            let (_temp, history) = history(&[last]);
            let mut tonight = night(2, Outcome::Regression);
            turn(&mut tonight);
            let changes = history.changes(&tonight, Path::new("/m/tonight")).unwrap();
            assert_eq!(changes.is_empty(), same, "{what}: {changes:?}");
        }
    }

    #[test]
    fn later_runs_are_no_last_time() {
        let (_temp, history) = history(&[night(1, Outcome::Pass), night(9, Outcome::Untestable)]);
        let tonight = night(3, Outcome::Regression);
        let changes = history.changes(&tonight, Path::new("/m/tonight")).unwrap();
        assert_eq!(changes[0].before, Some(Outcome::Pass));
        assert_eq!(changes[0].before_run.as_deref(), Some("/m/0/run"));
    }

    #[test]
    fn attempts_at_a_cell_are_one_run() {
        use Outcome::{Infrastructure, Pass, Regression};
        let runs = [
            (Pass, "/a/cells/x/1"),
            (Infrastructure, "/b/cells/x/1"),
            (Regression, "/b/cells/x/2"),
            (Pass, "/b/cells/x/3"),
        ];
        let temp = tempfile::tempdir().unwrap();
        let mut history = History::at(&temp.path().join("h.sqlite")).unwrap();
        for (day, (outcome, folder)) in (1..).zip(runs) {
            history.add(&night(day, outcome), &[], folder).unwrap();
        }
        let before = |day, folder: &str| {
            let changes = history.changes(&night(day, Outcome::Inconclusive), Path::new(folder));
            let change = changes.unwrap().remove(0);
            (change.before.unwrap(), change.before_run.unwrap())
        };
        let table = [
            // The worst that an earlier cell's attempts say, and not the last.
            (9, "/c/cells/x/1", (Regression, "/b/cells/x/2")),
            // Its own attempts are no last time.
            (5, "/b/cells/x/4", (Pass, "/a/cells/x/1")),
            (3, "/c/cells/x/1", (Infrastructure, "/b/cells/x/1")),
            (9, "/runs/y", (Regression, "/b/cells/x/2")),
        ];
        for (day, folder, (outcome, run)) in table {
            assert_eq!(before(day, folder), (outcome, run.to_owned()), "{folder}");
        }
    }
}
