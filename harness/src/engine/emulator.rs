//! Boots that the emulator ended, told from those that a kernel ended by the marks they leave.
//!
//! A kernel patches its own code while all CPUs run: it puts a breakpoint over an instruction, has
//! every CPU notice, and writes the new one. Under QEMU's TCG with a thread for each CPU one of them
//! may still run its old translation, hit a breakpoint that is there no more, and the kernel, which
//! finds none, dies of it. No processor does that.

use std::{fs, path::Path};

use crate::{
    collect::record::{End, RunRecord},
    splat::Splat,
};

/// What the kernel calls it.
const BREAKPOINT: &str = "Oops: int3";
/// The breakpoint, in the dump of the code that trapped.
const INT3: &str = "cc";

/// Did the boot die of a breakpoint that was not there?
pub(super) fn ended(record: &RunRecord, run: &Path) -> bool {
    let died = matches!(record.end, End::BootFailed { .. } | End::Died { .. });
    died && record.splats.iter().any(|timed| {
        is_oops(&timed.splat)
            && fs::read(run.join(&record.cell.id).join(&timed.file))
                .is_ok_and(|text| is_stale(&String::from_utf8_lossy(&text)))
    })
}

fn is_oops(splat: &Splat) -> bool {
    splat.class == "oops"
}

/// Whether the instruction before the one returned to is no breakpoint.
fn is_stale(text: &str) -> bool {
    let mut lines = text.lines().skip_while(|line| !line.contains(BREAKPOINT));
    let code = lines.find_map(|line| line.split_once("Code: "));
    code.is_some_and(|(_, bytes)| {
        let before = bytes
            .split_whitespace()
            .take_while(|byte| !byte.starts_with('<'));
        let next = bytes.split_whitespace().any(|byte| byte.starts_with('<'));
        next && before.last().is_some_and(|byte| byte != INT3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breakpoint_that_is_there_is_the_kernels() {
        for (text, stale) in [
            (
                "Oops: int3: 0000 [#1] SMP\nRIP: 0010:f+0x1\nCode: 5c 79 01 0f <1f> 44 00",
                true,
            ),
            (
                "Oops: int3: 0000 [#1] SMP\nCode: 5c 79 01 cc <1f> 44 00",
                false,
            ),
            ("Oops: 0000 [#1]\nCode: 5c 0f <1f>", false),
            ("Code: 01 0f <1f>\nOops: int3: 0000", false),
            (
                "Oops: int3: 0000\nCode: Unable to access opcode bytes",
                false,
            ),
            ("Oops: int3: 0000\nCode: <1f> 44", false),
            ("", false),
        ] {
            assert_eq!(is_stale(text), stale, "{text}");
        }
    }
}
