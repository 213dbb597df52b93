//! How measures went over the runs, kind by kind.

use rusqlite::{Row, params};
use serde::Serialize;

use super::{ask::doing, store::History};
use crate::{Result, error::Context, plan::BASE};

/// What a measure's values have in common: nothing in a series differs but the night and the kernel
/// within its line.
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
}

/// A measure's values of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Their kind.
    #[serde(flatten)]
    pub kind: Kind,
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
}

impl History {
    /// How measures with a part in their name went, one series for each measure, config, scenario,
    /// host, accelerator, QEMU, line of kernels and patch.
    ///
    /// # Errors
    /// As [`History::since`].
    pub fn trend(&self, part: &str) -> Result<Vec<Series>> {
        let mut all = Vec::new();
        for (id, measure) in self.texts("measure_names", "measure", part)? {
            self.trend_one(id, &measure, &mut all).host(doing)?;
        }
        Ok(all)
    }

    fn trend_one(&self, id: i64, measure: &str, all: &mut Vec<Series>) -> rusqlite::Result<()> {
        let side = |variant: &str, patch: &str, value: &str| {
            format!(
                "SELECT m.unit, c.config, c.scenario, r.cpus, r.accel, r.qemu, r.line,
                        {variant} AS variant, {patch} AS patch, r.started, r.id, r.kernel,
                        r.commit_id, {value} AS value, r.folder
                 FROM measures m JOIN comparisons c ON c.id = m.comparison
                     JOIN runs r ON r.id = c.run
                 WHERE m.name = ?1 AND {value} IS NOT NULL"
            )
        };
        // A run compares several variants with the same base: UNION says it once.
        let query = format!(
            "{} UNION {} ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
            side("''", "''", "m.base"),
            side(
                "iif(c.variant = ?2, '', c.variant)",
                "iif(c.variant = ?2, '', r.patch_sha256)",
                "m.variant"
            )
        );
        let mut query = self.connection.prepare_cached(&query)?;
        let mut rows = query.query(params![id, BASE])?;
        while let Some(row) = rows.next()? {
            let kind = kind(row, measure)?;
            let point = Point {
                started: row.get(9)?,
                kernel: row.get(11)?,
                commit: row.get(12)?,
                value: row.get(13)?,
                folder: row.get(14)?,
            };
            match all.last_mut() {
                Some(last) if last.kind == kind => last.points.push(point),
                _ => all.push(Series {
                    kind,
                    points: vec![point],
                }),
            }
        }
        Ok(())
    }
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{judge::verdict::Verdict, report::fixtures::costs};

    #[test]
    fn a_series_mixes_nothing() {
        type Change = fn(&mut Verdict);
        let table: [(&str, usize, Change); 8] = [
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
        ];
        for (what, series, change) in table {
            let mut first = costs();
            first.comparisons.truncate(1);
            first.kernel.version = "7.3.4".into();
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
            let found = history.trend("the measure").unwrap();
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
        }
    }
}
