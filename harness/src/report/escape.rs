//! The one way of foreign text into each kind of output.
//!
//! Guests, patches and mails may hold anything. What would act on a reader or a terminal (control
//! bytes and with them every escape sequence, marks that turn the direction of writing, characters
//! that cannot be seen) is shown by its number instead.

mod mail;

use std::fmt::{self, Write as _};

pub use mail::{mail_header, mail_line};

/// For one line on a terminal: no line ends either.
pub fn terminal_line(text: &str) -> String {
    visible(text, |_| false)
}

/// For a terminal, line ends kept: our own messages, which may quote foreign text.
pub fn terminal(text: &str) -> String {
    visible(text, |c| c == '\n')
}

/// For Markdown, within a line or a cell of a table: nothing in it is markup.
pub fn markdown(text: &str) -> String {
    let text = visible(text, |_| false);
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut chars = text.char_indices().peekable();
    // A first word such as `-`, `#` or `1.` would begin a list or a heading.
    let number = text.bytes().take_while(u8::is_ascii_digit).count();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map(|(_, c)| *c);
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let escaped = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            // Within a word it is none; at its edge it would be emphasis.
            '_' if word(before) && word(after) => "",
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => "\\",
            '-' | '+' | '=' | '#' if at == 0 => "\\",
            '.' | ')' if at > 0 && at == number && after.is_none_or(|c| c == ' ') => "\\",
            // An address would become a link.
            ':' if text[at..].starts_with("://") => "\\",
            '.' if text[..at].to_ascii_lowercase().ends_with("www") => "\\",
            _ => "",
        };
        out.push_str(escaped);
        if !escaped.starts_with('&') {
            out.push(c);
        }
        before = Some(c);
    }
    out
}

/// For where a link leads, within Markdown's parentheses or an attribute's quotes: a path, never an
/// address of its own.
pub fn target(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                out.push(char::from(byte));
            }
            // Writing to a string does not fail.
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// For XML, SVG and HTML: in an element's text, or in an attribute's quotes.
pub fn xml(text: &str) -> String {
    let text = visible(text, |_| false);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// For the message of a workflow command of GitHub's.
pub fn annotation(text: &str) -> String {
    visible(text, |_| false).replace('%', "%25")
}

/// For a property of such a command.
pub fn annotation_property(text: &str) -> String {
    annotation(text).replace(':', "%3A").replace(',', "%2C")
}

/// [`xml`] for templates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Html;

impl askama::filters::Escaper for Html {
    fn write_escaped_str<W: fmt::Write>(&self, mut to: W, text: &str) -> fmt::Result {
        to.write_str(&xml(text))
    }
}

/// For JUnit, line ends kept: what may stand in no XML is gone, and the writer of XML escapes markup.
pub fn junit(text: &str) -> String {
    terminal(text)
}

/// For a line of KTAP, behind its own beginning: without the `#` that begins a directive.
pub fn ktap(text: &str) -> String {
    visible(text, |_| false).replace('#', "\\u{23}")
}

/// For KCIDB's strings, line ends kept: JSON could hold zero bytes and escape sequences, and who
/// shows them may not expect any.
pub fn kcidb(text: &str) -> String {
    terminal(text)
}

fn visible(text: &str, keep: impl Fn(char) -> bool) -> String {
    // Most text is plain.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if keep(c) || !is_hidden(c) {
            out.push(c);
        } else if c == '\t' {
            out.push(' ');
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    out
}

/// Does it act rather than show?
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                // No document may hold these.
                | '\u{fffe}'
                | '\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals() {
        for (text, line) in [
            ("KASAN: ok in f_g", "KASAN: ok in f_g"),
            ("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m"),
            ("a\nb\r\tc", "a\\u{a}b\\u{d} c"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("x\u{202e}y\u{2066}z", "x\\u{202e}y\\u{2066}z"),
            ("a\u{200b}b\u{feff}\u{7f}", "a\\u{200b}b\\u{feff}\\u{7f}"),
            ("ünï", "ünï"),
        ] {
            assert_eq!(terminal_line(text), line, "{text:?}");
        }
        assert_eq!(terminal("a\n\u{1b}b"), "a\n\\u{1b}b");
    }

    #[test]
    fn elements() {
        for (text, shown) in [
            ("a < b && c", "a &lt; b &amp;&amp; c"),
            ("</text>\"'", "&lt;/text&gt;&quot;&#39;"),
            ("\u{1b}[1m\u{0}\u{ffff}", "\\u{1b}[1m\\u{0}\\u{ffff}"),
            ("ünï\n", "ünï\\u{a}"),
        ] {
            assert_eq!(xml(text), shown, "{text:?}");
        }
    }

    #[test]
    fn annotations() {
        for (text, message, property) in [
            ("a: b, c", "a: b, c", "a%3A b%2C c"),
            (
                "100%\n::error::x",
                "100%25\\u{a}::error::x",
                "100%25\\u{a}%3A%3Aerror%3A%3Ax",
            ),
            ("%0A\r\u{1b}", "%250A\\u{d}\\u{1b}", "%250A\\u{d}\\u{1b}"),
        ] {
            assert_eq!(annotation(text), message, "{text:?}");
            assert_eq!(annotation_property(text), property, "{text:?}");
        }
    }

    #[test]
    fn targets() {
        for (path, shown) in [
            ("./plots/1-a_b.svg", "./plots/1-a_b.svg"),
            ("a b)<>\n#?%:", "a%20b%29%3C%3E%0A%23%3F%25%3A"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(target(path), shown, "{path:?}");
        }
    }

    #[test]
    fn markup() {
        for (text, shown) in [
            ("fuse_backing_lookup", "fuse_backing_lookup"),
            ("__x_ _y", "\\_\\_x\\_ \\_y"),
            ("a|b`c`*d*", "a\\|b\\`c\\`\\*d\\*"),
            ("<script>&", "&lt;script&gt;&amp;"),
            ("![x](http://y)", "!\\[x\\](http\\://y)"),
            ("https://a www.b", "https\\://a www\\.b"),
            ("- x - y", "\\- x - y"),
            ("1. x 2.", "1\\. x 2."),
            ("12) x", "12\\) x"),
            ("7.3.4 1.5", "7.3.4 1.5"),
            (". x", ". x"),
            ("# x #", "\\# x #"),
            ("a\n# b", "a\\\\u{a}# b"),
            ("\u{1b}[1m", "\\\\u{1b}\\[1m"),
            ("KCSAN: data-race in a / b", "KCSAN: data-race in a / b"),
        ] {
            assert_eq!(markdown(text), shown, "{text:?}");
        }
    }
}
