//! What a path limit left out right before a commit.
//!
//! Between a commit that is listed and those that are listed as its parents any number of others may
//! lie, which touch none of the paths. That it shows a finding and they do not tells only that it or
//! one of those others brought it: its real parents tell which.

use super::range::{Between, Commits, Range, is_id};
use crate::Result;

/// A commit's real parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub commit: String,
    /// The listed commit that holds all that is listed of its history: itself, an older one, or none
    /// where it has nothing that the good commit has not.
    pub leads_to: Option<String>,
}

impl Commits<'_> {
    /// The real parents of a commit in question, those in the good commit's history left out.
    ///
    /// # Errors
    /// git's.
    pub fn real_parents(
        &self,
        range: &Range,
        commit: &str,
        between: &Between,
    ) -> Result<Vec<Parent>> {
        let list = self
            .shadow
            .git()
            .args(["rev-list", "-1", "--parents", commit]);
        let line = list.run_ok(self.ways.cancel)?.text();
        let most = if between.first_parent { 1 } else { usize::MAX };
        let all = line.split_whitespace().skip(1).take(most);
        let mut parents = Vec::new();
        let everything = Between::default();
        for parent in all.filter(|id| is_id(id)) {
            if self.newest(&everything, &range.good, parent)?.is_some() {
                let newest = self.newest(between, &range.good, parent)?;
                parents.push(Parent {
                    commit: parent.to_owned(),
                    leads_to: newest.filter(|one| range.commits.contains(one)),
                });
            }
        }
        Ok(parents)
    }

    /// The newest commit of a history that would be listed.
    fn newest(&self, between: &Between, good: &str, of: &str) -> Result<Option<String>> {
        let line = self.shadow.ran(self.list(between, good, of, "-1"))?.text();
        let first = line.split_whitespace().next();
        Ok(first.filter(|id| is_id(id)).map(str::to_owned))
    }
}

impl Range {
    /// Puts a commit's real parents in the place of those that are listed as its parents (pure). Says
    /// whether that is another history than before.
    pub fn put_parents(&mut self, commit: &str, real: &[Parent]) -> bool {
        let before = self.clone();
        for parent in real {
            if self.position(&parent.commit).is_none() {
                self.insert(parent);
            }
        }
        let positions = real.iter().filter_map(|one| self.position(&one.commit));
        let mut parents: Vec<usize> = positions.collect();
        parents.sort_unstable();
        parents.dedup();
        if let Some(at) = self.position(commit) {
            self.parents[at].sort_unstable();
            // Only what was left out is news.
            if self.parents[at] != parents {
                self.parents[at] = parents;
                return true;
            }
        }
        *self = before;
        false
    }

    /// Whether it stands for what is not listed.
    pub fn stands_in(&self, at: usize) -> bool {
        let commit = self.commits.get(at);
        commit.is_some_and(|commit| self.stand_ins.contains(commit))
    }

    fn position(&self, commit: &str) -> Option<usize> {
        self.commits.iter().position(|one| one == commit)
    }

    /// Right after what it leads to: before whatever else has that for a parent.
    fn insert(&mut self, parent: &Parent) {
        let leads_to = parent.leads_to.as_deref();
        let leads_to = leads_to.and_then(|one| self.position(one));
        let at = leads_to.map_or(0, |leads_to| leads_to + 1);
        for one in self.parents.iter_mut().flatten() {
            *one += usize::from(*one >= at);
        }
        self.commits.insert(at, parent.commit.clone());
        self.parents.insert(at, leads_to.into_iter().collect());
        self.stand_ins.insert(parent.commit.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// a - b - d, with c from a merged in d; the last stands for what comes after d.
    fn range() -> Range {
        Range {
            good: "g".into(),
            commits: ["a", "b", "c", "d", "end"].map(str::to_owned).into(),
            parents: vec![vec![], vec![0], vec![0], vec![1, 2], vec![3]],
            stand_ins: ["end".to_owned()].into(),
        }
    }

    fn parents(all: &[(&str, &str)]) -> Vec<Parent> {
        let parent = |(commit, leads_to): &(&str, &str)| Parent {
            commit: (*commit).into(),
            leads_to: (!leads_to.is_empty()).then(|| (*leads_to).into()),
        };
        all.iter().map(parent).collect()
    }

    #[test]
    fn real_parents_stand_for_what_is_not_listed() {
        type Row = (
            &'static str,
            &'static [(&'static str, &'static str)],
            &'static str,
        );
        // Of which commit, its real parents and what each leads to, and the history then.
        let table: [Row; 6] = [
            ("a", &[("x", "")], "x: a:x b:a c:a d:b,c end:d"),
            ("b", &[("x", "a")], "a: x:a b:x c:a d:b,c end:d"),
            ("d", &[("b", "b"), ("x", "c")], "a: b:a c:a x:c d:b,x end:d"),
            (
                "d",
                &[("x", "b"), ("y", "c")],
                "a: b:a x:b c:a y:c d:x,y end:d",
            ),
            // They are those that are listed, or the good commit has them.
            ("d", &[("c", "c"), ("b", "b")], "a: b:a c:a d:b,c end:d"),
            ("a", &[], "a: b:a c:a d:b,c end:d"),
        ];
        for (commit, real, expected) in table {
            let mut range = range();
            let before = range.clone();
            let changed = range.put_parents(commit, &parents(real));
            assert_eq!(words(&range), expected, "{commit}");
            assert_eq!(changed, range != before, "{commit}");
            assert!(range.stands_in(range.commits.len() - 1));
            assert!(!range.put_parents(commit, &parents(real)), "{commit}");
        }
        // Two commits may share one.
        let mut range = range();
        assert!(range.put_parents("c", &parents(&[("x", "a")])));
        assert!(range.put_parents("b", &parents(&[("x", "a")])));
        assert_eq!(words(&range), "a: x:a b:x c:x d:b,c end:d");
        assert!(range.stands_in(1) && !range.stands_in(2));
    }

    fn words(range: &Range) -> String {
        let one = |(commit, parents): (&String, &Vec<usize>)| {
            let parents = parents.iter().map(|at| range.commits[*at].as_str());
            format!("{commit}:{}", parents.collect::<Vec<_>>().join(","))
        };
        let all = range.commits.iter().zip(&range.parents).map(one);
        all.collect::<Vec<_>>().join(" ")
    }
}
