//! Which stall points are worth holding at: those of the functions in which holds were seen to
//! matter, and among these the points at which they do; all functions alike as long as none is known
//! to.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// Holds that are taken to have been for nothing before the first: a single success is no proof.
const DOUBT: f64 = 8.0;
/// So many times as often may the best function matter, and another still be worth as much.
const FUNCTIONS: f64 = 2.0;
/// The same of a function's points: few holds say little about one of them.
const POINTS: f64 = 4.0;
/// A point is tried so often before it is judged.
const TRIED: u64 = 24;

/// What is known of the stall points, each by its own number and its function's.
pub(crate) struct Steer {
    functions: Vec<Known>,
    /// With the number of its function.
    points: Vec<(usize, Known)>,
    weighing: Mutex<()>,
}

#[derive(Default)]
struct Known {
    holds: AtomicU64,
    mattered: AtomicU64,
    /// Not worth the larger part of the time.
    spurned: AtomicBool,
    /// Held more often than others: not its turn when all are tried alike.
    sated: AtomicBool,
}

impl Steer {
    /// For points of these functions, and whether each is a likely one.
    pub(crate) fn new(points: &[(usize, bool)]) -> Self {
        let count = points.iter().map(|(function, _)| function + 1).max();
        let steer = Self {
            functions: (0..count.unwrap_or(0)).map(|_| Known::default()).collect(),
            points: points.iter().map(|(f, _)| (*f, Known::default())).collect(),
            weighing: Mutex::new(()),
        };
        for (at, (function, likely)) in points.iter().enumerate() {
            if *likely {
                steer.points[at].1.mattered.store(1, Relaxed);
                steer.functions[*function].mattered.store(1, Relaxed);
            }
        }
        steer.weigh_functions();
        steer
    }

    /// Whether a point is worth the larger part of the time.
    pub(crate) fn favours(&self, point: usize) -> bool {
        self.points.get(point).is_some_and(|(function, known)| {
            let spurned = |known: &Known| known.spurned.load(Relaxed);
            !spurned(known) && !spurned(&self.functions[*function])
        })
    }

    /// Whether it is the turn of a point's function when all are tried alike.
    pub(crate) fn is_due(&self, point: usize) -> bool {
        let known = self.points.get(point);
        known.is_some_and(|(function, _)| !self.functions[*function].sated.load(Relaxed))
    }

    /// A hold is over.
    pub(crate) fn held(&self, point: usize) {
        self.add(point, |known| &known.holds);
    }

    /// A hold is known to have mattered.
    pub(crate) fn mattered(&self, point: usize) {
        self.add(point, |known| &known.mattered);
    }

    fn add(&self, point: usize, count: impl Fn(&Known) -> &AtomicU64) {
        let Some((function, known)) = self.points.get(point) else {
            return;
        };
        let _one = self.weighing.lock();
        count(known).fetch_add(1, Relaxed);
        count(&self.functions[*function]).fetch_add(1, Relaxed);
        self.weigh_functions();
        let siblings = self.points.iter().filter(|(other, _)| other == function);
        weigh_points(siblings.map(|(_, known)| known));
    }

    fn weigh_functions(&self) {
        let best = self.functions.iter().map(Known::rate).fold(0.0, f64::max);
        // Functions that the load never reaches do not keep the others waiting.
        let reached = self
            .functions
            .iter()
            .map(|known| known.holds.load(Relaxed))
            .filter(|holds| *holds > 0);
        let (count, sum) = reached.fold((0, 0), |(n, sum), holds| (n + 1, sum + holds));
        let average = sum / u64::max(count, 1);
        for known in &self.functions {
            let sated = known.holds.load(Relaxed) > average;
            let spurned = match best > 0.0 {
                true => known.rate() * FUNCTIONS < best,
                false => sated,
            };
            known.sated.store(sated, Relaxed);
            known.spurned.store(spurned, Relaxed);
        }
    }
}

fn weigh_points<'k>(points: impl Iterator<Item = &'k Known> + Clone) {
    let best = points.clone().map(Known::rate).fold(0.0, f64::max);
    for known in points {
        let tried = known.holds.load(Relaxed) >= TRIED;
        let spurned = tried && known.rate() * POINTS < best;
        known.spurned.store(spurned, Relaxed);
    }
}

impl Known {
    fn rate(&self) -> f64 {
        self.mattered.load(Relaxed) as f64 / (self.holds.load(Relaxed) as f64 + DOUBT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn favoured(steer: &Steer) -> Vec<bool> {
        (0..steer.points.len()).map(|p| steer.favours(p)).collect()
    }

    #[test]
    fn functions_are_tried_alike_until_holds_matter_somewhere() {
        let steer = Steer::new(&[0, 1, 2].map(|function| (function, false)));
        assert_eq!(favoured(&steer), [true; 3]);
        (0..4).for_each(|_| steer.held(0));
        steer.held(1);
        // The third was never reached.
        assert_eq!(favoured(&steer), [false, true, true]);
        assert!(!steer.is_due(0) && steer.is_due(1));
        steer.mattered(0);
        assert_eq!(favoured(&steer), [true, false, false]);
        (0..3).for_each(|_| steer.mattered(1));
        assert_eq!(favoured(&steer), [false, true, false]);
        assert!(!steer.favours(7), "no such point");
    }

    #[test]
    fn what_is_likely_comes_first() {
        let steer = Steer::new(&[(0, false), (1, true), (1, false)]);
        assert_eq!(favoured(&steer), [false, true, true]);
        (0..TRIED).for_each(|_| steer.held(2));
        assert_eq!(favoured(&steer), [false, true, false]);
        // What is seen outweighs it.
        steer.mattered(0);
        steer.mattered(0);
        assert!(steer.favours(0));
    }

    #[test]
    fn points_of_a_function_are_tried_before_they_are_judged() {
        let steer = Steer::new(&[0, 0, 1].map(|function| (function, false)));
        for _ in 0..TRIED - 1 {
            steer.held(0);
            steer.held(1);
            steer.mattered(1);
        }
        assert_eq!(favoured(&steer), [true, true, false]);
        steer.held(0);
        assert_eq!(favoured(&steer), [false, true, false]);
    }
}
