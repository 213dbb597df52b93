//! What of a matrix would run and how long it takes, or how far it is (pure).

use serde::Serialize;

use super::{
    estimate::{Durations, builds},
    plan::Plan,
    shard::Part,
    summary::{CellSummary, State, Summary},
};
use crate::judge::verdict::Outcome;

/// What would run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The matrix's name.
    pub name: String,
    /// How long the cells take that have not ended, one after the other, in seconds.
    pub expected_s: f64,
    /// How many of the cells that have not ended take what past runs took; the others are guessed.
    pub measured: usize,
    /// How much more it is where none of their kernels is built yet, in seconds.
    pub builds_s: f64,
    /// Cell by cell, in the order in which they run.
    pub cells: Vec<Foreseen>,
}

/// One cell of a forecast.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Foreseen {
    /// `kernel+patch+config+scenario+profile`.
    pub id: String,
    /// The kernel's name.
    pub kernel: String,
    /// The patch's name.
    pub patch: String,
    /// The config.
    pub config: String,
    /// The scenario's name.
    pub scenario: String,
    /// The profile.
    pub profile: String,
    /// How far it is.
    pub state: State,
    /// Null until it has ended.
    pub outcome: Option<Outcome>,
    /// How often it was begun.
    pub attempts: u32,
    /// It passed in one attempt and failed in another.
    pub flaky: bool,
    /// How long it takes, in seconds.
    pub expected_s: f64,
    /// Whether that is what it took before, and no guess.
    pub measured: bool,
    /// Its shard, from 1, where shards were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<usize>,
}

/// The forecast for some cells of a plan; `summary` is what became of them so far.
pub fn forecast(
    plan: &Plan,
    wanted: &[usize],
    summary: Option<&Summary>,
    before: &dyn Durations,
    shards: &[Part],
) -> Forecast {
    let mut cells = Vec::new();
    let mut left = Vec::new();
    for at in wanted {
        let planned = &plan.cells[*at];
        let measured = before.seconds(&planned.cell);
        let so_far: Option<&CellSummary> = summary.and_then(|summary| summary.cells.get(*at));
        let state = so_far.map_or(State::Planned, |cell| cell.state);
        if state != State::Done {
            left.push(&planned.cell);
        }
        let [kernel, patch, config, scenario, profile] = planned.cell.parts().map(str::to_owned);
        cells.push(Foreseen {
            id: planned.cell.id.clone(),
            kernel,
            patch,
            config,
            scenario,
            profile,
            state,
            outcome: so_far.and_then(|cell| cell.outcome),
            attempts: so_far.map_or(0, |cell| cell.attempts),
            flaky: so_far.is_some_and(|cell| cell.flaky),
            expected_s: measured.unwrap_or(planned.expected_s),
            measured: measured.is_some(),
            shard: shards
                .iter()
                .position(|part| part.cells.contains(at))
                .map(|n| n + 1),
        });
    }
    let open = || cells.iter().filter(|cell| cell.state != State::Done);
    Forecast {
        name: plan.name.clone(),
        // The sum of nothing is below zero, by a sign.
        expected_s: open().map(|cell| cell.expected_s).sum::<f64>() + 0.0,
        measured: open().filter(|cell| cell.measured).count(),
        builds_s: builds(left),
        cells,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Cell, plan::tests::of, shard::split};

    struct Before;

    impl Durations for Before {
        fn seconds(&self, cell: &Cell) -> Option<f64> {
            (cell.patch.name == "a").then_some(100.0)
        }
    }

    #[test]
    fn what_was_measured_counts_before_what_is_guessed() {
        let text = "name: m\nkernels: [locked]\npatches: [a, b]\nconfigs: [c]\nscenarios: [s]\n";
        let plan = of(text).unwrap();
        let shards = split(&plan, 2).unwrap();
        let forecast = forecast(&plan, &[0, 1], None, &Before, &shards);
        let [a, b] = &forecast.cells[..] else {
            panic!("{forecast:?}");
        };
        assert_eq!((a.expected_s, a.measured), (100.0, true));
        assert_eq!(
            (b.expected_s, b.measured),
            (plan.cells[1].expected_s, false)
        );
        assert_eq!(forecast.expected_s, a.expected_s + b.expected_s);
        assert_eq!(forecast.measured, 1);
        // One base, two patches on it.
        assert_eq!(forecast.builds_s, 480.0 + 2.0 * 35.0);
        let mut numbers = [a.shard, b.shard];
        numbers.sort();
        assert_eq!(numbers, [Some(1), Some(2)]);
        let json = serde_json::to_value(&forecast).unwrap();
        for key in [
            "id", "kernel", "patch", "config", "scenario", "state", "outcome", "attempts",
        ] {
            assert!(json["cells"][0].get(key).is_some(), "{key}");
        }
        assert_eq!(json["cells"][0]["state"], "planned");
        let nothing = super::forecast(&plan, &[], None, &Before, &shards);
        assert!(nothing.expected_s.is_sign_positive());
    }
}
