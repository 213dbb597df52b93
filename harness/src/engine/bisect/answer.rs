//! What the trials of a bisect say, with their evidence.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::{
    found::{Commit, Ended, Found, Tried},
    journal::Line,
    log,
    run::Run,
};
use crate::{
    Result,
    bisect::{Answer, Point, Unconfirmed},
    error::Context,
    judge::Followed,
    report::escape::terminal_line,
    source::Range,
};

/// Candidates that are named.
const NAMED: usize = 10;
/// Where the log of `git bisect` goes, in a bisect's folder.
const LOG: &str = "bisect.log";
/// Where the decoded splat goes.
const SPLAT: &str = "splat.txt";
/// The folder of a boot's splats.
const SPLATS: &str = "splats";

impl Run<'_> {
    pub(super) fn found(&self, answer: Option<Answer>) -> Result<Found> {
        let commits = self.search.commits();
        let mut found = Found {
            outcome: Ended::Interrupted,
            culprit: None,
            candidates: Vec::new(),
            confidence: 0.0,
            trials: self.evidence(),
            hit_rate: self.search.rate(),
            commits: commits.len(),
            title: self.title_of(None),
            splat: None,
            evidence: None,
            reasons: Vec::new(),
            dir: self.journal.dir().to_owned(),
            log: String::new(),
        };
        match answer {
            None => {
                let reason = "it was interrupted; the same command goes on";
                found.reasons.push(reason.into());
            }
            Some(Answer::Culprit { commit, confidence }) if self.range.stands_in(commit) => {
                found.outcome = Ended::Ambiguous;
                found.confidence = confidence;
                let outside = outside(&self.range, commit, &self.asked.between.paths);
                let reason = format!("it is {outside}: look there, without --path");
                found.reasons.push(reason);
            }
            Some(Answer::Culprit { commit, confidence }) => {
                found.outcome = Ended::Found;
                found.confidence = confidence;
                found.culprit = Some(self.about(&self.range.commits[commit])?);
                (found.evidence, found.splat) = self.shown_by(commit);
            }
            Some(Answer::Among {
                commits,
                confidence,
            }) => {
                found.outcome = Ended::Ambiguous;
                found.confidence = confidence;
                found.reasons.push(format!(
                    "it is one of {} commits that no trial tells apart: some cannot be tried",
                    commits.len()
                ));
                let (outside_ones, listed): (Vec<usize>, Vec<usize>) = commits
                    .iter()
                    .partition(|commit| self.range.stands_in(**commit));
                for commit in outside_ones {
                    let outside = outside(&self.range, commit, &self.asked.between.paths);
                    found.reasons.push(format!("or it is {outside}"));
                }
                for commit in listed.iter().take(NAMED) {
                    found
                        .candidates
                        .push(self.about(&self.range.commits[*commit])?);
                }
                if let Some(commit) = commits.first() {
                    (found.evidence, found.splat) = self.shown_by(*commit);
                }
            }
            Some(Answer::Unconfirmed(why)) => {
                found.outcome = Ended::Unconfirmed;
                found.reasons.push(self.unconfirmed(why));
            }
        }
        if let Some(splat) = &found.splat {
            let path = found.dir.join(SPLAT);
            fs::write(&path, splat).host(|| format!("failed to write {}", path.display()))?;
        }
        found.log = self.log(&found);
        let path = found.dir.join(LOG);
        fs::write(&path, &found.log).host(|| format!("failed to write {}", path.display()))?;
        Ok(found)
    }

    fn unconfirmed(&self, why: Unconfirmed) -> String {
        let (good, bad) = (&self.range.good, self.range.commits.last());
        let bad = bad.map_or("", String::as_str);
        let because = |commit: &str| {
            let why = self.why.get(commit).map_or("", String::as_str);
            // The journal remembers it: the same command would only say so again.
            format!("cannot be tried: {why} (once that is mended, another --out begins anew)")
        };
        let hint = match self.asked.followed {
            // Any finding of a kernel that runs.
            Followed::Any => {
                "; if that is what is looked for: --finding build-failed or boot-failed"
            }
            Followed::Title(_) | Followed::Kind(_) | Followed::Measure { .. } => "",
        };
        let tally = |commit: &str| self.point(commit).map(|point| self.search.tally(point));
        match why {
            Unconfirmed::BadIsQuiet { trials } => match tally(bad).map_or(0, |tally| tally.hits) {
                0 => format!("the bad commit {bad:.12} does not show it in {trials} trials"),
                hits => format!(
                    "the bad commit {bad:.12} shows it in {hits} of {trials} trials: too rarely to \
                     be followed (--rarest says how rarely is worth it)"
                ),
            },
            Unconfirmed::GoodShows { hits, trials } => {
                let what = self.title_of(Some(good));
                let what = what.map_or(String::new(), |title| format!(": {title}"));
                format!("the good commit {good:.12} shows it, in {hits} of {trials} trials{what}")
            }
            Unconfirmed::BadSkipped => format!("the bad commit {bad:.12} {}{hint}", because(bad)),
            Unconfirmed::GoodSkipped => format!("the good commit {good:.12} {}", because(good)),
        }
    }

    /// Every commit that was tried.
    fn evidence(&self) -> Vec<Tried> {
        let inside = self.search.has_it();
        let points = std::iter::once(Point::Good);
        let points = points.chain((0..self.range.commits.len()).map(Point::Commit));
        let tried = points.filter_map(|point| {
            let tally = self.search.tally(point);
            let trials = tally.hits + tally.misses;
            let commit = self.id(point);
            (trials > 0 || tally.skipped).then(|| Tried {
                hits: tally.hits,
                trials,
                skipped: tally.skipped,
                why: self.why.get(&commit).cloned(),
                has_it: match point {
                    Point::Good => 0.0,
                    Point::Commit(at) => inside[at].min(1.0),
                },
                commit,
            })
        });
        tried.collect()
    }

    /// The title that hits bore most often, of one commit or of all.
    fn title_of(&self, one: Option<&str>) -> Option<String> {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        for line in self.journal.lines() {
            if let Line::Trial {
                commit,
                title: Some(title),
                ..
            } = line
                && one.is_none_or(|one| one == commit)
            {
                *counts.entry(title).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(title, _)| title.clone())
    }

    /// The evidence of the hit that is nearest to a commit: its file, and what that says where it is
    /// a splat. Whole logs are to be looked at where they lie.
    fn shown_by(&self, commit: usize) -> (Option<PathBuf>, Option<String>) {
        let Some(raw) = self.nearest(commit) else {
            return (None, None);
        };
        let is_splat = raw.parent().is_some_and(|folder| folder.ends_with(SPLATS));
        let decoded = raw.with_extension("decoded.txt");
        let read = || fs::read(decoded).or_else(|_| fs::read(&raw)).ok();
        let text = is_splat.then(read).flatten();
        let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        (Some(raw), text)
    }

    fn nearest(&self, commit: usize) -> Option<PathBuf> {
        let hits = self.journal.lines().iter().filter_map(|line| match line {
            Line::Trial {
                commit,
                hit: true,
                evidence: Some(evidence),
                ..
            } => Some((*self.positions.get(commit)?, evidence)),
            _ => None,
        });
        let after = hits.filter(|(at, _)| *at >= commit);
        let (_, evidence) = after.min_by_key(|(at, _)| *at)?;
        Some(self.journal.dir().join(evidence))
    }

    fn about(&self, commit: &str) -> Result<Commit> {
        let about = self.commits.about(commit)?;
        Ok(Commit {
            commit: commit.to_owned(),
            subject: about.subject,
            author: about.author,
        })
    }

    fn log(&self, found: &Found) -> String {
        let subject = |commit: &str| {
            let about = self.commits.about(commit).unwrap_or_default();
            terminal_line(&about.subject)
        };
        log::log(
            &self.range,
            &self.asked.between,
            &found.trials,
            self.asked.aim.confidence,
            found.culprit.as_ref().map(|one| one.commit.as_str()),
            &subject,
        )
    }
}

/// What a commit stands for that touches none of the paths.
fn outside(range: &Range, at: usize, paths: &[String]) -> String {
    let parents = range.parents[at].iter();
    let older: Vec<String> = parents
        .map(|parent| format!("{:.12}", range.commits[*parent]))
        .collect();
    let older = match older.is_empty() {
        true => format!("{:.12}", range.good),
        false => older.join(" and "),
    };
    format!(
        "a commit that does not touch {}, after {older} and up to {:.12}",
        terminal_line(&paths.join(", ")),
        range.commits[at]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_named_by_its_ends() {
        let range = Range {
            good: "good".into(),
            commits: ["x", "a", "b", "y"].map(str::to_owned).into(),
            parents: vec![vec![], vec![0], vec![0], vec![1, 2]],
            stand_ins: ["x".to_owned(), "y".to_owned()].into(),
        };
        let told = |at| outside(&range, at, &["fs/fuse".into(), "mm".into()]);
        let touches = "a commit that does not touch fs/fuse, mm, after";
        assert_eq!(told(0), format!("{touches} good and up to x"));
        assert_eq!(told(3), format!("{touches} a and b and up to y"));
    }
}
