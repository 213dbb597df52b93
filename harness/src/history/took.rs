//! How long cells take, by what their boots took in past runs.

use std::thread;

use rusqlite::{OptionalExtension, params};

use super::{ask::doing, store::History};
use crate::{
    Result,
    error::Context,
    matrix::{Cell, Durations, PatchFrom, RUN_S},
    plan::BASE,
    scenario::Profile,
};

/// So many runs tell how long a cell takes, the newest.
const NEWEST: u32 = 5;
/// What the boots of a comparison took, base's among them: builds are another matter.
const BOOTS: &str = "
SELECT took FROM (
    SELECT c.started, (
        SELECT sum(d.elapsed_s) FROM durations d
        WHERE d.run = r.id AND d.config = c.config AND d.scenario = c.scenario
            AND d.variant IN (c.variant, ?7)) AS took
    FROM comparisons c JOIN runs r ON r.id = c.run
    WHERE c.config = ?1 AND c.scenario = ?2 AND r.profile = ?3 AND r.accel = ?4 AND r.cpus = ?5
        AND (c.variant = ?7) = ?6 AND r.program = ''
        AND c.outcome IN ('pass', 'regression', 'inconclusive'))
WHERE took > 0 ORDER BY started DESC LIMIT ?8";

/// The history as it tells how long cells take here.
#[derive(Debug)]
pub struct Past {
    history: History,
    host: Host,
}

/// What runs must have in common with this host.
#[derive(Debug)]
struct Host {
    cpus: u32,
    /// `kvm` or `tcg`.
    accel: String,
}

impl History {
    /// What it says of how long cells take on this host; none where no run of it says anything. How guests
    /// run here is taken to be how they ran in the newest run with as many processors.
    ///
    /// # Errors
    /// The host's: the database cannot be read.
    pub fn past(self) -> Result<Option<Past>> {
        let cpus = thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let accel = self.connection.query_row(
            "SELECT accel FROM runs WHERE cpus = ?1 ORDER BY started DESC LIMIT 1",
            [cpus],
            |row| row.get(0),
        );
        Ok(accel.optional().host(doing)?.map(|accel| Past {
            history: self,
            host: Host { cpus, accel },
        }))
    }
}

impl Past {
    /// The newest first, in seconds.
    fn boots(&self, cell: &Cell) -> rusqlite::Result<Vec<f64>> {
        let same = params![
            cell.config,
            cell.scenario.name,
            cell.profile.parse().unwrap_or(Profile::Quick).name(),
            self.host.accel,
            self.host.cpus,
            cell.patch.from == PatchFrom::None,
            BASE,
            NEWEST
        ];
        let mut query = self.history.connection.prepare_cached(BOOTS)?;
        query.query_map(same, |row| row.get(0))?.collect()
    }
}

impl Durations for Past {
    /// The median of what its config, scenario and profile took, of any kernel and patch, as far as its
    /// kernels are built. What cannot be read tells nothing.
    fn seconds(&self, cell: &Cell) -> Option<f64> {
        let mut boots = self.boots(cell).ok()?;
        boots.sort_by(f64::total_cmp);
        boots.get(boots.len() / 2).map(|boots| boots + RUN_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::import::{Boot, Duration},
        judge::verdict::{Outcome, Verdict},
        matrix::{Content, Kernel, KernelFrom, Patch, Scenario},
        report::fixtures::sample,
    };

    fn cell(config: &str, patch: PatchFrom) -> Cell {
        Cell {
            id: config.into(),
            kernel: Kernel {
                name: "k".into(),
                from: KernelFrom::Newest,
            },
            patch: Patch {
                name: "a".into(),
                from: patch,
            },
            config: config.into(),
            scenario: Scenario {
                given: "fuse-backing/race".into(),
                name: "race".into(),
            },
            profile: "quick".into(),
            content: Content::default(),
        }
    }

    fn boot(variant: &str, elapsed_s: f64) -> Duration {
        Duration {
            cell: Boot {
                id: format!("kasan-{variant}-1"),
                config: "kasan".into(),
                variant: variant.into(),
                scenario: "race".into(),
            },
            hello_s: None,
            elapsed_s,
        }
    }

    fn night(day: usize) -> Verdict {
        let mut verdict = sample();
        verdict.comparisons.truncate(1);
        verdict.started = format!("2026-11-{day:02}T01:00:00Z");
        verdict.elapsed_s = 5000.0;
        verdict.command = ["cargo", "xtask", "run"].map(str::to_owned).into();
        verdict.host.cpus = thread::available_parallelism().unwrap().get() as u32;
        let comparison = &mut verdict.comparisons[0];
        (comparison.config, comparison.scenario) = ("kasan".into(), "race".into());
        (comparison.variant, comparison.outcome) = ("b".into(), Outcome::Pass);
        verdict
    }

    #[test]
    fn boots_of_the_newest_runs_tell() {
        type Turn = fn(&mut Verdict);
        let table: [(&str, Turn); 6] = [
            ("profile", |v| v.command.push("--profile=full".into())),
            ("program", |v| {
                v.command.extend(["--", "x"].map(str::to_owned))
            }),
            ("accelerator", |v| v.host.accel = "other".into()),
            ("processors", |v| v.host.cpus += 1),
            ("config", |v| v.comparisons[0].config = "other".into()),
            ("outcome", |v| {
                v.comparisons[0].outcome = Outcome::Interrupted
            }),
        ];
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("h.sqlite");
        let mut history = History::at(&path).unwrap();
        assert!(history.past().unwrap().is_none());
        history = History::at(&path).unwrap();
        for (day, (_, turn)) in (20..).zip(&table) {
            let mut other = night(day);
            turn(&mut other);
            history.add(&other, &[boot("base", 1.0)], "other").unwrap();
        }
        for (day, seconds) in [900.0, 900.0, 900.0, 10.0, 30.0, 20.0, 50.0, 40.0]
            .into_iter()
            .enumerate()
        {
            let boots = [boot("base", seconds), boot("b", seconds), boot("c", 1e6)];
            history.add(&night(day + 1), &boots, "run").unwrap();
        }
        // The newest run says how guests run here.
        history.add(&night(28), &[], "run").unwrap();
        let past = history.past().unwrap().unwrap();
        let takes = |config, patch| past.seconds(&cell(config, patch));
        assert_eq!(takes("kasan", PatchFrom::Own), Some(60.0 + RUN_S));
        // A kernel alone is booted half as often, and nobody ran one.
        assert_eq!(takes("kasan", PatchFrom::None), None);
        assert_eq!(takes("plain", PatchFrom::Own), None);
    }
}
