//! Searches without kernels: histories, culprits and trials by chance, and plain bisect beside them.

use fastrand::Rng;

use super::{
    belief::Belief,
    bounds,
    choose::{Costs, State, choose},
    history::History,
    search::{Aim, Answer, Next, Point, Search},
};

/// A question whose answer is known.
#[derive(Debug, Clone)]
pub struct Question {
    /// Each commit's parents.
    pub parents: Vec<Vec<usize>>,
    /// Which brought the finding.
    pub culprit: usize,
    /// Those that cannot be tried.
    pub unbuildable: Vec<bool>,
    /// How often the finding shows.
    pub rate: f64,
}

/// How a search went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Went {
    /// The culprit was named, or named with others that no trial tells from it.
    pub right: bool,
    /// It was named alone.
    pub alone: bool,
    /// Trials that confirmed the ends.
    pub confirming: u32,
    /// All others.
    pub trials: u32,
}

/// A history's shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Commits.
    pub commits: usize,
    /// The share of commits that merge a side branch.
    pub merges: f64,
    /// The share of commits that cannot be tried; they come a few in a row.
    pub unbuildable: f64,
}

/// A question by chance.
pub fn question(shape: Shape, rate: f64, random: &mut Rng) -> Question {
    let parents = branches(shape, random);
    let mut unbuildable = vec![false; parents.len()];
    let wanted = (shape.commits as f64 * shape.unbuildable) as usize;
    // The bad commit, the last, can be tried.
    let most = parents.len().saturating_sub(1);
    while unbuildable.iter().filter(|one| **one).count() < wanted.min(most / 2) {
        let (from, long) = (random.usize(..most), random.usize(1..=4));
        unbuildable[from..most.min(from + long)].fill(true);
    }
    Question {
        culprit: random.usize(..parents.len()),
        parents,
        unbuildable,
        rate,
    }
}

/// Branches that begin at recent commits, grow by turns and are merged, all of them in the end.
fn branches(shape: Shape, random: &mut Rng) -> Vec<Vec<usize>> {
    const RECENT: usize = 100;
    let mut parents: Vec<Vec<usize>> = Vec::with_capacity(shape.commits);
    // None is the good commit.
    let mut tips: Vec<Option<usize>> = vec![None];
    for commit in 0..shape.commits - 1 {
        let made = match random.f64() {
            dice if dice < shape.merges => {
                let from = random.usize(commit.saturating_sub(RECENT)..=commit);
                tips.push((from < commit).then_some(from));
                tips.len() - 1
            }
            dice if dice < 2.0 * shape.merges && tips.len() > 1 => {
                let side = tips.swap_remove(random.usize(1..tips.len()));
                parents.push(tips[0].into_iter().chain(side).collect());
                tips[0] = Some(commit);
                continue;
            }
            _ => random.usize(..tips.len()),
        };
        parents.push(tips[made].into_iter().collect());
        tips[made] = Some(commit);
    }
    let mut all: Vec<usize> = tips.into_iter().flatten().collect();
    all.sort_unstable();
    all.dedup();
    parents.push(all);
    parents
}

/// One search for the answer.
pub fn search(question: &Question, aim: Aim, random: &mut Rng) -> Went {
    let history = History::new(&question.parents);
    let bad = history.len() - 1;
    let has = carriers(question, &history);
    let mut search = Search::new(history, aim);
    let (mut confirming, mut trials) = (0, 0);
    loop {
        match search.next(Costs::TRIALS) {
            Next::Try(Point::Good) => {
                confirming += 1;
                search.tried(Point::Good, false);
            }
            Next::Try(Point::Commit(commit)) => {
                if question.unbuildable[commit] {
                    search.skip(Point::Commit(commit));
                    continue;
                }
                match commit == bad && trials == 0 {
                    true => confirming += 1,
                    false => trials += 1,
                }
                let hit = has[commit] && random.f64() < question.rate;
                search.tried(Point::Commit(commit), hit);
            }
            Next::Done(answer) => {
                return Went {
                    right: is_right(question, search.history(), &answer),
                    alone: matches!(answer, Answer::Culprit { .. }),
                    confirming,
                    trials,
                };
            }
        }
    }
}

/// The commits that show the finding.
fn carriers(question: &Question, history: &History) -> Vec<bool> {
    let mut only = vec![0.0; history.len()];
    only[question.culprit] = 1.0;
    history
        .sums(&only)
        .into_iter()
        .map(|sum| sum > 0.0)
        .collect()
}

fn is_right(question: &Question, history: &History, answer: &Answer) -> bool {
    match answer {
        Answer::Culprit { commit, .. } => *commit == question.culprit,
        Answer::Among { commits, .. } => {
            let kinds = history.kinds(|one| !question.unbuildable[one]);
            let alike = |one: &usize| kinds[*one] == kinds[question.culprit];
            commits.contains(&question.culprit) && commits.iter().all(alike)
        }
        Answer::Unconfirmed(_) => false,
    }
}

/// Trials of a search of a line of commits that all can be tried, where the hit rate needs not be learned:
/// what is left of a search's trials is the price of not knowing it.
pub fn told(commits: usize, rate: f64, aim: Aim, random: &mut Rng) -> Went {
    let parents: Vec<Vec<usize>> = (0..commits)
        .map(|commit| commit.checked_sub(1).into_iter().collect())
        .collect();
    let history = History::new(&parents);
    let culprit = random.usize(..commits);
    let states = vec![State::default(); commits];
    let mut belief = Belief::told(&history, aim.false_alarm, rate);
    let mut trials = 0;
    loop {
        let shares = belief.shares();
        let sure = shares.commits();
        let sure = sure.iter().position(|share| *share >= aim.confidence);
        let next = choose(&history, &shares, &states, Costs::TRIALS, aim.false_alarm);
        let Some(commit) = next.filter(|_| sure.is_none()) else {
            return Went {
                right: sure == Some(culprit),
                alone: true,
                confirming: 0,
                trials,
            };
        };
        trials += 1;
        let hit = u32::from(commit >= culprit && random.f64() < rate);
        belief.trials(&history, commit, hit, 1 - hit);
    }
}

/// Plain bisect of a line of commits that all can be tried: in each step the middle is tried a fixed
/// number of times, or to its first hit.
pub fn plain(commits: usize, rate: f64, confidence: f64, random: &mut Rng) -> Went {
    let repeats = bounds::repeats(commits, rate, confidence);
    let culprit = random.usize(..commits);
    let (mut from, mut to, mut trials) = (0, commits - 1, 0);
    while from < to {
        let middle = from.midpoint(to);
        let mut hit = false;
        for _ in 0..repeats {
            trials += 1;
            hit = middle >= culprit && random.f64() < rate;
            if hit {
                break;
            }
        }
        match hit {
            true => to = middle,
            false => from = middle + 1,
        }
    }
    Went {
        right: from == culprit,
        alone: true,
        confirming: 0,
        trials,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of right answers and the mean number of trials.
    fn searches(shape: Shape, rate: f64, runs: u32) -> (f64, f64) {
        let (mut right, mut trials) = (0, 0);
        for run in 0..runs {
            let mut random = Rng::with_seed(u64::from(run));
            let question = question(shape, rate, &mut random);
            let went = search(&question, Aim::default(), &mut random);
            right += u32::from(went.right);
            trials += went.trials;
        }
        let mean = |sum| f64::from(sum) / f64::from(runs);
        (mean(right), mean(trials))
    }

    fn line(commits: usize) -> Shape {
        Shape {
            commits,
            merges: 0.0,
            unbuildable: 0.0,
        }
    }

    /// As right as was asked for, three standard deviations of chance allowed.
    fn assert_right(right: f64, runs: u32, what: &str) {
        let chance = 3.0 * (0.99 * 0.01 / f64::from(runs)).sqrt();
        assert!(right >= 0.99 - chance, "{what}: {right} right of {runs}");
    }

    #[test]
    fn answers_are_right_whatever_the_hit_rate() {
        for (rate, runs) in [(1.0, 100), (0.5, 100), (0.2, 60), (0.05, 20)] {
            for (merges, unbuildable) in [(0.0, 0.0), (0.1, 0.1)] {
                let shape = Shape {
                    commits: 30,
                    merges,
                    unbuildable,
                };
                let (right, trials) = searches(shape, rate, runs);
                assert_right(right, runs, &format!("{shape:?} at {rate}"));
                let most = 2.0 * bounds::reference(30, rate, 0.99);
                assert!(trials <= most, "{shape:?} at {rate}: {trials} trials");
            }
        }
    }

    #[test]
    fn a_thousand_commits_take_far_fewer_trials_than_plain_bisect() {
        const RUNS: u32 = 6;
        let (right, trials) = searches(line(1000), 0.2, RUNS);
        assert_right(right, RUNS, "1000 commits");
        let plains = (0..500).map(|seed| plain(1000, 0.2, 0.99, &mut Rng::with_seed(seed)));
        let plain = plains.map(|went| f64::from(went.trials)).sum::<f64>() / 500.0;
        // Plain bisect ends a step at its first hit: half of its steps take 5 trials, the others 31.
        assert!((175.0..185.0).contains(&plain), "{plain}");
        // Little less is to be had by anybody: to rule out the commit before the culprit takes misses
        // there, which tell less and less (see choose.rs for what the best search takes).
        assert!(bounds::fewest(1000, 0.2, 0.99) > 0.47 * plain);
        let told = (0..RUNS).map(|run| {
            let mut random = Rng::with_seed(u64::from(run));
            told(1000, 0.2, Aim::default(), &mut random)
        });
        let told = told.map(|went| f64::from(went.trials)).sum::<f64>() / f64::from(RUNS);
        assert!(told < 0.65 * plain, "{told} trials, plain bisect {plain}");
        assert!(
            trials < 0.8 * plain,
            "{trials} trials, plain bisect {plain}"
        );
        assert!(
            trials < 2.0 * bounds::reference(1000, 0.2, 0.99),
            "{trials}"
        );
    }

    #[test]
    fn ten_thousand_commits_with_merges_are_searched() {
        let shape = Shape {
            commits: 10_000,
            merges: 0.1,
            unbuildable: 0.05,
        };
        let (right, trials) = searches(shape, 1.0, 1);
        assert_eq!(right, 1.0);
        assert!(
            trials <= 2.0 * bounds::reference(10_000, 1.0, 0.99),
            "{trials}"
        );
    }

    #[test]
    fn plain_bisect_is_as_right_as_it_is_sized_for() {
        let plains = (0..2000).map(|seed| plain(100, 0.5, 0.99, &mut Rng::with_seed(seed)));
        let right = plains.filter(|went| went.right).count();
        assert!(right >= 1967, "{right} of 2000");
    }
}
