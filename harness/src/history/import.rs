//! A run directory goes into the history, once.

use std::path::Path;

use rusqlite::{Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::store::History;
use crate::{
    Result,
    error::Context,
    hash::hex_sha256,
    judge::verdict::{Comparison, Verdict},
    report::{Folder, read_verdict},
    scenario::Profile,
};

/// No boot's record is longer.
const MAX_RECORD: u64 = 64 << 20;

/// What a boot's record says of its time.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Duration {
    cell: Boot,
    hello_s: Option<f64>,
    elapsed_s: f64,
}

#[derive(Debug, Clone, Deserialize)]
struct Boot {
    id: String,
    config: String,
    variant: String,
    scenario: String,
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
        let folder = run.canonicalize().unwrap_or_else(|_| run.to_owned());
        self.add(&verdict, &durations(run), &folder.to_string_lossy())
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

/// False where it is there already.
pub(super) fn add(
    within: &Transaction<'_>,
    verdict: &Verdict,
    durations: &[Duration],
    folder: &str,
) -> rusqlite::Result<bool> {
    let Some(run) = add_run(within, verdict, folder)? else {
        return Ok(false);
    };
    for comparison in &verdict.comparisons {
        add_comparison(within, run, comparison)?;
    }
    for duration in durations {
        add_duration(within, run, duration)?;
    }
    Ok(true)
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

/// None where it is there already.
fn add_run(
    within: &Transaction<'_>,
    verdict: &Verdict,
    folder: &str,
) -> rusqlite::Result<Option<i64>> {
    let (kernel, host) = (&verdict.kernel, &verdict.host);
    let added = within
        .prepare_cached(
            "INSERT INTO runs (key, started, elapsed_s, outcome, kernel, line, source, tree_hash,
                           patch_sha256, cpus, accel, qemu, folder, commit_id, profile)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (key) DO NOTHING",
        )?
        .execute(params![
            key(verdict),
            verdict.started,
            verdict.elapsed_s,
            word(&verdict.outcome),
            kernel.version,
            line(&kernel.version),
            kernel.source,
            kernel.tree_hash,
            verdict.patch.sha256,
            host.cpus,
            host.accel,
            host.qemu,
            folder,
            kernel.commit.as_deref().unwrap_or_default(),
            profile(&verdict.command),
        ])?;
    Ok((added == 1).then(|| within.last_insert_rowid()))
}

fn add_comparison(
    within: &Transaction<'_>,
    run: i64,
    comparison: &Comparison,
) -> rusqlite::Result<()> {
    within
        .prepare_cached(
            "INSERT INTO comparisons (run, config, scenario, variant, outcome)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            run,
            comparison.config,
            comparison.scenario,
            comparison.variant,
            word(&comparison.outcome)
        ])?;
    let id = within.last_insert_rowid();
    for finding in &comparison.findings {
        let title = text(within, "titles", &finding.title)?;
        within
            .prepare_cached(
                "INSERT INTO findings (comparison, title, kind, status, count, first_s)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                id,
                title,
                word(&finding.kind),
                word(&finding.status),
                i64::try_from(finding.count).unwrap_or(i64::MAX),
                finding.first_s
            ])?;
    }
    for measure in &comparison.measures {
        let name = text(within, "measure_names", &measure.name)?;
        within
            .prepare_cached(
                "INSERT INTO measures (comparison, name, unit, base, variant, judgement)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                id,
                name,
                measure.unit,
                measure.base.median,
                measure.variant.median,
                measure.judgement.map(|one| word(&one))
            ])?;
    }
    Ok(())
}

fn add_duration(within: &Transaction<'_>, run: i64, one: &Duration) -> rusqlite::Result<()> {
    within
        .prepare_cached(
            "INSERT INTO durations (run, cell, config, variant, scenario, hello_s, elapsed_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            run,
            one.cell.id,
            one.cell.config,
            one.cell.variant,
            one.cell.scenario,
            one.hello_s,
            one.elapsed_s
        ])?;
    Ok(())
}

/// A text's number in a table of texts.
fn text(within: &Transaction<'_>, table: &'static str, text: &str) -> rusqlite::Result<i64> {
    within
        .prepare_cached(&format!(
            "INSERT INTO {table} (text) VALUES (?1) ON CONFLICT (text) DO NOTHING"
        ))?
        .execute([text])?;
    within
        .prepare_cached(&format!("SELECT id FROM {table} WHERE text = ?1"))?
        .query_row([text], |row| row.get(0))
}

/// What tells a run from all others, wherever its folder goes and however it is judged again.
fn key(verdict: &Verdict) -> String {
    let (seed, took) = (verdict.seed.to_le_bytes(), verdict.elapsed_s.to_le_bytes());
    let mut fields: Vec<&[u8]> = vec![
        verdict.started.as_bytes(),
        &seed,
        &took,
        verdict.kernel.tree_hash.as_bytes(),
        verdict.patch.sha256.as_bytes(),
        verdict.host.accel.as_bytes(),
    ];
    for comparison in &verdict.comparisons {
        let place = [
            &comparison.config,
            &comparison.scenario,
            &comparison.variant,
        ];
        fields.extend(place.map(|name| name.as_bytes()));
    }
    hex_sha256(&fields)
}

/// The line of releases that a kernel belongs to: `7.3` of `7.3.4` and of `7.3-rc2`.
pub(super) fn line(version: &str) -> &str {
    let mut dots = 0;
    let end = version.find(|c: char| {
        dots += u32::from(c == '.');
        dots == 2 || !(c == '.' || c.is_ascii_digit())
    });
    &version[..end.unwrap_or(version.len())]
}

/// The profile that a command line of `run` asks for; empty where there is none.
pub(super) fn profile(command: &[String]) -> &str {
    let mut words = command.iter().take_while(|word| *word != "--");
    let given = words.find_map(|word| match word.strip_prefix("--profile")? {
        "" => Some(None),
        rest => rest.strip_prefix('=').map(Some),
    });
    match given {
        Some(Some(name)) => name,
        Some(None) => words.next().map_or("", String::as_str),
        None if command.is_empty() => "",
        None => Profile::Quick.name(),
    }
}

/// A name as the verdict's file writes it.
fn word(of: &impl Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;
    use crate::{
        judge::verdict::{Kind, Outcome, Status},
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

    #[test]
    fn kernels_lines() {
        let table = [
            ("7.3.4", "7.3"),
            ("7.3", "7.3"),
            ("7.4-rc2", "7.4"),
            ("6.12.30+deb13", "6.12"),
            ("", ""),
        ];
        for (version, expected) in table {
            assert_eq!(line(version), expected, "{version}");
        }
    }

    #[test]
    fn profiles_stand_in_the_command() {
        let table = [
            ("", ""),
            ("cargo xtask run kasan", "quick"),
            (
                "cargo xtask run kasan --profile standard --seed 7",
                "standard",
            ),
            ("cargo xtask run --profile=full kasan", "full"),
            ("cargo xtask run kasan -- ./repro --profile full", "quick"),
            ("cargo xtask run kasan --profile", ""),
        ];
        for (command, expected) in table {
            let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            assert_eq!(profile(&words), expected, "{command}");
        }
    }

    #[test]
    fn words_are_the_verdicts_own() {
        assert_eq!(word(&Kind::WrongData), "wrong-data");
        assert_eq!(word(&Status::New), "new");
        assert_eq!(word(&Outcome::Pass), "pass");
    }
}
