//! When each line of the console came, as far as it matters.

use std::time::Duration;

/// Lines that come within so long share a time.
const STEP: Duration = Duration::from_millis(100);

/// Remembers when lines came. A report is known only once it has ended, which may be long after it
/// began.
#[derive(Debug, Default)]
pub(super) struct LineTimes {
    /// Ends of lines so far.
    ended: u64,
    /// A line, and when it came.
    marks: Vec<(u64, Duration)>,
}

impl LineTimes {
    /// Takes the next bytes, which came at that time.
    pub(super) fn feed(&mut self, at: Duration, bytes: &[u8]) {
        let due = |(_, last): &(u64, Duration)| at.saturating_sub(*last) >= STEP;
        if self.marks.last().is_none_or(due) {
            self.marks.push((self.ended + 1, at));
        }
        self.ended += memchr::memchr_iter(b'\n', bytes).count() as u64;
    }

    /// When a line came, from 1; the beginning where nothing came yet.
    pub(super) fn of(&self, line: u64) -> Duration {
        let after = self.marks.partition_point(|(first, _)| *first <= line);
        let mark = after.checked_sub(1).map(|at| self.marks[at]);
        mark.map_or(Duration::ZERO, |(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_of_the_bytes_that_brought_it() {
        let mut times = LineTimes::default();
        let ms = Duration::from_millis;
        assert_eq!(times.of(1), ms(0));
        for (at, bytes) in [
            (500, "one\ntw"),
            (520, "o\n"),
            (900, "three\nfour\nfi"),
            (5000, "ve"),
        ] {
            times.feed(ms(at), bytes.as_bytes());
        }
        let all = [1, 2, 3, 4, 5, 6].map(|line| times.of(line).as_millis());
        // The fifth began at 0.9 s and went on at 5: the later is when it could be read.
        assert_eq!(all, [500, 500, 900, 900, 5000, 5000]);
    }
}
