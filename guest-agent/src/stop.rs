//! One flag that everybody watches: the host, or a phase's end, says stop.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

/// A flag that is set once and can be slept on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    set: AtomicBool,
    sleepers: Mutex<()>,
    wake: Condvar,
}

impl Stop {
    /// Sets the flag and wakes whoever sleeps on it.
    pub(crate) fn set(&self) {
        let _guard = self
            .0
            .sleepers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.0.set.store(true, Ordering::Release);
        self.0.wake.notify_all();
    }

    /// Whether it was set; cheap enough for a load's inner loop.
    pub(crate) fn is_set(&self) -> bool {
        self.0.set.load(Ordering::Acquire)
    }

    /// Sleeps for `time` or until the flag is set, and says whether it is.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut guard = self
            .0
            .sleepers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !self.is_set() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            guard = self
                .0
                .wake
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        self.is_set()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_wakes_at_once_when_the_flag_is_set() {
        let stop = Stop::default();
        assert!(!stop.sleep(Duration::from_millis(1)));
        let other = stop.clone();
        let sleeper = std::thread::spawn(move || other.sleep(Duration::from_secs(60)));
        stop.set();
        assert!(sleeper.join().unwrap());
        assert!(stop.is_set());
    }
}
