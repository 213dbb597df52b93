//! A wish to stop that is the user's own, or comes when a time has gone by.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::cancel::Cancel;

/// How often it looks.
const TICK: Duration = Duration::from_millis(50);

/// Watches over one cell.
pub(super) struct Limit {
    cancel: Cancel,
    ran_out: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    watch: Option<JoinHandle<()>>,
}

impl Limit {
    /// Begins to count.
    pub(super) fn new(parent: &Cancel, after: Duration) -> Self {
        let (cancel, parent) = (Cancel::new(), parent.clone());
        let ran_out = Arc::new(AtomicBool::new(false));
        let over = Arc::new(AtomicBool::new(false));
        let (own, out, done) = (cancel.clone(), Arc::clone(&ran_out), Arc::clone(&over));
        let began = Instant::now();
        let watch = thread::spawn(move || {
            while !done.load(Ordering::SeqCst) {
                if parent.is_cancelled() {
                    own.cancel();
                } else if began.elapsed() >= after {
                    out.store(true, Ordering::SeqCst);
                    own.cancel();
                }
                if own.is_cancelled() {
                    break;
                }
                thread::park_timeout(TICK);
            }
        });
        Self {
            cancel,
            ran_out,
            over,
            watch: Some(watch),
        }
    }

    /// What the cell looks at.
    pub(super) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Whether the time went by, and not the user stopped it.
    pub(super) fn ran_out(&self) -> bool {
        self.ran_out.load(Ordering::SeqCst)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(watch) = self.watch.take() {
            watch.thread().unpark();
            // It cannot panic.
            let _ = watch.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(limit: &Limit) -> bool {
        let began = Instant::now();
        while !limit.cancel().is_cancelled() && began.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
        limit.cancel().is_cancelled()
    }

    #[test]
    fn time_and_the_user_are_told_apart() {
        let parent = Cancel::new();
        let limit = Limit::new(&parent, Duration::from_millis(30));
        assert!(wait(&limit) && limit.ran_out() && !parent.is_cancelled());
        let limit = Limit::new(&parent, Duration::from_secs(3600));
        assert!(!limit.cancel().is_cancelled());
        parent.cancel();
        assert!(wait(&limit) && !limit.ran_out());
    }
}
