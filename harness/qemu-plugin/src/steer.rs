//! Which functions are worth holding in: those in which holds were seen to matter, or all alike as
//! long as none is known to.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// Holds that a function is taken to have had for nothing before its first: a single success is no
/// proof.
const DOUBT: f64 = 8.0;

/// What is known of each function.
pub(crate) struct Steer {
    functions: Vec<Function>,
    weighing: Mutex<()>,
}

#[derive(Default)]
struct Function {
    holds: AtomicU64,
    mattered: AtomicU64,
    /// Worth the larger part of the time.
    favoured: AtomicBool,
    /// Held no more often than others: its turn when all are tried alike.
    due: AtomicBool,
}

impl Steer {
    pub(crate) fn new(functions: usize) -> Self {
        let function = || Function {
            favoured: AtomicBool::new(true),
            due: AtomicBool::new(true),
            ..Function::default()
        };
        Self {
            functions: (0..functions).map(|_| function()).collect(),
            weighing: Mutex::new(()),
        }
    }

    pub(crate) fn favours(&self, function: usize) -> bool {
        let known = self.functions.get(function);
        known.is_some_and(|known| known.favoured.load(Relaxed))
    }

    pub(crate) fn is_due(&self, function: usize) -> bool {
        let known = self.functions.get(function);
        known.is_some_and(|known| known.due.load(Relaxed))
    }

    /// A hold is over.
    pub(crate) fn held(&self, function: usize) {
        if let Some(known) = self.functions.get(function) {
            known.holds.fetch_add(1, Relaxed);
            self.weigh();
        }
    }

    /// A hold is known to have mattered.
    pub(crate) fn mattered(&self, function: usize) {
        if let Some(known) = self.functions.get(function) {
            known.mattered.fetch_add(1, Relaxed);
            self.weigh();
        }
    }

    fn weigh(&self) {
        let _one = self.weighing.lock();
        let rate = |known: &Function| {
            known.mattered.load(Relaxed) as f64 / (known.holds.load(Relaxed) as f64 + DOUBT)
        };
        let best = self.functions.iter().map(rate).fold(0.0, f64::max);
        // Functions that the load never reaches do not keep the others waiting.
        let reached = self
            .functions
            .iter()
            .map(|known| known.holds.load(Relaxed))
            .filter(|holds| *holds > 0);
        let (count, sum) = reached.fold((0, 0), |(n, sum), holds| (n + 1, sum + holds));
        let average = sum / u64::max(count, 1);
        for known in &self.functions {
            let due = known.holds.load(Relaxed) <= average;
            let favoured = match best > 0.0 {
                true => rate(known) * 2.0 >= best,
                false => due,
            };
            known.due.store(due, Relaxed);
            known.favoured.store(favoured, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn favoured(steer: &Steer) -> Vec<bool> {
        (0..steer.functions.len())
            .map(|f| steer.favours(f))
            .collect()
    }

    #[test]
    fn all_are_tried_alike_until_holds_matter_somewhere() {
        let steer = Steer::new(3);
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
        assert!(!steer.favours(7), "no such function");
    }
}
