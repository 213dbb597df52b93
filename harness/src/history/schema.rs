//! The history's tables, by version.

use rusqlite::{Connection, Transaction};

use super::derived;
use crate::{Error, Result, error::Context};

/// Step N leads from version N to N + 1. Steps are added, never changed.
pub(super) const STEPS: &[&str] = &[FIRST, SECOND, THIRD, derived::FOURTH, derived::FIFTH];

/// Texts that repeat are kept once, so that looking for a part of a title reads few rows.
const FIRST: &str = "
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    started TEXT NOT NULL,
    elapsed_s REAL NOT NULL,
    outcome TEXT NOT NULL,
    kernel TEXT NOT NULL,
    line TEXT NOT NULL,
    source TEXT NOT NULL,
    tree_hash TEXT NOT NULL,
    patch_sha256 TEXT NOT NULL,
    cpus INTEGER NOT NULL,
    accel TEXT NOT NULL,
    qemu TEXT NOT NULL,
    folder TEXT NOT NULL
) STRICT;
CREATE INDEX runs_by_time ON runs (started);
CREATE TABLE comparisons (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    config TEXT NOT NULL,
    scenario TEXT NOT NULL,
    variant TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
CREATE INDEX comparisons_by_run ON comparisons (run);
CREATE INDEX comparisons_by_place ON comparisons (config, scenario, run);
CREATE TABLE titles (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE findings (
    comparison INTEGER NOT NULL REFERENCES comparisons (id),
    title INTEGER NOT NULL REFERENCES titles (id),
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    count INTEGER NOT NULL,
    first_s REAL
) STRICT;
CREATE INDEX findings_by_title ON findings (title, comparison);
CREATE TABLE measure_names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE measures (
    comparison INTEGER NOT NULL REFERENCES comparisons (id),
    name INTEGER NOT NULL REFERENCES measure_names (id),
    unit TEXT NOT NULL,
    base REAL,
    variant REAL,
    judgement TEXT
) STRICT;
CREATE INDEX measures_by_name ON measures (name, comparison);
CREATE TABLE durations (
    run INTEGER NOT NULL REFERENCES runs (id),
    cell TEXT NOT NULL,
    config TEXT NOT NULL,
    variant TEXT NOT NULL,
    scenario TEXT NOT NULL,
    hello_s REAL,
    elapsed_s REAL NOT NULL
) STRICT;
CREATE INDEX durations_by_run ON durations (run);
";

/// Which commit to bisect from, and what a later run of the same is compared with.
const SECOND: &str = "
ALTER TABLE runs ADD COLUMN commit_id TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN profile TEXT NOT NULL DEFAULT '';
";

/// What makes a run another night of the same. Of older runs nobody knows.
const THIRD: &str = "
ALTER TABLE runs ADD COLUMN asked_kernel TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN program TEXT NOT NULL DEFAULT '';
";

/// A database's version.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Takes a database through the steps that it lacks, in the caller's transaction.
pub(super) fn migrate(within: &Transaction<'_>, steps: &[&str]) -> Result<()> {
    let doing = || "failed to bring the history's tables up to date".to_owned();
    let found = version(within).input(doing)?;
    let newest = newest(steps);
    refuse_newer(found, newest)?;
    if found == 0 {
        let strange: i64 = within
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .input(doing)?;
        if strange > 0 {
            return Err(Error::input("it is another program's database"));
        }
    }
    for step in steps.iter().skip(found as usize) {
        within.execute_batch(step).host(doing)?;
    }
    within
        .pragma_update(None, "user_version", newest)
        .host(doing)
}

/// The version that all steps lead to.
pub(super) fn newest(steps: &[&str]) -> u32 {
    u32::try_from(steps.len()).unwrap_or(u32::MAX)
}

/// A newer ktwin's tables may mean anything.
pub(super) fn refuse_newer(found: u32, newest: u32) -> Result<()> {
    if found <= newest {
        return Ok(());
    }
    let what = format!("its schema is {found}, and this ktwin knows up to {newest}");
    Err(Error::input(what).mend("use the ktwin that wrote it, or another file in KTWIN_HISTORY"))
}
