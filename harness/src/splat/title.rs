//! Titles: filled in from a row, and free of all that changes from run to run.

use std::sync::LazyLock;

use regex::Regex;

use super::pattern;

/// Longer ones come from lines run together.
const MAX_TITLE: usize = 120;

/// Fills a row's title; `value` gives what stands for a name.
pub(super) fn fill(template: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        if let Some(value) = value(name) {
            out.push_str(&value);
        }
        rest = after;
    }
    out.push_str(rest);
    clean(&out)
}

/// One line of printable ASCII without addresses, offsets, numbers and names of CPUs.
pub(super) fn clean(title: &str) -> String {
    static STEPS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        VOLATILE
            .iter()
            .map(|(pattern, with)| (pattern::compile(pattern), *with))
            .collect()
    });
    let mut out = String::with_capacity(title.len().min(MAX_TITLE));
    for c in title.chars().take(4 * MAX_TITLE) {
        match c {
            ' ' | '\t' if out.is_empty() || out.ends_with(' ') => {}
            '\t' => out.push(' '),
            ' '..='~' => out.push(c),
            _ => {}
        }
    }
    for (regex, with) in STEPS.iter() {
        // Neighbours share the character between them, so once is not enough.
        for _ in 0..2 {
            out = regex.replace_all(&out, *with).into_owned();
        }
    }
    out.truncate(MAX_TITLE);
    out.trim_end().to_owned()
}

/// What changes from run to run, and what stands for it.
const VOLATILE: &[(&str, &str)] = &[
    (
        r"([a-zA-Z_][a-zA-Z0-9_.]*)\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?(?: \[[a-zA-Z0-9_]+\])?",
        "${1}",
    ),
    (r"\b0x[0-9a-fA-F]+\b", "ADDR"),
    (r"(^|[^a-zA-Z0-9_])[0-9a-f]*[0-9][0-9a-f]{5,}\b", "${1}ADDR"),
    (r"(^|[^a-zA-Z0-9_])[0-9a-f]{8,}\b", "${1}ADDR"),
    (r"CPU ?#?[0-9]+", "CPU"),
    (r"(?::[0-9]+)+\b", ":LINE"),
    (
        r"(^|[^a-zA-Z0-9_])[0-9]+(?:\.[0-9]+)*([^a-zA-Z0-9_]|$)",
        "${1}NUM${2}",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_run_to_run_goes() {
        let cases = [
            (
                "KASAN: x in f+0x12/0x340 at addr ffff8801d9f2b000",
                "KASAN: x in f at addr ADDR",
            ),
            // Whether a function is in a module or built in is the config's business.
            ("KASAN: x in f+0x12/0x340 [mod]", "KASAN: x in f"),
            (
                "INFO: Freed in f age=10 cpu=1 pid=77",
                "INFO: Freed in f age=NUM cpu=NUM pid=NUM",
            ),
            ("lockup on CPU#3 \u{1b}[31m", "lockup on CPU [31m"),
            ("  a\t\tb  ", "a b"),
            ("ip6_fragment of kmalloc_64", "ip6_fragment of kmalloc_64"),
            ("at fs/x.c:12:3", "at fs/x.c:LINE"),
            ("do_con_write.part.23", "do_con_write.part.NUM"),
        ];
        for (title, want) in cases {
            assert_eq!(clean(title), want);
        }
    }

    #[test]
    fn rows_are_filled_in() {
        let value = |name: &str| (name == "func").then(|| "f".to_owned());
        assert_eq!(fill("BUG: {what} in {func}", &value), "BUG: in f");
        assert_eq!(fill("{func", &value), "{func");
    }
}
