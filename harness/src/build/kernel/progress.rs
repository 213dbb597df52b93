//! How far a build is: steps counted in make's output, against what such a build took before.

use std::time::{Duration, Instant};

use super::history::Past;
use crate::event::Progress;

/// How often a watcher hears of it.
const TICK: Duration = Duration::from_millis(250);

/// The share of a build's time that its last, serial part takes (linking, naming symbols).
const TAIL: f64 = 0.06;

/// Steps before which speed says nothing.
const WARM: u64 = 30;

/// A build under way.
#[derive(Debug)]
pub(super) struct Tracker {
    started: Instant,
    told: Option<Instant>,
    done: u64,
    past: Option<Past>,
}

impl Tracker {
    pub(super) fn new(past: Option<Past>) -> Self {
        Self {
            started: Instant::now(),
            told: None,
            done: 0,
            past,
        }
    }

    /// Takes a line of make's; true if it is one of kbuild's steps.
    pub(super) fn take(&mut self, line: &str) -> bool {
        let step = is_step(line);
        self.done += u64::from(step);
        step
    }

    /// Steps so far.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// What to tell, if it is time to tell something.
    pub(super) fn due(&mut self) -> Option<Progress> {
        let now = Instant::now();
        if self.told.is_some_and(|told| now - told < TICK) {
            return None;
        }
        self.told = Some(now);
        Some(self.progress(now - self.started))
    }

    fn progress(&self, elapsed: Duration) -> Progress {
        // A build may take a few steps more than the last one did.
        let total = self.past.as_ref().map(|p| p.steps.max(self.done));
        Progress {
            done: self.done,
            total,
            unit: "steps",
            left: total.and_then(|total| self.left(elapsed, total)),
        }
    }

    /// From this build's own speed once it has one, else from the last build's time.
    fn left(&self, elapsed: Duration, total: u64) -> Option<Duration> {
        let past = self.past.as_ref()?;
        if self.done < WARM {
            let expected = past.seconds.map(Duration::from_secs_f64)?;
            return Some(expected.saturating_sub(elapsed));
        }
        let per_step = elapsed.as_secs_f64() / self.done as f64;
        let steps = per_step * (total - self.done) as f64;
        let tail = per_step * total as f64 * TAIL;
        Some(Duration::from_secs_f64(steps + tail))
    }
}

/// `  CC      fs/fuse/dev.o`: two spaces, a name in capitals, at least one space, a target.
fn is_step(line: &str) -> bool {
    let Some((name, target)) = line
        .strip_prefix("  ")
        .and_then(|l| l.trim_end().split_once(' '))
    else {
        return false;
    };
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "[]_-".contains(c);
    name.len() >= 2 && name.chars().all(capital) && !target.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_from_diagnostics() {
        for (line, step) in [
            ("  CC      fs/fuse/dev.o", true),
            ("  HOSTCC  scripts/basic/fixdep", true),
            ("  VDSO2C  arch/x86/entry/vdso/vdso-image-64.c", true),
            ("  AR      built-in.a", true),
            ("make[1]: Entering directory '/x'", false),
            ("    7 |  y = 1;", false),
            ("  from fs/b.c:3:", false),
            ("  CC", false),
            ("", false),
        ] {
            assert_eq!(is_step(line), step, "{line}");
        }
    }

    #[test]
    fn time_left_follows_this_builds_speed() {
        let past = |seconds| {
            Some(Past {
                steps: 1000,
                seconds,
            })
        };
        let at = |done, seconds: Option<f64>, elapsed| {
            let mut tracker = Tracker::new(past(seconds));
            tracker.done = done;
            tracker
                .progress(Duration::from_secs(elapsed))
                .left
                .map(|d| d.as_secs())
        };
        assert_eq!(at(0, None, 1), None);
        assert_eq!(at(0, Some(300.0), 10), Some(290));
        assert_eq!(at(500, Some(300.0), 100), Some(112));
        assert_eq!(at(1100, Some(300.0), 100), Some(6));
    }

    #[test]
    fn without_a_past_nothing_is_promised() {
        let mut tracker = Tracker::new(None);
        assert!(tracker.take("  CC      a.o"));
        let told = tracker.due().unwrap();
        assert_eq!((told.done, told.total, told.left), (1, None, None));
        assert_eq!(tracker.due(), None);
    }
}
