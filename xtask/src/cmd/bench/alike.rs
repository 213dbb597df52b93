//! A kernel's throughput against its own: how often it is called better or worse than itself.

use anyhow::{Result, ensure};
use harness::{
    collect::record::{End, RunRecord},
    engine::{Request, Workload},
    judge::{Rules, judged_throughput, log_variance, verdict::Judgement},
};

use super::{Bench, Figure, request};

const CONFIG: &str = "plain";
const SCENARIO: &str = "fuse-backing/fio";
const COMPARISONS: usize = 20;
/// As `standard` looks: after so many boots a side, and after so many at last.
const LOOKS: (u32, u32) = (4, 6);
/// From the first boot of a comparison to the next one's: the boots of two that follow each other
/// overlap, so that twenty take minutes and not an hour.
const APART: usize = 2;
const MARGIN: f64 = 0.05;
/// Of twenty comparisons of a kernel with itself.
const MOST_WRONG: f64 = 1.0;

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let request = Request {
        workload: Workload::Scenario(SCENARIO.into()),
        ..request()
    };
    let mut lab = bench.lab(&request)?;
    let image = lab.base(CONFIG)?;
    let phases = lab.phases(&request);
    let most = LOOKS.1 as usize * 2;
    let mut boots = Vec::new();
    for _ in 0..most + (COMPARISONS - 1) * APART {
        let record = lab.boot(CONFIG, &image, None, phases.clone())?;
        ensure!(
            record.end == End::Finished,
            "a boot ended with {:?}",
            record.end
        );
        boots.push(record);
    }
    let windows = (0..COMPARISONS).map(|n| &boots[n * APART..n * APART + most]);
    let looked: Vec<Judgement> = windows.filter_map(by_looks).collect();
    let pairs = boots.chunks_exact(2).take(COMPARISONS);
    let paired: Vec<Judgement> = pairs.filter_map(|pair| judge(pair, 1)).collect();
    ensure!(
        looked.len() == COMPARISONS && paired.len() == COMPARISONS,
        "fio did no I/O in some boot"
    );
    let whole = judged_throughput(&boots, &boots, &rules());
    let values = whole.map(|measure| measure.base.values).unwrap_or_default();
    let spread = log_variance(&values).unwrap_or(f64::NAN).sqrt();
    let wrong = |all: &[Judgement]| {
        let wrong = all.iter();
        let wrong = wrong.filter(|one| matches!(one, Judgement::Worse | Judgement::Better));
        wrong.count() as f64
    };
    Ok(vec![
        Figure::new(
            "20 comparisons with itself, 4 to 6 boots a side",
            wrong(&looked),
            "called",
        )
        .at_most(MOST_WRONG),
        Figure::new(
            "20 comparisons with itself, one boot a side",
            wrong(&paired),
            "called",
        )
        .at_most(MOST_WRONG),
        Figure::new(
            "throughput, standard deviation of a boot's logarithm",
            spread,
            "",
        ),
    ])
}

fn rules() -> Rules {
    Rules {
        margin: MARGIN,
        looks: LOOKS,
        spread: None,
        // It is one kernel.
        layout: 0.0,
    }
}

/// What a run would say: a look at the fewest boots, and more boots while it is unclear.
fn by_looks(boots: &[RunRecord]) -> Option<Judgement> {
    let (first, most) = LOOKS;
    let mut looks = (first..=most).map(|side| judge(boots, side as usize));
    let last = judge(boots, most as usize);
    looks
        .find(|one| *one != Some(Judgement::Unclear))
        .unwrap_or(last)
}

/// The first so many boots a side, which were made by turns.
fn judge(boots: &[RunRecord], side: usize) -> Option<Judgement> {
    let turn = |parity: usize| -> Vec<RunRecord> {
        let of = boots.iter().skip(parity).step_by(2).take(side);
        of.cloned().collect()
    };
    judged_throughput(&turn(0), &turn(1), &rules())?.judgement
}
