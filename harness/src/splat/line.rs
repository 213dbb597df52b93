//! One console line taken apart: time stamp, caller, text.

use std::borrow::Cow;

/// Who printed a line, as far as the line itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// No time stamp: user space, firmware, or a kernel without PRINTK_TIME.
    Bare,
    /// A time stamp alone.
    Kernel,
    /// `[ T123]`: a task.
    Task(u32),
    /// `[ C0]`: a CPU outside any task.
    Cpu(u32),
}

/// A console line without its prefix.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line<'a> {
    /// The kernel's time stamp, in seconds since boot.
    pub(super) time: Option<f64>,
    pub(super) caller: Caller,
    /// What was printed, without prefix, escapes and line end.
    pub(super) text: Cow<'a, str>,
}

/// How far into a line a prefix may begin: behind a login prompt or a syslog header.
const PREFIX_REACH: usize = 160;

const LOGIN: &[u8] = b" login: ";
const SYSLOG: &[u8] = b" kernel: ";

impl<'a> Line<'a> {
    /// Takes one line apart; `raw` may or may not hold its line end.
    pub(super) fn parse(raw: &'a [u8]) -> Self {
        let raw = trim_end(raw);
        let text = match strip_escapes(raw) {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        };
        let (time, caller, start) = prefix(text.as_bytes());
        let text = match text {
            // The prefix is ASCII, so its end is a character's start.
            Cow::Borrowed(text) => Cow::Borrowed(&text[start..]),
            Cow::Owned(text) => Cow::Owned(text[start..].to_owned()),
        };
        Self { time, caller, text }
    }
}

/// Time stamp, caller and where the text begins.
fn prefix(line: &[u8]) -> (Option<f64>, Caller, usize) {
    const NONE: (Option<f64>, Caller, usize) = (None, Caller::Bare, 0);
    let reach = &line[..line.len().min(PREFIX_REACH)];
    for at in memchr::memchr_iter(b'[', reach) {
        let Some((time, mut end)) = stamp(line, at) else {
            continue;
        };
        if !may_precede(&line[..at]) {
            return NONE;
        }
        let mut caller = Caller::Kernel;
        if let Some((found, after)) = caller_tag(line, end) {
            caller = found;
            end = after;
        }
        if line.get(end) == Some(&b' ') {
            end += 1;
        }
        return (Some(time), caller, end);
    }
    // A level without a time stamp: `<4>text`; a prompt or a syslog header that the kernel's text
    // follows.
    let prompt = memchr::memmem::find(reach, LOGIN).map_or(0, |at| at + LOGIN.len());
    let start = prompt.max(syslog(reach));
    (None, Caller::Bare, start + level(&line[start..]))
}

/// The length of a leading syslog header: `Jan  1 00:00:00 host kernel: `, or the same with a date
/// and time in one (`2026-01-01T00:00:00.5+00:00`).
fn syslog(line: &[u8]) -> usize {
    let Some(end) = memchr::memmem::find(line, SYSLOG) else {
        return 0;
    };
    let mut words = line[..end]
        .split(|&b| b == b' ')
        .filter(|word| !word.is_empty());
    // As much of `00:00:00` as tells it from other words.
    let clock = |word: &[u8]| word.get(2) == Some(&b':') && word.get(5) == Some(&b':');
    let first = words.next().unwrap_or_default();
    let (headed, host) = if first.get(4) == Some(&b'-') {
        let time = first.split(|&b| b == b'T').nth(1);
        (time.is_some_and(clock), words.next())
    } else {
        let day = words.next().unwrap_or_default();
        let time = words.next().is_some_and(clock);
        let dated = first.len() == 3 && day.iter().all(u8::is_ascii_digit);
        (dated && time, words.next())
    };
    if headed && host.is_some() && words.next().is_none() {
        end + SYSLOG.len()
    } else {
        0
    }
}

/// `[   12.345678]` at `at`: the time, and what follows the bracket.
fn stamp(line: &[u8], at: usize) -> Option<(f64, usize)> {
    let mut i = at + 1;
    while line.get(i) == Some(&b' ') {
        i += 1;
    }
    let start = i;
    let digits = |mut i: usize| {
        while line.get(i).is_some_and(u8::is_ascii_digit) {
            i += 1;
        }
        i
    };
    let dot = digits(i);
    if dot == start || line.get(dot) != Some(&b'.') {
        return None;
    }
    i = digits(dot + 1);
    if i == dot + 1 || line.get(i) != Some(&b']') {
        return None;
    }
    let text = std::str::from_utf8(&line[start..i]).ok()?;
    Some((text.parse().ok()?, i + 1))
}

/// `[  T123]` or `[    C0]` at `at`, directly behind the stamp or after one blank.
fn caller_tag(line: &[u8], at: usize) -> Option<(Caller, usize)> {
    let mut i = at;
    if line.get(i) == Some(&b' ') {
        i += 1;
    }
    if line.get(i) != Some(&b'[') {
        return None;
    }
    i += 1;
    while line.get(i) == Some(&b' ') {
        i += 1;
    }
    let kind = *line.get(i)?;
    let start = i + 1;
    let end = start
        + line[start..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
    if line.get(end) != Some(&b']') {
        return None;
    }
    let number = std::str::from_utf8(&line[start..end]).ok()?.parse().ok()?;
    let caller = match kind {
        b'T' => Caller::Task(number),
        b'C' => Caller::Cpu(number),
        _ => return None,
    };
    Some((caller, end + 1))
}

/// What may stand before a time stamp: nothing, a level, a login prompt, a note about dropped
/// messages, a syslog header.
fn may_precede(before: &[u8]) -> bool {
    if before.is_empty() || level(before) == before.len() {
        return true;
    }
    const ENDS: &[&[u8]] = &[
        b"login: ",
        b"Password: ",
        b" dropped ** ",
        b"kernel: ",
        b"# ",
        b"$ ",
    ];
    let level_start = memchr::memrchr(b'<', before).unwrap_or(before.len());
    let head = if level(&before[level_start..]) > 0 {
        &before[..level_start]
    } else {
        before
    };
    ENDS.iter().any(|end| head.ends_with(end))
}

/// The length of a leading syslog level, `<4>` or `<4,123,456,->`.
fn level(line: &[u8]) -> usize {
    if line.first() != Some(&b'<') {
        return 0;
    }
    let digits = line[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    if (1..=4).contains(&digits) && line.get(1 + digits) == Some(&b'>') {
        digits + 2
    } else {
        0
    }
}

/// Without line end and trailing blanks or NULs.
fn trim_end(mut raw: &[u8]) -> &[u8] {
    while let [rest @ .., b'\n' | b'\r' | 0 | b' ' | b'\t'] = raw {
        raw = rest;
    }
    raw
}

/// Without terminal escapes and other control bytes that a console may hold.
fn strip_escapes(raw: &[u8]) -> Cow<'_, [u8]> {
    let noise = |b: u8| b < 0x20 && b != b'\t';
    if !raw.iter().any(|&b| noise(b)) {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut i = 0;
    while i < raw.len() {
        if raw[i] == 0x1b {
            i += escape_len(&raw[i..]);
        } else {
            if !noise(raw[i]) {
                out.push(raw[i]);
            }
            i += 1;
        }
    }
    Cow::Owned(out)
}

/// The length of the escape sequence that begins here (CSI, OSC, or two bytes).
fn escape_len(raw: &[u8]) -> usize {
    match raw.get(1) {
        Some(b'[') => {
            let end = raw.iter().skip(2).position(|b| (0x40..=0x7e).contains(b));
            end.map_or(raw.len(), |n| n + 3)
        }
        Some(b']') => {
            let end = raw.iter().position(|&b| b == 0x07);
            end.map_or(raw.len(), |n| n + 1)
        }
        Some(_) => 2,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_come_off_and_say_who_spoke() {
        let cases: &[(&str, Option<f64>, Caller, &str)] = &[
            ("[    1.500000] hello", Some(1.5), Caller::Kernel, "hello"),
            (
                "[    1.500000][  T12] hello",
                Some(1.5),
                Caller::Task(12),
                "hello",
            ),
            (
                "[    1.500000][    C3]  f+0x1/0x2",
                Some(1.5),
                Caller::Cpu(3),
                " f+0x1/0x2",
            ),
            ("[  1.5] [ T7] x", Some(1.5), Caller::Task(7), "x"),
            (
                "<6>[    2.000000] level",
                Some(2.0),
                Caller::Kernel,
                "level",
            ),
            ("host login: Unable to", None, Caller::Bare, "Unable to"),
            ("<4>no stamp", None, Caller::Bare, "no stamp"),
            (
                "host login: [   3.000000] late",
                Some(3.0),
                Caller::Kernel,
                "late",
            ),
            (
                "** 7 printk messages dropped ** [ 4.0] x",
                Some(4.0),
                Caller::Kernel,
                "x",
            ),
            (
                "Jan  1 00:00:00 host kernel: [ 5.0] x",
                Some(5.0),
                Caller::Kernel,
                "x",
            ),
            (
                "Jan 11 00:00:00 host kernel: <4> f+0x1/0x2",
                None,
                Caller::Bare,
                " f+0x1/0x2",
            ),
            (
                "2026-01-01T00:00:00.25+00:00 host kernel: Call Trace:",
                None,
                Caller::Bare,
                "Call Trace:",
            ),
            (
                "the words of a kernel: no header",
                None,
                Caller::Bare,
                "the words of a kernel: no header",
            ),
            (
                "WARNING: torn [ 6.0] line",
                None,
                Caller::Bare,
                "WARNING: torn [ 6.0] line",
            ),
            ("[1.0", None, Caller::Bare, "[1.0"),
            (
                "[\u{1b}[1m  7.25] \u{1b}[31mred\u{1b}[0m\r\n",
                Some(7.25),
                Caller::Kernel,
                "red",
            ),
            ("", None, Caller::Bare, ""),
        ];
        for &(raw, time, caller, text) in cases {
            let line = Line::parse(raw.as_bytes());
            assert_eq!(
                (line.time, line.caller, &*line.text),
                (time, caller, text),
                "{raw:?}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_survive() {
        let line = Line::parse(b"[ 1.0][ T1] \xff\xfe BUG\x00\x00");
        assert_eq!(line.text, "\u{fffd}\u{fffd} BUG");
    }
}
