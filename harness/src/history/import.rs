//! A run directory goes into the history, once.

use std::path::Path;

use rusqlite::{Transaction, TransactionBehavior, params};
use serde::Deserialize;

use super::{
    ask::doing,
    store::History,
    write::{add, key, remove},
};
use crate::{
    Error, Result,
    collect::{self, State},
    error::Context,
    judge::verdict::{Outcome, Verdict},
    report::{Folder, read_verdict},
};

/// No boot's record is longer.
const MAX_RECORD: u64 = 64 << 20;

/// What a boot's record says of its time.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Duration {
    pub cell: Boot,
    pub hello_s: Option<f64>,
    pub elapsed_s: f64,
}

/// Which boot.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Boot {
    pub id: String,
    pub config: String,
    pub variant: String,
    pub scenario: String,
}

impl History {
    /// Takes a run directory in, whole or not at all; false where the run is there already, under
    /// whatever folder. What was taken in of the same directory's run when its verdict said less (it was
    /// thought to have been killed) makes room.
    ///
    /// # Errors
    /// Bad input: no run directory, one without a verdict, or one whose run still runs. The host's: the
    /// database cannot be written to.
    pub fn import(&mut self, run: &Path) -> Result<bool> {
        self.import_attempt(run, None)
    }

    /// The same for an attempt at a matrix's cell, and what the matrix makes of it.
    ///
    /// # Errors
    /// See [`History::import`].
    pub fn import_attempt(&mut self, run: &Path, made: Option<Outcome>) -> Result<bool> {
        if is_running(run) {
            let error = Error::input(format!("{} still runs", run.display()));
            return Err(error.mend("take it in once it has ended"));
        }
        let verdict = judged(read_verdict(run)?, made);
        if self.has(&verdict)? {
            return Ok(false);
        }
        let folder = run.canonicalize().unwrap_or_else(|_| run.to_owned());
        self.put(&verdict, &durations(run), &folder.to_string_lossy(), true)
    }

    /// Takes in what is known of an attempt at a matrix's cell that ended without a verdict; false where
    /// it is there already, or a run of its directory is that began no earlier.
    ///
    /// # Errors
    /// The host's: the database cannot be written to.
    pub fn import_unjudged(&mut self, verdict: &Verdict, run: &Path) -> Result<bool> {
        let folder = run.to_string_lossy();
        let look = || {
            self.connection
                .prepare_cached("SELECT 1 FROM runs WHERE folder = ?1 AND started >= ?2")?
                .exists([&folder, verdict.started.as_str()])
        };
        if look().host(doing)? {
            return Ok(false);
        }
        self.put(verdict, &[], &folder, false)
    }

    /// Whether a run is there already.
    fn has(&self, verdict: &Verdict) -> Result<bool> {
        let look = || {
            self.connection
                .prepare_cached("SELECT 1 FROM runs WHERE key = ?1")?
                .exists([key(verdict)])
        };
        look().host(doing)
    }

    /// Takes a run in, whatever its folder held before.
    #[cfg(test)]
    pub(super) fn add(
        &mut self,
        verdict: &Verdict,
        durations: &[Duration],
        folder: &str,
    ) -> Result<bool> {
        self.put(verdict, durations, folder, false)
    }

    /// `own`: the folder holds one run alone, and what began there at the same time is the same run.
    fn put(
        &mut self,
        verdict: &Verdict,
        durations: &[Duration],
        folder: &str,
        own: bool,
    ) -> Result<bool> {
        let doing = || format!("failed to write {folder} to the history");
        let within = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .host(doing)?;
        let added = add(&within, verdict, durations, folder).host(doing)?;
        if own && added {
            for older in older(&within, verdict, folder).host(doing)? {
                remove(&within, older).host(doing)?;
            }
        }
        within.commit().host(doing)?;
        Ok(added)
    }
}

/// What the same run said when its verdict was another one.
fn older(within: &Transaction<'_>, verdict: &Verdict, folder: &str) -> rusqlite::Result<Vec<i64>> {
    within
        .prepare_cached("SELECT id FROM runs WHERE folder = ?1 AND started = ?2 AND key <> ?3")?
        .query_map(params![folder, verdict.started, key(verdict)], |row| {
            row.get(0)
        })?
        .collect()
}

/// Whether somebody is known to work on a run; its verdict is not its last then.
pub(super) fn is_running(run: &Path) -> bool {
    matches!(collect::state(run), Ok(State::Running))
}

/// A verdict as the history takes it. What a matrix stopped by a cell's budget was not interrupted by
/// anybody: its comparison comes to what the matrix makes of it.
pub(super) fn judged(mut verdict: Verdict, made: Option<Outcome>) -> Verdict {
    let made = made.filter(|made| *made != Outcome::Interrupted);
    if let Some(made) = made.filter(|_| verdict.outcome == Outcome::Interrupted) {
        verdict.outcome = made;
        for comparison in &mut verdict.comparisons {
            if comparison.outcome == Outcome::Interrupted {
                comparison.outcome = made;
            }
        }
    }
    verdict
}

/// How long each boot took that left a record; one that was cut off has none.
fn durations(run: &Path) -> Vec<Duration> {
    let Ok(folder) = Folder::open(run) else {
        return Vec::new();
    };
    let read = |name: &String| {
        let bytes = folder
            .read(&format!("{name}/record.json"), MAX_RECORD)
            .ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    folder.folders().iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;
    use crate::{
        collect::RunDir,
        judge::verdict::Outcome,
        report::fixtures::{costs, sample},
    };

    fn count(history: &History, table: &str) -> usize {
        let query = format!("SELECT count(*) FROM {table}");
        let found = history.connection.query_row(&query, [], |row| row.get(0));
        let found: u32 = found.unwrap();
        found as usize
    }

    #[test]
    fn a_run_goes_in_once_whatever_its_folder() {
        let temp = tempfile::tempdir().unwrap();
        let runs = ["a", "b", "c"].map(|name| temp.path().join(name));
        for run in &runs {
            fs::create_dir_all(run.join("kasan-base-1")).unwrap();
            let json = serde_json::to_vec(&sample()).unwrap();
            fs::write(run.join("verdict.json"), json).unwrap();
            let record = r#"{"cell": {"id": "kasan-base-1", "config": "kasan", "variant": "base",
                "scenario": "race"}, "hello_s": 9.5, "elapsed_s": 31.25}"#;
            fs::write(run.join("kasan-base-1/record.json"), record).unwrap();
        }
        let mut again = sample();
        again.outcome = Outcome::Pass;
        fs::write(
            runs[2].join("verdict.json"),
            serde_json::to_vec(&again).unwrap(),
        )
        .unwrap();
        let mut history = History::at(&temp.path().join("h.sqlite")).unwrap();
        let added = [&runs[0], &runs[0], &runs[1], &runs[2]].map(|r| history.import(r).unwrap());
        assert_eq!(added, [true, false, false, false]);
        assert_eq!(count(&history, "runs"), 1);
        let findings: usize = sample().comparisons.iter().map(|c| c.findings.len()).sum();
        assert_eq!(count(&history, "findings"), findings);
        let boot: (String, f64) = history
            .connection
            .query_row("SELECT cell, elapsed_s FROM durations", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(boot, ("kasan-base-1".to_owned(), 31.25));
        let mut other = sample();
        other.seed += 1;
        assert!(history.add(&other, &[], "d").unwrap());
        assert_eq!(count(&history, "runs"), 2);
    }

    /// What the tables hold, but for the numbers of rows.
    fn held(history: &History) -> Vec<usize> {
        let tables = [
            "runs",
            "comparisons",
            "findings",
            "titles",
            "measures",
            "measure_names",
            "durations",
            "sightings",
            "arms",
            "shown",
            "series",
            "points",
        ];
        tables.map(|table| count(history, table)).into()
    }

    #[test]
    fn a_run_counts_once_whatever_its_verdict_said_before() {
        let temp = tempfile::tempdir().unwrap();
        let run = temp.path().join("run");
        let began = std::time::SystemTime::now();
        let mut own = RunDir::create(Some(&run), temp.path(), &[], 1, began).unwrap();
        let write = |verdict: &Verdict| {
            let json = serde_json::to_vec(verdict).unwrap();
            fs::write(run.join("verdict.json"), json).unwrap();
        };
        let (mut whole, mut part) = (costs(), sample());
        let mut shown = part.comparisons[0].clone();
        shown.findings.truncate(1);
        whole.comparisons.push(shown);
        part.comparisons.truncate(1);
        part.started.clone_from(&whole.started);
        write(&part);
        let mut history = History::at(&temp.path().join("h.sqlite")).unwrap();
        let error = history.import(&run).unwrap_err();
        assert_eq!(error.fault(), crate::Fault::Input);
        assert!(error.chain().contains("still runs"), "{error:?}");
        assert_eq!(count(&history, "runs"), 0);
        own.done(Outcome::Pass).unwrap();
        // Another machine's lock may not have been seen.
        assert!(history.import(&run).unwrap());
        write(&whole);
        assert!(history.import(&run).unwrap());
        assert!(!history.import(&run).unwrap());
        let mut alone = History::at(&temp.path().join("alone.sqlite")).unwrap();
        assert!(alone.import(&run).unwrap());
        assert_eq!(held(&history), held(&alone));
        let rates = |history: &History| history.rate("", usize::MAX).unwrap();
        assert_eq!(rates(&history), rates(&alone));
        // Without the numbers of rows.
        let trend = |history: &History| {
            serde_json::to_value(history.trend("", usize::MAX).unwrap()).unwrap()
        };
        assert_eq!(trend(&history), trend(&alone));
        // Another run in the same directory is another run.
        let mut next = whole;
        next.started.push('0');
        write(&next);
        assert!(history.import(&run).unwrap());
        assert_eq!(count(&history, "runs"), 2);
    }

    #[test]
    fn a_folder_that_is_no_run_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let mut history = History::at(&temp.path().join("h.sqlite")).unwrap();
        fs::write(temp.path().join("verdict.json"), "{").unwrap();
        let error = history.import(temp.path()).unwrap_err();
        assert_eq!(error.fault(), crate::Fault::Input);
        assert_eq!(count(&history, "runs"), 0);
    }

    #[test]
    fn a_history_that_somebody_holds_is_an_error_and_no_harm() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("h.sqlite");
        let (holder, mut history) = (History::at(&path).unwrap(), History::at(&path).unwrap());
        let impatient = std::time::Duration::from_millis(20);
        history.connection.busy_timeout(impatient).unwrap();
        holder.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = history.add(&sample(), &[], "run").unwrap_err();
        assert_eq!(error.fault(), crate::Fault::Infrastructure);
        holder.connection.execute_batch("ROLLBACK").unwrap();
        assert!(history.add(&sample(), &[], "run").unwrap());
    }

    #[test]
    fn writers_at_once_lose_nothing_and_write_nothing_twice() {
        const EACH: u64 = 25;
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("h.sqlite");
        let added: Vec<usize> = thread::scope(|scope| {
            let write = |first: u64| {
                let path = &path;
                scope.spawn(move || {
                    let mut history = History::at(path).unwrap();
                    let mut verdict = costs();
                    (first..first + EACH)
                        .filter(|seed| {
                            verdict.seed = *seed;
                            history.add(&verdict, &[], "run").unwrap()
                        })
                        .count()
                })
            };
            // The second and the third write some of the same runs.
            let writers = [write(0), write(EACH), write(EACH + 10)];
            writers.map(|w| w.join().unwrap()).into()
        });
        let history = History::at(&path).unwrap();
        assert_eq!(added.iter().sum::<usize>(), 60);
        assert_eq!(count(&history, "runs"), 60);
        let each: usize = costs().comparisons.iter().map(|c| c.measures.len()).sum();
        assert_eq!(count(&history, "measures"), 60 * each);
    }
}
