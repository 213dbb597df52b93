//! The commits in question, and what lies in each one's history (pure).

/// Commits between a good and a bad one, parents before children; the last is the bad one.
///
/// Each commit's history is kept as that of its largest parent and what it adds to it: no set of its
/// own for each commit, and sums over all histories in little more than one step a commit.
#[derive(Debug, Clone)]
pub struct History {
    commits: Vec<Step>,
}

/// A commit's history: its base's, and `adds`, the commit itself among them.
#[derive(Debug, Clone)]
struct Step {
    base: Option<usize>,
    adds: Vec<u32>,
}

/// A set of commits while histories are made.
struct Set {
    words: Vec<u64>,
    len: usize,
}

impl Set {
    fn empty(commits: usize) -> Self {
        Self {
            words: vec![0; commits.div_ceil(64)],
            len: 0,
        }
    }

    fn insert(&mut self, commit: usize) {
        let (word, bit) = (&mut self.words[commit / 64], 1 << (commit % 64));
        self.len += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// What `self` holds and `other` does not.
    fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let words = self.words.iter().zip(&other.words).enumerate();
        words.flat_map(|(at, (own, other))| {
            let mut left = own & !other;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

impl History {
    /// From each commit's parents, as positions in the list; those that are not in question (they
    /// lie in the good commit's history) are left out.
    ///
    /// # Panics
    /// A parent does not stand before its child.
    pub fn new(parents: &[Vec<usize>]) -> Self {
        let count = parents.len();
        let mut children_left = vec![0_usize; count];
        for parent in parents.iter().flatten() {
            children_left[*parent] += 1;
        }
        let mut live: Vec<Option<Set>> = (0..count).map(|_| None).collect();
        let mut commits = Vec::with_capacity(count);
        for (commit, parents) in parents.iter().enumerate() {
            assert!(parents.iter().all(|parent| *parent < commit));
            let size = |parent: &usize| live[*parent].as_ref().map_or(0, |set| set.len);
            let base = parents.iter().copied().max_by_key(size);
            let mut adds = Vec::new();
            let base_set = base.and_then(|base| live[base].as_ref());
            let mut set = match base_set {
                Some(set) => Set {
                    words: set.words.clone(),
                    len: set.len,
                },
                None => Set::empty(count),
            };
            for other in parents.iter().filter(|parent| Some(**parent) != base) {
                if let Some(other) = live[*other].as_ref() {
                    let new: Vec<usize> = other.without(&set).collect();
                    new.iter().for_each(|one| set.insert(*one));
                    adds.extend(new.into_iter().map(small));
                }
            }
            set.insert(commit);
            adds.push(small(commit));
            commits.push(Step { base, adds });
            live[commit] = Some(set);
            // A set that no child needs any more goes: few are ever there at once.
            for parent in parents {
                children_left[*parent] -= 1;
                if children_left[*parent] == 0 {
                    live[*parent] = None;
                }
            }
        }
        Self { commits }
    }

    /// One commit after the other.
    #[cfg(test)]
    pub(super) fn line(count: usize) -> Self {
        let parent = |commit: usize| commit.checked_sub(1).into_iter().collect();
        Self::new(&(0..count).map(parent).collect::<Vec<_>>())
    }

    /// How many commits are in question.
    pub fn len(&self) -> usize {
        self.commits.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// The commits in a commit's history, itself among them.
    pub(super) fn of(&self, commit: usize) -> impl Iterator<Item = usize> + '_ {
        let chain = std::iter::successors(Some(commit), |at| self.commits[*at].base);
        chain.flat_map(|at| self.commits[at].adds.iter().map(|one| *one as usize))
    }

    /// For each commit, the sum of `weights` over its history.
    pub(super) fn sums(&self, weights: &[f64]) -> Vec<f64> {
        let mut sums: Vec<f64> = Vec::with_capacity(self.len());
        for step in &self.commits {
            let own: f64 = step.adds.iter().map(|one| weights[*one as usize]).sum();
            sums.push(own + step.base.map_or(0.0, |base| sums[base]));
        }
        sums
    }

    /// A number for each commit that two of them share where the same commits of `testable` have
    /// them in their history: no trial can tell such two apart.
    pub(super) fn kinds(&self, testable: impl Fn(usize) -> bool) -> Vec<u64> {
        let mut kinds = vec![0_u64; self.len()];
        // What all commits that stand on this one say.
        let mut said = vec![0_u64; self.len()];
        for (commit, step) in self.commits.iter().enumerate().rev() {
            if testable(commit) {
                said[commit] = said[commit].wrapping_add(scattered(commit));
            }
            let says = said[commit];
            for one in &step.adds {
                let kind = &mut kinds[*one as usize];
                *kind = kind.wrapping_add(says);
            }
            if let Some(base) = step.base {
                said[base] = said[base].wrapping_add(says);
            }
        }
        kinds
    }
}

/// Positions are kept small: there are several for each commit.
fn small(commit: usize) -> u32 {
    u32::try_from(commit).unwrap_or(u32::MAX)
}

/// Sums of a few of these are never the same by chance: splitmix64's finalizer.
fn scattered(commit: usize) -> u64 {
    let mut z = (commit as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 - 1 - 3 - 4 - 6, with 2 from 0 merged in 4, and 5 from the good commit merged in 6.
    fn merged() -> History {
        let parents = [&[][..], &[0], &[0], &[1], &[3, 2], &[], &[4, 5]];
        History::new(&parents.map(<[usize]>::to_vec))
    }

    fn sorted(history: &History, commit: usize) -> Vec<usize> {
        let mut all: Vec<usize> = history.of(commit).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn histories_are_those_of_the_graph() {
        let history = merged();
        let expected: [&[usize]; 7] = [
            &[0],
            &[0, 1],
            &[0, 2],
            &[0, 1, 3],
            &[0, 1, 2, 3, 4],
            &[5],
            &[0, 1, 2, 3, 4, 5, 6],
        ];
        for (commit, expected) in expected.into_iter().enumerate() {
            assert_eq!(sorted(&history, commit), expected, "{commit}");
        }
        let weights: Vec<f64> = (0..7).map(|n| f64::from(1 << n)).collect();
        let sums: Vec<f64> = expected
            .iter()
            .map(|all| all.iter().map(|n| weights[*n]).sum())
            .collect();
        assert_eq!(history.sums(&weights), sums);
    }

    #[test]
    fn random_graphs_have_the_histories_that_a_walk_finds() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..50 {
            let count = random.usize(1..150);
            let parents: Vec<Vec<usize>> = (0..count)
                .map(|n| {
                    (0..random.usize(0..4).min(n))
                        .map(|_| random.usize(0..n))
                        .collect()
                })
                .collect();
            let history = History::new(&parents);
            for commit in 0..count {
                let (mut seen, mut todo) = (std::collections::BTreeSet::new(), vec![commit]);
                while let Some(at) = todo.pop() {
                    if seen.insert(at) {
                        todo.extend(&parents[at]);
                    }
                }
                assert_eq!(
                    sorted(&history, commit),
                    seen.into_iter().collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn what_no_trial_tells_apart_is_of_one_kind() {
        let history = merged();
        let all = history.kinds(|_| true);
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 7);
        let without = history.kinds(|commit| ![1, 3].contains(&commit));
        assert_eq!(without[1], without[3]);
        // 4 is the first that has them, and 0 is in 2 as well.
        assert_eq!(without[3], without[4]);
        assert!(without[0] != without[1] && without[2] != without[1]);
    }
}
