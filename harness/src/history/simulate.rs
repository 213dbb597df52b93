//! Histories without runs: what shifts are looked for in and the database is measured with.

use fastrand::Rng;
use rusqlite::TransactionBehavior;

use super::{segment::splits, store::History};
use crate::{
    Result,
    error::Context,
    judge::verdict::{
        Comparison, Finding, Host, Kernel, Kind, Measure, Outcome, Patch, SCHEMA, Sample, Status,
        Verdict,
    },
    plan::BASE,
};

/// Standard deviation of a night's value, as a share of it.
const NOISE: f64 = 0.02;
/// How much values shift, as a share.
const STEP: f64 = 0.03;
/// Values before the step: nobody's history is short for good.
const STEPS: std::ops::Range<usize> = 60..150;

/// A measure's values, a night each, and where they shift.
#[derive(Debug, Clone, PartialEq)]
pub struct Stepped {
    /// By time.
    pub values: Vec<f64>,
    /// The first night after the step.
    pub at: usize,
    /// By how much values shift there, as a share: 0.03 or -0.03.
    pub by: f64,
}

/// A measure over so many nights, with 2 % of normal noise and one step of 3 % up or down; the same seed
/// gives the same.
pub fn stepped(nights: usize, seed: u64) -> Stepped {
    let mut random = Rng::with_seed(seed);
    let at = random.usize(STEPS);
    let by = if random.bool() { STEP } else { -STEP };
    let value = |night: usize| {
        let level = if night < at { 1.0 } else { 1.0 + by };
        level * (1.0 + NOISE * normal(&mut random))
    };
    Stepped {
        values: (0..nights).map(value).collect(),
        at,
        by,
    }
}

/// A normally distributed number, by Box and Muller.
fn normal(random: &mut Rng) -> f64 {
    // Never the logarithm of zero.
    let (radius, angle) = (1.0 - random.f64(), random.f64());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// The places at which the first so many of the values shift, as `history shifts` says it on that night.
pub fn seen(values: &[f64], nights: usize) -> Vec<usize> {
    let found = splits(&values[..nights.min(values.len())]);
    found.into_iter().map(|split| split.at).collect()
}

const CONFIGS: [&str; 4] = ["plain", "kasan", "kcsan", "lockdep"];
const SCENARIOS: [&str; 5] = ["race", "hammer", "operations", "scale", "memory"];
/// Titles that nights show of the kernels under test.
const TITLES: usize = 60;
/// Findings of a cell with a sanitizer.
const FINDINGS: usize = 4;
/// Costs of a cell without.
const COSTS: usize = 6;
/// Nights until the next release of the kernel.
const RELEASE: usize = 14;

/// Fills a history with nights of so many cells each, a run a cell.
///
/// # Errors
/// The host's: the database cannot be written to.
pub fn fill(history: &mut History, nights: usize, cells: usize) -> Result<()> {
    fill_with(history, nights, cells, &|_| ())
}

/// The same, each run turned into another one before it goes in.
pub(super) fn fill_with(
    history: &mut History,
    nights: usize,
    cells: usize,
    turn: &dyn Fn(&mut Verdict),
) -> Result<()> {
    let doing = || "failed to fill the history".to_owned();
    for night in 0..nights {
        // As imports do it, but for a transaction a night.
        let within = history
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .host(doing)?;
        for cell in 0..cells {
            let mut verdict = verdict(night, cell);
            turn(&mut verdict);
            super::write::add(&within, &verdict, &[], "run").host(doing)?;
        }
        within.commit().host(doing)?;
    }
    Ok(())
}

/// One cell of one night.
fn verdict(night: usize, cell: usize) -> Verdict {
    let mut random = Rng::with_seed((night * 1_000_003 + cell) as u64);
    let config = CONFIGS[cell % CONFIGS.len()];
    let patch = cell / CONFIGS.len() / SCENARIOS.len();
    let plain = config == CONFIGS[0];
    let (shown, measured) = if plain { (0, COSTS) } else { (FINDINGS, 0) };
    let findings = (0..shown).map(|_| finding(&mut random)).collect();
    let measures = (0..measured).map(|number| cost(number, &mut random));
    let measures = measures.collect();
    let outcome = match random.f64() < 0.1 {
        true => Outcome::Regression,
        false => Outcome::Pass,
    };
    Verdict {
        schema: SCHEMA,
        outcome,
        kernel: Kernel {
            version: format!("7.3.{}", night / RELEASE),
            source: "simulated".into(),
            tree_hash: format!("{:064x}", night / RELEASE),
            commit: None,
        },
        patch: Patch {
            files: Vec::new(),
            sha256: format!("{patch:064x}"),
            mails: Vec::new(),
        },
        host: Host {
            cpus: 2,
            accel: "tcg".into(),
            qemu: "7.2".into(),
        },
        seed: cell as u64,
        started: day(night),
        elapsed_s: 100.0 + random.f64(),
        command: ["cargo", "xtask", "run", config].map(str::to_owned).into(),
        comparisons: vec![Comparison {
            config: config.into(),
            scenario: SCENARIOS[cell / CONFIGS.len() % SCENARIOS.len()].into(),
            base: BASE.into(),
            variant: format!("patch-{patch}"),
            outcome,
            findings,
            exercise: [].into(),
            exercise_base: [].into(),
            coverage: None,
            detectors: [].into(),
            proved: [].into(),
            measures,
            structures: Vec::new(),
            reasons: Vec::new(),
        }],
    }
}

/// The night's time, in months of 28 days.
fn day(night: usize) -> String {
    let (month, day) = (night / 28, night % 28 + 1);
    format!(
        "{}-{:02}-{day:02}T01:00:00Z",
        2026 + month / 12,
        month % 12 + 1
    )
}

fn finding(random: &mut Rng) -> Finding {
    let number = random.usize(..TITLES);
    Finding {
        kind: Kind::Splat,
        class: "kcsan".into(),
        title: format!("KCSAN: data-race in function_{number} / function_{number}"),
        status: [Status::Common, Status::New, Status::Fixed][random.usize(..3)],
        count: 1,
        first_s: Some(10.0),
        evidence: String::new(),
        why: String::new(),
        detail: String::new(),
        files: Vec::new(),
        accepted: None,
    }
}

fn cost(number: usize, random: &mut Rng) -> Measure {
    let mut side = || {
        let value = 1000.0 * (1.0 + NOISE * normal(random));
        Sample {
            values: vec![value],
            median: Some(value),
        }
    };
    Measure::shown(
        format!("instructions of operation {number}"),
        "",
        side(),
        side(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_series() {
        let one = stepped(200, 7);
        assert_eq!(one, stepped(200, 7));
        assert_ne!(one.values, stepped(200, 8).values);
        let spread = |part: &[f64]| {
            let mean = part.iter().sum::<f64>() / part.len() as f64;
            let square = part.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
            (mean, (square / part.len() as f64).sqrt())
        };
        let many: Vec<f64> = (0..200).flat_map(|seed| stepped(60, seed).values).collect();
        let (mean, deviation) = spread(&many);
        assert!((mean - 1.0).abs() < 0.001 && (deviation - 0.02).abs() < 0.001);
        let (after, _) = spread(&one.values[one.at..]);
        assert!((after - 1.0 - one.by).abs() < 0.01, "{after}");
    }

    #[test]
    fn a_filled_history_answers() {
        let temp = tempfile::tempdir().unwrap();
        let mut history = History::at(&temp.path().join("h.sqlite")).unwrap();
        fill(&mut history, 15, 40).unwrap();
        assert!(history.since("function_").unwrap().len() > 20);
        assert!(!history.rate("function_", 20).unwrap().rates.is_empty());
        let shifts = history.shifts("").unwrap();
        assert!(shifts.iter().any(|one| one.kind.patch.is_empty()));
        assert!(shifts.iter().all(|one| one.nights == 15), "{shifts:?}");
    }
}
