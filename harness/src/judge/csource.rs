//! Just enough C: which lines are code, and which function or structure each line lies in.
//!
//! It relies on the kernel's style (a function's braces stand alone at the start of a line) and
//! asks nothing of the text: whatever does not look so simply has no functions.

use std::ops::RangeInclusive;

/// Words that are followed by a parenthesis before or after a function's own name.
const ATTRIBUTES: [&str; 18] = [
    "__acquires",
    "__aligned",
    "__alloc_size",
    "__attribute__",
    "__counted_by",
    "__cond_acquires",
    "__diagnose_as",
    "__malloc",
    "__must_hold",
    "__nonnull",
    "__printf",
    "__realloc_size",
    "__releases",
    "__returns_nonnull",
    "__scanf",
    "__section",
    "__typeof__",
    "typeof",
];

/// Macros that define a function of their first argument's name, and what they put before it.
const DEFINING: [(&str, &[&str]); 3] = [
    (
        "COMPAT_SYSCALL_DEFINE",
        &["__do_compat_sys_", "__se_compat_sys_", "__ia32_compat_sys_"],
    ),
    ("SYSCALL_DEFINE", &["__do_sys_", "__se_sys_", "__x64_sys_"]),
    ("BPF_CALL_", &["", "____"]),
];

/// The name of a function or a structure, and its lines: from its header's first to its closing
/// brace, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) lines: RangeInclusive<u32>,
}

/// The text with every comment replaced by spaces; as many lines as before.
pub(super) fn without_comments(text: &str) -> String {
    #[derive(PartialEq)]
    enum In {
        Code,
        Line,
        Block,
        Quote(char),
    }
    let mut out = String::with_capacity(text.len());
    let mut state = In::Code;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match (&state, c) {
            (_, '\n') => {
                // A string never goes on without a backslash; an apostrophe in assembly would.
                if !matches!(state, In::Block) {
                    state = In::Code;
                }
                out.push('\n');
            }
            (In::Code, '/') if next == Some('/') => state = In::Line,
            (In::Code, '/') if next == Some('*') => {
                chars.next();
                state = In::Block;
                out.push(' ');
            }
            (In::Code, '"' | '\'') => {
                state = In::Quote(c);
                out.push(c);
            }
            (In::Code, _) => out.push(c),
            (In::Quote(_), '\\') => {
                // Whatever comes next belongs to the string, even a line's end.
                out.push(c);
                out.extend(chars.next());
            }
            (In::Quote(end), _) => {
                out.push(c);
                if c == *end {
                    state = In::Code;
                }
            }
            (In::Block, '*') if next == Some('/') => {
                chars.next();
                state = In::Code;
                out.push(' ');
            }
            (In::Line | In::Block, _) => {}
        }
    }
    out
}

/// The functions of a text without comments.
pub(super) fn functions(code: &str) -> Vec<Definition> {
    let mut found = Vec::new();
    // The header's lines so far: since the last thing at the top level that ended.
    let mut header: Vec<&str> = Vec::new();
    let mut header_start = 1;
    let mut open: Option<(Vec<String>, u32)> = None;
    for (number, line) in (1_u32..).zip(code.lines()) {
        if open.is_some() {
            if line.starts_with('}')
                && let Some((names, start)) = open.take()
            {
                found.extend(names.into_iter().map(|name| Definition {
                    name,
                    lines: start..=number,
                }));
                header.clear();
            }
            continue;
        }
        if line.starts_with('{') {
            open = Some((names_of(&header.join(" ")), header_start));
            header.clear();
            continue;
        }
        let trimmed = line.trim_end();
        let ends = trimmed.is_empty()
            || trimmed.starts_with(['#', '}'])
            // A stub's body may stand on its header's line.
            || trimmed.ends_with([';', '\\', ':', '{', '}']);
        if ends {
            header.clear();
        } else {
            if header.is_empty() {
                header_start = number;
            }
            header.push(trimmed);
        }
    }
    found
}

/// The structures and unions with a name that a text without comments defines at its top level. Those
/// inside them are theirs.
pub(super) fn structures(code: &str) -> Vec<Definition> {
    let mut found = Vec::new();
    let mut open: Option<(&str, u32)> = None;
    for (number, line) in (1_u32..).zip(code.lines()) {
        if open.is_none() {
            open = structure_of(line).map(|name| (name, number));
        }
        // A brace at a line's start ends it, and so does one on the line that begins it.
        let ends = line.starts_with('}')
            || open.is_some_and(|(_, start)| start == number) && line.contains('}');
        if ends && let Some((name, start)) = open.take() {
            found.push(Definition {
                name: name.to_owned(),
                lines: start..=number,
            });
        }
    }
    found
}

/// The name of the structure whose definition a line begins.
fn structure_of(line: &str) -> Option<&str> {
    let (header, _) = line.split_once('{')?;
    let header = header.strip_prefix("typedef ").unwrap_or(header);
    let mut words = header.split_whitespace();
    let keyword = words.next()?;
    let name = words.next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_definition = matches!(keyword, "struct" | "union")
        && name.chars().all(plain)
        // Inside a function, or another structure.
        && !line.starts_with(char::is_whitespace)
        // `struct a b = {` is a value.
        && !header.contains(['=', '(']);
    is_definition.then_some(name)
}

/// What a function of this header is called in a stack trace: its own name, or those that a
/// defining macro makes of it.
fn names_of(header: &str) -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (at, _) in header.match_indices('(') {
        let before = header[..at].trim_end();
        let start = before.rfind(|c| !is_word(c)).map_or(0, |i| i + 1);
        let name = &before[start..];
        if name.is_empty() || ATTRIBUTES.contains(&name) {
            continue;
        }
        let defining = DEFINING.iter().find(|(start, _)| name.starts_with(start));
        let Some((_, prefixes)) = defining else {
            return vec![name.to_owned()];
        };
        let rest = &header[at + 1..];
        let first = rest[..rest.find([',', ')']).unwrap_or(rest.len())].trim();
        return prefixes
            .iter()
            .map(|prefix| format!("{prefix}{first}"))
            .collect();
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
// SPDX-License-Identifier: GPL-2.0
/*
 * { a comment }
 */
#include <linux/fs.h>

struct a {
	int b; /* one */
};

static const char *s = \"/* no comment */\"; // a comment
static inline __printf(1, 2) int first(const char *f,
				       ...)
	__releases(x)
{
	char c = '\"'; /* \" */
	return 0; // two
}

SYSCALL_DEFINE3(open, const char __user *, filename, int, flags)
{
}
EXPORT_SYMBOL(first);

static inline bool stub(int a) { return false; }
static inline void below(int a,
			 int b) { }
static int last(void)
{
}

#define M(x) \\
	f(x)

static void
second(void)
{
	while (1) {
	}
}
";

    #[test]
    fn comments_go_and_lines_stay() {
        let code = without_comments(TEXT);
        assert_eq!(code.lines().count(), TEXT.lines().count());
        assert!(!code.contains("SPDX") && !code.contains("a comment") && !code.contains("one"));
        assert!(code.contains("\"/* no comment */\";"));
        assert!(code.contains("return 0; \n"), "{code}");
        assert!(code.contains("char c = '\"';"));
    }

    #[test]
    fn functions_and_their_lines() {
        let found = functions(&without_comments(TEXT));
        let brief: Vec<(&str, u32, u32)> = found
            .iter()
            .map(|f| (f.name.as_str(), *f.lines.start(), *f.lines.end()))
            .collect();
        assert_eq!(
            brief,
            [
                ("first", 12, 18),
                ("__do_sys_open", 20, 22),
                ("__se_sys_open", 20, 22),
                ("__x64_sys_open", 20, 22),
                ("last", 28, 30),
                ("second", 35, 40),
            ]
        );
    }

    #[test]
    fn structures_and_their_lines() {
        let text = "\
struct one {
	struct inner {
		int a;
	} b;
};

struct one;
static struct one value = {
};
union two { int a; } __packed;
static const struct one values[] = {
	{ },
};
typedef struct three {
} three_t;
struct one *get(void)
{
	struct local {
		int a;
	} b;
}
struct four	{
	int a;
";
        let found = structures(text);
        let brief: Vec<(&str, u32, u32)> = found
            .iter()
            .map(|one| (one.name.as_str(), *one.lines.start(), *one.lines.end()))
            .collect();
        assert_eq!(brief, [("one", 1, 5), ("two", 10, 10), ("three", 14, 15)]);
    }

    #[test]
    fn any_text_is_taken() {
        for text in [
            "",
            "{",
            "}",
            "{\n}",
            "/*",
            "\"",
            "'",
            "\\",
            "a(\n{\n",
            "(\n{\n}\n",
            "\"\\",
        ] {
            let code = without_comments(text);
            assert_eq!(code.matches('\n').count(), text.matches('\n').count());
            functions(&code);
            structures(&code);
        }
    }
}
