//! Foreign text in a mail: its headers, and the lines of its body.

use std::{fmt::Write as _, sync::LazyLock};

use regex::Regex;

use super::terminal_line;

/// No line of a mail may be longer, in bytes.
const LONGEST_LINE: usize = 998;
/// A header goes on in a new line past this.
const HEADER_LINE: usize = 76;
/// Bytes of text in an encoded word: three times as many in hex, and a frame around them.
const WORD: usize = 16;

/// What a tool that gathers trailers, or a mailer, would take for its own at the start of a line.
static TAKEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:[[:word:]][[:word:]-]*:\s*\S|From |--\s*$|---|\+\+\+|diff |>)")
        .expect("a fixed pattern")
});

/// For the value of a header: one line, folded at its blanks, words that are not ASCII encoded.
pub fn mail_header(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(terminal_line).collect();
    // Blanks between encoded words are not text: neighbours are encoded with what is between them.
    let runs = words.chunk_by(|a, b| !is_plain(a) && !is_plain(b));
    let words = runs.flat_map(|run| match is_plain(&run[0]) {
        true => run.to_vec(),
        false => encoded(&run.join(" ")),
    });
    let mut out = String::new();
    let mut wide = 0;
    for word in words {
        match out.is_empty() {
            true => {}
            false if wide + word.len() > HEADER_LINE => {
                out.push_str("\n ");
                wide = 0;
            }
            false => out.push(' '),
        }
        wide += word.len() + 1;
        out.push_str(&word);
    }
    out
}

/// For a line of a mail's body: what would be taken for a trailer, a signature or a patch is quoted.
pub fn mail_line(text: &str) -> String {
    let line = terminal_line(text);
    let line = match TAKEN.is_match(&line) {
        true => format!("| {line}"),
        false => line,
    };
    let end = line.floor_char_boundary(LONGEST_LINE);
    line[..end].trim_end().to_owned()
}

/// Short ASCII, and nothing that would be read as an encoded word.
fn is_plain(word: &str) -> bool {
    word.is_ascii() && !word.contains("=?") && word.len() < HEADER_LINE
}

/// A text as encoded words.
fn encoded(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.floor_char_boundary(WORD));
        let mut word = String::from("=?UTF-8?Q?");
        for byte in part.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => word.push(char::from(byte)),
                // Writing to a string does not fail.
                byte => drop(write!(word, "={byte:02X}")),
            }
        }
        words.push(word + "?=");
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        for (text, shown) in [
            ("Re: [PATCH v2 1/2] fuse: x", "Re: [PATCH v2 1/2] fuse: x"),
            (
                "x\r\nBcc: evil@example.org\r\n\r\nbody",
                "x Bcc: evil@example.org body",
            ),
            ("a\u{0}b\u{1b}[1m", "a\\u{0}b\\u{1b}[1m"),
            ("J\u{f6}rg x", "=?UTF-8?Q?J=C3=B6rg?= x"),
            ("\u{f6} \u{fc}", "=?UTF-8?Q?=C3=B6=20=C3=BC?="),
            ("=?UTF-8?Q?x?=", "=?UTF-8?Q?=3D=3FUTF=2D8=3FQ=3Fx=3F=3D?="),
            ("\u{202e}x", "\\u{202e}x"),
        ] {
            assert_eq!(mail_header(text), shown, "{text:?}");
        }
        let long = "word ".repeat(300);
        assert!(mail_header(&long).lines().all(|line| line.len() <= 80));
        let wide = "w".repeat(300);
        assert!(mail_header(&wide).split(['\n', ' ']).all(|w| w.len() <= 75));
    }

    #[test]
    fn lines() {
        for (text, shown) in [
            ("  new  kasan  KASAN: x", "  new  kasan  KASAN: x"),
            (
                "Tested-by: E <e@example.org>",
                "| Tested-by: E <e@example.org>",
            ),
            ("  Link: https://x", "|   Link: https://x"),
            ("From x", "| From x"),
            ("-- ", "| --"),
            ("---", "| ---"),
            ("diff --git a/x b/x", "| diff --git a/x b/x"),
            ("> quoted", "| > quoted"),
            ("a\r\nTested-by: E", "a\\u{d}\\u{a}Tested-by: E"),
            ("\u{1b}[1m\u{0}", "\\u{1b}[1m\\u{0}"),
        ] {
            assert_eq!(mail_line(text), shown, "{text:?}");
        }
        assert!(mail_line(&"\u{fc}".repeat(9999)).len() <= LONGEST_LINE);
    }
}
