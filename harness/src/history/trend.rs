//! How measures went over the runs, kind by kind.

use std::collections::HashMap;

use rusqlite::Row;
use serde::Serialize;

use super::{ask::doing, store::History};
use crate::{Result, error::Context};

/// What a measure's values have in common: nothing in a series differs but the night, the kernel within
/// its line, and what nobody keeps of the host. Hosts with as many processors, the same accelerator and
/// the same QEMU are one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// The measure's name.
    pub measure: String,
    /// Its unit.
    pub unit: String,
    /// The config.
    pub config: String,
    /// The scenario.
    pub scenario: String,
    /// The host's processors.
    pub cpus: u32,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// QEMU's version.
    pub qemu: String,
    /// The kernel's line, e.g. `7.3`.
    pub line: String,
    /// The variant; empty for base.
    pub variant: String,
    /// SHA-256 of the run's (first) patch series, in hex; empty for base.
    pub patch: String,
    /// `quick`, `standard` or `full`; empty where that is not known.
    pub profile: String,
    /// The program that ran instead of the scenario's loads, as a shell would take it; empty for none.
    pub program: String,
}

/// A measure's values of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Their kind.
    #[serde(flatten)]
    pub kind: Kind,
    /// How many values are left out that are older.
    pub older: usize,
    /// By time.
    pub points: Vec<Point>,
}

/// A run's value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// The kernel's version.
    pub kernel: String,
    /// The git commit that the kernel is; empty where it is none, or that is not known.
    pub commit: String,
    /// The median over the run's boots.
    pub value: f64,
    /// The run's directory, when it was imported.
    pub folder: String,
    /// The run's number in this database.
    #[serde(skip)]
    pub(super) run: i64,
}

const SERIES: &str = "
SELECT unit, config, scenario, cpus, accel, qemu, line, variant, patch, profile, program, id,
    (SELECT count(*) FROM points WHERE series = s.id)
FROM series s WHERE measure = ?1 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11";
const FOLDERS: &str = "
SELECT id, folder FROM runs WHERE id IN (
    SELECT p.run FROM series s JOIN points p ON p.series = s.id WHERE s.measure = ?1)";

impl History {
    /// How measures with a part in their name went, one series for each [`Kind`]: measure, config,
    /// scenario or program, profile, number of processors, accelerator, QEMU, line of kernels and patch;
    /// each with at most so many values, the newest.
    ///
    /// # Errors
    /// As [`History::since`].
    pub fn trend(&self, part: &str, newest: usize) -> Result<Vec<Series>> {
        let mut all = self.series(part, newest)?;
        let mut folders = HashMap::new();
        for (id, _) in self.texts("measure_names", "measure", part)? {
            self.folders_of(id, &mut folders).host(doing)?;
        }
        for point in all.iter_mut().flat_map(|series| &mut series.points) {
            point.folder = folders.get(&point.run).cloned().unwrap_or_default();
        }
        Ok(all)
    }

    /// The run directories in which something was measured, by the runs' numbers.
    fn folders_of(&self, id: i64, folders: &mut HashMap<i64, String>) -> rusqlite::Result<()> {
        let mut query = self.connection.prepare_cached(FOLDERS)?;
        let mut rows = query.query([id])?;
        while let Some(row) = rows.next()? {
            folders.insert(row.get(0)?, row.get(1)?);
        }
        Ok(())
    }

    /// The same without the runs' directories, which is sooner.
    ///
    /// # Errors
    /// As [`History::since`].
    pub fn series(&self, part: &str, newest: usize) -> Result<Vec<Series>> {
        let mut all = Vec::new();
        let measures = self.texts("measure_names", "measure", part)?;
        let kernels = self.kernels().host(doing)?;
        for (id, measure) in measures {
            self.series_of(id, &measure, newest, &kernels, &mut all)
                .host(doing)?;
        }
        Ok(all)
    }

    fn series_of(
        &self,
        id: i64,
        measure: &str,
        newest: usize,
        kernels: &HashMap<i64, Kernel>,
        all: &mut Vec<Series>,
    ) -> rusqlite::Result<()> {
        let mut query = self.connection.prepare_cached(SERIES)?;
        let mut rows = query.query([id])?;
        while let Some(row) = rows.next()? {
            let points = self.points(row.get(11)?, newest, kernels)?;
            let of: u32 = row.get(12)?;
            all.push(Series {
                kind: kind(row, measure)?,
                older: of as usize - points.len(),
                points,
            });
        }
        Ok(())
    }

    /// The newest, by time.
    fn points(
        &self,
        series: i64,
        newest: usize,
        kernels: &HashMap<i64, Kernel>,
    ) -> rusqlite::Result<Vec<Point>> {
        let all = newest == usize::MAX;
        let limit = i64::try_from(newest).unwrap_or(i64::MAX);
        let order = if all { "ASC" } else { "DESC" };
        let mut query = self.connection.prepare_cached(&format!(
            "SELECT started, run, kernel, value FROM points
             WHERE series = ?1 ORDER BY started {order}, run {order} LIMIT ?2"
        ))?;
        let mut rows = query.query([series, limit])?;
        let mut points = Vec::new();
        while let Some(row) = rows.next()? {
            let kernel = kernels.get(&row.get(2)?).cloned().unwrap_or_default();
            points.push(Point {
                started: row.get(0)?,
                kernel: kernel.version,
                commit: kernel.commit,
                value: row.get(3)?,
                folder: String::new(),
                run: row.get(1)?,
            });
        }
        if !all {
            points.reverse();
        }
        Ok(points)
    }

    fn kernels(&self) -> rusqlite::Result<HashMap<i64, Kernel>> {
        let mut query = self
            .connection
            .prepare_cached("SELECT id, version, commit_id FROM kernels")?;
        let kernels = query.query_map([], |row| {
            let (version, commit) = (row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, Kernel { version, commit }))
        })?;
        kernels.collect()
    }

    /// A run's directory, when it was imported.
    pub(super) fn folder(&self, run: i64) -> rusqlite::Result<String> {
        self.connection
            .prepare_cached("SELECT folder FROM runs WHERE id = ?1")?
            .query_row([run], |row| row.get(0))
    }
}

#[derive(Debug, Clone, Default)]
struct Kernel {
    version: String,
    commit: String,
}

fn kind(row: &Row<'_>, measure: &str) -> rusqlite::Result<Kind> {
    Ok(Kind {
        measure: measure.to_owned(),
        unit: row.get(0)?,
        config: row.get(1)?,
        scenario: row.get(2)?,
        cpus: row.get(3)?,
        accel: row.get(4)?,
        qemu: row.get(5)?,
        line: row.get(6)?,
        variant: row.get(7)?,
        patch: row.get(8)?,
        profile: row.get(9)?,
        program: row.get(10)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{judge::verdict::Verdict, report::fixtures::costs};

    #[test]
    fn a_series_mixes_nothing() {
        type Change = fn(&mut Verdict);
        let table: [(&str, usize, Change); 10] = [
            ("the same", 1, |_| {}),
            ("kernel of the line", 1, |v| {
                v.kernel.version = "7.3.9".into()
            }),
            ("line", 2, |v| v.kernel.version = "7.4.1".into()),
            ("config", 2, |v| v.comparisons[0].config = "other".into()),
            ("scenario", 2, |v| {
                v.comparisons[0].scenario = "other".into()
            }),
            ("cpus", 2, |v| v.host.cpus += 1),
            ("accel", 2, |v| v.host.accel = "kvm-other".into()),
            ("qemu", 2, |v| v.host.qemu = "99".into()),
            ("profile", 2, |v| v.command.push("--profile=full".into())),
            ("program", 2, |v| {
                v.command.extend(["--", "./repro"].map(str::to_owned));
            }),
        ];
        for (what, series, change) in table {
            let mut first = costs();
            first.comparisons.truncate(1);
            first.kernel.version = "7.3.4".into();
            first.command = ["cargo", "xtask", "run"].map(str::to_owned).into();
            let measure = &mut first.comparisons[0].measures[0];
            measure.name = "the measure".into();
            measure.base.median = Some(10.0);
            let mut second = first.clone();
            second.started = format!("{}0", first.started);
            second.comparisons[0].measures[0].base.median = Some(11.0);
            change(&mut second);
            let temp = tempfile::tempdir().unwrap();
            let mut history = History::at(&temp.path().join("h.sqlite")).unwrap();
            // The last first: what counts is when a run began.
            for night in [&second, &first] {
                assert!(history.add(night, &[], "run").unwrap());
            }
            let found = history.trend("the measure", usize::MAX).unwrap();
            let base: Vec<&Series> = found.iter().filter(|s| s.kind.patch.is_empty()).collect();
            assert_eq!(base.len(), series, "{what}");
            let mut values: Vec<f64> = base
                .iter()
                .flat_map(|s| s.points.iter().map(|p| p.value))
                .collect();
            if series == 1 {
                assert_eq!(values, [10.0, 11.0], "{what}: by time");
            }
            values.sort_by(f64::total_cmp);
            assert_eq!(values, [10.0, 11.0], "{what}");
            let newest = history.trend("the measure", 1).unwrap();
            assert_eq!(newest.len(), found.len(), "{what}");
            for (some, all) in newest.iter().zip(&found) {
                assert_eq!(
                    some.points[..],
                    all.points[all.points.len() - 1..],
                    "{what}"
                );
                assert_eq!(some.older, all.points.len() - 1, "{what}");
            }
        }
    }
}
