//! The questions that the history answers.

use rusqlite::{Row, params};
use serde::Serialize;

use super::store::History;
use crate::{Error, Result, error::Context};

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
    /// `quick`, `standard` or `full`; empty where that is not known.
    pub profile: String,
    /// The program that ran instead of the scenario's loads; empty for none.
    pub program: String,
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
    /// The last comparison before `first` in the same config, scenario and profile, and of the same
    /// program; none where there is none.
    pub before: Option<Sighting>,
    /// The first that showed it.
    pub first: Sighting,
    /// The last that showed it.
    pub last: Sighting,
    /// How many comparisons showed it.
    pub seen: u32,
}

/// What a comparison must have come to, to say that something was not seen.
const JUDGED: &str = "c.outcome IN ('pass', 'regression', 'inconclusive')";
const SIGHTING: &str =
    "r.started, r.kernel, c.config, c.scenario, c.variant, r.folder, r.profile, r.program";

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
        let end = |which: &str| {
            self.connection
                .prepare_cached(&format!(
                    "SELECT {SIGHTING}, f.status FROM sightings s
                         JOIN comparisons c ON c.id = CAST(substr(s.{which}, -12) AS INTEGER)
                         JOIN runs r ON r.id = c.run
                         JOIN findings f ON f.comparison = c.id AND f.title = s.title
                     WHERE s.title = ?1 LIMIT 1"
                ))?
                .query_row([id], |row| {
                    Ok(Sighting {
                        status: row.get(8)?,
                        ..sighting(row)?
                    })
                })
        };
        let (first, last) = (end("first")?, end("last")?);
        let seen = self
            .connection
            .prepare_cached("SELECT seen FROM sightings WHERE title = ?1")?
            .query_row([id], |row| row.get(0))?;
        let mut query = self.connection.prepare_cached(&format!(
            "SELECT {SIGHTING} FROM comparisons c JOIN runs r ON r.id = c.run
             WHERE c.config = ?1 AND c.scenario = ?2 AND c.started < ?3
                 AND r.profile = ?4 AND r.program = ?5 AND {JUDGED}
             ORDER BY c.started DESC LIMIT 1"
        ))?;
        let place = params![
            first.config,
            first.scenario,
            first.started,
            first.profile,
            first.program
        ];
        let before = query.query_map(place, sighting)?.next().transpose()?;
        Ok(Since {
            title,
            before,
            first,
            last,
            seen,
        })
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
        match (found.is_empty(), part) {
            (false, _) => Ok(found),
            (true, "") => {
                let error = Error::input(format!("the history holds no {what}s"));
                Err(error.mend("record a run, or import some: cargo xtask history import DIR"))
            }
            (true, part) => {
                let error = Error::input(format!("no {what} in the history has {part:?} in it"));
                Err(error.mend("import runs, or name a shorter part"))
            }
        }
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
        profile: row.get(6)?,
        program: row.get(7)?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        judge::verdict::{Outcome, Status, Verdict},
        report::fixtures::sample,
    };

    /// A night of one comparison, with a title or without.
    pub(in crate::history) fn night(day: u32, kernel: &str, status: Option<Status>) -> Verdict {
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

    pub(in crate::history) fn history(nights: &[Verdict]) -> (tempfile::TempDir, History) {
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
    fn an_empty_history_is_said_to_be() {
        let (_temp, history) = history(&[]);
        for (error, said) in [
            (
                history.shifts("").unwrap_err(),
                "the history holds no measures",
            ),
            (
                history.since("").unwrap_err(),
                "the history holds no titles",
            ),
            (
                history.since("a").unwrap_err(),
                "no title in the history has \"a\"",
            ),
        ] {
            assert_eq!(error.fault(), crate::Fault::Input);
            assert!(error.chain().contains(said), "{error:?}");
            assert!(error.mending().unwrap().contains("import"), "{error:?}");
        }
    }

    /// What ran something else, or for less time, did not look for it.
    #[test]
    fn since_is_asked_of_what_ran_the_same() {
        let command = |day: u32, words: &str, status| {
            let mut night = night(day, "7.3.4", status);
            night.command = words.split(' ').map(str::to_owned).collect();
            night
        };
        for same in ["run kasan --profile full", "run kasan -- ./repro"] {
            let nights = [
                command(2, same, None),
                command(3, "run kasan", None),
                command(4, "run kasan -- ./other", None),
                command(5, same, Some(Status::New)),
            ];
            let (_temp, history) = history(&nights);
            let found = history.since("use-after").unwrap().remove(0);
            assert_eq!(found.before.unwrap().folder, "run-0", "{same}");
            let (profile, program) = (found.first.profile.as_str(), found.first.program.as_str());
            let expected = [("full", ""), ("quick", "./repro")];
            assert!(expected.contains(&(profile, program)), "{:?}", found.first);
        }
    }
}
