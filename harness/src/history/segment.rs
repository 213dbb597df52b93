//! Where a series of values shifts (pure).
//!
//! The series is split where both sides differ most by the normal scores of their ranks, and each part
//! is split again as long as a split is beyond chance: however far off an outlier lies, it weighs no
//! more than the largest of so many values would. A split that has few values after it is asked for
//! less, as the night after a shift is when somebody wants to know.

/// So many values before a shift tell what was usual.
pub(super) const BEFORE: usize = 8;
/// So many values after it at least: two outliers in a row are no shift.
pub(super) const AFTER: usize = 3;
/// Splits with at most so many values after them, at the series' end, are recent.
const RECENT: usize = 12;
/// How far beyond its standard deviation by chance the scores' sum has to lie for a recent split that many
/// values precede. The best of many splits is looked at, night after night: over 200 nights that comes to
/// some 0.5 false alarms a series (`cargo xtask bench shifts`; chosen on other series).
const RECENT_BOUND: f64 = 2.8;
/// What was usual is itself known by chance: where so many values precede a split, its bound is twice as
/// high.
const LEARNT: f64 = 6.0;
/// A shift that is worth a bisect shows within so many nights. For each further night the bound is higher by
/// so much: what creeps up is left to the settled splits.
const PROMPT: (usize, f64) = (7, 0.1);
/// Two levels without any noise are as far apart as the square root of one less than the number of values. So
/// large a share of that is a shift however few there are.
const EXACT: f64 = 0.95;
/// The bound for all other splits, of which there are more.
const SETTLED_BOUND: f64 = 3.6;
/// Of the values after a shift, the share that lies on its side of what was usual. Where values hardly
/// ever differ, ranks alone make much of one that does.
const MAJORITY: f64 = 2.0 / 3.0;
/// The best so many splits are looked at for one that has it.
const LOOKS: usize = 32;
/// Twice the logarithm of a likelihood ratio exceeds this in one case of twenty: places that fall behind
/// the best by less may be the true one as well.
const NEAR: f64 = 3.84;

/// A place at which a series shifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    /// The first value after it.
    pub at: usize,
    /// The earliest place that is about as likely.
    pub earliest: usize,
    /// The latest.
    pub latest: usize,
}

/// The places at which a series of finite values shifts, in order.
pub(super) fn splits(values: &[f64]) -> Vec<Split> {
    let mut found = Vec::new();
    let mut left = vec![(0, values.len())];
    while let Some((from, to)) = left.pop() {
        if let Some(split) = best(&values[from..to], to == values.len()) {
            let split = Split {
                at: from + split.at,
                earliest: from + split.earliest,
                latest: from + split.latest,
            };
            left.extend([(from, split.at), (split.at, to)]);
            found.push(split);
        }
    }
    found.sort_by_key(|split| split.at);
    found
}

/// The split of a part that is furthest beyond its bound; none where none is.
fn best(values: &[f64], at_the_end: bool) -> Option<Split> {
    let far = distances(values);
    let bound = |at: usize| match values.len() - at {
        after if at_the_end && after <= RECENT => (AFTER, recent_bound(at, after)),
        _ => (BEFORE, SETTLED_BOUND),
    };
    let mut beyond: Vec<(usize, f64)> = (BEFORE..values.len())
        .filter_map(|at| {
            let (fewest, bound) = bound(at);
            let ratio = far[at] / bound;
            (values.len() - at >= fewest && ratio > 1.0).then_some((at, ratio))
        })
        .collect();
    beyond.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut looked = beyond.into_iter().take(LOOKS);
    let (at, _) = looked.find(|(at, _)| is_of_most(values, *at))?;
    // Ranks do not tell a step's last value before it from its first after it where the one is already
    // the largest of its side: the values do.
    let alike = |other: &usize| far[*other].powi(2) > far[at].powi(2) - NEAR;
    let from = (BEFORE..at).rev().take_while(alike).last().unwrap_or(at);
    let last = values.len() - bound(at).0;
    let to = (at + 1..=last).take_while(alike).last().unwrap_or(at);
    let misfits = misfits(values, at);
    let at = (from..=to).min_by(|a, b| misfits[*a].total_cmp(&misfits[*b]))?;
    let near = |other: &usize| misfits[*other] < misfits[at] + NEAR;
    Some(Split {
        at,
        earliest: (1..at).rev().take_while(near).last().unwrap_or(at),
        latest: (at + 1..values.len()).take_while(near).last().unwrap_or(at),
    })
}

/// How far apart both sides of a recent split have to be, by their numbers of values.
fn recent_bound(before: usize, after: usize) -> f64 {
    let (prompt, later) = PROMPT;
    let bound = RECENT_BOUND + later * after.saturating_sub(prompt) as f64;
    let exact = EXACT * ((before + after - 1) as f64).sqrt();
    (bound * (1.0 + LEARNT / before as f64)).min(exact)
}

/// How badly two levels fit that meet at each place, as twice a normal likelihood's logarithm has it; no
/// value weighs more than one that is three standard deviations off. The levels are the medians on both
/// sides of `at`.
fn misfits(values: &[f64], at: usize) -> Vec<f64> {
    const MOST: f64 = 9.0;
    /// A standard deviation, by the median of how far off normal values are.
    const OF_MEDIAN: f64 = 1.4826;
    let levels = [middle(&values[..at]), middle(&values[at..])];
    let off = |value: f64, side: usize| (value - levels[side]).abs();
    let all = values.iter().enumerate();
    let off_own: Vec<f64> = all.map(|(n, v)| off(*v, usize::from(n >= at))).collect();
    let deviation = OF_MEDIAN * middle(&off_own);
    let misfit = |value: f64, side: usize| match off(value, side) {
        0.0 => 0.0,
        off => (off / deviation).powi(2).min(MOST),
    };
    let mut sum = values.iter().map(|value| misfit(*value, 1)).sum::<f64>();
    let mut misfits = vec![sum];
    for value in values {
        sum += misfit(*value, 0) - misfit(*value, 1);
        misfits.push(sum);
    }
    misfits
}

/// The (upper) median; zero of nothing.
fn middle(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    let middle = values.len() / 2;
    match values.is_empty() {
        true => 0.0,
        false => *values.select_nth_unstable_by(middle, f64::total_cmp).1,
    }
}

/// How far apart both sides of each place are, in standard deviations of chance; the place is the first
/// value after it.
fn distances(values: &[f64]) -> Vec<f64> {
    let scores = scores(values);
    let all = values.len() as f64;
    let variance = scores.iter().map(|score| score * score).sum::<f64>() / (all - 1.0);
    let mut distances = vec![0.0; values.len()];
    if variance <= 0.0 || !variance.is_finite() {
        return distances;
    }
    let mut sum = 0.0;
    for at in (1..values.len()).rev() {
        sum += scores[at];
        let after = (values.len() - at) as f64;
        distances[at] = sum.abs() / (variance * after * (all - after) / all).sqrt();
    }
    distances
}

/// What values of a normal distribution with the same ranks would be, about: their sum is zero.
fn scores(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut scores = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        // Equal values share the middle of their ranks, which begin at one.
        let rank = first as f64 + (equal.len() as f64 + 1.0) / 2.0;
        let score = normal(rank / (values.len() as f64 + 1.0));
        equal.iter().for_each(|at| scores[*at] = score);
        first += equal.len();
    }
    let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
    scores.iter_mut().for_each(|score| *score -= mean);
    scores
}

/// The normal distribution's quantile, by Tukey's lambda distribution, which is within a hundredth of it
/// where it matters. Scores are weighed against their own variance, so any of this shape will do.
fn normal(share: f64) -> f64 {
    const LAMBDA: f64 = 0.1349;
    const SCALE: f64 = 0.1975;
    (share.powf(LAMBDA) - (1.0 - share).powf(LAMBDA)) / SCALE
}

/// Whether most of the values after a place lie on one side of what was usual before.
fn is_of_most(values: &[f64], at: usize) -> bool {
    let (before, after) = values.split_at(at);
    let usual = middle(before);
    let above = after.iter().filter(|value| **value > usual).count();
    let below = after.iter().filter(|value| **value < usual).count();
    let most = above.max(below);
    most >= AFTER && most as f64 >= MAJORITY * after.len() as f64
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    /// Values about 100 with 2 % noise.
    fn noise(nights: usize, seed: u64) -> Vec<f64> {
        let mut random = Rng::with_seed(seed);
        // The sum of twelve is nearly normal, with a variance of one.
        let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        (0..nights).map(|_| 100.0 + 2.0 * normal()).collect()
    }

    fn places(values: &[f64]) -> Vec<usize> {
        splits(values).iter().map(|split| split.at).collect()
    }

    #[test]
    fn planted_steps_are_found_where_they_are() {
        const SEEDS: u64 = 50;
        // The step in per cent of the value, at which of 60 nights; noise is 2 %.
        let table = [(6.0, 40), (-6.0, 40), (8.0, 20), (10.0, 56), (-20.0, 57)];
        for (step, at) in table {
            let (mut found, mut spanned) = (0, 0);
            for seed in 0..SEEDS {
                let mut values = noise(60, seed);
                let after = values[at..].iter_mut();
                after.for_each(|value| *value *= 1.0 + step / 100.0);
                if let [one] = splits(&values)[..] {
                    found += u64::from(one.at.abs_diff(at) <= 2);
                    spanned += u64::from((one.earliest..=one.latest).contains(&at));
                }
            }
            assert!(found >= SEEDS - 3, "{step} at {at}: {found}");
            assert!(spanned >= SEEDS - 5, "{step} at {at}: {spanned}");
        }
        // One up and one back, and one that has only begun.
        let mut values = noise(120, 6);
        values[30..70].iter_mut().for_each(|value| *value += 8.0);
        values[115..].iter_mut().for_each(|value| *value -= 9.0);
        let found = places(&values);
        assert_eq!(found.len(), 3, "{found:?}");
        for (place, at) in found.iter().zip([30, 70, 115]) {
            assert!(place.abs_diff(at) <= 1, "{found:?}");
        }
    }

    #[test]
    fn values_without_a_step_are_quiet() {
        let shifted = (0..100).filter(|seed| !places(&noise(200, *seed)).is_empty());
        let shifted = shifted.count();
        assert!(shifted <= 8, "{shifted} of 100");
    }

    #[test]
    fn outliers_are_no_shift() {
        const SEEDS: u64 = 50;
        let far = 1e9;
        // Which of 40 nights are far off, and how often that may come to a shift: as often as without,
        // and for the last two somewhat more often, where the nights before are high by chance.
        let table: [(&[usize], u64); 6] = [
            (&[], 2),
            (&[20], 2),
            (&[39], 2),
            (&[10, 20, 30], 2),
            (&[20, 21], 2),
            (&[38, 39], 7),
        ];
        for (nights, most) in table {
            let shifted = (0..SEEDS).filter(|seed| {
                let mut values = noise(40, *seed);
                nights.iter().for_each(|at| values[*at] = far);
                !places(&values).is_empty()
            });
            let shifted = shifted.count() as u64;
            assert!(shifted <= most, "{nights:?}: {shifted}");
        }
        // Where nothing else ever differs: counts of instructions.
        for nights in [&[37][..], &[38], &[39], &[36, 39], &[10, 20, 21]] {
            let mut values = vec![116.0; 40];
            nights.iter().for_each(|at| values[*at] = far);
            assert_eq!(places(&values), [0; 0], "{nights:?}");
        }
    }

    #[test]
    fn exact_figures_shift_at_once() {
        let mut values = vec![116.0; 30];
        values[27..].fill(117.0);
        assert_eq!(
            splits(&values),
            [Split {
                at: 27,
                earliest: 27,
                latest: 27
            }]
        );
        assert_eq!(places(&values[..29]), [0; 0], "two nights do not tell");
        // However few they are.
        assert_eq!(places(&values[30 - BEFORE - AFTER..]), [BEFORE]);
    }

    #[test]
    fn too_few_values_say_nothing() {
        for nights in 0..BEFORE + AFTER {
            let mut values = vec![1.0; nights];
            values.iter_mut().skip(4).for_each(|value| *value = 2.0);
            assert_eq!(places(&values), [0; 0], "{nights}");
        }
    }

    #[test]
    fn scores_are_those_of_ranks() {
        let scores = scores(&[5.0, 1.0, 3.0]);
        assert!((scores[0] - 0.674).abs() < 0.01, "{scores:?}");
        assert!((scores[0] + scores[1]).abs() < 1e-12 && scores[2].abs() < 1e-12);
        let tied = self::scores(&[1.0, 1.0, 2.0, 9e99]);
        assert_eq!(tied[0], tied[1]);
        assert!(tied[1] < tied[2] && tied[2] < tied[3] && tied[3] < 1.5);
        for (share, quantile) in [(0.5, 0.0), (0.841, 1.0), (0.977, 2.0), (0.01, -2.326)] {
            assert!((normal(share) - quantile).abs() < 0.03, "{share}");
        }
    }
}
