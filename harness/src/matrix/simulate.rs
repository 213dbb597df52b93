//! A matrix's summary without a run (pure): what reports of many cells are tested and measured with.

use super::summary::{
    CellSummary, Expected, FindingSummary, MeasureSummary, SCHEMA, State, Summary,
};
use crate::judge::verdict::{Judgement, Kind, Outcome, Status};

const CONFIGS: [&str; 4] = ["plain", "kasan", "kcsan", "lockdep"];
const KERNELS: u32 = 5;
/// Findings of both sides in a cell with a sanitizer: as today's kernels have them under KCSAN.
const COMMON: u32 = 8;
/// Costs that are judged in a cell of `plain`: as many as at several numbers of ids.
const COSTS: u32 = 35;

/// What a cell that regressed has besides.
const OWN: [(&str, Status); 3] = [
    (
        "KASAN: slab-use-after-free Read in fuse_backing_lookup",
        Status::New,
    ),
    ("WARNING in elsewhere", Status::Unconfirmed),
    ("KASAN: null-ptr-deref in fuse_backing_close", Status::Fixed),
];

/// A summary of so many cells that have ended, one in seven of which regressed. `mark` stands in every
/// text that comes from a file, a guest or a patch.
pub fn summary(cells: u32, mark: &str) -> Summary {
    Summary {
        schema: SCHEMA,
        name: format!("nightly{mark}"),
        outcome: Some(Outcome::Regression),
        started: Some("2026-11-24T22:00:00Z".into()),
        ended: None,
        cells: (0..cells).map(|n| cell(n, mark)).collect(),
    }
}

fn cell(n: u32, mark: &str) -> CellSummary {
    let bad = n.is_multiple_of(7);
    let config = CONFIGS[(n / KERNELS) as usize % CONFIGS.len()];
    let common = if config == "plain" { 0 } else { COMMON };
    let own = OWN.into_iter().filter(|_| bad);
    let own = own.map(|(title, status)| finding(title, "kasan", status, mark));
    let races = (1..=common).map(|race| {
        let title = format!("KCSAN: data-race in common_{race} / common_{race}");
        finding(&title, "kcsan", Status::Common, mark)
    });
    let costs = if config == "plain" { COSTS } else { 0 };
    CellSummary {
        id: format!("cell{n}{mark}"),
        kernel: format!("v7.{}{mark}", n % KERNELS),
        patch: format!("patch-{}{mark}", n / (KERNELS * CONFIGS.len() as u32)),
        config: config.into(),
        scenario: format!("race{mark}"),
        profile: "quick".into(),
        state: State::Done,
        outcome: Some(if bad {
            Outcome::Regression
        } else {
            Outcome::Pass
        }),
        attempts: 1,
        infrastructure: n % 2,
        cut_off: 0,
        flaky: n.is_multiple_of(14),
        expected: n.is_multiple_of(21).then(|| Expected {
            reason: format!("known{mark}"),
            until: "2027-01-31".into(),
        }),
        duration_s: Some(60.0 + f64::from(n)),
        run: Some(format!("runs/{n}{mark}")),
        kernel_version: Some(format!("7.{}.1{mark}", n % KERNELS)),
        findings: own.chain(races).collect(),
        measures: (0..costs).map(|at| measure(at, mark)).collect(),
        reasons: vec![format!("a reason{mark}")],
    }
}

fn finding(title: &str, class: &str, status: Status, mark: &str) -> FindingSummary {
    FindingSummary {
        title: format!("{title}{mark}"),
        kind: Kind::Splat,
        class: class.into(),
        status,
        count: 3,
        evidence: format!("{class}-ida-1/splats/0001-{class}.txt"),
        run: None,
        accepted: (status == Status::Unconfirmed).then(|| format!("known upstream{mark}")),
    }
}

fn measure(at: u32, mark: &str) -> MeasureSummary {
    let (base, more) = (100.0 + f64::from(at), f64::from(at % 3) / 10.0);
    MeasureSummary {
        name: format!("instructions of lookup at {at} ids{mark}"),
        unit: String::new(),
        base: Some(base),
        variant: Some(base * (1.0 + more)),
        ratio: Some(1.0 + more),
        judgement: Some(match at % 3 {
            0 => Judgement::Equivalent,
            _ => Judgement::Worse,
        }),
    }
}
