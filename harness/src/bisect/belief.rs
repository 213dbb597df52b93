//! What the trials say: how likely each commit is the culprit, and how often the finding shows (pure).

use super::history::History;

/// The hit rates that are thought possible, by their log odds.
const ODDS: (f64, f64, f64) = (-5.0, 7.0, 0.5);

/// A hit rate whose likeliest commit is so much less likely than the likeliest of all is left out.
const SLIGHT: f64 = 1e-5;

/// A joint belief in culprits and hit rates.
#[derive(Debug, Clone)]
pub(super) struct Belief {
    false_alarm: f64,
    rates: Vec<Rate>,
}

/// One hit rate, and the logarithm of the belief in each commit with it.
#[derive(Debug, Clone)]
struct Rate {
    rate: f64,
    log: Vec<f64>,
}

/// The belief as probabilities: rows of hit rates that have any.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    /// Hit rates.
    pub(super) rates: Vec<f64>,
    /// For each of them the joint probability of it and each commit.
    pub(super) joint: Vec<Vec<f64>>,
}

impl Belief {
    /// Every commit alike, and every hit rate by its odds, the highest less so; `false_alarm` is how often a commit
    /// without the culprit shows the finding all the same.
    pub(super) fn new(history: &History, false_alarm: f64) -> Self {
        let (from, to, step) = ODDS;
        let count = ((to - from) / step) as u32;
        let rates = (0..=count).map(|n| {
            let rate = 1.0 / (1.0 + (-(from + f64::from(n) * step)).exp());
            // A few hits in a row are no proof that every trial hits: taking them for one makes
            // misses say too much.
            Rate {
                rate,
                log: vec![(1.0 - rate).ln(); history.len()],
            }
        });
        Self {
            false_alarm,
            rates: rates.collect(),
        }
    }

    /// Every commit alike, and a hit rate that is known.
    pub(super) fn told(history: &History, false_alarm: f64, rate: f64) -> Self {
        let log = vec![0.0; history.len()];
        Self {
            false_alarm,
            rates: vec![Rate { rate, log }],
        }
    }

    /// Takes trials at a commit in; at one whose history holds no commit in question they tell
    /// nothing.
    pub(super) fn trials(&mut self, history: &History, commit: usize, hits: u32, misses: u32) {
        let without = likelihood(self.false_alarm, hits, misses);
        for row in &mut self.rates {
            let with = likelihood(row.rate, hits, misses);
            for one in history.of(commit) {
                row.log[one] += with - without;
            }
        }
    }

    /// As probabilities.
    pub(super) fn shares(&self) -> Shares {
        let tops = self.rates.iter().map(|row| row.log.iter().copied());
        let tops: Vec<f64> = tops
            .map(|row| row.fold(f64::NEG_INFINITY, f64::max))
            .collect();
        let most = tops.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut rates, mut joint) = (Vec::new(), Vec::new());
        for (row, top) in self.rates.iter().zip(tops) {
            if top - most > SLIGHT.ln() {
                rates.push(row.rate);
                joint.push(row.log.iter().map(|log| (log - most).exp()).collect());
            }
        }
        let total: f64 = joint.iter().flat_map(|row: &Vec<f64>| row).sum();
        joint.iter_mut().flatten().for_each(|share| *share /= total);
        Shares { rates, joint }
    }
}

/// The logarithm of how likely trials end so where the finding shows at this rate.
fn likelihood(rate: f64, hits: u32, misses: u32) -> f64 {
    f64::from(hits) * rate.ln() + f64::from(misses) * (1.0 - rate).ln()
}

impl Shares {
    /// The probability of each commit.
    pub(super) fn commits(&self) -> Vec<f64> {
        let mut all = vec![0.0; self.joint.first().map_or(0, Vec::len)];
        for row in &self.joint {
            all.iter_mut().zip(row).for_each(|(sum, one)| *sum += one);
        }
        all
    }

    /// The hit rate that is expected.
    pub(super) fn rate(&self) -> f64 {
        self.rows().map(|(rate, share)| rate * share).sum()
    }

    /// How much likelier such trials are of a commit that has the culprit than of one without.
    pub(super) fn speaks_for(&self, false_alarm: f64, hits: u32, misses: u32) -> f64 {
        let without = likelihood(false_alarm, hits, misses);
        let ratio = |rate| (likelihood(rate, hits, misses) - without).exp();
        self.rows().map(|(rate, share)| share * ratio(rate)).sum()
    }

    fn rows(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let shares = self.joint.iter().map(|row| row.iter().sum());
        self.rates.iter().copied().zip(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_says_that_the_culprit_is_there_and_misses_say_it_slowly() {
        let history = History::line(10);
        let mut belief = Belief::new(&history, 1e-4);
        belief.trials(&history, 9, 3, 12);
        let even = belief.shares();
        assert!(even.commits().iter().all(|one| (one - 0.1).abs() < 1e-9));
        assert!((even.rate() - 0.2).abs() < 0.05, "{}", even.rate());

        let mut hit = belief.clone();
        hit.trials(&history, 4, 1, 0);
        let inside: f64 = hit.shares().commits()[..=4].iter().sum();
        assert!(inside > 0.99 && inside < 1.0, "{inside}");

        let mut miss = belief.clone();
        miss.trials(&history, 4, 0, 1);
        let inside: f64 = miss.shares().commits()[..=4].iter().sum();
        assert!(inside > 0.4 && inside < 0.5, "{inside}");
        miss.trials(&history, 4, 0, 200);
        let inside: f64 = miss.shares().commits()[..=4].iter().sum();
        assert!(inside < 1e-3, "{inside}");
    }

    #[test]
    fn the_hit_rate_is_learned() {
        let history = History::line(3);
        for (hits, misses) in [(10, 0), (10, 10), (5, 20), (5, 95)] {
            let mut belief = Belief::new(&history, 1e-4);
            belief.trials(&history, 2, hits, misses);
            let (rate, seen) = (
                belief.shares().rate(),
                f64::from(hits) / f64::from(hits + misses),
            );
            assert!(
                (rate - seen).abs() < 0.1,
                "{hits} of {}: {rate}",
                hits + misses
            );
        }
        let quiet = {
            let mut belief = Belief::new(&history, 1e-4);
            belief.trials(&history, 2, 40, 160);
            belief.shares().speaks_for(1e-4, 0, 10)
        };
        assert!((quiet - 0.8_f64.powi(10)).abs() < 0.03, "{quiet}");
    }
}
