//! Which runs somebody has been told of: each run once, whoever recorded it.

use std::path::Path;

use rusqlite::params;

use super::{change::Change, import::judged, store::History, write::key};
use crate::{
    Result,
    error::Context,
    judge::verdict::{Outcome, Verdict},
    report::read_verdict,
};

/// What `runs.told` says: nobody has been told of the run, or somebody has, or nothing was to be told.
const UNTOLD: i64 = 0;
const TOLD: i64 = 1;
/// Somebody is being told, or was when that was cut off.
const TELLING: i64 = 2;
/// Whoever was to be told could not be.
const FAILED: i64 = 3;

impl History {
    /// Hands what changed by a recorded run to `tell`, if anything did and nobody has been told of the run
    /// yet. `made` is what a matrix makes of it, where it is an attempt at a cell. Of two that would tell
    /// at once one does; where telling fails, the next who has somebody to tell does, and until then the
    /// run is no last time to a later one.
    ///
    /// # Errors
    /// What `tell` ends with. Bad input: no run directory, or one without a verdict. The host's: the
    /// database cannot be read or written to.
    pub fn tell(
        &mut self,
        run: &Path,
        made: Option<Outcome>,
        tell: impl FnOnce(&[Change], &Verdict) -> Result<()>,
    ) -> Result<()> {
        self.tell_of(&read_verdict(run)?, run, made, tell)
    }

    /// The same for a verdict that is not in the run's directory, see [`History::import_unjudged`].
    ///
    /// # Errors
    /// See [`History::tell`].
    pub fn tell_of(
        &mut self,
        verdict: &Verdict,
        run: &Path,
        made: Option<Outcome>,
        tell: impl FnOnce(&[Change], &Verdict) -> Result<()>,
    ) -> Result<()> {
        let key = key(verdict);
        if !self.mark(&key, &[UNTOLD, FAILED], TELLING)? {
            return Ok(());
        }
        let told = match self.changes(&judged(verdict.clone(), made), run) {
            Ok(changes) if changes.is_empty() => Ok(()),
            Ok(changes) => tell(&changes, verdict),
            Err(error) => Err(error),
        };
        let ended = if told.is_err() { FAILED } else { TOLD };
        self.mark(&key, &[TELLING], ended)?;
        told
    }

    /// False where it was none of these before, or the run is not there.
    fn mark(&self, key: &str, from: &[i64], to: i64) -> Result<bool> {
        let doing = || "failed to write to the history who has been told".to_owned();
        for was in from {
            let marked = self.connection.execute(
                "UPDATE runs SET told = ?3 WHERE key = ?1 AND told = ?2",
                params![key, was, to],
            );
            if marked.host(doing)? == 1 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::{Error, report::fixtures::sample};

    const NOBODY: [Outcome; 0] = [];

    /// A history, and a run directory whose only comparison came out so.
    fn bench(outcome: Outcome) -> (tempfile::TempDir, History, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let history = History::at(&temp.path().join("h.sqlite")).unwrap();
        let run = temp.path().join("run");
        fs::create_dir(&run).unwrap();
        let mut verdict = sample();
        verdict.comparisons.truncate(1);
        verdict.outcome = outcome;
        verdict.comparisons[0].outcome = outcome;
        let json = serde_json::to_vec(&verdict).unwrap();
        fs::write(run.join("verdict.json"), json).unwrap();
        (temp, history, run)
    }

    /// What is told, the hook ending as given.
    fn told(
        history: &mut History,
        run: &Path,
        made: Option<Outcome>,
        ends: Result<()>,
    ) -> Vec<Outcome> {
        let mut told = Vec::new();
        let failed = ends.is_err();
        let ended = history.tell(run, made, |changes, _| {
            told.extend(changes.iter().map(|change| change.after));
            ends
        });
        assert_eq!(ended.is_err(), failed && !told.is_empty());
        told
    }

    #[test]
    fn a_run_is_told_of_once_whoever_recorded_it() {
        let (_temp, mut history, run) = bench(Outcome::Regression);
        assert_eq!(
            told(&mut history, &run, None, Ok(())),
            NOBODY,
            "not recorded"
        );
        assert!(history.import(&run).unwrap());
        assert!(!history.import(&run).unwrap());
        let failed = || Err(Error::infrastructure("no hook"));
        let expected = [Outcome::Regression];
        assert_eq!(told(&mut history, &run, None, failed()), expected);
        assert_eq!(told(&mut history, &run, None, Ok(())), expected);
        assert_eq!(told(&mut history, &run, None, Ok(())), NOBODY, "once");
    }

    #[test]
    fn of_two_that_would_tell_at_once_one_does() {
        let (temp, mut history, run) = bench(Outcome::Regression);
        assert!(history.import(&run).unwrap());
        let mut both = 0;
        let told = history.tell(&run, None, |_, _| {
            both += 1;
            let mut other = History::at(&temp.path().join("h.sqlite")).unwrap();
            other.tell(&run, None, |_, _| {
                both += 1;
                Ok(())
            })
        });
        told.unwrap();
        assert_eq!(both, 1);
    }

    /// Whoever was not told of a night hears of it by the next.
    #[test]
    fn what_nobody_could_be_told_of_is_no_last_time() {
        use Outcome::{Inconclusive, Pass, Regression};
        let (temp, mut history, run) = bench(Pass);
        let like = read_verdict(&run).unwrap();
        let path = temp.path().join("h.sqlite");
        // A night of one cell, the first of whose attempts tells.
        let mut night = |day: u64, attempts: &[Outcome], hook: &dyn Fn() -> Result<()>| {
            let cell = temp.path().join(format!("{day}/cells/x"));
            for (number, outcome) in (1..).zip(attempts) {
                let mut verdict = like.clone();
                verdict.started = format!("2026-11-{day:02}T01:00:0{number}Z");
                (verdict.seed, verdict.outcome) = (day * 10 + number, *outcome);
                verdict.comparisons[0].outcome = *outcome;
                let run = cell.join(number.to_string());
                fs::create_dir_all(&run).unwrap();
                let json = serde_json::to_vec(&verdict).unwrap();
                fs::write(run.join("verdict.json"), json).unwrap();
                assert!(history.import(&run).unwrap());
            }
            let mut told = Vec::new();
            let _ = history.tell(&cell.join("1"), None, |changes, _| {
                told.extend(changes.iter().map(|change| (change.before, change.after)));
                hook()
            });
            told
        };
        let (works, fails) = (|| Ok(()), || Err(Error::infrastructure("no hook")));
        // Its process is gone before it is known how the hook ended.
        let dies = || {
            let copy = History::at(&path).unwrap();
            let told = "UPDATE runs SET told = 7 WHERE told = 2";
            assert_eq!(copy.connection.execute(told, []).unwrap(), 1);
            Ok(())
        };
        let news = [(Some(Pass), Regression)];
        assert_eq!(night(1, &[Pass], &works), []);
        assert_eq!(night(2, &[Regression, Regression], &fails), news);
        // Nor is what was tried beside what was to be told of.
        assert_eq!(night(3, &[Regression, Inconclusive], &dies), news);
        assert_eq!(night(4, &[Regression, Regression], &works), news);
        assert_eq!(night(5, &[Regression, Regression], &works), []);
        assert_eq!(night(6, &[Pass], &fails), [(Some(Regression), Pass)]);
        assert_eq!(night(7, &[Pass], &works), [(Some(Regression), Pass)]);
    }

    #[test]
    fn what_changes_nothing_is_not_told_of_later() {
        let (_temp, mut history, run) = bench(Outcome::Pass);
        assert!(history.import(&run).unwrap());
        assert_eq!(told(&mut history, &run, None, Ok(())), NOBODY);
        // An older night that comes in later makes no news of it.
        let mut older = read_verdict(&run).unwrap();
        older.started = "2000-01-01T00:00:00Z".into();
        older.comparisons[0].outcome = Outcome::Regression;
        assert!(history.add(&older, &[], "older").unwrap());
        assert_eq!(told(&mut history, &run, None, Ok(())), NOBODY);
    }

    #[test]
    fn runs_of_an_older_history_count_as_told() {
        let (temp, mut history, run) = bench(Outcome::Regression);
        assert!(history.import(&run).unwrap());
        let runs = "UPDATE runs SET told = (SELECT dflt_value FROM pragma_table_info('runs')
                    WHERE name = 'told')";
        assert_eq!(history.connection.execute(runs, []).unwrap(), 1);
        assert_eq!(told(&mut history, &run, None, Ok(())), NOBODY);
        drop(temp);
    }

    #[test]
    fn what_a_budget_stopped_is_what_the_matrix_makes_of_it() {
        use Outcome::{Inconclusive, Interrupted, Regression};
        let table = [
            (Interrupted, Some(Inconclusive), Inconclusive),
            (Interrupted, Some(Interrupted), Interrupted),
            (Interrupted, None, Interrupted),
            // The verdict's own word stands.
            (Regression, Some(Inconclusive), Regression),
        ];
        for (own, made, expected) in table {
            let (_temp, mut history, run) = bench(own);
            assert!(history.import_attempt(&run, made).unwrap());
            let (whole, one): (String, String) = history
                .connection
                .query_row(
                    "SELECT r.outcome, c.outcome FROM runs r JOIN comparisons c ON c.run = r.id",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            let word = crate::history::write::word(&expected);
            assert_eq!((&whole, &one), (&word, &word), "{own:?} {made:?}");
            let after = Some(expected).filter(|after| *after != Interrupted);
            let after: Vec<Outcome> = after.into_iter().collect();
            assert_eq!(told(&mut history, &run, made, Ok(())), after, "{own:?}");
        }
    }
}
