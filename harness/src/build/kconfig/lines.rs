//! Kconfig's lines: joined, help texts passed over, quoted prompts skipped.

/// Help texts hold anything, also lines that look like entries.
pub(super) enum Help {
    Outside,
    Begun,
    /// Its indentation, in columns.
    Inside(usize),
}

impl Help {
    pub(super) fn swallows(&mut self, line: &str) -> bool {
        if line.trim().is_empty() {
            return true;
        }
        let columns = indentation(line);
        match *self {
            Self::Begun if columns > 0 => {
                *self = Self::Inside(columns);
                true
            }
            Self::Inside(first) if columns >= first => true,
            _ => {
                *self = Self::Outside;
                line.trim_start().starts_with('#')
            }
        }
    }
}

fn indentation(line: &str) -> usize {
    let mut columns = 0;
    for c in line.chars() {
        columns = match c {
            ' ' => columns + 1,
            '\t' => columns / 8 * 8 + 8,
            _ => break,
        };
    }
    columns
}

/// Lines with `\` at their end joined to the next, with the number of the first.
pub(super) fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (n, line) in text.lines().enumerate() {
        let (body, more) = match line.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, last)) if goes_on => last.push_str(body),
            _ => lines.push((n + 1, body.to_owned())),
        }
        goes_on = more;
    }
    lines
}

/// What follows a quoted prompt.
pub(super) fn after_text(quoted: &str) -> &str {
    let quote = quoted.as_bytes()[0];
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate().skip(1) {
        match byte {
            b'\\' if !escaped => escaped = true,
            b if b == quote && !escaped => return &quoted[at + 1..],
            _ => escaped = false,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_under_the_first_ones_number() {
        let lines = logical_lines("a \\\n b\nc\n");
        assert_eq!(lines, [(1, "a  b".to_owned()), (3, "c".to_owned())]);
    }

    #[test]
    fn help_ends_with_its_indentation() {
        let mut help = Help::Outside;
        let mut kept = Vec::new();
        for line in [
            "\thelp",
            "\t  Text.",
            "",
            "\t    config DEEPER",
            "        config TABS_OR_SPACES",
            "config NEXT",
            "# comment",
        ] {
            if !help.swallows(line) {
                kept.push(line.trim());
            }
            if line.trim() == "help" {
                help = Help::Begun;
            }
        }
        assert_eq!(kept, ["help", "config TABS_OR_SPACES", "config NEXT"]);
    }

    #[test]
    fn prompts_may_hold_quotes() {
        for (prompt, rest) in [
            (r#""plain" if X"#, " if X"),
            (r#""a \"b\" c" if X"#, " if X"),
            (r#"'it "is"'"#, ""),
            (r#""open"#, ""),
        ] {
            assert_eq!(after_text(prompt), rest, "{prompt}");
        }
    }
}
