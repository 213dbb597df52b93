//! How many trials bisect takes to be as sure as it is asked, in simulated histories.

use std::thread;

use anyhow::Result;
use fastrand::Rng;
use harness::bisect::{
    Aim, bounds,
    simulate::{Shape, plain, question, search, told},
};

use super::{Bench, Figure};

/// Hit rates.
const RATES: [f64; 4] = [1.0, 0.5, 0.2, 0.05];
/// Commits, and simulated searches of so many: the largest take seconds each.
const SIZES: [(usize, u32); 4] = [(10, 400), (100, 200), (1000, 60), (10_000, 4)];
/// Shares of merges and of commits that do not build.
const SHAPES: [(f64, f64); 2] = [(0.0, 0.0), (0.1, 0.1)];
/// Where trials are compared with plain bisect's: what was asked for.
const COMPARED: (usize, f64) = (1000, 0.2);
/// Plain bisects whose trials are averaged.
const PLAIN: u64 = 2000;

/// What searches of one kind came to.
#[derive(Default)]
struct Sum {
    right: u32,
    confirming: u32,
    trials: u32,
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<()> {
    let confidence = Aim::default().confidence;
    for (commits, runs) in SIZES {
        for rate in RATES {
            for (merges, unbuildable) in SHAPES {
                bench.cancel.check()?;
                let shape = Shape {
                    commits,
                    merges,
                    unbuildable,
                };
                let sum = searches(shape, rate, runs);
                let shaped = if merges > 0.0 { " merged" } else { "" };
                let what = format!("{commits} commits{shaped}, hit rate {rate}");
                let mean = |trials: u32| f64::from(trials) / f64::from(runs);
                // Three standard deviations of chance.
                let chance = 3.0 * (confidence * (1.0 - confidence) / f64::from(runs)).sqrt();
                let right = Figure::new(format!("{what}: right answers"), mean(sum.right), "");
                bench.show(&right.at_least(rounded(confidence - chance)));
                let confirming = mean(sum.confirming);
                bench.show(&Figure::new(format!("{what}: to confirm"), confirming, ""));
                let trials = mean(sum.trials);
                bench.show(&Figure::new(format!("{what}: trials"), trials, ""));
                let reference = trials / bounds::reference(commits, rate, confidence);
                let over = format!("{what}: over log2(n)/C + ...");
                bench.show(&Figure::new(over, reference, "").at_most(2.0));
                if merges == 0.0 {
                    against_plain(bench, &what, (commits, rate, runs), trials);
                }
            }
        }
    }
    Ok(())
}

fn against_plain(
    bench: &Bench<'_>,
    what: &str,
    (commits, rate, runs): (usize, f64, u32),
    trials: f64,
) {
    let confidence = Aim::default().confidence;
    let plains = (0..PLAIN).map(|seed| plain(commits, rate, confidence, &mut Rng::with_seed(seed)));
    let plain = plains.map(|went| f64::from(went.trials)).sum::<f64>() / PLAIN as f64;
    let fewest = bounds::fewest(commits, rate, confidence) / plain;
    let over = Figure::new(format!("{what}: over plain bisect"), trials / plain, "");
    bench.show(&match (commits, rate) == COMPARED {
        true => over.at_most(0.5),
        false => over,
    });
    let told = (0..runs).map(|seed| {
        let mut random = Rng::with_seed(u64::from(seed));
        told(commits, rate, Aim::default(), &mut random).trials
    });
    let told = told.map(f64::from).sum::<f64>() / f64::from(runs) / plain;
    let known = format!("{what}: over plain bisect, the rate told to both");
    bench.show(&Figure::new(known, told, ""));
    // Where plain bisect is near it, no search can be much better.
    bench.show(&Figure::new(
        format!("{what}: the least possible"),
        fewest,
        "",
    ));
}

/// Searches with seeds of their own, on every processor.
fn searches(shape: Shape, rate: f64, runs: u32) -> Sum {
    let workers = thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let part = |worker: u32| {
        let mut sum = Sum::default();
        for run in (worker..runs).step_by(workers as usize) {
            let mut random = Rng::with_seed(u64::from(run));
            let question = question(shape, rate, &mut random);
            let went = search(&question, Aim::default(), &mut random);
            sum.right += u32::from(went.right);
            sum.confirming += went.confirming;
            sum.trials += went.trials;
        }
        sum
    };
    let part = &part;
    thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|worker| scope.spawn(move || part(worker)))
            .collect();
        let mut all = Sum::default();
        for handle in handles {
            let Ok(sum) = handle.join() else { continue };
            all.right += sum.right;
            all.confirming += sum.confirming;
            all.trials += sum.trials;
        }
        all
    })
}

fn rounded(share: f64) -> f64 {
    (share * 1000.0).floor() / 1000.0
}
