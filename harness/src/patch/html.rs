//! A web page as text: tags out, entities decoded, line breaks and blanks as they stood.

use memchr::{memchr, memmem};

/// Elements that begin a new line when they open or close.
const BLOCKS: &[&str] = &[
    "br", "div", "hr", "li", "p", "pre", "table", "td", "tr", "h1", "h2", "h3",
];

/// Elements whose content is no text.
const SKIPPED: &[&str] = &["script", "style", "title"];

/// Named entities that archives write.
const ENTITIES: &[(&str, char)] = &[
    ("amp", '&'),
    ("apos", '\''),
    ("gt", '>'),
    ("lt", '<'),
    ("nbsp", ' '),
    ("quot", '"'),
];

/// Is this a web page?
pub(super) fn is_page(text: &[u8]) -> bool {
    let start = &text.trim_ascii_start()[..text.trim_ascii_start().len().min(4096)];
    let lower = start.to_ascii_lowercase();
    lower.starts_with(b"<")
        && ["<!doctype html", "<html", "<pre", "<body"]
            .iter()
            .any(|t| memmem::find(&lower, t.as_bytes()).is_some())
}

/// Is this text out of a page whose entities were left as they were? Source text may hold `&lt;`
/// too, but hardly without any plain `<`.
pub(super) fn has_entities(text: &[u8]) -> bool {
    memchr(b'<', text).is_none()
        && ["&lt;", "&gt;", "&amp;", "&quot;", "&#"]
            .iter()
            .any(|e| memmem::find(text, e.as_bytes()).is_some())
}

/// The page's text.
pub(super) fn to_text(page: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = memchr(b'<', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with(b"<!--") {
            rest = past(rest, b"-->");
            continue;
        }
        if !rest
            .get(1)
            .is_some_and(|b| b.is_ascii_alphabetic() || b"/!?".contains(b))
        {
            out.push(b'<');
            rest = &rest[1..];
            continue;
        }
        let (name, closes) = tag_name(rest);
        rest = past_tag(rest);
        if SKIPPED.contains(&name.as_str()) && !closes {
            rest = past_closing(rest, &name);
        }
        let on_new_line = out.last().is_none_or(|&b| b == b'\n');
        if BLOCKS.contains(&name.as_str()) && (name == "br" || !on_new_line) {
            out.push(b'\n');
            // `<br>` and the line's own end are one break.
            if name == "br" {
                rest = rest
                    .strip_prefix(b"\r\n")
                    .or_else(|| rest.strip_prefix(b"\n"))
                    .unwrap_or(rest);
            }
        }
    }
    out.extend_from_slice(rest);
    decode_entities(&out)
}

/// Replaces entities by what they mean; unknown ones stay.
pub(super) fn decode_entities(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        match entity(rest) {
            Some((meant, length)) => {
                out.extend_from_slice(meant.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[length..];
            }
            None => {
                out.push(b'&');
                rest = &rest[1..];
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

fn entity(text: &[u8]) -> Option<(char, usize)> {
    let end = text.iter().take(12).position(|&b| b == b';')?;
    let name = std::str::from_utf8(&text[1..end]).ok()?;
    let meant = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
        None => ENTITIES.iter().find(|(n, _)| *n == name)?.1,
    };
    Some((meant, end + 1))
}

fn tag_name(tag: &[u8]) -> (String, bool) {
    let closes = tag.get(1) == Some(&b'/');
    let name = tag[1 + usize::from(closes)..]
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric());
    (
        name.map(|&b| char::from(b.to_ascii_lowercase())).collect(),
        closes,
    )
}

/// What follows a tag; a `>` inside quotes does not end it.
fn past_tag(tag: &[u8]) -> &[u8] {
    let mut quote = None;
    // Bounded, so that quotes which never end cannot make a page slow to read.
    for (at, &byte) in tag.iter().take(8192).enumerate() {
        match (quote, byte) {
            (None, b'>') => return &tag[at + 1..],
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(q), b) if q == b => quote = None,
            _ => {}
        }
    }
    // A quote that never ends: take the first `>` after all.
    past(tag, b">")
}

fn past<'a>(text: &'a [u8], what: &[u8]) -> &'a [u8] {
    memmem::find(text, what).map_or(&[][..], |at| &text[at + what.len()..])
}

fn past_closing<'a>(text: &'a [u8], name: &str) -> &'a [u8] {
    let closing = format!("</{name}");
    let at = text
        .windows(closing.len())
        .position(|w| w.eq_ignore_ascii_case(closing.as_bytes()));
    at.map_or(&[][..], |at| past(&text[at..], b">"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let table = [
            (
                "<html><body><pre>a &lt;b@example.org&gt;\n\tx &amp;&amp; y\n</pre>",
                "a <b@example.org>\n\tx && y\n",
            ),
            (
                "<pre>* <b\nid=x>[PATCH] t</b>\n@ <a\nhref=\"#>y\">2024</a>\n</pre>",
                "* [PATCH] t\n@ 2024\n",
            ),
            (
                "<html><head><title>no</title><style>p{}</style></head><p>yes</p>",
                "yes\n",
            ),
            ("<p>one<br>\ntwo<br/>three", "one\ntwo\nthree"),
            ("<pre>a <- b < c<!-- no --> d</pre>", "a <- b < c d\n"),
            ("<p>&#39;&#x41;&unknown;&", "'A&unknown;&"),
            ("<script>if (a<b)</SCRIPT >x", "x"),
            ("<a href=\"never ended>x", "x"),
        ];
        for (page, expected) in table {
            assert_eq!(
                String::from_utf8(to_text(page.as_bytes())).unwrap(),
                expected,
                "{page}"
            );
        }
    }

    #[test]
    fn what_is_a_page() {
        assert!(is_page(b"\n<!DOCTYPE html>\n<html>"));
        assert!(!is_page(b"#include <linux/fs.h>"));
        assert!(!is_page(b""));
        assert!(has_entities(b"From: A &lt;a@example.org&gt;\n"));
        assert!(!has_entities(b"x = <y>; &lt;"));
    }
}
