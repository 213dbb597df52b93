//! A run directory goes into the history, once.

use std::path::Path;

use rusqlite::TransactionBehavior;
use serde::Deserialize;

use super::{
    ask::doing,
    store::History,
    write::{add, key},
};
use crate::{
    Result,
    error::Context,
    judge::verdict::Verdict,
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
    /// whatever folder.
    ///
    /// # Errors
    /// Bad input: no run directory, or one without a verdict. The host's: the database cannot be
    /// written to.
    pub fn import(&mut self, run: &Path) -> Result<bool> {
        let verdict = read_verdict(run)?;
        if self.has(&verdict)? {
            return Ok(false);
        }
        let folder = run.canonicalize().unwrap_or_else(|_| run.to_owned());
        self.add(&verdict, &durations(run), &folder.to_string_lossy())
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

    pub(super) fn add(
        &mut self,
        verdict: &Verdict,
        durations: &[Duration],
        folder: &str,
    ) -> Result<bool> {
        let doing = || format!("failed to write {folder} to the history");
        let within = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .host(doing)?;
        let added = add(&within, verdict, durations, folder).host(doing)?;
        within.commit().host(doing)?;
        Ok(added)
    }
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
