//! Cuts a saved text that holds several mails, as archives' thread pages show them, into mails.
//!
//! Two marks begin a mail: a block of headers (a sender, a subject, and a date or an id), and
//! public-inbox's `* SUBJECT` above `From: NAME @ DATE (permalink / raw)`. Hunks are stepped over,
//! so that a patch to a text which shows mail headers is not cut in two.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::hunk;

/// A stretch of a page that is one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// The subject line.
    pub(super) subject: String,
    /// The headers, and what stands among them.
    pub(super) head: &'a [u8],
    /// What stands below the headers.
    pub(super) body: &'a [u8],
    /// The headers too, where they tell how the body is encoded.
    pub(super) whole: Option<&'a [u8]>,
    /// How many lines of the page stand before `whole`, or before `body` without one.
    pub(super) before: usize,
}

/// How many lines a block of headers may have; a long Cc list takes some dozens.
const HEADERS: usize = 120;

static SENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^From: .* @ \d{4}-\d\d-\d\d[^\n]*\(permalink").expect("a fixed pattern")
});
static KEY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([A-Z][A-Za-z-]{1,40}):\s").expect("a fixed pattern"));

/// The lines of a text with where each begins.
struct Lines<'a> {
    text: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a [u8]) -> Self {
        let after_each = memchr::memchr_iter(b'\n', text).map(|i| i + 1);
        let starts = [0]
            .into_iter()
            .chain(after_each)
            .filter(|&s| s < text.len())
            .collect();
        Self { text, starts }
    }

    fn len(&self) -> usize {
        self.starts.len()
    }

    /// Where a line begins; the text's end past the last.
    fn start(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.text.len())
    }

    /// The line without its end.
    fn get(&self, line: usize) -> &'a [u8] {
        let bytes = &self.text[self.start(line)..self.start(line + 1)];
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        bytes.strip_suffix(b"\r").unwrap_or(bytes)
    }
}

/// A mail's beginning.
struct Head {
    first: usize,
    body: usize,
    subject: String,
    encoded: bool,
}

/// The mails of a text in their order; empty if no mail begins in it.
pub(super) fn split(text: &[u8]) -> Vec<Piece<'_>> {
    let lines = Lines::new(text);
    let all: Vec<&[u8]> = (0..lines.len()).map(|i| lines.get(i)).collect();
    let mut heads = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if hunk::header(all[at]).is_some()
            && let Ok((_, past)) = hunk::read(&all, at)
        {
            at = past;
        } else if let Some(head) = inbox_head(&all, at).or_else(|| header_block(&all, at)) {
            at = head.body.max(at + 1);
            heads.push(head);
        } else {
            at += 1;
        }
    }
    let ends = heads.iter().skip(1).map(|h| h.first).chain([lines.len()]);
    heads
        .iter()
        .zip(ends)
        .map(|(head, end)| Piece {
            subject: head.subject.clone(),
            head: &text[lines.start(head.first)..lines.start(head.body)],
            body: &text[lines.start(head.body)..lines.start(end)],
            whole: head
                .encoded
                .then(|| &text[lines.start(head.first)..lines.start(end)]),
            before: if head.encoded { head.first } else { head.body },
        })
        .collect()
}

/// public-inbox's thread view: `* SUBJECT`, the neighbours in the thread, `From: ... (permalink`,
/// `To:` and `Cc:` indented, an empty line.
fn inbox_head(lines: &[&[u8]], at: usize) -> Option<Head> {
    let subject = lines[at].strip_prefix(b"* ")?;
    let window = &lines[at..lines.len().min(at + HEADERS)];
    let from = window.iter().position(|l| SENT.is_match(l))?;
    let neighbours =
        |l: &&[u8]| l.starts_with(b"@ ") || l.starts_with(b"  ") || l.starts_with(b"` ");
    if !window[1..from].iter().all(neighbours) {
        return None;
    }
    let blank = window[from..]
        .iter()
        .position(|l| l.trim_ascii().is_empty())?;
    Some(Head {
        first: at,
        body: at + from + blank + 1,
        subject: String::from_utf8_lossy(subject).into_owned(),
        encoded: false,
    })
}

/// Headers as mails have them, perhaps with their folding lost, at the start of a paragraph.
fn header_block(lines: &[&[u8]], at: usize) -> Option<Head> {
    let starts_paragraph = at == 0 || !KEY.is_match(lines[at - 1]);
    if !starts_paragraph || !KEY.is_match(lines[at]) {
        return None;
    }
    let window = &lines[at..lines.len().min(at + HEADERS)];
    let length = window
        .iter()
        .position(|l| l.trim_ascii().is_empty())
        .unwrap_or(window.len());
    let block = &window[..length];
    let value = |key: &str| {
        block.iter().position(|l| {
            let found = KEY.captures(l).and_then(|c| c.get(1));
            found.is_some_and(|k| k.as_bytes().eq_ignore_ascii_case(key.as_bytes()))
        })
    };
    let subject = value("Subject")?;
    value("From")?;
    value("Date").or_else(|| value("Message-ID"))?;
    let folded = block[subject + 1..]
        .iter()
        .take_while(|l| l.starts_with(b" ") || l.starts_with(b"\t"));
    let words: Vec<&[u8]> = [&block[subject]["Subject:".len()..]]
        .into_iter()
        .chain(folded.copied())
        .collect();
    Some(Head {
        first: at,
        body: (at + length + 1).min(lines.len()),
        subject: String::from_utf8_lossy(&words.concat()).trim().to_owned(),
        encoded: value("Content-Type")
            .or_else(|| value("Content-Transfer-Encoding"))
            .is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(text: &str) -> Vec<String> {
        split(text.as_bytes())
            .into_iter()
            .map(|p| p.subject)
            .collect()
    }

    #[test]
    fn public_inbox_threads() {
        let text = "help / color\n* [PATCH v2 0/1] t\n@ 2024-01-01 12:00 A Person\n  2024-01-01 12:00 ` [PATCH v2 1/1] x A Person\n\
                    \x20 0 siblings, 1 reply; 2+ messages in thread\nFrom: A Person @ 2024-01-01 12:00 UTC (permalink / raw)\n\
                    \x20 To: list; +Cc: b\n\nbody one\n\n^ permalink raw reply\t[flat|nested] 2+ messages in thread\n\
                    * [PATCH v2 1/1] x\n@ 2024-01-01 12:00 ` A Person\nFrom: A Person @ 2024-01-01 12:00 UTC (permalink / raw)\n\nbody two\n";
        assert_eq!(subjects(text), ["[PATCH v2 0/1] t", "[PATCH v2 1/1] x"]);
        let pieces = split(text.as_bytes());
        assert!(pieces[0].body.starts_with(b"body one\n"));
        assert_eq!(pieces[1].body, b"body two\n");
        assert_eq!(pieces[1].before, 15);
    }

    #[test]
    fn header_blocks() {
        let block = "From: A <a@example.org>\nTo: b@example.org\nCc: c@example.org,\nd@example.org\nSubject: [PATCH] x\n y\nDate: today\n\nbody\n";
        assert_eq!(subjects(block), ["[PATCH] x y"]);
        assert_eq!(
            subjects(&format!("nav\n\n{block}\n{block}")),
            ["[PATCH] x y", "[PATCH] x y"]
        );
        assert_eq!(subjects(&block.replace('\n', "\r\n")), ["[PATCH] x y"]);
        let listed = "List:       linux\nSubject:    [PATCH] z\nFrom:       A <a () example ! org>\nDate:       2024\n\nbody\n";
        assert_eq!(subjects(listed), ["[PATCH] z"]);
    }

    #[test]
    fn what_begins_no_mail() {
        for text in [
            "",
            "From: A <a@example.org>\n\nIn-body sender alone\n",
            "* a list item\n* another\n",
            "Subject: only\n\nx\n",
            "--- a/x\n+++ b/x\n@@ -1,4 +1,4 @@\n From: a\n Subject: b\n Date: c\n-x\n+y\n",
        ] {
            assert_eq!(subjects(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_hunk_that_shows_headers_is_stepped_over() {
        let head = "From: A\nSubject: s\nDate: d\n\n";
        let hunk = "--- /dev/null\n+++ b/x\n@@ -1,4 +1,5 @@\n x\n\n\n+y\n\n";
        let text = format!("{head}{hunk}From: B\nSubject: t\nDate: e\n\n");
        assert_eq!(subjects(&text), ["s", "t"]);
    }
}
