//! One hunk of a unified diff: its header's counts, and a body that keeps them.

use super::series::Hunk;

/// A place in a patch that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    /// The line, from 0, in the text that was parsed.
    pub(super) line: usize,
    /// What is wrong there.
    pub(super) what: String,
    /// What mends it.
    pub(super) mend: &'static str,
}

/// What mends a hunk that was cut or wrapped on its way.
const SAVE_RAW: &str = "the patch was cut or wrapped on its way: save it raw \
                        (an archive's `raw` or `mbox.gz` link, `b4 am`, `git format-patch`)";

/// Which side a line of a hunk stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Both,
    Old,
    New,
}

/// A line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) side: Side,
    pub(super) text: Vec<u8>,
    /// `\ No newline at end of file` follows.
    pub(super) unended: bool,
}

/// A hunk with all its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) old_start: u32,
    pub(super) old_lines: u32,
    pub(super) new_start: u32,
    pub(super) new_lines: u32,
    pub(super) section: Vec<u8>,
    pub(super) lines: Vec<Line>,
}

/// `@@ -A[,B] +C[,D] @@ section`, without lines yet.
pub(super) fn header(line: &[u8]) -> Option<Body> {
    let (old_start, old_lines, rest) = range(line.strip_prefix(b"@@ -")?)?;
    let (new_start, new_lines, rest) = range(rest.strip_prefix(b" +")?)?;
    let section = rest.strip_prefix(b" @@")?;
    old_start.checked_add(old_lines)?;
    new_start.checked_add(new_lines)?;
    Some(Body {
        old_start,
        old_lines,
        new_start,
        new_lines,
        section: section.trim_ascii().to_vec(),
        lines: Vec::new(),
    })
}

fn range(text: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (start, rest) = number(text)?;
    match rest.strip_prefix(b",") {
        Some(rest) => number(rest).map(|(lines, rest)| (start, lines, rest)),
        None => Some((start, 1, rest)),
    }
}

fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let digits = std::str::from_utf8(&text[..end]).ok()?;
    Some((digits.parse().ok()?, &text[end..]))
}

/// Reads the hunk whose header stands at `at`; gives the index of the first line past it.
pub(super) fn read(lines: &[&[u8]], at: usize) -> Result<(Body, usize), Malformed> {
    let wrong = |line: usize, what: String| Malformed {
        line,
        what,
        mend: SAVE_RAW,
    };
    let mut body =
        header(lines[at]).ok_or_else(|| wrong(at, "a hunk's header is corrupt".into()))?;
    let (mut old, mut new) = (0, 0);
    let mut next = at + 1;
    while old < body.old_lines || new < body.new_lines {
        let promised = format!(
            "the hunk promises {} lines before and {} after",
            body.old_lines, body.new_lines
        );
        let Some(line) = lines.get(next) else {
            return Err(wrong(
                next,
                format!("{promised}, and ends after {old} and {new}"),
            ));
        };
        let side = match line.first() {
            // Mailers drop the one blank of an empty context line.
            None | Some(b' ') => Side::Both,
            Some(b'+') => Side::New,
            Some(b'-') => Side::Old,
            Some(b'\\') if !body.lines.is_empty() => {
                unended(&mut body);
                next += 1;
                continue;
            }
            Some(_) => {
                return Err(wrong(
                    next,
                    format!("{promised}; this line, after {old} and {new}, belongs to neither"),
                ));
            }
        };
        old += u32::from(side != Side::New);
        new += u32::from(side != Side::Old);
        if old > body.old_lines || new > body.new_lines {
            return Err(wrong(next, format!("{promised}, and here holds more")));
        }
        body.lines.push(Line {
            side,
            text: line.get(1..).unwrap_or_default().to_vec(),
            unended: false,
        });
        next += 1;
    }
    if lines.get(next).is_some_and(|l| l.starts_with(b"\\ ")) {
        unended(&mut body);
        next += 1;
    }
    if lines.get(next).is_some_and(|l| is_stray(l)) {
        return Err(wrong(
            next,
            "more changed lines follow than the hunk's header promises".into(),
        ));
    }
    Ok((body, next))
}

fn unended(body: &mut Body) {
    if let Some(last) = body.lines.last_mut() {
        last.unended = true;
    }
}

/// A changed line outside its hunk: dropping it in silence would test another patch. A mail's
/// signature mark and the next file's header are none.
fn is_stray(line: &[u8]) -> bool {
    match line.first() {
        Some(b'+') => true,
        Some(b'-') => !line.starts_with(b"-- ") && !line.starts_with(b"---") && line != b"--",
        _ => false,
    }
}

impl Body {
    /// Writes it as `git apply` reads it.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let header = format!(
            "@@ -{},{} +{},{} @@",
            self.old_start, self.old_lines, self.new_start, self.new_lines
        );
        out.extend_from_slice(header.as_bytes());
        if !self.section.is_empty() {
            out.push(b' ');
            out.extend_from_slice(&self.section);
        }
        out.push(b'\n');
        for line in &self.lines {
            out.push(match line.side {
                Side::Both => b' ',
                Side::Old => b'-',
                Side::New => b'+',
            });
            out.extend_from_slice(&line.text);
            out.push(b'\n');
            if line.unended {
                out.extend_from_slice(b"\\ No newline at end of file\n");
            }
        }
    }

    /// The lines before.
    pub(super) fn old_text(&self) -> Vec<&[u8]> {
        let old = self.lines.iter().filter(|l| l.side != Side::New);
        old.map(|l| l.text.as_slice()).collect()
    }

    /// What the hunk changes, with the numbers of its header.
    pub(super) fn change(&self) -> Hunk {
        let text = |line: &Line| String::from_utf8_lossy(&line.text).into_owned();
        let mut hunk = Hunk {
            old_start: self.old_start,
            old_lines: self.old_lines,
            new_start: self.new_start,
            new_lines: self.new_lines,
            section: String::from_utf8_lossy(&self.section).into_owned(),
            ..Hunk::default()
        };
        let (mut old, mut new) = (self.old_start, self.new_start);
        for line in &self.lines {
            match line.side {
                Side::Old => hunk.removed.push((old, text(line))),
                Side::New => hunk.added.push((new, text(line))),
                Side::Both => {}
            }
            old += u32::from(line.side != Side::New);
            new += u32::from(line.side != Side::Old);
        }
        hunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<&[u8]> {
        text.lines().map(str::as_bytes).collect()
    }

    #[test]
    fn headers() {
        let table = [
            (
                "@@ -1,2 +3,4 @@ int f(void)",
                Some((1, 2, 3, 4, "int f(void)")),
            ),
            ("@@ -1 +1 @@", Some((1, 1, 1, 1, ""))),
            ("@@ -0,0 +1,9 @@", Some((0, 0, 1, 9, ""))),
            ("@@ -1,2 +3,4", None),
            ("@@ -x +3,4 @@", None),
            ("@@@ -1,2 -1,2 +1,3 @@@", None),
            ("@@ -4294967295,9 +1 @@", None),
            ("@@ -99999999999 +1 @@", None),
        ];
        for (text, expected) in table {
            let got = header(text.as_bytes());
            let got = got.map(|h| {
                let section = String::from_utf8(h.section).unwrap();
                (h.old_start, h.old_lines, h.new_start, h.new_lines, section)
            });
            let got = got
                .as_ref()
                .map(|(a, b, c, d, s)| (*a, *b, *c, *d, s.as_str()));
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn exact_numbers() {
        let (body, end) = read(
            &lines("@@ -5,4 +5,5 @@ f\n a\n-b\n+B\n+C\n\n d\n-- \n2.47"),
            0,
        )
        .unwrap();
        assert_eq!(end, 7);
        let hunk = body.change();
        assert_eq!(hunk.removed, [(6, "b".into())]);
        assert_eq!(hunk.added, [(6, "B".into()), (7, "C".into())]);
        assert_eq!(body.old_text(), [&b"a"[..], b"b", b"", b"d"]);
    }

    #[test]
    fn a_missing_newline_is_kept() {
        let text =
            "@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n";
        let (body, end) = read(&lines(text), 0).unwrap();
        assert_eq!(end, 5);
        let mut out = Vec::new();
        body.emit(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn corrupt_bodies() {
        let table = [
            ("@@ -1,3 +1,3 @@\n a\n", 2, "ends after 1 and 1"),
            (
                "@@ -1,3 +1,3 @@\n a\nwrapped\n b\n",
                2,
                "belongs to neither",
            ),
            ("@@ -1,1 +1,1 @@\n-a\n-b\n", 2, "holds more"),
            (
                "@@ -1,1 +1,1 @@\n-a\n+b\n+c\n",
                3,
                "more changed lines follow",
            ),
            ("@@ -1,1 +1,1\n-a\n", 0, "header is corrupt"),
        ];
        for (text, line, what) in table {
            let error = read(&lines(text), 0).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.what.contains(what), "{text}: {}", error.what);
        }
    }
}
