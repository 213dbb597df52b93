//! Whether a line of a build's, or of another tool's, says that the host ran short of memory or of
//! disk (pure).
//!
//! Compilers quote the source, which may say anything: such lines count only where the words around
//! them are the compiler's own.

/// How the system's own words end a line, whichever tool prints them.
const SYSTEMS: [&str; 5] = [
    "No space left on device",
    "Disk quota exceeded",
    "Cannot allocate memory",
    "memory exhausted",
    "out of memory",
];

/// How a line goes on after a tool's name: what happened to a program of it.
const TOOLS: [&str; 5] = [
    ": fatal error: Killed signal terminated program ",
    ": internal compiler error: Killed (program ",
    " terminated with signal 9",
    ": Child died with signal 9",
    ": out of memory allocating ",
];

/// How make ends a line about a recipe that was killed: as a program, or as a shell's.
const RECIPES: [&str; 2] = ["] Killed", "] Error 137"];

/// What a compiler says at a place in the source where it could not write.
const WRITING: [&str; 3] = [
    ": fatal error: error writing to ",
    ": fatal error: error closing ",
    ": fatal error: closing dependency file ",
];

/// Does this line say that the host ran short? Nothing that is built sends a kill: where memory runs
/// out, the host does.
pub fn of_host(line: &str) -> bool {
    let line = line.trim_end();
    if line.starts_with(char::is_whitespace) || is_remark(line) {
        return false;
    }
    if at_place(line) {
        return WRITING.iter().any(|w| line.contains(w)) && systems(line);
    }
    let recipe = line.starts_with("make") && line.contains(": *** [");
    systems(line)
        || TOOLS.iter().any(|t| line.contains(t))
        || recipe && RECIPES.iter().any(|r| line.ends_with(r))
}

/// The system's words as the last of several, in quotes or not.
fn systems(line: &str) -> bool {
    let line = line.trim_end_matches('\'');
    SYSTEMS.iter().any(|words| {
        let before = line.strip_suffix(words);
        before.is_some_and(|b| b.trim_end_matches('\'').ends_with(": "))
    })
}

/// A warning or a note: also the linker's own hand on what the source says.
fn is_remark(line: &str) -> bool {
    line.contains(": warning: ") || line.contains(": note: ")
}

/// `fs/a.c:7:9: ` or `Makefile:12: `: what follows is about the source, or from it.
fn at_place(line: &str) -> bool {
    let Some((_, rest)) = line.split_once(':') else {
        return false;
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && rest[digits..].starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_runs_short_says_so() {
        for line in [
            "gcc: fatal error: Killed signal terminated program cc1",
            "x86_64-linux-gnu-gcc-14: fatal error: Killed signal terminated program as",
            "gcc: internal compiler error: Killed (program cc1)",
            "collect2: fatal error: ld terminated with signal 9 [Killed]",
            "make[2]: *** [scripts/Makefile.vmlinux:72: vmlinux] Error 137",
            "make[3]: *** [/src/scripts/Makefile.build:203: fs/fuse/file.o] Killed",
            "/usr/lib/gcc/x86_64-linux-gnu/14/cc1: out of memory allocating 65536 bytes after a total of 1 bytes",
            "virtual memory exhausted: Cannot allocate memory",
            "/usr/bin/ld: final link failed: memory exhausted",
            "/usr/bin/ld: final link failed: No space left on device",
            "as: BFD (GNU Binutils for Debian) 2.44: out of memory",
            "make: vfork: Cannot allocate memory",
            "make[1]: write error: stdout: No space left on device",
            "/bin/sh: 1: cannot create fs/.a.o.cmd: Disk quota exceeded",
            "{standard input}: Fatal error: can't write 12 bytes to section .text of fs/a.o: 'No space left on device'",
            "fs/a.c:123:1: fatal error: error writing to /tmp/ccx.s: No space left on device",
            "fs/a.c:1: fatal error: closing dependency file fs/.a.o.d: No space left on device",
            "tar: linux-7.3/Makefile: Cannot write: No space left on device",
            "tar: Child died with signal 9",
            "vmlinux.o: error: objtool: mmap: Cannot allocate memory",
        ] {
            assert!(of_host(line), "{line}");
        }
    }

    #[test]
    fn what_the_source_says_does_not_count() {
        for line in [
            "fs/a.c:7:2: error: #error disk: No space left on device",
            "fs/a.c:7:19: error: disk: No space left on device",
            "    7 | #error disk: No space left on device",
            "fs/a.c:7:1: error: static assertion failed: \"ld terminated with signal 9\"",
            "fs/a.c:7:2: error: call to 'f' declared with attribute error: out of memory",
            "fs/a.c:7:10: fatal error: out of memory: No such file or directory",
            "fs/a.S:12: Error: as: Cannot allocate memory",
            "Makefile:12: *** disk: No space left on device.  Stop.",
            "/usr/bin/ld: fs/a.o: warning: f: Cannot allocate memory",
            "make[3]: *** [scripts/Makefile.build:289: fs/b.o] Error 1",
            "make[3]: *** [scripts/Makefile.build:289: fs/b.o] Error 1370",
            "make[3]: *** [scripts/Makefile.build:289: fs/b.o] Segmentation fault",
            "  CC      fs/] Error 137",
            "No space left on device",
            "Killed",
            "",
        ] {
            assert!(!of_host(line), "{line}");
        }
    }
}
