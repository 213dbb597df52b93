//! Rates of rare events: their ratio, and what none in so many tries means (pure).

/// Steps of the search for a bound: far finer than any count warrants.
const STEPS: u32 = 200;
/// More tries than anybody makes.
const MOST_TRIES: u64 = 1 << 16;
/// Each side's tail of a 95 % interval.
const TAIL: f64 = 0.025;

/// One rate over another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Of the counts as they are; infinite where there was nothing to divide by.
    pub ratio: f64,
    /// The exact 95 % interval, as Clopper and Pearson have it.
    pub ci95: [f64; 2],
}

/// The ratio of two Poisson rates, each a count of events over what it was exposed to. Given their
/// sum, the first count is binomial: its bounds are exact, however few events there were.
pub fn ratio(one: (u64, f64), other: (u64, f64)) -> Ratio {
    let exposure = other.1 / one.1;
    let (hits, all) = (one.0, one.0 + other.0);
    let odds = |share: f64| share / (1.0 - share) * exposure;
    let lower = match hits {
        0 => 0.0,
        _ => odds(search(|share| 1.0 - below(hits - 1, all, share) < TAIL)),
    };
    let upper = match other.0 {
        0 => f64::INFINITY,
        _ => odds(search(|share| below(hits, all, share) > TAIL)),
    };
    Ratio {
        ratio: one.0 as f64 / other.0 as f64 * exposure,
        ci95: [lower, upper],
    }
}

/// How sure none in `tries` makes it that what showed in `hits` of `of` tries is gone: how likely it
/// would have shown at the old rate, which is known only as well as those tries tell (Jeffreys'
/// prior).
pub fn gone(hits: u64, of: u64, tries: u64) -> f64 {
    let (shown, not) = (hits as f64 + 0.5, (of.saturating_sub(hits)) as f64 + 0.5);
    let miss = |n: u64| (not + n as f64) / (shown + not + n as f64);
    1.0 - (0..tries.min(MOST_TRIES)).map(miss).product::<f64>()
}

/// How many tries without any make that as sure as asked; none where no plausible number does.
pub fn tries_for(hits: u64, of: u64, sure: f64) -> Option<u64> {
    let enough = |tries: &u64| gone(hits, of, *tries) >= sure;
    let doubled = std::iter::successors(Some(1), |tries| Some(tries * 2));
    let most = doubled
        .take_while(|tries| *tries <= MOST_TRIES)
        .find(enough)?;
    let less: Vec<u64> = (most / 2..=most).collect();
    let first = less.partition_point(|tries| !enough(tries));
    less.get(first).copied()
}

/// The largest share for which a condition holds that holds for all smaller ones.
fn search(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The chance of at most `hits` in `all` tries of a share.
fn below(hits: u64, all: u64, share: f64) -> f64 {
    if hits >= all {
        return 1.0;
    }
    if share <= 0.0 {
        return 1.0;
    }
    if share >= 1.0 {
        return 0.0;
    }
    let (log, rest) = (share.ln(), (1.0 - share).ln());
    let mut choices = 0.0;
    let mut sum = 0.0;
    for n in 0..=hits {
        if n > 0 {
            choices += ((all - n + 1) as f64).ln() - (n as f64).ln();
        }
        sum += (choices + n as f64 * log + (all - n) as f64 * rest).exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.001 * b.abs().max(1.0)
    }

    #[test]
    fn bounds_are_those_of_the_tables() {
        // Clopper and Pearson for 5 of 10: 0.18709 to 0.81291; as odds 0.23015 and 4.34504.
        let even = ratio((5, 1.0), (5, 1.0));
        assert!(near(even.ratio, 1.0));
        assert!(
            near(even.ci95[0], 0.230_15) && near(even.ci95[1], 4.345_04),
            "{even:?}"
        );
        // Twice the exposure, half the rate.
        let half = ratio((5, 2.0), (5, 1.0));
        assert!(near(half.ratio, 0.5) && near(half.ci95[0], 0.115_07));
        // 10 of 10: the lower bound is 0.69150.
        let only = ratio((10, 1.0), (0, 1.0));
        assert!(only.ratio.is_infinite() && only.ci95[1].is_infinite());
        assert!(near(only.ci95[0], 0.691_50 / 0.308_50), "{only:?}");
        assert_eq!(ratio((0, 1.0), (3, 1.0)).ci95[0], 0.0);
    }

    #[test]
    fn none_in_so_many_tries() {
        // Seen in 1 of 1, then not in 1: 1 - 0.5 / 2.
        assert!(near(gone(1, 1, 1), 0.75));
        // In 4 of 4, then not in 4: 1 - (0.5 * 1.5 * 2.5 * 3.5) / (5 * 6 * 7 * 8).
        assert!(near(gone(4, 4, 4), 0.996_09));
        assert_eq!(tries_for(4, 4, 0.99), Some(3));
        assert_eq!(gone(3, 4, 0), 0.0);
        for (hits, of) in [(1, 1), (1, 5), (12, 30)] {
            let tries = tries_for(hits, of, 0.99).unwrap();
            assert!(gone(hits, of, tries) >= 0.99 && gone(hits, of, tries - 1) < 0.99);
        }
        assert_eq!(tries_for(1, 1000, 1.0), None);
    }
}
