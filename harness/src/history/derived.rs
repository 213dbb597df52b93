//! What questions read: sums and series of what runs said, kept as runs go in.
//!
//! Questions over many runs would read every one of them. The views say what is derived from which rows;
//! the tables hold it. A database of an older version gets them filled in one go, by the same views, and
//! so does one that a run is taken out of.

use rusqlite::Transaction;

/// The tables and views, and how they are filled from what is there already.
pub(super) const FOURTH: &str = "
ALTER TABLE comparisons ADD COLUMN started TEXT NOT NULL DEFAULT '';
UPDATE comparisons SET started = (SELECT started FROM runs WHERE id = run);
DROP INDEX comparisons_by_place;
CREATE INDEX comparisons_by_night ON comparisons (config, scenario, started);
DROP INDEX findings_by_title;
CREATE INDEX findings_by_comparison ON findings (comparison);
DROP INDEX measures_by_name;
CREATE INDEX measures_by_comparison ON measures (comparison);

CREATE TABLE sightings (
    title INTEGER PRIMARY KEY REFERENCES titles (id),
    seen INTEGER NOT NULL,
    first TEXT NOT NULL,
    last TEXT NOT NULL
) STRICT;
CREATE VIEW seen AS
SELECT c.run, f.title, c.id AS comparison, c.started || printf(' %012d', c.id) AS night
FROM comparisons c JOIN findings f ON f.comparison = c.id;
INSERT INTO sightings
SELECT title, count(DISTINCT comparison), min(night), max(night) FROM seen GROUP BY title;

CREATE TABLE arms (
    id INTEGER PRIMARY KEY,
    config TEXT NOT NULL,
    scenario TEXT NOT NULL,
    kernel TEXT NOT NULL,
    accel TEXT NOT NULL,
    variant TEXT NOT NULL,
    patch TEXT NOT NULL,
    runs INTEGER NOT NULL,
    last TEXT NOT NULL,
    UNIQUE (config, scenario, kernel, accel, variant, patch)
) STRICT;
CREATE TABLE shown (
    title INTEGER NOT NULL REFERENCES titles (id),
    arm INTEGER NOT NULL REFERENCES arms (id),
    runs INTEGER NOT NULL,
    PRIMARY KEY (title, arm)
) STRICT, WITHOUT ROWID;
CREATE VIEW tried AS
SELECT r.id AS run, c.id AS comparison, c.config, c.scenario, r.kernel, r.accel,
    '' AS variant, '' AS patch, r.started, c.variant = 'base' AS alone,
    iif(c.outcome IN ('pass', 'regression', 'inconclusive'), r.id, NULL) AS judged
FROM runs r JOIN comparisons c ON c.run = r.id
UNION ALL
SELECT r.id, c.id, c.config, c.scenario, r.kernel, r.accel,
    c.variant, r.patch_sha256, r.started, false,
    iif(c.outcome IN ('pass', 'regression', 'inconclusive'), r.id, NULL)
FROM runs r JOIN comparisons c ON c.run = r.id WHERE c.variant <> 'base';
CREATE VIEW showed AS
SELECT t.*, f.title FROM tried t JOIN findings f ON f.comparison = t.comparison
WHERE CASE t.variant
    WHEN '' THEN t.alone OR f.status IN ('common', 'fixed')
    ELSE f.status IN ('new', 'unconfirmed', 'common') END;
INSERT INTO arms (config, scenario, kernel, accel, variant, patch, runs, last)
SELECT config, scenario, kernel, accel, variant, patch, count(DISTINCT judged), max(started)
FROM tried GROUP BY config, scenario, kernel, accel, variant, patch;
INSERT INTO shown
SELECT s.title, a.id, count(DISTINCT s.judged)
FROM showed s JOIN arms a USING (config, scenario, kernel, accel, variant, patch)
GROUP BY s.title, a.id;

CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    measure INTEGER NOT NULL REFERENCES measure_names (id),
    unit TEXT NOT NULL,
    config TEXT NOT NULL,
    scenario TEXT NOT NULL,
    cpus INTEGER NOT NULL,
    accel TEXT NOT NULL,
    qemu TEXT NOT NULL,
    line TEXT NOT NULL,
    variant TEXT NOT NULL,
    patch TEXT NOT NULL,
    UNIQUE (measure, unit, config, scenario, cpus, accel, qemu, line, variant, patch)
) STRICT;
CREATE TABLE kernels (
    id INTEGER PRIMARY KEY,
    version TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    UNIQUE (version, commit_id)
) STRICT;
INSERT INTO kernels (version, commit_id) SELECT DISTINCT kernel, commit_id FROM runs;
CREATE TABLE points (
    series INTEGER NOT NULL REFERENCES series (id),
    started TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES runs (id),
    kernel INTEGER NOT NULL REFERENCES kernels (id),
    value REAL NOT NULL,
    PRIMARY KEY (series, started, run)
) STRICT, WITHOUT ROWID;
CREATE VIEW measured AS
SELECT m.name AS measure, m.unit, c.config, c.scenario, r.cpus, r.accel, r.qemu, r.line,
    '' AS variant, '' AS patch, r.started, r.id AS run, r.kernel AS version,
    r.commit_id, m.base AS value
FROM runs r JOIN comparisons c ON c.run = r.id JOIN measures m ON m.comparison = c.id
WHERE m.base IS NOT NULL
UNION ALL
SELECT m.name, m.unit, c.config, c.scenario, r.cpus, r.accel, r.qemu, r.line,
    iif(c.variant = 'base', '', c.variant), iif(c.variant = 'base', '', r.patch_sha256),
    r.started, r.id, r.kernel, r.commit_id, m.variant
FROM runs r JOIN comparisons c ON c.run = r.id JOIN measures m ON m.comparison = c.id
WHERE m.variant IS NOT NULL;
INSERT INTO series (measure, unit, config, scenario, cpus, accel, qemu, line, variant, patch)
SELECT DISTINCT measure, unit, config, scenario, cpus, accel, qemu, line, variant, patch
FROM measured;
INSERT OR IGNORE INTO points
SELECT s.id, m.started, m.run, k.id, m.value FROM measured m
JOIN series s USING (measure, unit, config, scenario, cpus, accel, qemu, line, variant, patch)
JOIN kernels k USING (version, commit_id);
";

/// The profile and the program tell arms and series apart: nothing that ran as the same scenario is
/// comparable for that alone. Of older runs nobody is told any more, and a run is found by its directory.
pub(super) const FIFTH: &str = "
ALTER TABLE runs ADD COLUMN told INTEGER NOT NULL DEFAULT 1;
CREATE INDEX runs_by_folder ON runs (folder);
DROP VIEW measured;
DROP VIEW showed;
DROP VIEW tried;
DROP TABLE points;
DROP TABLE series;
DROP TABLE shown;
DROP TABLE arms;

CREATE TABLE arms (
    id INTEGER PRIMARY KEY,
    config TEXT NOT NULL,
    scenario TEXT NOT NULL,
    kernel TEXT NOT NULL,
    accel TEXT NOT NULL,
    variant TEXT NOT NULL,
    patch TEXT NOT NULL,
    profile TEXT NOT NULL,
    program TEXT NOT NULL,
    runs INTEGER NOT NULL,
    last TEXT NOT NULL,
    UNIQUE (config, scenario, kernel, accel, variant, patch, profile, program)
) STRICT;
CREATE TABLE shown (
    title INTEGER NOT NULL REFERENCES titles (id),
    arm INTEGER NOT NULL REFERENCES arms (id),
    runs INTEGER NOT NULL,
    PRIMARY KEY (title, arm)
) STRICT, WITHOUT ROWID;
CREATE VIEW tried AS
SELECT r.id AS run, c.id AS comparison, c.config, c.scenario, r.kernel, r.accel,
    '' AS variant, '' AS patch, r.profile, r.program, r.started,
    c.variant = 'base' AS alone,
    iif(c.outcome IN ('pass', 'regression', 'inconclusive'), r.id, NULL) AS judged
FROM runs r JOIN comparisons c ON c.run = r.id
UNION ALL
SELECT r.id, c.id, c.config, c.scenario, r.kernel, r.accel,
    c.variant, r.patch_sha256, r.profile, r.program, r.started, false,
    iif(c.outcome IN ('pass', 'regression', 'inconclusive'), r.id, NULL)
FROM runs r JOIN comparisons c ON c.run = r.id WHERE c.variant <> 'base';
CREATE VIEW showed AS
SELECT t.*, f.title FROM tried t JOIN findings f ON f.comparison = t.comparison
WHERE CASE t.variant
    WHEN '' THEN t.alone OR f.status IN ('common', 'fixed')
    ELSE f.status IN ('new', 'unconfirmed', 'common') END;
INSERT INTO arms (config, scenario, kernel, accel, variant, patch, profile, program, runs, last)
SELECT config, scenario, kernel, accel, variant, patch, profile, program,
    count(DISTINCT judged), max(started)
FROM tried GROUP BY config, scenario, kernel, accel, variant, patch, profile, program;
INSERT INTO shown
SELECT s.title, a.id, count(DISTINCT s.judged)
FROM showed s
JOIN arms a USING (config, scenario, kernel, accel, variant, patch, profile, program)
GROUP BY s.title, a.id;

CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    measure INTEGER NOT NULL REFERENCES measure_names (id),
    unit TEXT NOT NULL,
    config TEXT NOT NULL,
    scenario TEXT NOT NULL,
    cpus INTEGER NOT NULL,
    accel TEXT NOT NULL,
    qemu TEXT NOT NULL,
    line TEXT NOT NULL,
    variant TEXT NOT NULL,
    patch TEXT NOT NULL,
    profile TEXT NOT NULL,
    program TEXT NOT NULL,
    UNIQUE (measure, unit, config, scenario, cpus, accel, qemu, line, variant, patch, profile,
        program)
) STRICT;
CREATE TABLE points (
    series INTEGER NOT NULL REFERENCES series (id),
    started TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES runs (id),
    kernel INTEGER NOT NULL REFERENCES kernels (id),
    value REAL NOT NULL,
    PRIMARY KEY (series, started, run)
) STRICT, WITHOUT ROWID;
CREATE VIEW measured AS
SELECT m.name AS measure, m.unit, c.config, c.scenario, r.cpus, r.accel, r.qemu, r.line,
    '' AS variant, '' AS patch, r.profile, r.program, r.started, r.id AS run, r.kernel AS version,
    r.commit_id, m.base AS value
FROM runs r JOIN comparisons c ON c.run = r.id JOIN measures m ON m.comparison = c.id
WHERE m.base IS NOT NULL
UNION ALL
SELECT m.name, m.unit, c.config, c.scenario, r.cpus, r.accel, r.qemu, r.line,
    iif(c.variant = 'base', '', c.variant), iif(c.variant = 'base', '', r.patch_sha256),
    r.profile, r.program, r.started, r.id, r.kernel, r.commit_id, m.variant
FROM runs r JOIN comparisons c ON c.run = r.id JOIN measures m ON m.comparison = c.id
WHERE m.variant IS NOT NULL;
INSERT INTO series (measure, unit, config, scenario, cpus, accel, qemu, line, variant, patch,
    profile, program)
SELECT DISTINCT measure, unit, config, scenario, cpus, accel, qemu, line, variant, patch, profile,
    program
FROM measured;
INSERT OR IGNORE INTO points
SELECT s.id, m.started, m.run, k.id, m.value FROM measured m
JOIN series s USING (measure, unit, config, scenario, cpus, accel, qemu, line, variant, patch,
    profile, program)
JOIN kernels k USING (version, commit_id);
";

/// What runs add, once their rows are there; which runs, is a condition on `run`.
macro_rules! adding {
    ($which:literal) => {
        [
            concat!(
                "INSERT INTO sightings
                 SELECT title, count(DISTINCT comparison), min(night), max(night) FROM seen
                 WHERE ",
                $which,
                " GROUP BY title
                 ON CONFLICT (title) DO UPDATE SET seen = seen + excluded.seen,
                     first = min(first, excluded.first), last = max(last, excluded.last)"
            ),
            concat!(
                "INSERT INTO arms (config, scenario, kernel, accel, variant, patch, profile, program,
                     runs, last)
                 SELECT config, scenario, kernel, accel, variant, patch, profile, program,
                     count(DISTINCT judged), max(started)
                 FROM tried WHERE ",
                $which,
                " GROUP BY config, scenario, kernel, accel, variant, patch, profile, program
                 ON CONFLICT (config, scenario, kernel, accel, variant, patch, profile, program)
                 DO UPDATE SET runs = runs + excluded.runs, last = max(last, excluded.last)"
            ),
            concat!(
                "INSERT INTO shown
                 SELECT s.title, a.id, count(DISTINCT s.judged)
                 FROM showed s
                 JOIN arms a USING (config, scenario, kernel, accel, variant, patch, profile, program)
                 WHERE ",
                $which,
                " GROUP BY s.title, a.id
                 ON CONFLICT (title, arm) DO UPDATE SET runs = runs + excluded.runs"
            ),
            concat!(
                "INSERT INTO kernels (version, commit_id)
                 SELECT kernel, commit_id FROM (SELECT id AS run, kernel, commit_id FROM runs)
                 WHERE ",
                $which,
                " ON CONFLICT DO NOTHING"
            ),
            concat!(
                "INSERT INTO series (measure, unit, config, scenario, cpus, accel, qemu, line, variant,
                     patch, profile, program)
                 SELECT DISTINCT measure, unit, config, scenario, cpus, accel, qemu, line, variant,
                     patch, profile, program
                 FROM measured WHERE ",
                $which,
                " ON CONFLICT DO NOTHING"
            ),
            // A run compares several variants with the same base, whose value is one.
            concat!(
                "INSERT OR IGNORE INTO points
                 SELECT s.id, m.started, m.run, k.id, m.value FROM measured m
                 JOIN series s USING (measure, unit, config, scenario, cpus, accel, qemu, line, variant,
                     patch, profile, program)
                 JOIN kernels k USING (version, commit_id)
                 WHERE ",
                $which
            ),
        ]
    };
}
const ONE: [&str; 6] = adding!("run = ?1");
const ALL: [&str; 6] = adding!("true");

/// What refers to others first.
const EMPTY: &str = "
DELETE FROM points;
DELETE FROM series;
DELETE FROM kernels;
DELETE FROM shown;
DELETE FROM arms;
DELETE FROM sightings;
";

/// Adds what a new run says.
pub(super) fn derive(within: &Transaction<'_>, run: i64) -> rusqlite::Result<()> {
    for statement in ONE {
        within.prepare_cached(statement)?.execute([run])?;
    }
    Ok(())
}

/// Forgets all that runs said; their own rows may then go.
pub(super) fn empty(within: &Transaction<'_>) -> rusqlite::Result<()> {
    within.execute_batch(EMPTY)
}

/// Adds what all runs say, where nothing is left of what they said.
pub(super) fn fill(within: &Transaction<'_>) -> rusqlite::Result<()> {
    for statement in ALL {
        within.execute(statement, [])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::{Connection, types::Value};

    use crate::{
        history::{History, Rates, Series, Since, schema::STEPS, simulate},
        judge::verdict::{Outcome, Verdict},
        report::fixtures::{costs, sample},
    };

    const TABLES: [&str; 7] = [
        "runs",
        "comparisons",
        "titles",
        "findings",
        "measure_names",
        "measures",
        "durations",
    ];
    /// Each table without the numbers of its rows.
    const DERIVED: [&str; 4] = [
        "SELECT * FROM sightings ORDER BY title",
        "SELECT config, scenario, kernel, accel, variant, patch, profile, program, runs, last FROM arms
         ORDER BY 1, 2, 3, 4, 5, 6, 7, 8",
        "SELECT s.title, s.runs, a.config, a.scenario, a.kernel, a.accel, a.variant, a.patch,
             a.profile, a.program
         FROM shown s JOIN arms a ON a.id = s.arm ORDER BY 1, 3, 4, 5, 6, 7, 8, 9, 10",
        "SELECT s.measure, s.unit, s.config, s.scenario, s.cpus, s.accel, s.qemu, s.line, s.variant,
             s.patch, s.profile, s.program, p.started, p.run, k.version, k.commit_id, p.value
         FROM series s JOIN points p ON p.series = s.id JOIN kernels k ON k.id = p.kernel
         ORDER BY 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14",
    ];

    fn rows(connection: &Connection, query: &str) -> Vec<Vec<Value>> {
        let mut query = connection.prepare(query).unwrap();
        let columns = query.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
        query
            .query_map([], row)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    /// Copies what an older database holds of the newest's rows.
    fn copy(from: &str, to: &Connection) {
        to.execute("ATTACH ?1 AS newest", [from]).unwrap();
        for table in TABLES {
            let names = format!("SELECT name FROM pragma_table_info('{table}')");
            let names = rows(to, &names).into_iter().flatten();
            let names: Vec<String> = names
                .map(|name| match name {
                    Value::Text(name) => name,
                    other => panic!("{other:?}"),
                })
                .collect();
            let names = names.join(", ");
            to.execute_batch(&format!(
                "INSERT INTO main.{table} ({names}) SELECT {names} FROM newest.{table}"
            ))
            .unwrap();
        }
        to.execute_batch("DETACH newest").unwrap();
    }

    /// A database's version, and whether it keeps the profile of runs, and the program.
    const KEEPS: [(usize, bool, bool); 4] = [
        (1, false, false),
        (2, true, false),
        (3, true, true),
        (4, true, true),
    ];

    /// A history of what one that keeps no more than this was told.
    fn told(path: &Path, (profile, program): (bool, bool)) -> History {
        let less = |verdict: &mut Verdict| match (profile, program) {
            (false, _) => verdict.command.clear(),
            (true, false) => {
                let own = verdict.command.iter().take_while(|word| *word != "--");
                verdict.command = own.cloned().collect();
            }
            (true, true) => {}
        };
        let mut history = History::at(path).unwrap();
        simulate::fill_with(&mut history, 15, 40, &less).unwrap();
        // Several variants a run, a kernel alone, one that was cut off; the last night first.
        let more: [&[&str]; 3] = [&[], &["--profile", "full"], &["--", "./repro"]];
        for (day, mut verdict) in (1..13).rev().zip([sample(), costs()].into_iter().cycle()) {
            verdict.started = format!("2025-11-{day:02}T01:00:00Z");
            let mut other = verdict.comparisons[0].clone();
            other.variant = ["other", "base"][day % 2].into();
            other.outcome = [Outcome::Pass, Outcome::Interrupted][day / 4 % 2];
            verdict.comparisons.push(other);
            let words = ["cargo", "xtask", "run"].iter().chain(more[day % 3]);
            verdict.command = words.map(|word| (*word).to_owned()).collect();
            less(&mut verdict);
            assert!(history.add(&verdict, &[], "run").unwrap());
        }
        history
    }

    fn answers(history: &History) -> (Vec<Since>, Rates, Vec<Series>) {
        (
            history.since("").unwrap(),
            history.rate("", usize::MAX).unwrap(),
            history.trend("", usize::MAX).unwrap(),
        )
    }

    #[test]
    fn an_older_database_gets_what_a_new_one_has() {
        assert_eq!(KEEPS.len() + 1, STEPS.len(), "each older version is tried");
        let temp = tempfile::tempdir().unwrap();
        for (version, profile, program) in KEEPS {
            let path = temp.path().join(format!("new-{version}.sqlite"));
            let new = told(&path, (profile, program));
            let expected = answers(&new);
            assert!(expected.1.rates.iter().any(|rate| rate.seen > 1));
            let programs = expected.2.iter().any(|one| !one.kind.program.is_empty());
            assert_eq!(programs, program, "version {version}");
            let older = temp.path().join(format!("{version}.sqlite"));
            let old = History::with_steps(&older, &STEPS[..version]).unwrap();
            copy(&path.display().to_string(), &old.connection);
            if version >= 4 {
                // As its runs went in.
                let fill = super::FOURTH.split(';').map(str::trim);
                for statement in fill.filter(|one| one.starts_with("INSERT")) {
                    old.connection.execute(statement, []).unwrap();
                }
            }
            drop(old);
            let old = History::at(&older).unwrap();
            for query in DERIVED {
                let (made, filled) = (rows(&new.connection, query), rows(&old.connection, query));
                assert!(!made.is_empty(), "{query}");
                assert!(made == filled, "version {version}: {query}");
            }
            assert!(answers(&old) == expected, "version {version}");
        }
    }

    #[test]
    fn what_is_filled_anew_is_what_there_was() {
        let temp = tempfile::tempdir().unwrap();
        let mut history = told(&temp.path().join("h.sqlite"), (true, true));
        let before = DERIVED.map(|query| rows(&history.connection, query));
        let within = history.connection.transaction().unwrap();
        super::empty(&within).unwrap();
        for query in DERIVED {
            assert_eq!(rows(&within, query).len(), 0, "{query}");
        }
        super::fill(&within).unwrap();
        within.commit().unwrap();
        let after = DERIVED.map(|query| rows(&history.connection, query));
        assert!(before == after);
    }
}
