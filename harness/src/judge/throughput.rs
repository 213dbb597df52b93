//! Whether a patch costs throughput: boots of both sides, and what they allow to say (pure).
//!
//! The sample is a boot. Its values are compared as logarithms, so that a shift is a ratio, and by
//! their ranks, so that a neighbour's hour does not decide. More boots are made until the question is
//! settled, and each look at them may err: the looks share one error rate, the first taking what it
//! needs to settle anything. What one settled stays so: boots that were made later, for something else,
//! are no further look at it.

use super::{
    ranks::{finest, interval, shift},
    verdict::{Finding, Judgement, Kind, Measure, Status},
};
use crate::scenario::Acceptance;

/// How often a kernel may be called better or worse than itself, over all looks.
const LEVEL: f64 = 0.05;
/// Boots a side from which on there is an interval at that level.
const FEWEST: usize = 4;
/// A difference between two boots is beyond doubt from so many times the one that boots of one kernel
/// are known for.
const BEYOND_DOUBT: f64 = 4.0;
/// What two boots of one kernel differ by where nothing is known of the host: the standard deviation
/// of the logarithm of their ratio. Emulated boots on a machine with neighbours were seen at it.
const UNKNOWN_SPREAD: f64 = 0.17;

/// QEMU links translated code within a page and looks up what lies beyond its end, so that a patch which
/// only moves what comes behind it makes loops and calls dearer or cheaper: kernels that differed in
/// nothing but unused bytes in fs/fuse were seen 11 % apart in fio, at the same instructions.
pub const EMULATED_LAYOUT: f64 = 0.12;

/// What one comparison's boots are judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// A ratio within so much of one is no change.
    pub margin: f64,
    /// Boots a side before the first look, and after the last.
    pub looks: (u32, u32),
    /// The standard deviation of the logarithm of the ratio of two boots of one kernel on this host.
    pub spread: Option<f64>,
    /// What its functions' places alone may do to a kernel's throughput, as a logarithm; every boot of it
    /// has the same ones. [`EMULATED_LAYOUT`] under emulation, nothing on a CPU.
    pub layout: f64,
}

impl Rules {
    /// Below the first a shift is a change for the worse, above the second one for the better: beyond the
    /// margin by more than what layouts may do.
    fn change(&self) -> [f64; 2] {
        let [least, most] = [1.0 - self.margin, 1.0 + self.margin].map(f64::ln);
        [least - self.layout, most + self.layout]
    }
}

/// Judges a measure of which more is better. `taken` is what neighbours may have made of the sides'
/// ratio, as a logarithm: where there are several boots a side, by turns, they shared it.
pub(super) fn judge(measure: &mut Measure, rules: &Rules, taken: f64) {
    let logs = |values: &[f64]| -> Option<Vec<f64>> {
        let all_positive = values.iter().all(|value| *value > 0.0);
        all_positive.then(|| values.iter().map(|value| value.ln()).collect())
    };
    let sides = (logs(&measure.base.values), logs(&measure.variant.values));
    let (Some(base), Some(variant)) = sides else {
        return;
    };
    if base.is_empty() || variant.is_empty() {
        return;
    }
    measure.margin = Some(rules.margin);
    let boots = base.len().min(variant.len());
    for look in boots.min(rules.looks.0 as usize).max(1)..=boots {
        let (base, variant) = (&base[..look], &variant[..look]);
        let judgement = if look < FEWEST {
            beyond_doubt(base, variant, rules, taken)
        } else {
            let ci = interval(base, variant, level(look, rules.looks));
            measure.ci95 = ci.map(|ends| ends.map(f64::exp)).or(measure.ci95);
            by_interval(ci, shift(base, variant), rules)
        };
        measure.judgement = Some(judgement);
        if judgement != Judgement::Unclear {
            break;
        }
    }
    if measure.judgement == Some(Judgement::Unclear) {
        measure.more_boots = more_boots(measure, rules);
    }
}

/// Whether the sides differ for certain, and by no more than their layouts may: no boots settle that.
pub fn is_layouts(measure: &Measure) -> bool {
    let certain = measure
        .ci95
        .is_some_and(|[low, high]| high < 1.0 || low > 1.0);
    let beyond = |margin: f64| {
        measure
            .ratio
            .is_some_and(|ratio| (ratio - 1.0).abs() > margin)
    };
    measure.judgement == Some(Judgement::Unclear) && certain && measure.margin.is_some_and(beyond)
}

/// What a measure that is worse is as a finding.
pub(super) fn finding(measure: &Measure, accepts: &dyn Fn(&str) -> Acceptance) -> Option<Finding> {
    if measure.judgement != Some(Judgement::Worse) {
        return None;
    }
    let ratio = measure.ratio.unwrap_or(f64::NAN);
    let why = match measure.ci95 {
        Some([low, high]) => format!(
            "{ratio:.3} of base's, 95 % interval {low:.3} to {high:.3}, margin {:.0} %",
            measure.margin.unwrap_or_default() * 100.0
        ),
        None => format!("{ratio:.3} of base's: beyond what boots of one kernel differ by"),
    };
    let boots = measure.variant.values.len() as u64;
    let acceptance = accepts(&measure.name);
    Some(Finding {
        kind: Kind::Slower,
        class: "throughput".into(),
        title: measure.name.clone(),
        status: Status::New,
        count: boots,
        first_s: None,
        evidence: String::new(),
        why: why + &acceptance.expired,
        detail: String::new(),
        files: Vec::new(),
        accepted: acceptance.current,
    })
}

fn by_interval(ci: Option<[f64; 2]>, shift: f64, rules: &Rules) -> Judgement {
    let [least, most] = [1.0 - rules.margin, 1.0 + rules.margin].map(f64::ln);
    let [worse, better] = rules.change();
    match ci {
        Some([low, high]) if least <= low && high <= most => Judgement::Equivalent,
        Some([_, high]) if high < 0.0 && shift < worse => Judgement::Worse,
        Some([low, _]) if low > 0.0 && shift > better => Judgement::Better,
        _ => Judgement::Unclear,
    }
}

/// Too few boots for an interval: only what nobody would doubt.
fn beyond_doubt(base: &[f64], variant: &[f64], rules: &Rules, taken: f64) -> Judgement {
    let noise = BEYOND_DOUBT * rules.spread.unwrap_or(UNKNOWN_SPREAD) + taken;
    // What is within the margin is no change, however sure it is.
    let [least, most] = rules.change();
    let shift = shift(base, variant);
    match shift {
        shift if shift < least.min(-noise - rules.layout) => Judgement::Worse,
        shift if shift > most.max(noise + rules.layout) => Judgement::Better,
        _ => Judgement::Unclear,
    }
}

/// What a look after so many boots a side may err at. Those after the first share alike what it leaves,
/// but for the ones that could settle nothing with their share: they get none.
fn level(boots: usize, (first, most): (u32, u32)) -> f64 {
    let (first, most) = (first as usize, most as usize);
    let first_look = finest(first).min(LEVEL);
    if most <= first {
        return LEVEL;
    }
    if boots <= first {
        return first_look;
    }
    let left = LEVEL - first_look;
    // More boots reach finer levels: those that fall short come first.
    let sharing = |from: usize| left / (most + 1 - from) as f64;
    match (first + 1..=most).find(|from| finest(*from) <= sharing(*from)) {
        Some(from) if boots >= from => sharing(from),
        _ => 0.0,
    }
}

/// How many more boots a side would likely settle what is unclear; none where these do not tell, or
/// no plausible number would: a change that layouts may make is none however sure it is.
fn more_boots(measure: &Measure, rules: &Rules) -> Option<u32> {
    const MOST: f64 = 1000.0;
    const TWO_SIDED_95: f64 = 1.96;
    let (base, variant) = (&measure.base.values, &measure.variant.values);
    let variance = f64::midpoint(variance(base)?, variance(variant)?);
    let (base, variant) = (ln(base), ln(variant));
    let shift = shift(&base, &variant);
    let [worse, better] = rules.change();
    let half_width = match shift.abs() {
        far if shift < worse || shift > better => far,
        near if near < rules.margin => rules.margin - near,
        _ => return None,
    };
    let boots = base.len().min(variant.len());
    let wanted = 2.0 * variance * (TWO_SIDED_95 / half_width).powi(2);
    let more = wanted.ceil().max(FEWEST as f64) - boots as f64;
    (more <= MOST).then_some(more.max(1.0) as u32)
}

/// The variance of the values' logarithms; none for fewer than two.
pub fn variance(values: &[f64]) -> Option<f64> {
    let logs = ln(values);
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    (logs.len() > 1).then(|| squares / (n - 1.0))
}

fn ln(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.ln()).collect()
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use serde_json::json;

    use super::*;
    use crate::{
        judge::{
            fixtures::{Change, Setup, brief},
            verdict::{Outcome, Sample},
        },
        scenario::Accepted,
    };

    const STANDARD: (u32, u32) = (4, 6);
    const FULL: (u32, u32) = (4, 10);
    const MARGIN: f64 = 0.05;

    fn measure(base: &[f64], variant: &[f64]) -> Measure {
        let sample = |values: &[f64]| Sample {
            values: values.to_vec(),
            median: None,
        };
        Measure::shown("fio iops".into(), "1/s", sample(base), sample(variant))
    }

    fn rules(looks: (u32, u32)) -> Rules {
        Rules {
            margin: MARGIN,
            looks,
            spread: None,
            layout: 0.0,
        }
    }

    fn judged(base: &[f64], variant: &[f64], rules: &Rules) -> Option<Judgement> {
        let mut measure = measure(base, variant);
        judge(&mut measure, rules, 0.0);
        measure.judgement
    }

    #[test]
    fn judgements() {
        use Judgement::{Better, Equivalent, Unclear, Worse};
        let table: [(&[f64], &[f64], Option<Judgement>); 9] = [
            (
                &[100.0, 101.0, 99.0, 100.5],
                &[100.2, 99.5, 101.0, 100.1],
                Some(Equivalent),
            ),
            (
                &[100.0, 101.0, 99.0, 100.5],
                &[90.0, 89.0, 91.0, 90.5],
                Some(Worse),
            ),
            (
                &[100.0, 101.0, 99.0, 100.5],
                &[110.0, 111.0, 112.0, 109.5],
                Some(Better),
            ),
            // Slower for certain, and by less than the margin.
            (
                &[100.0, 101.0, 99.5, 100.5],
                &[98.0, 98.5, 97.9, 98.2],
                Some(Equivalent),
            ),
            (
                &[100.0, 130.0, 80.0, 100.5],
                &[90.0, 120.0, 75.0, 110.0],
                Some(Unclear),
            ),
            // One boot a side: only what is beyond doubt.
            (&[100.0], &[60.0], Some(Unclear)),
            (&[100.0], &[30.0], Some(Worse)),
            (&[], &[30.0], None),
            (&[0.0], &[30.0], None),
        ];
        for (base, variant, expected) in table {
            let got = judged(base, variant, &rules(STANDARD));
            assert_eq!(got, expected, "{base:?} {variant:?}");
        }
        let known = Rules {
            spread: Some(0.02),
            ..rules((1, 1))
        };
        assert_eq!(judged(&[100.0], &[85.0], &known), Some(Worse));
        // What a scenario calls no change is none, however little boots differ.
        let wide = Rules {
            margin: 0.2,
            ..known
        };
        assert_eq!(judged(&[100.0], &[85.0], &wide), Some(Unclear));
        assert_eq!(judged(&[100.0], &[119.0], &wide), Some(Unclear));
        assert_eq!(judged(&[100.0], &[75.0], &wide), Some(Worse));
    }

    #[test]
    fn what_an_emulated_layout_may_do_is_no_slower_kernel() {
        use Judgement::{Better, Equivalent, Unclear, Worse};
        let emulated = Rules {
            layout: EMULATED_LAYOUT,
            ..rules(FULL)
        };
        let base = [100.0, 101.0, 99.0, 100.5];
        for (ratio, on_a_cpu, in_an_emulator, layouts) in [
            (1.0, Equivalent, Equivalent, false),
            (0.92, Worse, Unclear, true),
            (0.82, Worse, Worse, false),
            (1.09, Better, Unclear, true),
            (1.3, Better, Better, false),
        ] {
            let variant = base.map(|boot| boot * ratio);
            assert_eq!(judged(&base, &variant, &rules(FULL)), Some(on_a_cpu));
            let mut measure = measure(&base, &variant);
            measure.ratio = Some(ratio);
            judge(&mut measure, &emulated, 0.0);
            assert_eq!(measure.judgement, Some(in_an_emulator), "{ratio}");
            assert_eq!(is_layouts(&measure), layouts, "{ratio}");
            // No boots would tell layouts from the patch.
            assert!(!layouts || measure.more_boots.is_none(), "{ratio}");
        }
    }

    /// One boot a side, the variant's at 0.3 of base's: what others had of the host meanwhile.
    #[test]
    fn a_boot_among_neighbours_is_no_slower_kernel() {
        use Judgement::{Unclear, Worse};
        let among = |change: Change, others: Option<f64>| -> Change {
            Box::new(move |record| {
                change(record);
                let fio = record.phases.iter_mut().filter(|phase| phase.name == "fio");
                fio.for_each(|phase| phase.others = others);
            })
        };
        for (base, variant, expected) in [
            (None, None, Worse),
            (Some(0.1), Some(0.1), Worse),
            (Some(0.0), Some(0.2), Worse),
            (Some(0.0), Some(0.7), Unclear),
            (Some(0.7), Some(0.0), Unclear),
            (Some(0.0), Some(1.0), Unclear),
            (None, Some(0.7), Worse),
        ] {
            let mut setup = Setup::new(
                boots(&[100.0])
                    .into_iter()
                    .map(|boot| among(boot, base))
                    .collect(),
                boots(&[30.0])
                    .into_iter()
                    .map(|boot| among(boot, variant))
                    .collect(),
            );
            setup.rules = Some(rules(STANDARD));
            let comparison = setup.judge();
            let fio = comparison
                .measures
                .iter()
                .find(|one| one.name == "fio iops");
            let judgement = fio.and_then(|one| one.judgement);
            assert_eq!(judgement, Some(expected), "{base:?} {variant:?}");
        }
    }

    /// All looks together call a kernel better or worse than itself no more often than they may.
    #[test]
    fn looks_share_one_error_rate() {
        let mut rng = Rng::with_seed(7);
        for looks in [STANDARD, FULL, (4, 4)] {
            let rules = rules(looks);
            let trials = 1000;
            let wrong = (0..trials).filter(|_| {
                let mut boot = || (0..12).map(|_| rng.f64()).sum::<f64>() * 20.0 + 200.0;
                let sides: [Vec<f64>; 2] = [(); 2].map(|()| (0..looks.1).map(|_| boot()).collect());
                let [base, variant] = &sides;
                let judgement = judged(base, variant, &rules).unwrap();
                matches!(judgement, Judgement::Better | Judgement::Worse)
            });
            let rate = wrong.count() as f64 / f64::from(trials);
            assert!(rate <= LEVEL, "{looks:?}: {rate}");
        }
    }

    #[test]
    fn every_look_that_takes_of_the_error_rate_can_settle_something() {
        for looks in [STANDARD, FULL, (4, 4), (4, 5), (5, 30), (8, 9)] {
            let all = looks.0 as usize..=looks.1 as usize;
            let levels: Vec<f64> = all.clone().map(|boots| level(boots, looks)).collect();
            let sum: f64 = levels.iter().sum();
            assert!(
                sum <= LEVEL + 1e-12 && sum > LEVEL - 1e-12,
                "{looks:?}: {sum}"
            );
            for (boots, level) in all.zip(&levels) {
                assert!(
                    *level == 0.0 || *level >= finest(boots) - 1e-12,
                    "{looks:?} at {boots}: {level}"
                );
            }
            assert!(levels[0] > 0.0 && levels.last() > Some(&0.0), "{looks:?}");
        }
        assert_eq!(level(5, FULL), 0.0, "its share would settle nothing");
        assert!((level(6, FULL) - (LEVEL - finest(4)) / 5.0).abs() < 1e-12);
    }

    #[test]
    fn what_a_look_has_settled_stays_so() {
        let (base, slow) = ([100.0, 101.0, 99.0, 100.5], [90.0, 89.0, 91.0, 90.5]);
        let rules = rules(STANDARD);
        let more = |of: &[f64], later: &[f64]| [of, later].concat();
        let worse = Some(Judgement::Worse);
        // Boots that were made later for another variant's sake, or for another finding's.
        let table = [
            (base.to_vec(), slow.to_vec()),
            (more(&base, &[60.0, 150.0]), slow.to_vec()),
            (more(&base, &[60.0]), more(&slow, &[150.0])),
            (more(&base, &[60.0, 70.0]), more(&slow, &[150.0, 140.0])),
        ];
        for (base, variant) in table {
            assert_eq!(
                judged(&base, &variant, &rules),
                worse,
                "{base:?} {variant:?}"
            );
        }
        // And what none has settled, the next may.
        let unclear = [100.2, 89.0, 91.0, 90.5];
        assert_eq!(judged(&base, &unclear, &rules), Some(Judgement::Unclear));
        let base = more(&base, &[100.3, 100.4]);
        let slow = more(&unclear, &[89.5, 90.2]);
        assert_eq!(judged(&base, &slow, &rules), worse);
    }

    #[test]
    fn more_boots_are_the_more_the_less_is_clear() {
        let more = |base: &[f64], variant: &[f64]| {
            let mut measure = measure(base, variant);
            judge(&mut measure, &rules(STANDARD), 0.0);
            more_boots(&measure, &rules(STANDARD))
        };
        let little = more(&[100.0, 104.0, 97.0, 101.0], &[99.0, 103.0, 98.0, 102.0]).unwrap();
        let much = more(&[100.0, 134.0, 77.0, 101.0], &[99.0, 133.0, 78.0, 102.0]).unwrap();
        assert!(little < 20 && 50 < much, "{little} {much}");
        assert_eq!(more(&[100.0], &[99.0]), None);
        // There is no interval with fewer than four a side.
        assert_eq!(more(&[100.0, 100.1], &[100.0, 100.1]), Some(2));
    }

    /// Boots whose fio did so many I/Os a second.
    fn boots(iops: &[f64]) -> Vec<Change> {
        let boot = |iops: f64| -> Change {
            Box::new(move |record| {
                let json = json!({"jobs": [{"read": {"iops": iops, "total_ios": 9}}]});
                for result in &mut record.fio {
                    result.json = json.clone();
                }
            })
        };
        iops.iter().map(|iops| boot(*iops)).collect()
    }

    #[test]
    fn a_lower_throughput_is_a_regression_unless_it_is_accepted() {
        let (base, slow) = ([100.0, 101.0, 99.0, 100.5], [90.0, 89.0, 91.0, 90.5]);
        let mut setup = Setup::new(boots(&base), boots(&slow));
        assert_eq!(
            setup.judge().outcome,
            Outcome::Pass,
            "it is not judged without rules"
        );
        setup.rules = Some(rules(STANDARD));
        let judged = setup.judge();
        assert_eq!(judged.outcome, Outcome::Regression);
        assert_eq!(brief(&judged), [(Kind::Slower, Status::New)]);
        assert!(
            judged.findings[0]
                .why
                .starts_with("0.900 of base's, 95 % interval 0.8")
        );
        setup.scenario.accepted = vec![Accepted {
            variant: None,
            title: "fio iops".into(),
            reason: "worth it".into(),
            until: "2026-12-31".into(),
        }];
        assert_eq!(setup.judge().outcome, Outcome::Pass);
    }

    #[test]
    fn what_is_unclear_is_booted_again_while_boots_are_left() {
        let mut setup = Setup::new(
            boots(&[100.0, 130.0, 80.0, 100.5]),
            boots(&[90.0, 120.0, 75.0, 110.0]),
        );
        setup.rules = Some(rules(STANDARD));
        assert_eq!(setup.judged().rerun, Vec::<String>::new());
        setup.reruns_left = 2;
        let judged = setup.judged();
        assert_eq!(judged.rerun, ["fio iops"]);
        assert_eq!(judged.comparison.outcome, Outcome::Pass);
        assert!(judged.comparison.measures[0].more_boots > Some(20));
    }
}
