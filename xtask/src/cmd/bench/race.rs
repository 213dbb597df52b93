//! What holding vCPUs brings, on a planted use-after-free that the load alone meets in minutes.
//!
//! Every trial starts from one booted guest, restored, with a seed of its own, and ends with its
//! first report: reports and lookups, with and without holds, make two rates of a Poisson process.

use anyhow::{Context, Result, ensure};
use harness::{
    boot::Snapshot,
    build::KernelImage,
    collect::record::{End, RunRecord},
    engine::{Lab, Request, Stalls, Variants, Workload},
    judge::{Touched, rates},
};
use protocol::Phase;

use super::{Bench, Figure, median, request};

const CONFIG: &str = "kasan";
const SCENARIO: &str = "hammer";
const PLANTED: &str = "scenarios/fuse-backing/planted/rare-uaf.patch";

/// Trials with holds, and how long each is at most, in seconds.
const HELD: (usize, u64) = (30, 120);
/// The same without.
const PLAIN: (usize, u64) = (10, 300);
/// Trials with holds on the right patch.
const RIGHT: (usize, u64) = (20, 20);
/// Trials with holds that begin with a boot of their own.
const FRESH: (usize, u64) = (8, 120);
/// Trials with coverage and without, by turns.
const COVERED: (usize, u64) = (6, 8);

/// One kernel, and a guest of it that waits for its load.
struct Kept {
    image: KernelImage,
    touched: Touched,
    snapshot: Snapshot,
}

/// How a trial begins.
#[derive(Clone, Copy)]
enum Begin {
    Boot,
    Restore,
}

/// What trials came to.
#[derive(Default)]
struct Trials {
    reports: usize,
    lookups: u64,
    /// Seconds from the load's begin to the first report; the limit where there was none.
    first_s: Vec<f64>,
    /// Seconds from QEMU's start to the load's begin.
    begins_s: Vec<f64>,
}

fn request_for(variants: &Variants, stalls: Stalls) -> Request {
    Request {
        configs: vec![CONFIG.into()],
        workload: Workload::Scenario(SCENARIO.into()),
        variants: variants.clone(),
        stalls,
        ..request()
    }
}

/// What the right patch's kernel shows: nothing, at a rate that watching its lines leaves.
pub(super) fn right(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let of = |stalls| request_for(&Variants::Scenarios, stalls);
    let (held, covered, off) = (of(Stalls::Auto), of(Stalls::Nowhere), of(Stalls::Off));
    let mut lab = bench.lab(&held)?;
    let kept = keep(&mut lab)?;
    let (mut on_lab, mut off_lab) = (bench.lab(&covered)?, bench.lab(&off)?);
    let rate = coverage([(&mut on_lab, &covered), (&mut off_lab, &off)], &kept)?;
    let trials = trials(&mut lab, &held, &kept, Begin::Restore, RIGHT)?;
    let reports = trials.reports as f64;
    Ok(vec![
        Figure::new("load's rate, coverage on over off", rate, "").at_least(0.7),
        Figure::new("reports on the right patch", reports, "").at_most(0.0),
    ])
}

/// What holds bring on the planted race, and whether restored guests show it as booted ones do.
pub(super) fn planted(bench: &Bench<'_>) -> Result<()> {
    let variants = Variants::Patch(vec![bench.home.top().join(PLANTED)]);
    let of = |stalls| request_for(&variants, stalls);
    let (rare, plain) = (of(Stalls::Auto), of(Stalls::Off));
    let mut lab = bench.lab(&rare)?;
    let kept = keep(&mut lab)?;
    let fresh = trials(&mut lab, &rare, &kept, Begin::Boot, FRESH)?;
    let held = trials(&mut lab, &rare, &kept, Begin::Restore, HELD)?;
    let boots = median(fresh.begins_s.clone());
    let restores = median(held.begins_s.clone());
    let restored = held.rate_against(&fresh);
    let reports = held.reports as f64;
    let first_s = median(held.first_s.clone());
    [
        Figure::new("boot to the load's begin", boots, "s"),
        Figure::new("restore to the load's begin", restores, "s"),
        Figure::new("restore over boot", restores / boots, "").at_most(0.25),
        Figure::new("reports a lookup, restored over booted", restored.ratio, ""),
        Figure::new("the same, lower end of 95 %", restored.ci95[0], ""),
        Figure::new("the same, upper end of 95 %", restored.ci95[1], ""),
        Figure::new("reports, with holds", reports, ""),
        Figure::new("lookups, with holds", held.lookups as f64, ""),
        Figure::new("median time to the first report, with holds", first_s, "s"),
    ]
    .iter()
    .for_each(|figure| bench.show(figure));

    let mut lab = bench.lab(&plain)?;
    let plain = trials(&mut lab, &plain, &kept, Begin::Restore, PLAIN)?;
    let plain_s = median(plain.first_s.clone());
    let ratio = held.rate_against(&plain);
    [
        Figure::new("reports, without", plain.reports as f64, ""),
        Figure::new("lookups, without", plain.lookups as f64, ""),
        Figure::new("reports a lookup, with holds over without", ratio.ratio, ""),
        Figure::new("the same, lower end of 95 %", ratio.ci95[0], "").at_least(100.0),
        Figure::new("median time to the first report, without", plain_s, "s"),
        Figure::new("the same, with over without", first_s / plain_s, "").at_most(0.1),
    ]
    .iter()
    .for_each(|figure| bench.show(figure));
    Ok(())
}

fn keep(lab: &mut Lab<'_>) -> Result<Kept> {
    lab.base(CONFIG)?;
    let variant = lab.variant(CONFIG)?;
    let (image, touched) = variant.context("the variant has no kernel")?;
    let snapshot = lab.keep(CONFIG, &image)?;
    Ok(Kept {
        image,
        touched,
        snapshot,
    })
}

fn phases(lab: &Lab<'_>, request: &Request, seconds: u64) -> Vec<Phase> {
    let mut phases = lab.phases(request);
    for phase in &mut phases {
        phase.seconds = seconds;
    }
    phases
}

fn trials(
    lab: &mut Lab<'_>,
    request: &Request,
    kept: &Kept,
    begin: Begin,
    (count, seconds): (usize, u64),
) -> Result<Trials> {
    let mut all = Trials::default();
    for _ in 0..count {
        let phases = phases(lab, request, seconds);
        let (image, touched) = (&kept.image, Some(&kept.touched));
        let record = match begin {
            Begin::Restore => lab.restore(&kept.snapshot, CONFIG, image, touched, phases, true)?,
            Begin::Boot => lab.boot_until_splat(CONFIG, image, touched, phases)?,
        };
        all.add(&record, seconds)?;
    }
    Ok(all)
}

/// The load's rate with coverage over that without, of the medians; in this order.
fn coverage<'l>(mut sides: [(&mut Lab<'l>, &Request); 2], kept: &Kept) -> Result<f64> {
    let (count, seconds) = COVERED;
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..count {
        for (rates, (lab, request)) in rates.iter_mut().zip(&mut sides) {
            let mut one = Trials::default();
            let phases = phases(lab, request, seconds);
            let (image, touched) = (&kept.image, Some(&kept.touched));
            let record = lab.restore(&kept.snapshot, CONFIG, image, touched, phases, false)?;
            one.add(&record, seconds)?;
            rates.push(one.lookups as f64);
        }
    }
    let [on, off] = rates.map(median);
    Ok(on / off)
}

impl Trials {
    fn add(&mut self, record: &RunRecord, limit: u64) -> Result<()> {
        ensure!(record.end == End::Finished, "{:?}", record.end);
        let phase = record.phases.first().context("the load did not begin")?;
        let first = record.splats.first();
        self.reports += usize::from(first.is_some());
        self.lookups += phase.counters.get("opens").copied().unwrap_or(0);
        self.first_s
            .push(first.map_or(limit as f64, |splat| splat.at_s - phase.started_s));
        self.begins_s.push(phase.started_s);
        Ok(())
    }

    fn rate_against(&self, other: &Self) -> rates::Ratio {
        rates::ratio(
            (self.reports as u64, self.lookups as f64),
            (other.reports as u64, other.lookups as f64),
        )
    }
}
