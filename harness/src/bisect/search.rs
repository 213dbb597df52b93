//! The search: confirm both ends, try commits until one is sure enough (pure).

use super::{
    belief::{Belief, Shares},
    choose::{Costs, State, choose},
    history::History,
};

/// Hits that the bad commit must show before anything else is tried: they say how rare the finding is,
/// and with fewer the search takes more trials than these.
const CONFIRMING_HITS: u32 = 8;

/// How sure the answer must be, and how rare a finding is worth following.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aim {
    /// The probability of being right that is asked for: 0.99.
    pub confidence: f64,
    /// The lowest hit rate for which the bad commit is tried without any hit.
    pub rarest: f64,
    /// How often a commit without the culprit shows the finding all the same: a title that another
    /// bug shares, a host that stumbles. Close to zero, and not zero: no trial alone rules a commit
    /// out. For a figure past a threshold, how often chance puts it there; for a time limit, how often
    /// a busy host does.
    pub false_alarm: f64,
}

impl Default for Aim {
    fn default() -> Self {
        Self {
            confidence: 0.99,
            rarest: 0.05,
            false_alarm: 1e-4,
        }
    }
}

/// A commit that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// The good commit.
    Good,
    /// A commit in question, by its position; the last is the bad one.
    Commit(usize),
}

/// What became of trials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// The finding showed.
    pub hits: u32,
    /// It did not.
    pub misses: u32,
    /// It cannot be tried.
    pub skipped: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// One more trial there.
    Try(Point),
    /// Nothing: there is an answer.
    Done(Answer),
}

/// How a search ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The commit that brought it.
    Culprit {
        /// Its position.
        commit: usize,
        /// The probability that it is.
        confidence: f64,
    },
    /// One of these: what lies between them cannot be tried.
    Among {
        /// Their positions, the likeliest first.
        commits: Vec<usize>,
        /// The probability that one of them is.
        confidence: f64,
    },
    /// An end is not as it was said to be: there is nothing to search for.
    Unconfirmed(Unconfirmed),
}

/// Which end is not as it was said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconfirmed {
    /// The bad commit does not show the finding.
    BadIsQuiet {
        /// In so many trials.
        trials: u32,
    },
    /// The good commit shows it.
    GoodShows {
        /// So often.
        hits: u32,
        /// In so many trials.
        trials: u32,
    },
    /// The bad commit cannot be tried.
    BadSkipped,
    /// The good commit cannot be tried.
    GoodSkipped,
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    history: History,
    aim: Aim,
    belief: Belief,
    good: Tally,
    commits: Vec<Tally>,
    states: Vec<State>,
    /// A commit's second trial says what its first did.
    once: bool,
}

impl Search {
    /// Among these commits, of which there is at least one.
    pub fn new(history: History, aim: Aim) -> Self {
        Self {
            belief: Belief::new(&history, aim.false_alarm),
            good: Tally::default(),
            commits: vec![Tally::default(); history.len()],
            states: vec![State::Unknown; history.len()],
            aim,
            history,
            once: false,
        }
    }

    /// The same of what a commit always shows or never, as a build that fails: each is tried once, and
    /// a second trial counts for nothing.
    pub fn once(history: History, mut aim: Aim) -> Self {
        // Enough for the answer to be as sure as is asked for.
        aim.false_alarm = aim.false_alarm.min((1.0 - aim.confidence) / 100.0);
        Self {
            belief: Belief::told(&history, aim.false_alarm, 1.0 - aim.false_alarm),
            once: true,
            ..Self::new(history, aim)
        }
    }

    /// The commits in question.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What is known of a commit so far.
    pub fn tally(&self, point: Point) -> Tally {
        match point {
            Point::Good => self.good,
            Point::Commit(commit) => self.commits[commit],
        }
    }

    /// Takes in whether a trial showed the finding.
    pub fn tried(&mut self, point: Point, hit: bool) {
        let before = self.tally(point);
        if self.once && before.hits + before.misses > 0 {
            return;
        }
        let tally = match point {
            Point::Good => &mut self.good,
            Point::Commit(commit) => {
                let hits = u32::from(hit);
                self.belief.trials(&self.history, commit, hits, 1 - hits);
                self.states[commit] = match self.once {
                    true => State::Told,
                    false => State::Built,
                };
                &mut self.commits[commit]
            }
        };
        match hit {
            true => tally.hits += 1,
            false => tally.misses += 1,
        }
    }

    /// A kernel is there: more trials of it cost no build.
    pub fn built(&mut self, point: Point) {
        if let Point::Commit(commit) = point
            && self.states[commit] != State::Told
        {
            self.states[commit] = State::Built;
        }
    }

    /// Takes in that a commit cannot be tried, which says nothing about the culprit.
    pub fn skip(&mut self, point: Point) {
        match point {
            Point::Good => self.good.skipped = true,
            Point::Commit(commit) => {
                self.commits[commit].skipped = true;
                self.states[commit] = State::Skipped;
            }
        }
    }

    /// The probability of each commit being the culprit.
    pub fn commits(&self) -> Vec<f64> {
        self.belief.shares().commits()
    }

    /// For each commit, the probability that the culprit lies in its history.
    pub fn has_it(&self) -> Vec<f64> {
        self.history.sums(&self.commits())
    }

    /// The hit rate that is expected of a commit that has the culprit.
    pub fn rate(&self) -> f64 {
        self.belief.shares().rate()
    }

    /// The position of the bad commit.
    fn bad(&self) -> usize {
        self.history.len() - 1
    }

    /// What to do next; `costs` are those of a commit that nothing is known of yet.
    pub fn next(&self, costs: Costs) -> Next {
        if let Some(next) = self.confirm_bad() {
            return next;
        }
        let shares = self.belief.shares();
        if let Some(next) = self.confirm_good(&shares) {
            return next;
        }
        if let Some(answer) = self.answer(&shares) {
            return Next::Done(answer);
        }
        match choose(
            &self.history,
            &shares,
            &self.states,
            costs,
            self.aim.false_alarm,
        ) {
            Some(commit) => Next::Try(Point::Commit(commit)),
            None => Next::Done(self.among(&shares.commits())),
        }
    }

    /// How many trials without a hit say that the finding is rarer than is worth following. To give
    /// up wrongly is to be wrong, too: it takes a tenth of what that may come to.
    pub fn patience(&self) -> u32 {
        let wrong = (1.0 - self.aim.confidence) / 10.0;
        (wrong.ln() / (1.0 - self.aim.rarest).ln()).ceil() as u32
    }

    fn confirm_bad(&self) -> Option<Next> {
        let Tally {
            hits,
            misses,
            skipped,
        } = self.commits[self.bad()];
        let unconfirmed = |why| Some(Next::Done(Answer::Unconfirmed(why)));
        // It can be tried no more: what it showed before has to do.
        match (skipped, hits) {
            (true, 0) => return unconfirmed(Unconfirmed::BadSkipped),
            (true, _) => return None,
            (false, _) => {}
        }
        if self.once {
            return match (hits, misses) {
                (0, 0) => Some(Next::Try(Point::Commit(self.bad()))),
                (0, trials) => unconfirmed(Unconfirmed::BadIsQuiet { trials }),
                _ => None,
            };
        }
        // Where it was tried for the search's own sake its hits may lie anywhere.
        let patience = self.patience().saturating_mul(hits + 1);
        match hits {
            CONFIRMING_HITS.. => None,
            _ if misses >= patience => unconfirmed(Unconfirmed::BadIsQuiet {
                trials: hits + misses,
            }),
            _ => Some(Next::Try(Point::Commit(self.bad()))),
        }
    }

    /// As many trials as the hit rate asks for; where it turns out lower than it seemed, some more.
    fn confirm_good(&self, shares: &Shares) -> Option<Next> {
        let Tally {
            hits,
            misses,
            skipped,
        } = self.good;
        let (trials, wrong) = (hits + misses, 1.0 - self.aim.confidence);
        let speaks = (trials > 0).then(|| shares.speaks_for(self.aim.false_alarm, hits, misses));
        match speaks.unwrap_or(1.0) {
            _ if self.once && trials > 0 && hits == 0 => None,
            ratio if ratio <= wrong => None,
            _ if skipped => Some(Next::Done(Answer::Unconfirmed(Unconfirmed::GoodSkipped))),
            ratio if ratio >= 1.0 / wrong => {
                let why = Unconfirmed::GoodShows { hits, trials };
                Some(Next::Done(Answer::Unconfirmed(why)))
            }
            _ => Some(Next::Try(Point::Good)),
        }
    }

    /// The culprit, or those that no trial can tell from it, once that is sure enough.
    fn answer(&self, shares: &Shares) -> Option<Answer> {
        let commits = shares.commits();
        let (commit, likeliest) = likeliest(&commits)?;
        if likeliest >= self.aim.confidence {
            return Some(Answer::Culprit {
                commit,
                confidence: likeliest,
            });
        }
        if !self.states.contains(&State::Skipped) {
            return None;
        }
        let kinds = self.history.kinds(|one| self.states[one] != State::Skipped);
        let of_its_kind = |one: &usize| kinds[*one] == kinds[commit];
        let alike: Vec<usize> = (0..commits.len()).filter(of_its_kind).collect();
        let confidence = alike.iter().map(|one| commits[*one]).sum();
        (confidence >= self.aim.confidence).then(|| Answer::Among {
            commits: by_likelihood(alike, &commits),
            confidence,
        })
    }

    /// The fewest commits that are together as sure as was asked for.
    fn among(&self, commits: &[f64]) -> Answer {
        let mut sum = 0.0;
        let all = by_likelihood((0..commits.len()).collect(), commits);
        let enough = all.into_iter().take_while(|one| {
            let short = sum < self.aim.confidence;
            if short {
                sum += commits[*one];
            }
            short
        });
        Answer::Among {
            commits: enough.collect(),
            confidence: sum.min(1.0),
        }
    }
}

fn likeliest(commits: &[f64]) -> Option<(usize, f64)> {
    let all = commits.iter().copied().enumerate();
    all.max_by(|(_, a), (_, b)| a.total_cmp(b))
}

fn by_likelihood(mut which: Vec<usize>, commits: &[f64]) -> Vec<usize> {
    which.sort_by(|a, b| commits[*b].total_cmp(&commits[*a]).then(a.cmp(b)));
    which
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(count: usize) -> Search {
        Search::new(History::line(count), Aim::default())
    }

    /// Trials whose outcome `shows` decides, until the search asks for something else than `there`.
    fn while_there(search: &mut Search, there: Point, shows: impl Fn(u32) -> bool) -> u32 {
        for trial in 0.. {
            if search.next(Costs::TRIALS) != Next::Try(there) {
                return trial;
            }
            search.tried(there, shows(trial));
        }
        unreachable!()
    }

    #[test]
    fn both_ends_are_confirmed_first() {
        let (bad, mut search) = (Point::Commit(9), line(10));
        assert_eq!(while_there(&mut search, bad, |_| true), 8);
        let sure = while_there(&mut search, Point::Good, |_| false);
        assert!((1..=6).contains(&sure), "{sure}");
        // The rarer it is, the more trials it takes to say that it is not there.
        let mut search = line(10);
        assert_eq!(while_there(&mut search, bad, |n| n % 10 == 9), 80);
        let rare = while_there(&mut search, Point::Good, |_| false);
        assert!((44..=80).contains(&rare), "{rare}");
        assert!(matches!(
            search.next(Costs::TRIALS),
            Next::Try(Point::Commit(0..9))
        ));
    }

    #[test]
    fn no_search_on_sand() {
        let (bad, mut search) = (Point::Commit(9), line(10));
        assert_eq!(while_there(&mut search, bad, |_| false), 135);
        let quiet = Answer::Unconfirmed(Unconfirmed::BadIsQuiet { trials: 135 });
        assert_eq!(search.next(Costs::TRIALS), Next::Done(quiet));

        let mut search = line(10);
        while_there(&mut search, bad, |_| true);
        search.tried(Point::Good, false);
        search.tried(Point::Good, true);
        let shows = Answer::Unconfirmed(Unconfirmed::GoodShows { hits: 1, trials: 2 });
        assert_eq!(search.next(Costs::TRIALS), Next::Done(shows));

        let mut search = line(10);
        search.skip(bad);
        let skipped = Answer::Unconfirmed(Unconfirmed::BadSkipped);
        assert_eq!(search.next(Costs::TRIALS), Next::Done(skipped));
        let mut search = line(10);
        while_there(&mut search, bad, |_| true);
        search.skip(Point::Good);
        let skipped = Answer::Unconfirmed(Unconfirmed::GoodSkipped);
        assert_eq!(search.next(Costs::TRIALS), Next::Done(skipped));
    }

    #[test]
    fn an_end_that_can_be_tried_no_more_keeps_what_it_said() {
        let (bad, mut search) = (Point::Commit(9), line(10));
        search.tried(bad, true);
        search.skip(bad);
        assert_eq!(search.next(Costs::TRIALS), Next::Try(Point::Good));
        while_there(&mut search, Point::Good, |_| false);
        search.skip(Point::Good);
        let Next::Try(Point::Commit(0..9)) = search.next(Costs::TRIALS) else {
            panic!("{:?}", search.next(Costs::TRIALS));
        };
    }

    #[test]
    fn what_always_shows_is_tried_once_a_commit() {
        for confidence in [0.99, 0.999_999] {
            for culprit in [0, 1, 330, 500, 998, 999] {
                let aim = Aim {
                    confidence,
                    ..Aim::default()
                };
                let mut search = Search::once(History::line(1000), aim);
                let mut seen = std::collections::BTreeSet::new();
                let costs = Costs {
                    build: 300.0,
                    trial: 1.0,
                };
                let answer = loop {
                    let point = match search.next(costs) {
                        Next::Try(point) => point,
                        Next::Done(answer) => break answer,
                    };
                    assert!(seen.insert(point), "{point:?} again");
                    let hit = matches!(point, Point::Commit(at) if at >= culprit);
                    // As a journal of many such trials has them.
                    search.tried(point, hit);
                    search.tried(point, hit);
                    search.built(point);
                    let tally = search.tally(point);
                    assert_eq!(tally.hits + tally.misses, 1);
                };
                assert!(
                    matches!(answer, Answer::Culprit { commit, confidence: sure }
                        if commit == culprit && sure >= confidence),
                    "{culprit}: {answer:?}"
                );
                assert!(seen.len() <= 14, "{culprit}: {} builds", seen.len());
            }
        }
        let mut quiet = Search::once(History::line(9), Aim::default());
        quiet.tried(Point::Commit(8), false);
        let why = Unconfirmed::BadIsQuiet { trials: 1 };
        let done = Next::Done(Answer::Unconfirmed(why));
        assert_eq!(quiet.next(Costs::TRIALS), done);
        let mut shows = Search::once(History::line(9), Aim::default());
        shows.tried(Point::Commit(8), true);
        shows.tried(Point::Good, true);
        let why = Unconfirmed::GoodShows { hits: 1, trials: 1 };
        assert_eq!(
            shows.next(Costs::TRIALS),
            Next::Done(Answer::Unconfirmed(why))
        );
    }

    #[test]
    fn a_single_commit_needs_no_search() {
        let mut search = line(1);
        while_there(&mut search, Point::Commit(0), |_| true);
        while_there(&mut search, Point::Good, |_| false);
        let Next::Done(Answer::Culprit { commit: 0, .. }) = search.next(Costs::TRIALS) else {
            panic!("{:?}", search.next(Costs::TRIALS));
        };
    }

    #[test]
    fn neighbours_that_cannot_be_tried_are_named_together() {
        let mut search = line(100);
        loop {
            match search.next(Costs::TRIALS) {
                Next::Try(Point::Commit(40..=43)) => {
                    search.skip(match search.next(Costs::TRIALS) {
                        Next::Try(point) => point,
                        Next::Done(_) => unreachable!(),
                    })
                }
                Next::Try(Point::Commit(at)) => search.tried(Point::Commit(at), at >= 42),
                Next::Try(Point::Good) => search.tried(Point::Good, false),
                Next::Done(Answer::Among {
                    commits,
                    confidence,
                }) => {
                    let mut commits = commits;
                    commits.sort_unstable();
                    assert_eq!(commits, [40, 41, 42, 43, 44]);
                    assert!(confidence >= 0.99);
                    return;
                }
                Next::Done(other) => panic!("{other:?}"),
            }
        }
    }
}
