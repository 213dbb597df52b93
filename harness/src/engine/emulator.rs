//! Boots that the emulator or a busy host spoiled, told from what a kernel does by the marks they
//! leave.
//!
//! A kernel patches its own code while all CPUs run: it puts a breakpoint over an instruction, has
//! every CPU notice, and writes the new one. Under QEMU's TCG with a thread for each CPU one of them
//! may still run its old translation, hit a breakpoint that is there no more, and the kernel, which
//! finds none, dies of it. No processor does that.
//!
//! A kernel checks its local timer against another at boot. Where the host kept the guest waiting
//! at that moment they differ, the kernel gives its best timer up, and delays, watchdogs and rates
//! of that boot mean nothing.
//!
//! Where the host sleeps, an emulated guest's clock jumps when it wakes.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use crate::{
    collect::record::{End, RunRecord},
    drive::SLEPT,
    splat::Splat,
};

/// Classes of reports that are about the kernel's own doing, however slow the host is. Races that KCSAN
/// sees are not among them: most kernels have some in every boot.
const CERTAIN: [&str; 5] = ["kasan", "kfence", "lockdep", "rcu-usage", "atomic-sleep"];
/// What the kernel calls it.
const BREAKPOINT: &str = "Oops: int3";
/// The breakpoint, in the dump of the code that trapped.
const INT3: &str = "cc";
/// What it says of its timer.
const NO_TIMER: &[u8] = b"APIC timer disabled due to verification failure";
/// How much of the console holds the boot messages.
const BOOT_MESSAGES: u64 = 1 << 20;

/// What spoiled a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoiled {
    /// It died of a breakpoint that was not there.
    StaleCode,
    /// Its timer was given up.
    NoTimer,
    /// The host slept.
    Slept,
}

impl Spoiled {
    /// What spoiled the boot, if anything did, and if it showed nothing that no host makes a kernel
    /// show: another boot may not show that again. Without emulation it is only the host's sleep.
    pub(super) fn of(record: &RunRecord, run: &Path, emulated: bool) -> Option<Self> {
        let mut splats = record.splats.iter();
        if splats.any(|one| CERTAIN.contains(&one.splat.class.as_str())) {
            return None;
        }
        let dir = run.join(&record.cell.id);
        if matches!(&record.end, End::Infrastructure { why } if why.starts_with(SLEPT)) {
            return Some(Self::Slept);
        }
        if !emulated {
            return None;
        }
        let died = matches!(record.end, End::BootFailed { .. } | End::Died { .. });
        let stale = |text: Vec<u8>| is_stale(&String::from_utf8_lossy(&text));
        let mut oopses = record.splats.iter().filter(|one| is_oops(&one.splat));
        if died && oopses.any(|one| fs::read(dir.join(&one.file)).is_ok_and(stale)) {
            return Some(Self::StaleCode);
        }
        let mut messages = Vec::new();
        let console = File::open(dir.join("console.log"));
        console
            .and_then(|file| file.take(BOOT_MESSAGES).read_to_end(&mut messages))
            .ok()?;
        Self::by_messages(&messages)
    }

    /// What a kernel's boot messages say of that.
    pub(super) fn by_messages(messages: &[u8]) -> Option<Self> {
        memchr::memmem::find(messages, NO_TIMER).map(|_| Self::NoTimer)
    }

    /// In words, as in `kasan-base-1 ...`.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::StaleCode => "died of a fault of QEMU's emulation (int3 where there is none)",
            Self::NoTimer => "lost its timer at boot, as the host kept it waiting",
            Self::Slept => "was cut short as the host slept",
        }
    }

    /// Whether what shows in every boot is the host's all the same.
    pub(super) fn always_the_hosts(self) -> bool {
        match self {
            Self::StaleCode => false,
            Self::NoTimer | Self::Slept => true,
        }
    }
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
