//! The console's last lines, and the line in which the kernel panicked, in bounded memory (pure).

use std::collections::VecDeque;

/// How many lines are kept.
const LINES: usize = 60;
/// How much of a line is kept, in bytes.
const WIDTH: usize = 1024;
/// How the kernel announces its end.
const PANIC: &[u8] = b"Kernel panic - not syncing";

/// Keeps the last lines of what it is fed.
#[derive(Debug, Default)]
pub struct LastLines {
    lines: VecDeque<Vec<u8>>,
    /// The line that has not ended.
    partial: Vec<u8>,
    panic: Option<String>,
}

impl LastLines {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.extend(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.extend(rest);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = WIDTH.saturating_sub(self.partial.len());
        self.partial
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        if self.panic.is_none() && text_of(&self.partial).starts_with(PANIC) {
            self.panic = Some(shown(text_of(&self.partial)));
        }
        // The oldest line's memory serves the newest.
        let mut fresh = if self.lines.len() >= LINES {
            self.lines.pop_front()
        } else {
            None
        }
        .unwrap_or_default();
        fresh.clear();
        self.lines
            .push_back(std::mem::replace(&mut self.partial, fresh));
    }

    /// The line of the first panic, without its time stamp.
    pub fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    /// The last lines, the unfinished one included, lossily as UTF-8.
    pub fn lines(&self) -> Vec<String> {
        let partial = Some(&self.partial).filter(|p| !p.is_empty());
        self.lines.iter().chain(partial).map(|l| shown(l)).collect()
    }
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().to_owned()
}

/// A console line without its leading `[    1.234567][  T1] `.
fn text_of(mut line: &[u8]) -> &[u8] {
    while line.first() == Some(&b'[') {
        let Some(end) = memchr::memchr(b']', line) else {
            break;
        };
        line = line[end + 1..].trim_ascii_start();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let mut last = LastLines::default();
        for n in 0..200 {
            last.feed(format!("line {n}\r\n").as_bytes());
        }
        last.feed(b"unfin");
        last.feed(b"ished");
        let lines = last.lines();
        assert_eq!(lines.len(), LINES + 1);
        assert_eq!(
            (lines[0].as_str(), lines[LINES].as_str()),
            ("line 140", "unfinished")
        );
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut last = LastLines::default();
        for _ in 0..100 {
            last.feed(&[0xff; 4096]);
        }
        assert_eq!(last.partial.len(), WIDTH);
        assert!(last.lines()[0].starts_with('\u{fffd}'));
    }

    #[test]
    fn a_panic_is_the_kernels_own_line() {
        let table: [(&str, Option<&str>); 5] = [
            (
                "[    0.7][    T1] Kernel panic - not syncing: sysrq\r\n",
                Some("Kernel panic - not syncing: sysrq"),
            ),
            (
                "Kernel panic - not syncing: early\n",
                Some("Kernel panic - not syncing: early"),
            ),
            ("[    0.7] init: saw Kernel panic - not syncing\n", None),
            ("[    0.7] Kernel panic - not syncing: unfinished", None),
            ("[ never closed Kernel panic - not syncing\n", None),
        ];
        for (text, expected) in table {
            let mut last = LastLines::default();
            last.feed(text.as_bytes());
            assert_eq!(last.panic(), expected, "{text:?}");
        }
    }
}
