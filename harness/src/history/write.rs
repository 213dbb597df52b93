//! A run's rows, all of them or none.

use rusqlite::{ToSql, Transaction, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{asked, derived, import::Duration};
use crate::{
    hash::hex_sha256,
    judge::verdict::{Comparison, Verdict},
};

const RUN: &str = "
INSERT INTO runs (key, started, elapsed_s, outcome, kernel, line, source, tree_hash,
                  patch_sha256, cpus, accel, qemu, folder, commit_id, profile,
                  asked_kernel, program, told)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, 0)
ON CONFLICT (key) DO NOTHING";
const COMPARISON: &str = "
INSERT INTO comparisons (run, config, scenario, variant, outcome, started)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const FINDING: &str = "
INSERT INTO findings (comparison, title, kind, status, count, first_s)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const MEASURE: &str = "
INSERT INTO measures (comparison, name, unit, base, variant, judgement)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const DURATION: &str = "
INSERT INTO durations (run, cell, config, variant, scenario, hello_s, elapsed_s)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

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
        add_comparison(within, run, comparison, &verdict.started)?;
    }
    for duration in durations {
        add_duration(within, run, duration)?;
    }
    derived::derive(within, run)?;
    Ok(true)
}

/// Children first, and then the texts that nothing has any more.
const GONE: [&str; 5] = [
    "DELETE FROM findings WHERE comparison IN (SELECT id FROM comparisons WHERE run = ?1)",
    "DELETE FROM measures WHERE comparison IN (SELECT id FROM comparisons WHERE run = ?1)",
    "DELETE FROM durations WHERE run = ?1",
    "DELETE FROM comparisons WHERE run = ?1",
    "DELETE FROM runs WHERE id = ?1",
];
const UNUSED: &str = "
DELETE FROM titles WHERE id NOT IN (SELECT title FROM findings);
DELETE FROM measure_names WHERE id NOT IN (SELECT name FROM measures);
";

/// Takes a run out, with what only it said.
pub(super) fn remove(within: &Transaction<'_>, run: i64) -> rusqlite::Result<()> {
    derived::empty(within)?;
    for statement in GONE {
        within.execute(statement, [run])?;
    }
    within.execute_batch(UNUSED)?;
    derived::fill(within)
}

/// None where it is there already.
fn add_run(
    within: &Transaction<'_>,
    verdict: &Verdict,
    folder: &str,
) -> rusqlite::Result<Option<i64>> {
    let (kernel, host) = (&verdict.kernel, &verdict.host);
    let added = within.prepare_cached(RUN)?.execute(params![
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
        asked::profile(&verdict.command),
        asked::kernel(&verdict.command, &kernel.source),
        asked::program(&verdict.command),
    ])?;
    Ok((added == 1).then(|| within.last_insert_rowid()))
}

fn add_comparison(
    within: &Transaction<'_>,
    run: i64,
    comparison: &Comparison,
    started: &str,
) -> rusqlite::Result<()> {
    let values = params![
        run,
        comparison.config,
        comparison.scenario,
        comparison.variant,
        word(&comparison.outcome),
        started
    ];
    let id = insert(within, COMPARISON, values)?;
    for finding in &comparison.findings {
        let values = params![
            id,
            text(within, "titles", &finding.title)?,
            word(&finding.kind),
            word(&finding.status),
            i64::try_from(finding.count).unwrap_or(i64::MAX),
            finding.first_s
        ];
        insert(within, FINDING, values)?;
    }
    for measure in &comparison.measures {
        let values = params![
            id,
            text(within, "measure_names", &measure.name)?,
            measure.unit,
            measure.base.median,
            measure.variant.median,
            measure.judgement.map(|one| word(&one))
        ];
        insert(within, MEASURE, values)?;
    }
    Ok(())
}

fn add_duration(within: &Transaction<'_>, run: i64, one: &Duration) -> rusqlite::Result<()> {
    let values = params![
        run,
        one.cell.id,
        one.cell.config,
        one.cell.variant,
        one.cell.scenario,
        one.hello_s,
        one.elapsed_s
    ];
    insert(within, DURATION, values).map(drop)
}

/// The new row's number.
fn insert(within: &Transaction<'_>, row: &str, values: &[&dyn ToSql]) -> rusqlite::Result<i64> {
    within.prepare_cached(row)?.insert(values)
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
pub(super) fn key(verdict: &Verdict) -> String {
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

/// A name as the verdict's file writes it.
pub(super) fn word(of: &impl Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// What a name as the verdict's file writes it means; none where that is not known.
pub(super) fn of_word<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(word.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::verdict::{Kind, Outcome, Status};

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
    fn words_are_the_verdicts_own() {
        assert_eq!(word(&Kind::WrongData), "wrong-data");
        assert_eq!(word(&Status::New), "new");
        assert_eq!(word(&Outcome::Pass), "pass");
        assert_eq!(of_word("pass"), Some(Outcome::Pass));
        assert_eq!(of_word::<Outcome>("Pass"), None);
    }
}
