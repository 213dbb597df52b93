//! A patch's coverage in lcov's tracefile format, as genhtml and editors read it.

use std::fmt::Write;

use super::escape::terminal_line;
use crate::plugin::Coverage;

/// One record a file.
pub(super) fn render(coverage: &Coverage, test: &str) -> String {
    // lcov takes word characters only.
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let test: String = test.chars().map(word).collect();
    let mut out = String::new();
    for lines in coverage.lines.chunk_by(|a, b| a.file == b.file) {
        let hit = lines.iter().filter(|line| line.hits > 0).count();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "TN:{test}\nSF:{}", terminal_line(&lines[0].file));
        for line in lines {
            let _ = writeln!(out, "DA:{},{}", line.line, line.hits);
        }
        let _ = writeln!(out, "LF:{}\nLH:{hit}\nend_of_record", lines.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Line;

    #[test]
    fn a_record_for_each_file() {
        let line = |file: &str, line, hits| Line {
            file: file.into(),
            line,
            hits,
        };
        let coverage = Coverage {
            lines: vec![line("a.c", 3, 7), line("a.c", 9, 0), line("b\n.c", 1, 1)],
            without_code: 4,
            ..Coverage::default()
        };
        assert_eq!(
            render(&coverage, "kasan/ida-x"),
            "TN:kasan_ida_x\nSF:a.c\nDA:3,7\nDA:9,0\nLF:2\nLH:1\nend_of_record\n\
             TN:kasan_ida_x\nSF:b\\u{a}.c\nDA:1,1\nLF:1\nLH:1\nend_of_record\n"
        );
    }
}
