//! The compiler's own lines, out of everything that make prints.

use std::collections::VecDeque;

use crate::host::shortage;

/// Lines kept for an error's sake.
const KEPT: usize = 400;
/// Warnings kept; a patch that gives more has other worries.
const WARNINGS: usize = 500;
/// Lines of an error that are shown.
const SHOWN: usize = 30;
/// Lines before the first error that say where it stands.
const CONTEXT: usize = 4;

/// What marks a line as an error of the compiler's, assembler's or linker's.
const ERRORS: [&str; 8] = [
    ": error: ",
    ": fatal error: ",
    ": Error: ",
    ": undefined reference to ",
    ": multiple definition of ",
    "ERROR: modpost:",
    "error: objtool",
    ": syntax error",
];

/// What marks a line as saying where the next ones stand.
const PLACES: [&str; 4] = [
    "In file included from ",
    "                 from ",
    ": In function ",
    ": At top level",
];

/// What make's output says beyond its progress.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    lines: VecDeque<String>,
    /// The first error's lines, once there is one.
    error: Vec<String>,
    pub warnings: Vec<String>,
    /// The first line that says that the host ran short of something: of many jobs' lines it need be
    /// neither among the first error's nor among the last.
    pub shortage: Option<String>,
}

impl Diagnostics {
    /// Takes a line that is no progress; `source` is where the compiler saw the tree.
    pub(super) fn take(&mut self, line: &str, source: &str) {
        let line = shown(line, source);
        if self.shortage.is_none() && shortage::of_host(&line) {
            self.shortage = Some(line.clone());
        }
        if line.contains(": warning: ")
            && !line.starts_with("make")
            && self.warnings.len() < WARNINGS
        {
            self.warnings.push(line.clone());
        }
        if !self.error.is_empty() {
            if self.error.len() < SHOWN {
                self.error.push(line);
            }
            return;
        }
        if ERRORS.iter().any(|e| line.contains(e)) {
            let places = self
                .lines
                .iter()
                .rev()
                .take(CONTEXT)
                .take_while(|l| PLACES.iter().any(|p| l.contains(p)));
            self.error = places.cloned().collect();
            self.error.reverse();
            self.error.push(line);
            return;
        }
        self.lines.push_back(line);
        if self.lines.len() > KEPT {
            self.lines.pop_front();
        }
    }

    /// The lines that say what went wrong: the first error on, else the last lines.
    pub(super) fn error(&self) -> String {
        if !self.error.is_empty() {
            return self.error.join("\n");
        }
        let skip = self.lines.len().saturating_sub(SHOWN / 2);
        let last: Vec<_> = self.lines.iter().skip(skip).map(String::as_str).collect();
        last.join("\n")
    }
}

/// A line with paths relative to the tree and without control characters: compilers quote the
/// source, which may hold a terminal's escapes.
fn shown(line: &str, source: &str) -> String {
    let line = line.replace(&format!("{source}/"), "");
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\t' => out.push('\t'),
            c if c.is_control() => out.extend(c.escape_debug()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        for line in text.lines() {
            diagnostics.take(line, "/src");
        }
        diagnostics
    }

    #[test]
    fn an_errors_own_lines_are_shown() {
        let read = read(
            "make[1]: Entering directory '/build'\n\
             /src/fs/a.c:1:2: warning: unused variable 'x' [-Wunused-variable]\n\
             In file included from /src/fs/b.c:3:\n\
             /src/fs/b.h: In function 'f':\n\
             /src/fs/b.h:7:9: error: 'y' undeclared\n    7 |  y\x1b[2J = 1;\n      |  ^\n\
             make[3]: *** [/src/scripts/Makefile.build:289: fs/b.o] Error 1\n",
        );
        assert_eq!(
            read.error(),
            "In file included from fs/b.c:3:\nfs/b.h: In function 'f':\nfs/b.h:7:9: error: 'y' undeclared\n    \
             7 |  y\\u{1b}[2J = 1;\n      |  ^\nmake[3]: *** [scripts/Makefile.build:289: fs/b.o] Error 1"
        );
        assert_eq!(
            read.warnings,
            ["fs/a.c:1:2: warning: unused variable 'x' [-Wunused-variable]"]
        );
    }

    #[test]
    fn a_shortage_among_other_jobs_lines_is_kept() {
        let killed = "make[2]: *** [scripts/Makefile.vmlinux:72: vmlinux] Error 137";
        let others = "/src/fs/a.c: In function 'f':\n".repeat(100);
        let short = read(&format!("{others}{killed}\n{others}"));
        assert_eq!(short.shortage.as_deref(), Some(killed));
        assert!(!short.error().contains(killed));
        assert_eq!(read(&others).shortage, None);
    }

    #[test]
    fn without_an_error_the_last_lines_are_shown() {
        let many: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        let read = read(&many);
        assert!(read.error().ends_with("line 998\nline 999"));
        assert!(read.error().lines().count() <= SHOWN);
        assert!(read.lines.len() <= KEPT);
    }
}
