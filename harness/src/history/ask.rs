//! The questions that the history answers.

use rusqlite::{Row, params};
use serde::Serialize;

use super::store::History;
use crate::{Error, Result, error::Context, plan::BASE};

/// A run in which something was seen, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sighting {
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// The kernel's version.
    pub kernel: String,
    /// The config.
    pub config: String,
    /// The scenario.
    pub scenario: String,
    /// The variant that base was compared with.
    pub variant: String,
    /// `new`, `unconfirmed`, `common` or `fixed`; none where it was not seen.
    pub status: Option<String>,
    /// The run's directory, when it was imported.
    pub folder: String,
}

/// Since when a title is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Since {
    /// The title.
    pub title: String,
    /// The last comparison before `first` in the same config and scenario; none where there is none.
    pub before: Option<Sighting>,
    /// The first that showed it.
    pub first: Sighting,
    /// The last that showed it.
    pub last: Sighting,
    /// How many comparisons showed it.
    pub seen: u32,
}

/// How often a title was seen, of all comparisons that could have shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// The title.
    pub title: String,
    /// The kernel's version.
    pub kernel: String,
    /// The config.
    pub config: String,
    /// The scenario.
    pub scenario: String,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// The variant; empty for base.
    pub variant: String,
    /// SHA-256 of the run's (first) patch series, in hex; empty for base.
    pub patch: String,
    /// How many runs showed it.
    pub seen: u32,
    /// Of how many.
    pub of: u32,
}

/// What a comparison must have come to, to say that something was not seen.
const JUDGED: &str = "c.outcome IN ('pass', 'regression', 'inconclusive')";
const SIGHTING: &str = "r.started, r.kernel, c.config, c.scenario, c.variant, r.folder";

impl History {
    /// Since when titles with a part in them are seen; without regard to ASCII's cases.
    ///
    /// # Errors
    /// Bad input: no title has it. The host's: the database cannot be read.
    pub fn since(&self, part: &str) -> Result<Vec<Since>> {
        let titles = self.texts("titles", "title", part)?;
        let found = titles
            .into_iter()
            .map(|(id, title)| self.since_one(id, title));
        found.collect::<rusqlite::Result<_>>().host(doing)
    }

    fn since_one(&self, id: i64, title: String) -> rusqlite::Result<Since> {
        let end = |order: &str| {
            self.connection
                .prepare_cached(&format!(
                    "SELECT {SIGHTING}, f.status FROM findings f JOIN comparisons c
                         ON c.id = f.comparison JOIN runs r ON r.id = c.run
                     WHERE f.title = ?1 ORDER BY r.started {order}, c.id {order} LIMIT 1"
                ))?
                .query_row([id], |row| {
                    Ok(Sighting {
                        status: row.get(6)?,
                        ..sighting(row)?
                    })
                })
        };
        let (first, last) = (end("ASC")?, end("DESC")?);
        let seen = self
            .connection
            .prepare_cached("SELECT count(DISTINCT comparison) FROM findings WHERE title = ?1")?
            .query_row([id], |row| row.get(0))?;
        let mut query = self.connection.prepare_cached(&format!(
            "SELECT {SIGHTING} FROM comparisons c JOIN runs r ON r.id = c.run
             WHERE c.config = ?1 AND c.scenario = ?2 AND r.started < ?3 AND {JUDGED}
             ORDER BY r.started DESC LIMIT 1"
        ))?;
        let place = params![first.config, first.scenario, first.started];
        let before = query.query_map(place, sighting)?.next().transpose()?;
        Ok(Since {
            title,
            before,
            first,
            last,
            seen,
        })
    }

    /// How often titles with a part in them are seen, by kernel and patch, in the configs and
    /// scenarios that ever showed them.
    ///
    /// # Errors
    /// As [`History::since`].
    pub fn rate(&self, part: &str) -> Result<Vec<Rate>> {
        let mut all = Vec::new();
        for (id, title) in self.texts("titles", "title", part)? {
            all.extend(self.rate_one(id, &title).host(doing)?);
        }
        Ok(all)
    }

    /// Base is counted once a run, however many variants it was compared with. A kernel that ran
    /// alone is base, and all that it showed is base's.
    fn rate_one(&self, id: i64, title: &str) -> rusqlite::Result<Vec<Rate>> {
        let side = |patch: &str, shown: &str, which: &str| {
            format!(
                "SELECT r.kernel, c.config, c.scenario, r.accel, {patch},
                        count(DISTINCT CASE WHEN EXISTS (
                            SELECT 1 FROM findings f
                            WHERE f.title = ?1 AND f.comparison = c.id AND ({shown})
                        ) THEN c.run END),
                        count(DISTINCT c.run)
                 FROM places p JOIN comparisons c ON c.config = p.config AND c.scenario = p.scenario
                     JOIN runs r ON r.id = c.run
                 WHERE {JUDGED} AND {which} GROUP BY 1, 2, 3, 4, 5, 6"
            )
        };
        let query = format!(
            "WITH places AS (SELECT DISTINCT c.config, c.scenario FROM findings f
                             JOIN comparisons c ON c.id = f.comparison WHERE f.title = ?1)
             {} UNION ALL {} ORDER BY 1, 2, 3, 4, 5, 6",
            side(
                "'', ''",
                "f.status IN ('common', 'fixed') OR c.variant = ?2",
                "true"
            ),
            side(
                "c.variant, r.patch_sha256",
                "f.status IN ('new', 'unconfirmed', 'common')",
                "c.variant <> ?2"
            )
        );
        let mut query = self.connection.prepare_cached(&query)?;
        let rates = query.query_map(params![id, BASE], |row| {
            Ok(Rate {
                title: title.to_owned(),
                kernel: row.get(0)?,
                config: row.get(1)?,
                scenario: row.get(2)?,
                accel: row.get(3)?,
                variant: row.get(4)?,
                patch: row.get(5)?,
                seen: row.get(6)?,
                of: row.get(7)?,
            })
        })?;
        rates.collect()
    }

    /// The texts of a table with a part in them.
    pub(super) fn texts(&self, table: &str, what: &str, part: &str) -> Result<Vec<(i64, String)>> {
        let read = || -> rusqlite::Result<Vec<(i64, String)>> {
            let mut query = self.connection.prepare_cached(&format!(
                "SELECT id, text FROM {table} WHERE instr(lower(text), lower(?1)) > 0 ORDER BY text"
            ))?;
            let found = query.query_map([part], |row| Ok((row.get(0)?, row.get(1)?)))?;
            found.collect()
        };
        let found = read().host(doing)?;
        if found.is_empty() {
            let error = Error::input(format!("no {what} in the history has {part:?} in it"));
            return Err(error.mend("import runs, or name a shorter part"));
        }
        Ok(found)
    }
}

pub(super) fn doing() -> String {
    "failed to read the history".to_owned()
}

fn sighting(row: &Row<'_>) -> rusqlite::Result<Sighting> {
    Ok(Sighting {
        started: row.get(0)?,
        kernel: row.get(1)?,
        config: row.get(2)?,
        scenario: row.get(3)?,
        variant: row.get(4)?,
        status: None,
        folder: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::verdict::{Outcome, Status, Verdict},
        report::fixtures::sample,
    };

    /// A night of one comparison, with a title or without.
    fn night(day: u32, kernel: &str, status: Option<Status>) -> Verdict {
        let mut verdict = sample();
        verdict.comparisons.truncate(1);
        verdict.started = format!("2026-11-{day:02}T01:00:00Z");
        verdict.kernel.version = kernel.to_owned();
        let comparison = &mut verdict.comparisons[0];
        comparison.outcome = Outcome::Pass;
        comparison.findings.truncate(1);
        match status {
            Some(status) => {
                comparison.findings[0].status = status;
                comparison.findings[0].title = "KASAN: use-after-free in f".into();
            }
            None => comparison.findings.clear(),
        }
        verdict
    }

    fn history(nights: &[Verdict]) -> (tempfile::TempDir, History) {
        let temp = tempfile::tempdir().unwrap();
        let mut history = History::at(&temp.path().join("h.sqlite")).unwrap();
        // The last night first: what counts is when a run began.
        for (at, night) in nights.iter().enumerate().rev() {
            assert!(history.add(night, &[], &format!("run-{at}")).unwrap());
        }
        (temp, history)
    }

    #[test]
    fn since_names_both_sides() {
        let mut cut = night(4, "7.3.5", None);
        cut.comparisons[0].outcome = Outcome::Interrupted;
        let nights = [
            night(2, "7.3.4", None),
            night(3, "7.3.5", None),
            cut,
            night(5, "7.3.6", Some(Status::New)),
            night(6, "7.3.6", None),
            night(7, "7.3.7", Some(Status::Common)),
        ];
        let (_temp, history) = history(&nights);
        let found = history.since("USE-after").unwrap();
        assert_eq!(found.len(), 1);
        let found = &found[0];
        assert_eq!(found.title, "KASAN: use-after-free in f");
        assert_eq!(found.seen, 2);
        let before = found.before.as_ref().unwrap();
        assert_eq!((before.folder.as_str(), &before.status), ("run-1", &None));
        assert_eq!(found.first.folder, "run-3");
        assert_eq!(found.first.kernel, "7.3.6");
        assert_eq!(found.first.status.as_deref(), Some("new"));
        assert_eq!(found.last.folder, "run-5");
        let none = history.since("100 %").unwrap_err();
        assert_eq!(none.fault(), crate::Fault::Input);
    }

    #[test]
    fn rates_count_each_side_by_kernel() {
        let mut alone = night(6, "7.3.6", Some(Status::New));
        alone.comparisons[0].variant = "base".into();
        let nights = [
            night(2, "7.3.4", None),
            night(3, "7.3.4", Some(Status::New)),
            night(4, "7.3.4", Some(Status::Common)),
            night(5, "7.3.5", Some(Status::Fixed)),
            alone,
        ];
        let (_temp, history) = history(&nights);
        let rates = history.rate("use-after-free").unwrap();
        let got: Vec<(&str, bool, u32, u32)> = rates
            .iter()
            .map(|r| (r.kernel.as_str(), r.patch.is_empty(), r.seen, r.of))
            .collect();
        let expected = [
            ("7.3.4", true, 1, 3),
            ("7.3.4", false, 2, 3),
            ("7.3.5", true, 1, 1),
            ("7.3.5", false, 0, 1),
            ("7.3.6", true, 1, 1),
        ];
        assert_eq!(got, expected);
    }
}
