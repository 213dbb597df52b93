//! Splits an mbox into its mails.
//!
//! Both mboxo and mboxrd quote a body's `From ` with `>`; a line of a diff never begins so, which
//! is why nothing is unquoted here.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// A mail of an mbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    /// Headers and body, without the `From ` line.
    pub(super) bytes: &'a [u8],
    /// How many lines of the file stand before it.
    pub(super) before: usize,
    /// Written by `git format-patch`: mails stand in the order of the series.
    pub(super) from_git: bool,
}

static FROM_LINE: LazyLock<Regex> = LazyLock::new(|| {
    // A postmark with a date, and a header on the next line.
    Regex::new(r"(?m)^From \S+[ \t][^\n]*\d:\d\d[^\n]*\d{4}[^\n]*\n>?[!-9;-~]+:")
        .expect("a fixed pattern")
});

static GIT_LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^From [0-9a-f]{7,64} Mon Sep 17 00:00:00 2001\r?\n").expect("a fixed pattern")
});

/// The mails, or none if the text does not begin as an mbox does.
pub(super) fn split(text: &[u8]) -> Option<Vec<Raw<'_>>> {
    let starts: Vec<usize> = FROM_LINE
        .find_iter(text)
        .map(|m| m.start())
        .filter(|&at| follows_a_blank_line(&text[..at]))
        .collect();
    if starts.first() != Some(&0) {
        return None;
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let mut before = 0;
    let mut mails = Vec::new();
    for (start, end) in starts.iter().copied().zip(ends) {
        let mail = &text[start..end];
        let past_first = mail
            .iter()
            .position(|&b| b == b'\n')
            .map_or(mail.len(), |i| i + 1);
        mails.push(Raw {
            bytes: &mail[past_first..],
            before: before + 1,
            from_git: GIT_LINE.is_match(mail),
        });
        before += memchr::memchr_iter(b'\n', mail).count();
    }
    Some(mails)
}

fn follows_a_blank_line(before: &[u8]) -> bool {
    let trimmed = before
        .strip_suffix(b"\n")
        .map(|b| b.strip_suffix(b"\r").unwrap_or(b));
    before.is_empty() || trimmed.is_some_and(|b| b.is_empty() || b.ends_with(b"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_are_cut_at_postmarks_only() {
        let text = "From a@example.org Thu Jan  1 00:00:00 1970\nSubject: one\n\nFrom now on\n>From x Thu Jan 1 00:00:00 1970\n\n\
                    From b Thu Jan 1 00:00:00 1970 was no mail\n\n\
                    From 0123456789 Mon Sep 17 00:00:00 2001\nSubject: two\n\nbody\n";
        let mails = split(text.as_bytes()).unwrap();
        assert_eq!(mails.len(), 2);
        assert_eq!((mails[0].before, mails[0].from_git), (1, false));
        assert_eq!((mails[1].before, mails[1].from_git), (9, true));
        assert!(mails[1].bytes.starts_with(b"Subject: two"));
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "diff --git a/x b/x\n",
            "From here on\nit is prose\n",
            "Subject: x\n\nbody\n",
        ] {
            assert_eq!(split(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn crlf() {
        let text = "From a Thu Jan  1 00:00:00 1970\r\nSubject: one\r\n\r\n1\r\n\r\nFrom a Thu Jan  1 00:00:00 1970\r\nSubject: two\r\n\r\n2\r\n";
        assert_eq!(split(text.as_bytes()).unwrap().len(), 2);
    }
}
