//! Which commit to try next: the one that tells most about the culprit for what it costs (pure).

use super::{belief::Shares, history::History};

/// How many trials a commit that is not built yet is thought of having, at most.
const MOST_TRIALS: u32 = 64;
/// Next to a commit that could not be tried, others are likely to be like it: over so many commits
/// that falls to a third.
const LIKE: f64 = 4.0;
/// Less than this is nothing, in bits.
const NOTHING: f64 = 1e-9;

/// What trying a commit costs, in any unit of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// One build.
    pub build: f64,
    /// One trial.
    pub trial: f64,
}

impl Costs {
    /// Only trials count.
    pub const TRIALS: Self = Self {
        build: 0.0,
        trial: 1.0,
    };
}

/// What is known of a commit besides its trials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    #[default]
    Unknown,
    /// Its kernel is there.
    Built,
    /// It cannot be tried.
    Skipped,
    /// It was tried, and another trial of it would only say the same.
    Told,
}

/// The commit whose trials tell most for their cost; none where no trial tells anything.
pub(super) fn choose(
    history: &History,
    shares: &Shares,
    states: &[State],
    costs: Costs,
    false_alarm: f64,
) -> Option<usize> {
    let sums: Vec<Vec<f64>> = shares.joint.iter().map(|row| history.sums(row)).collect();
    let likely = buildable(states);
    let tries = batches(costs);
    let quiet = |tries: &i32| Quiet {
        inside: shares
            .rates
            .iter()
            .map(|rate| (1.0 - rate).powi(*tries))
            .collect(),
        outside: (1.0 - false_alarm).powi(*tries),
    };
    let quiet: Vec<Quiet> = tries.iter().map(quiet).collect();
    let mut best: Option<(f64, usize)> = None;
    for (commit, state) in states.iter().enumerate() {
        let (build, options) = match state {
            State::Skipped | State::Told => continue,
            State::Unknown => (costs.build, tries.len()),
            // It can be tried once more at any time.
            State::Built => (0.0, 1),
        };
        for (tries, quiet) in tries.iter().zip(&quiet).take(options) {
            let told = Told::of(commit, &sums, quiet, &shares.rates, *tries);
            if told.bits < NOTHING {
                continue;
            }
            let cost = build + told.trials * costs.trial;
            let worth = likely[commit] * told.bits / cost;
            if best.is_none_or(|(most, _)| worth > most) {
                best = Some((worth, commit));
            }
        }
    }
    best.map(|(_, commit)| commit)
}

/// Numbers of trials that are thought of: one where builds cost nothing, as each trial is chosen anew.
fn batches(costs: Costs) -> Vec<i32> {
    let doubled = std::iter::successors(Some(1_i32), |n| Some(n * 2));
    let most = if costs.build > 0.0 {
        MOST_TRIALS as i32
    } else {
        1
    };
    doubled.take_while(|n| *n <= most).collect()
}

/// How likely some trials all miss: of a commit with the culprit, by hit rate, and of one without.
struct Quiet {
    inside: Vec<f64>,
    outside: f64,
}

/// What some trials of a commit, which end at their first hit, are expected to tell and to take.
struct Told {
    bits: f64,
    trials: f64,
}

impl Told {
    fn of(commit: usize, sums: &[Vec<f64>], quiet: &Quiet, rates: &[f64], tries: i32) -> Self {
        let (mut inside, mut inside_quiet, mut trials) = (0.0, 0.0, 0.0);
        for ((row, quiet), rate) in sums.iter().zip(&quiet.inside).zip(rates) {
            let share = row[commit];
            inside += share;
            inside_quiet += share * quiet;
            trials += share * (1.0 - quiet) / rate;
        }
        let outside = (1.0 - inside).max(0.0);
        let outside_quiet = outside * quiet.outside;
        Self {
            bits: information([
                [inside_quiet, inside - inside_quiet],
                [outside_quiet, outside - outside_quiet],
            ]),
            trials: trials + outside * f64::from(tries),
        }
    }
}

/// The mutual information of two things that are or are not, from their joint probabilities, in bits.
fn information(joint: [[f64; 2]; 2]) -> f64 {
    let part = |p: f64| if p > 0.0 { p * p.log2() } else { 0.0 };
    let both: f64 = joint.iter().flatten().map(|p| part(*p)).sum();
    let rows: f64 = joint.iter().map(|[a, b]| part(a + b)).sum();
    let columns = part(joint[0][0] + joint[1][0]) + part(joint[0][1] + joint[1][1]);
    both - rows - columns
}

/// How likely each commit can be tried, by those nearby that could and could not.
fn buildable(states: &[State]) -> Vec<f64> {
    let mut likely = vec![1.0_f64; states.len()];
    let mut spread = |order: &mut dyn Iterator<Item = usize>| {
        // What the last commit that was tried says of those after it.
        let mut unlike = 0.0_f64;
        for commit in order {
            match states[commit] {
                State::Skipped => unlike = 1.0,
                State::Built | State::Told => unlike = 0.0,
                State::Unknown => unlike *= (-1.0 / LIKE).exp(),
            }
            likely[commit] *= 1.0 - unlike * 0.9;
        }
    };
    spread(&mut (0..states.len()));
    spread(&mut (0..states.len()).rev());
    likely
}

#[cfg(test)]
mod tests {
    use super::super::belief::Belief;
    use super::*;

    fn shares(history: &History, hits: u32, misses: u32) -> Shares {
        let mut belief = Belief::new(history, 1e-4);
        belief.trials(history, history.len() - 1, hits, misses);
        belief.shares()
    }

    #[test]
    fn a_sure_finding_is_bisected_in_the_middle_and_a_rare_one_below_it() {
        let history = History::line(1000);
        let unknown = vec![State::Unknown; 1000];
        let sure = shares(&history, 100, 0);
        let at = choose(&history, &sure, &unknown, Costs::TRIALS, 1e-4).unwrap();
        assert!((480..=510).contains(&at), "{at}");
        let rare = shares(&history, 20, 80);
        let at = choose(&history, &rare, &unknown, Costs::TRIALS, 1e-4).unwrap();
        // A Z-channel's best input: misses tell less than hits.
        assert!((360..=440).contains(&at), "{at}");
    }

    /// Expected trials of a line of commits whose hit rate is known and that have no false alarms: of the
    /// best search there is, and of one that takes what `choose` says. By all states that a search can
    /// come to: up to where the finding is known to be, and how often each commit before that missed.
    fn expected(commits: usize, rate: f64, confidence: f64) -> (f64, f64) {
        const MOST: usize = 30;
        let (mut best, mut chosen) = (vec![vec![0.0_f64]], vec![vec![0.0_f64]]);
        for last in 1..commits {
            let history = History::line(last + 1);
            let known = vec![State::Unknown; last + 1];
            let size = MOST.pow(last as u32);
            best.push(vec![0.0; size]);
            chosen.push(vec![0.0; size]);
            for state in (0..size).rev() {
                let misses = |at: usize| state / MOST.pow(at as u32) % MOST;
                let mut weights = vec![1.0; last + 1];
                for at in (0..last).rev() {
                    weights[at] = weights[at + 1] * (1.0 - rate).powi(misses(at) as i32);
                }
                let sum: f64 = weights.iter().sum();
                if weights[last] / sum >= confidence {
                    continue;
                }
                weights.iter_mut().for_each(|weight| *weight /= sum);
                let takes = |table: &[Vec<f64>], at: usize| {
                    let hit = rate * weights[..=at].iter().sum::<f64>();
                    let below = state % MOST.pow(at as u32);
                    let missed = state + MOST.pow(at as u32);
                    1.0 + hit * table[at][below] + (1.0 - hit) * table[last][missed]
                };
                let open = (0..last).filter(|at| misses(*at) + 1 < MOST);
                let least = open
                    .map(|at| takes(&best, at))
                    .fold(f64::INFINITY, f64::min);
                let shares = Shares {
                    rates: vec![rate],
                    joint: vec![weights.clone()],
                };
                let at = choose(&history, &shares, &known, Costs::TRIALS, 0.0).unwrap();
                // That far no search of this one's comes.
                let taken = match misses(at) + 1 < MOST {
                    true => takes(&chosen, at),
                    false => 0.0,
                };
                best[last][state] = least;
                chosen[last][state] = taken;
            }
        }
        (best[commits - 1][0], chosen[commits - 1][0])
    }

    #[test]
    fn what_tells_most_is_as_good_as_the_best_search() {
        for commits in 2..=4 {
            let (best, chosen) = expected(commits, 0.2, 0.99);
            assert!(best <= chosen && chosen < 1.02 * best, "{best} {chosen}");
            // So far is what Fano's inequality allows from what is to be had, and farther the more
            // commits there are.
            let over = best - super::super::bounds::fewest(commits, 0.2, 0.99);
            assert!((4.8..7.3).contains(&over), "{commits}: {over}");
        }
    }

    #[test]
    fn trials_go_on_where_a_build_was_paid_for() {
        let history = History::line(1000);
        let rare = shares(&history, 20, 80);
        let mut states = vec![State::Unknown; 1000];
        states[550] = State::Built;
        let costly = Costs {
            build: 10.0,
            trial: 1.0,
        };
        assert_eq!(choose(&history, &rare, &states, costly, 1e-4), Some(550));
        assert_ne!(
            choose(&history, &rare, &states, Costs::TRIALS, 1e-4),
            Some(550)
        );
        // Where it tells next to nothing, a build is worth it.
        states[550] = State::Unknown;
        states[2] = State::Built;
        let at = choose(&history, &rare, &states, costly, 1e-4).unwrap();
        assert!((300..=600).contains(&at), "{at}");
    }

    #[test]
    fn what_cannot_be_tried_is_left_alone_with_its_neighbours() {
        let history = History::line(1000);
        let sure = shares(&history, 100, 0);
        let mut states = vec![State::Unknown; 1000];
        states[499] = State::Skipped;
        let at = choose(&history, &sure, &states, Costs::TRIALS, 1e-4).unwrap();
        assert!(at.abs_diff(499) > 4 && at.abs_diff(499) < 100, "{at}");
        let none = vec![State::Skipped; 1000];
        assert_eq!(choose(&history, &sure, &none, Costs::TRIALS, 1e-4), None);
    }

    #[test]
    fn bits() {
        assert!((information([[0.5, 0.0], [0.0, 0.5]]) - 1.0).abs() < 1e-12);
        assert!(information([[0.25, 0.25], [0.25, 0.25]]).abs() < 1e-12);
        assert!(information([[1.0, 0.0], [0.0, 0.0]]).abs() < 1e-12);
    }
}
