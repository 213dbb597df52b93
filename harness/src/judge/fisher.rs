//! Fisher's exact test, one-sided: is the variant's share of hits beyond chance?

/// Beyond chance at 95 %.
pub(super) const LEVEL: f64 = 0.05;

/// Boots of one side: how many showed it, of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hits {
    /// Boots that showed it.
    pub(super) hits: u32,
    /// All boots that could have.
    pub(super) boots: u32,
}

impl Hits {
    /// The same with so many further boots, all of which show it, or none.
    fn with(self, more: u32, all: bool) -> Self {
        Self {
            hits: self.hits + if all { more } else { 0 },
            boots: self.boots + more,
        }
    }
}

/// The chance that, were both sides alike, the variant had at least its hits.
pub(super) fn p_value(variant: Hits, base: Hits) -> f64 {
    let hits = u64::from(variant.hits) + u64::from(base.hits);
    let most = u64::from(variant.boots).min(hits);
    let sum: f64 = (u64::from(variant.hits)..=most)
        .map(|k| {
            let log = ln_choose(variant.boots.into(), k) + ln_choose(base.boots.into(), hits - k)
                - ln_choose(u64::from(variant.boots) + u64::from(base.boots), hits);
            log.exp()
        })
        .sum();
    sum.min(1.0)
}

/// Is it beyond chance?
pub(super) fn significant(variant: Hits, base: Hits) -> bool {
    // Three of three against none of three is 1/20 exactly; rounding must not lose it.
    p_value(variant, base) <= LEVEL + 1e-9
}

/// Could so many further boots a side make it so, at best?
pub(super) fn could_settle(variant: Hits, base: Hits, more: u32) -> bool {
    (1..=more).any(|n| significant(variant.with(n, true), base.with(n, false)))
}

/// The logarithm of "n choose k"; minus infinity where there is no such choice.
fn ln_choose(n: u64, k: u64) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    let k = k.min(n - k);
    (1..=k)
        .map(|i| ((n - k + i) as f64).ln() - (i as f64).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hits: u32, boots: u32) -> Hits {
        Hits { hits, boots }
    }

    #[test]
    fn known_values() {
        // As the binomial coefficients give them.
        for (variant, base, p) in [
            (of(4, 4), of(0, 4), 1.0 / 70.0),
            (of(3, 4), of(1, 4), 17.0 / 70.0),
            (of(3, 3), of(0, 3), 1.0 / 20.0),
            (of(2, 2), of(0, 2), 1.0 / 6.0),
            (of(1, 1), of(0, 1), 1.0 / 2.0),
            (of(0, 5), of(0, 5), 1.0),
            (of(0, 5), of(5, 5), 1.0),
            (of(0, 0), of(0, 0), 1.0),
            (of(5, 5), of(0, 0), 1.0),
            (of(5, 10), of(0, 10), 252.0 / 15504.0),
            (of(10, 12), of(2, 12), 0.001_664_474_978_5),
        ] {
            let got = p_value(variant, base);
            assert!(
                (got - p).abs() < 1e-8,
                "{variant:?} {base:?}: {got}, not {p}"
            );
        }
    }

    #[test]
    fn three_of_three_is_the_least() {
        assert!(significant(of(3, 3), of(0, 3)));
        assert!(!significant(of(2, 2), of(0, 2)));
        assert!(!significant(of(2, 3), of(0, 3)));
        assert!(significant(of(4, 5), of(0, 5)));
        assert!(!significant(of(3, 5), of(0, 5)));
    }

    #[test]
    fn what_reruns_can_settle() {
        assert!(could_settle(of(1, 1), of(0, 1), 2));
        assert!(!could_settle(of(1, 1), of(0, 1), 1));
        assert!(!could_settle(of(1, 1), of(0, 1), 0));
        assert!(could_settle(of(1, 2), of(0, 2), 3));
        assert!(!could_settle(of(1, 2), of(1, 2), 1));
    }
}
