//! What a row of the table holds, and the look-up by header line.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

use super::{
    super::{
        guilty::{Guilty, Pick, Step, TRACE},
        pattern,
    },
    TABLES,
};

/// One format of report.
#[derive(Debug)]
pub(in super::super) struct Format {
    /// Fixed text that every header of this format holds; what the log is searched for.
    pub(in super::super) needle: &'static str,
    /// The header line. Its captures may be used in the title.
    pub(in super::super) header: &'static str,
    /// Lines that must follow, each somewhere behind the last one. Their captures count as well.
    pub(in super::super) body: &'static [&'static str],
    /// The verdict's class.
    pub(in super::super) class: &'static str,
    /// The title; `{func}` is the guilty function, other names are captures.
    pub(in super::super) title: &'static str,
    /// Titles of the same bug under other names.
    pub(in super::super) alternatives: &'static [&'static str],
    /// How to find `{func}`; nothing when a capture of that name says it.
    pub(in super::super) guilty: Option<Guilty>,
    /// Whether a whole report has a stack.
    pub(in super::super) traced: bool,
    /// What this header alone says about the report's state: it was cut off.
    pub(in super::super) cut: Option<&'static str>,
    /// How the header behaves among others.
    pub(in super::super) role: Role,
}

/// How a header behaves among other headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Role {
    /// It begins a report, whatever came before.
    Report,
    /// It may be part of a report that has not said that it ends; else it is one itself.
    Sequel,
    /// It says nothing that the report before it did not, ended or not (a panic after an oops); alone
    /// it is one itself.
    Aftermath,
    /// It begins a report only if a stack follows: many harmless lines look the same.
    Maybe,
    /// It begins a report if the kernel stamped it, or a stack follows: programs print such
    /// lines as well.
    Stamped,
    /// It begins a report only behind kernel messages of an earlier boot.
    Reboot,
}

/// The defaults of a row.
pub(super) const ROW: Format = Format {
    needle: "",
    header: "",
    body: &[],
    class: "",
    title: "",
    alternatives: &[],
    guilty: None,
    traced: true,
    cut: None,
    role: Role::Report,
};

/// The first useful function of the first call trace.
pub(super) const IN_TRACE: Guilty = Guilty {
    steps: &[TRACE, Step::Frames],
    otherwise: &[],
    skip: &[],
    pick: Pick::First,
};

/// The function at the program counter, else the first useful one of the call trace behind it.
pub(super) const AT_PC: Guilty = Guilty {
    steps: &[Step::Pc, TRACE, Step::Frames],
    otherwise: &[],
    skip: &[],
    pick: Pick::First,
};

/// The function that the header names, else the first useful one of the call trace.
pub(super) const NAMED: Guilty = Guilty {
    steps: &[Step::Named, TRACE, Step::Frames],
    otherwise: &[],
    skip: &[],
    pick: Pick::First,
};

/// Where a WARN was hit. It traps: the program counter stands before the call trace on new
/// kernels and inside it on old ones; without it the call trace must do.
pub(super) const WARNED: Guilty = Guilty {
    steps: &[Step::Pc, Step::Frames],
    otherwise: &[&[TRACE, Step::Frames]],
    skip: &[],
    pick: Pick::First,
};

/// A row whose header matched, compiled.
#[derive(Debug)]
pub(in super::super) struct Matched<'t> {
    pub(in super::super) format: &'static Format,
    pub(in super::super) captures: Captures<'t>,
}

/// The rows whose header this line is, in the table's order.
pub(in super::super) fn matching(text: &str) -> impl Iterator<Item = Matched<'_>> {
    TABLES
        .iter()
        .flat_map(|table| table.iter())
        .filter_map(move |format| {
            let at = text.find(format.needle)?;
            // `ODEBUG:` and `BIN_INFO:` are other words; but any message may run into the next one.
            let before = text[..at].bytes().next_back();
            if format.needle.as_bytes()[0].is_ascii_uppercase()
                && before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
            {
                return None;
            }
            let header = pattern::cached(Cow::Borrowed(format.header));
            let captures = header.captures(text)?;
            (!HARMLESS.is_match(text)).then_some(Matched { format, captures })
        })
}

/// Whether a header of this format needs its stack to count.
pub(in super::super) fn unsure(format: &Format, stamped: bool) -> bool {
    match format.role {
        Role::Maybe => true,
        Role::Stamped => !stamped,
        Role::Report | Role::Sequel | Role::Aftermath | Role::Reboot => false,
    }
}

/// Whether a header of this format is but a level and any words.
pub(in super::super) fn vague(format: &Format) -> bool {
    matches!(format.role, Role::Maybe | Role::Stamped)
}

/// What the log is searched for: as few strings as find every header, none within another.
pub(in super::super) fn needles() -> Vec<&'static str> {
    let rows = TABLES.iter().flat_map(|table| table.iter());
    let mut all: Vec<&str> = rows
        .filter(|format| {
            !LEVELLED
                .iter()
                .any(|start| format.header.starts_with(start))
        })
        .map(|format| format.needle)
        .chain(LEVELS.iter().copied())
        .collect();
    all.sort_unstable();
    all.dedup();
    let whole = all.clone();
    all.retain(|needle| {
        !whole
            .iter()
            .any(|other| other != needle && needle.contains(other))
    });
    all
}

/// What most headers begin with.
const LEVELS: &[&str] = &["BUG:", "WARNING:", "INFO:"];

/// Patterns that begin with one of the levels; their own needles need not be searched for.
const LEVELLED: &[&str] = &[
    "BUG:",
    "WARNING:",
    "INFO:",
    "^INFO:",
    "(?P<level>BUG|WARNING): ",
    "(?P<level>INFO|WARNING): ",
];

/// Lines that look like headers and are none.
static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
    let lines = [
        r"^INFO: lockdep is turned off",
        r"[Ss]tall ended (?:before state dump start|during stack)",
        r"INFO: NMI handler .* took too long",
        // A program's, in a file or in memory that no file backs.
        r"general protection fault (?:ip:|.* error:\d+ in )",
        r"(?:handler|interrupt).*took too long",
        // The boot messages of one kernel, read by a program and printed by the next.
        r"Unknown parameter '",
        r"Parsing ELF|Decompressing Linux",
    ];
    pattern::compile(&lines.join("|"))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_sound() {
        for format in TABLES.iter().flat_map(|table| table.iter()) {
            let name = format.header;
            pattern::compile(format.header);
            for body in format.body {
                pattern::compile(body);
            }
            for step in format.guilty.iter().flat_map(|g| {
                std::iter::once(g.steps)
                    .chain(g.otherwise.iter().copied())
                    .flatten()
            }) {
                if let Step::Find(find) = step {
                    pattern::compile(find);
                }
            }
            assert!(
                format.needle.len() >= 4,
                "{name}: a short needle hits everywhere"
            );
            assert!(
                !format.class.is_empty() && !format.title.is_empty(),
                "{name}"
            );
        }
    }

    #[test]
    fn lines_that_only_look_like_headers() {
        for text in [
            "INFO: lockdep is turned off.",
            "ODEBUG: Out of memory. ODEBUG disabled",
            "traps: a[1] general protection fault ip:7f sp:2 error:0 in a[7+8]",
            "traps: repro[123] general protection fault ip:7f12a0b4c5d6 sp:7ffe0a1b2c30 error:0",
            "CAM_INFO: CAM-ISP: probe",
            "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
            "xfs: Unknown parameter 'Booting the kernel.'",
        ] {
            assert_eq!(matching(text).count(), 0, "{text}");
        }
    }
}
