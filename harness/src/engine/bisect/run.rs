//! The search, trial by trial.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use super::{
    asked::Asked,
    blind::{BLIND, cannot_say},
    found::Found,
    journal::{Journal, Line},
    kept::may_be_restored,
    kernels::{Image, Kernels},
    scout::Places,
    spent::Spent,
    trials::{ATTEMPTS, BOOTS, Trials, Tried},
};
use crate::{
    Error, Fault, Result,
    bisect::{Answer, History, Next, Point, Search, Unconfirmed, bounds},
    boot::settings::Accel,
    build::KernelImage,
    cache::Cache,
    cancel::Cancel,
    engine::{Home, configs, subject},
    event::{Event, Watcher},
    judge::{Followed, Shown, verdict::Kind},
    report::escape::terminal_line,
    source::{Commits, Range, Ways},
};

/// Finds the commit that brought a finding; where the same question was asked before, goes on.
///
/// # Errors
/// Bad input, and what keeps a trial from being made at all; the trials so far are on disk.
pub fn bisect(
    asked: &Asked,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
    out: Option<PathBuf>,
) -> Result<Found> {
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    let home = Home::here();
    let config = asked.config()?;
    configs::each(&home, &[config.to_owned()])?;
    let request = &asked.request;
    let subject = subject::resolve(&home, request, &mut |_| None)?;
    asked.without_overlays(&subject.scenario)?;
    let own = configs::users(&request.kconfig)?;
    let stack = configs::stack(&home, config, request.machine, &subject.scenario, &own)?;
    stack.requests()?;
    let commits = Commits::open(&asked.tree()?, ways)?;
    let range = commits.between(&asked.between)?;
    let id = asked.id(&range, &subject.scenario, &stack)?;
    let dir = out.unwrap_or_else(|| home.bisects().join(&id[..12]));
    let bad = range.commits.last().map_or("", String::as_str);
    let journal = Journal::open(&dir, &id, &range.good, bad)?;
    cache.sweep()?;
    watcher.event(&Event::RunDir(dir.clone()));
    let earlier = journal.lines().iter().filter_map(|line| match line {
        Line::Built { commit, .. } => Some(commit.clone()),
        _ => None,
    });
    let requires = subject.scenario.requires.clone();
    let origin = request.kernel.origin();
    let good = (range.good.as_str(), &origin);
    let boots = dir.join(BOOTS);
    let kernels = Kernels::new(&commits, &boots, good, stack, requires, earlier, ways)?;
    let trials = Trials::new(asked, &subject.scenario, &dir, ways)?;
    let mut run = Run {
        search: search(&range, asked),
        positions: positions(&range),
        costs: Spent::default(),
        why: BTreeMap::new(),
        accel: None,
        scouted: None,
        scouts: 0,
        held_by_title: false,
        asked,
        ways,
        commits: &commits,
        range,
        journal,
        kernels,
        trials,
    };
    run.take_in()?;
    match run.all() {
        Ok(answer) => run.found(Some(answer)),
        Err(error) if error.fault() == Fault::Interrupted => run.found(None),
        Err(error) => Err(error),
    }
}

/// What a hit leaves behind.
#[derive(Default)]
struct Evidence {
    title: Option<String>,
    /// A path in the bisect's folder.
    file: Option<String>,
    /// Of a whole boot: whether its loads had begun.
    late: Option<bool>,
}

pub(super) struct Run<'a> {
    pub(super) asked: &'a Asked,
    ways: Ways<'a>,
    pub(super) commits: &'a Commits<'a>,
    pub(super) range: Range,
    pub(super) positions: BTreeMap<String, usize>,
    pub(super) search: Search,
    pub(super) journal: Journal,
    kernels: Kernels<'a>,
    pub(super) trials: Trials<'a>,
    costs: Spent,
    /// Why commits are skipped.
    pub(super) why: BTreeMap<String, String>,
    /// How guests are run, once that is settled.
    accel: Option<Accel>,
    /// Where vCPUs are held, once that is settled.
    pub(super) scouted: Option<Places>,
    /// Trials that only looked for that, and found nothing.
    pub(super) scouts: u32,
    /// Until it is, they are held where the title says.
    pub(super) held_by_title: bool,
}

impl Run<'_> {
    /// What earlier sessions did.
    fn take_in(&mut self) -> Result<()> {
        let lines = self.journal.lines().to_vec();
        lines.iter().for_each(|line| self.learn(line));
        if let Some(accel) = self.accel {
            let began = |error: Error| {
                let what = format!("the trials so far were made with {}", accel.name());
                let mend = "mend that, or begin anew with another --out";
                Error::infrastructure(what).mend(mend).because(error)
            };
            self.trials.run_as(accel).map_err(began)?;
        }
        if let Some(places) = self.scouted.clone() {
            self.trials.hold(places)?;
        }
        let made = lines
            .iter()
            .filter(|line| matches!(line, Line::Trial { .. }));
        let made = made.count();
        let told = match made {
            0 => format!("{} commits are in question", self.range.commits.len()),
            made => format!(
                "{} commits are in question; going on after {made} trials",
                self.range.commits.len()
            ),
        };
        self.say(told);
        Ok(())
    }

    fn learn(&mut self, line: &Line) {
        match line {
            Line::Question { .. } | Line::Blind { .. } => {}
            Line::Accel { accel } => self.accel = Some(*accel),
            Line::Built { commit, seconds } => {
                self.costs.builds.0 += seconds;
                self.costs.builds.1 += 1;
                if let Some(point) = self.point(commit) {
                    self.search.built(point);
                }
            }
            Line::Trial {
                commit,
                hit,
                seconds,
                ..
            } => {
                self.costs.trials.0 += seconds;
                self.costs.trials.1 += 1;
                if let Some(point) = self.point(commit) {
                    self.search.tried(point, *hit);
                }
            }
            Line::Skip { commit, why } => {
                self.why.insert(commit.clone(), why.clone());
                if let Some(point) = self.point(commit) {
                    self.search.skip(point);
                }
            }
            Line::Scouted {
                hit,
                functions,
                files,
                ..
            } => match hit {
                true => {
                    self.scouted = Some(Places {
                        functions: functions.clone(),
                        files: files.clone(),
                    });
                }
                false => self.scouts += 1,
            },
        }
    }

    pub(super) fn add(&mut self, line: Line) -> Result<()> {
        self.journal.add(line.clone())?;
        self.learn(&line);
        Ok(())
    }

    pub(super) fn point(&self, commit: &str) -> Option<Point> {
        match commit == self.range.good {
            true => Some(Point::Good),
            false => self.positions.get(commit).copied().map(Point::Commit),
        }
    }

    pub(super) fn id(&self, point: Point) -> String {
        match point {
            Point::Good => self.range.good.clone(),
            Point::Commit(commit) => self.range.commits[commit].clone(),
        }
    }

    pub(super) fn say(&self, text: String) {
        self.ways.watcher.event(&Event::Note(text));
    }

    fn all(&mut self) -> Result<Answer> {
        loop {
            self.ways.cancel.check()?;
            match self.search.next(self.costs.costs()) {
                Next::Done(answer) => {
                    if !self.looks_outside(&answer)? {
                        return Ok(answer);
                    }
                }
                Next::Try(point) => {
                    if !self.settle()? {
                        return Ok(Answer::Unconfirmed(Unconfirmed::GoodSkipped));
                    }
                    let commit = self.id(point);
                    let quiet = self.once(&commit)?;
                    if let Some(trials) = quiet {
                        let why = Unconfirmed::BadIsQuiet { trials };
                        return Ok(Answer::Unconfirmed(why));
                    }
                }
            }
        }
    }

    /// With a path the commit before a culprit is one that was not listed, and what lies in between
    /// may be what brought it: it is in question from now on, and the trials so far say what they can.
    fn looks_outside(&mut self, answer: &Answer) -> Result<bool> {
        let between = &self.asked.between;
        let seem: &[usize] = match answer {
            Answer::Culprit { commit, .. } => std::slice::from_ref(commit),
            Answer::Among { commits, .. } => commits,
            Answer::Unconfirmed(_) => &[],
        };
        let listed = |commit: &&usize| !between.paths.is_empty() && !self.range.stands_in(**commit);
        let seem = seem.iter().filter(listed);
        let seem: Vec<String> = seem.map(|at| self.range.commits[*at].clone()).collect();
        let mut news = false;
        for commit in seem {
            let real = self.commits.real_parents(&self.range, &commit, between)?;
            if self.range.put_parents(&commit, &real) {
                news = true;
                self.say(format!(
                    "{commit:.12} may bring it; what --path left out before it is looked at"
                ));
            }
        }
        if !news {
            return Ok(false);
        }
        self.positions = positions(&self.range);
        self.search = search(&self.range, self.asked);
        (self.costs, self.scouts) = (Spent::default(), 0);
        let lines = self.journal.lines().to_vec();
        lines.iter().for_each(|line| self.learn(line));
        Ok(true)
    }

    /// One more trial of a commit, or why there is none. Gives how many trials there were in vain
    /// where scouting is given up.
    fn once(&mut self, commit: &str) -> Result<Option<u32>> {
        let image = self.kernel(commit)?;
        let follows_build = follows_build(self.asked);
        match image {
            Ok(_) if follows_build => self.tried(commit, false, 0.0, Evidence::default())?,
            Err(failed) if follows_build && failed.compiled => {
                let evidence = Evidence {
                    title: Some(first_line(&failed.why)),
                    ..Evidence::default()
                };
                self.tried(commit, true, 0.0, evidence)?;
            }
            Err(failed) => {
                if let Some(mend) = failed.mend {
                    self.say(format!("{commit:.12}: {}", terminal_line(&mend)));
                }
                self.skip(commit, failed.why)?;
            }
            Ok(image) => {
                if self.is_to_scout(&image)? {
                    return self.scout(commit, &image);
                }
                self.trial(commit, &image)?;
            }
        }
        Ok(None)
    }

    fn kernel(&mut self, commit: &str) -> Result<Image> {
        let (image, took) = self.kernels.kernel(commit)?;
        if let Some(took) = took.filter(|_| image.is_ok()) {
            self.add(Line::Built {
                commit: commit.to_owned(),
                seconds: took.as_secs_f64(),
            })?;
        }
        Ok(image)
    }

    /// Settles how guests are run, by the good commit's kernel. Says whether that has one.
    fn settle(&mut self) -> Result<bool> {
        if follows_build(self.asked) || !self.trials.wants_trial() {
            return Ok(true);
        }
        let good = self.range.good.clone();
        match self.kernel(&good)? {
            Ok(image) => self.trials.settle(&image).map(|()| true),
            Err(failed) => self.skip(&good, failed.why).map(|()| false),
        }
    }

    fn trial(&mut self, commit: &str, image: &KernelImage) -> Result<()> {
        let began = Instant::now();
        let tried = self.made(commit, image)?;
        let seconds = began.elapsed().as_secs_f64();
        match tried.shown {
            Shown::Hit {
                title,
                evidence,
                late,
            } => {
                let evidence = Evidence {
                    title: Some(title),
                    file: Some(format!("{BOOTS}/{evidence}")),
                    late: tried.whole.then_some(late),
                };
                self.tried(commit, true, seconds, evidence)
            }
            Shown::Miss => self.tried(commit, false, seconds, Evidence::default()),
            Shown::Never(why) => self.skip(commit, why),
            Shown::Blind(why) => self.blind(commit, why),
            Shown::Interrupted => Err(Error::interrupted()),
            Shown::Spoiled(why) => self.spoiled(commit, why),
        }
    }

    /// A trial, which nothing is made of yet.
    pub(super) fn made(&mut self, commit: &str, image: &KernelImage) -> Result<Tried> {
        let lines = self.journal.lines();
        let may_be_restored = may_be_restored(&self.asked.followed, lines);
        let number = lines.len() as u64;
        let tried = self.trials.once(commit, image, number, may_be_restored)?;
        match self.trials.settled() {
            Some(accel) if self.accel.is_none() => self.add(Line::Accel { accel })?,
            _ => {}
        }
        Ok(tried)
    }

    fn tried(&mut self, commit: &str, hit: bool, seconds: f64, evidence: Evidence) -> Result<()> {
        self.add(Line::Trial {
            commit: commit.to_owned(),
            hit,
            seconds,
            title: evidence.title,
            evidence: evidence.file,
            late: evidence.late,
        })?;
        let Some(point) = self.point(commit) else {
            return Ok(());
        };
        let tally = self.search.tally(point);
        let what = if hit { "shows it" } else { "nothing" };
        let so_far = self.so_far();
        self.say(format!(
            "{commit:.12}: {what} ({} of {}); {so_far}",
            tally.hits,
            tally.hits + tally.misses
        ));
        Ok(())
    }

    /// What is known, in a few words.
    fn so_far(&self) -> String {
        let commits = self.search.commits();
        let likeliest = commits
            .iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        let (at, share) = likeliest.map_or((0, 0.0), |(at, share)| (at, *share));
        let bits: f64 = commits
            .iter()
            .filter(|one| **one > 0.0)
            .map(|one| -one * one.log2())
            .sum();
        let rate = self.search.rate();
        let left = bits / bounds::capacity(rate);
        format!(
            "hit rate {rate:.2}, likeliest {:.12} {:.0} %, some {left:.0} trials left",
            self.range.commits[at],
            share * 100.0
        )
    }

    pub(super) fn skip(&mut self, commit: &str, why: String) -> Result<()> {
        self.say(format!(
            "{commit:.12} is skipped: {}",
            terminal_line(&first_line(&why))
        ));
        self.add(Line::Skip {
            commit: commit.to_owned(),
            why: first_line(&why),
        })
    }

    pub(super) fn blind(&mut self, commit: &str, why: String) -> Result<()> {
        self.say(format!(
            "{commit:.12}: a trial could not say: {}",
            terminal_line(&why)
        ));
        self.add(Line::Blind {
            commit: commit.to_owned(),
            why: why.clone(),
        })?;
        match cannot_say(self.journal.lines(), commit) {
            true => self.skip(commit, why),
            false => Ok(()),
        }
    }

    /// The host seems to be unwell, which ends it for now; but it may be the commit that makes it so,
    /// and where that happens again and again it is.
    pub(super) fn spoiled(&mut self, commit: &str, why: String) -> Result<()> {
        self.blind(commit, why.clone())?;
        if self.why.contains_key(commit) {
            return Ok(());
        }
        let what = format!("{ATTEMPTS} trials of {commit:.12} in a row were spoiled: {why}");
        Err(Error::infrastructure(what).mend(format!(
            "the same command goes on once the host is well; a commit that none of {BLIND} such trials \
             can tell of is skipped"
        )))
    }
}

/// A commit's one build is one observation, however often it is looked at.
fn search(range: &Range, asked: &Asked) -> Search {
    let history = History::new(&range.parents);
    match follows_build(asked) {
        true => Search::once(history, asked.aim),
        false => Search::new(history, asked.aim),
    }
}

fn follows_build(asked: &Asked) -> bool {
    asked.followed == Followed::Kind(Kind::BuildFailed)
}

fn positions(range: &Range) -> BTreeMap<String, usize> {
    range.commits.iter().cloned().zip(0..).collect()
}

/// The line that tells most: a compiler's error, or the first, with the next where that only leads to it.
fn first_line(text: &str) -> String {
    let mut lines = text.lines();
    let telling = |line: &&str| line.contains("rror:") || line.contains("rror ");
    if let Some(line) = lines.clone().find(telling) {
        return line.trim().to_owned();
    }
    let first = lines.next().unwrap_or_default().trim();
    match lines.next().filter(|_| first.ends_with(':')) {
        Some(next) => format!("{first} {}", next.trim()),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{bisect::Aim, source::Parent};

    /// What a search of a range comes to where the commits from `first` on show the finding.
    fn searched(range: &Range, known: &mut Vec<(String, bool)>, first: &str) -> Answer {
        let at = positions(range);
        let mut search = Search::new(History::new(&range.parents), Aim::default());
        for (commit, hit) in known.iter() {
            search.tried(Point::Commit(at[commit]), *hit);
        }
        loop {
            match search.next(crate::bisect::Costs::TRIALS) {
                Next::Done(answer) => return answer,
                Next::Try(Point::Good) => search.tried(Point::Good, false),
                Next::Try(Point::Commit(commit)) => {
                    let hit = commit >= at[first];
                    known.push((range.commits[commit].clone(), hit));
                    search.tried(Point::Commit(commit), hit);
                }
            }
        }
    }

    #[test]
    fn the_line_that_tells_most_is_kept() {
        for (text, kept) in [
            ("one\ntwo", "one"),
            (
                "it fails:\n  CC a.o\na.c:1:2: error: x",
                "a.c:1:2: error: x",
            ),
            (
                "not as asked:\nCONFIG_A=y: n",
                "not as asked: CONFIG_A=y: n",
            ),
            ("", ""),
        ] {
            assert_eq!(first_line(text), kept);
        }
    }

    #[test]
    fn what_a_path_left_out_is_told_from_what_it_named() {
        let listed = Range {
            good: "g".into(),
            commits: ["a", "b", "c", "d"].map(str::to_owned).into(),
            parents: vec![vec![], vec![0], vec![1], vec![2]],
            stand_ins: BTreeSet::new(),
        };
        let parent = Parent {
            commit: "x".into(),
            leads_to: Some("b".into()),
        };
        let mut known = Vec::new();
        let seems = searched(&listed, &mut known, "c");
        assert!(matches!(seems, Answer::Culprit { commit: 2, .. }));
        let mut range = listed.clone();
        assert!(range.put_parents("c", &[parent]));
        // Its own parent says whether it is, and nothing else needs to be tried again.
        for (first, outside) in [("c", false), ("x", true)] {
            let mut known = known.clone();
            let before = known.len();
            let Answer::Culprit { commit, confidence } = searched(&range, &mut known, first) else {
                panic!("{first}");
            };
            assert_eq!(range.commits[commit], first);
            assert_eq!(range.stands_in(commit), outside);
            assert!(confidence >= 0.99);
            assert!(known.len() > before);
            assert!(known[before..].iter().all(|(commit, _)| commit == "x"));
        }
    }
}
