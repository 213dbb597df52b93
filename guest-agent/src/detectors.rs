//! Which of the kernel's detectors are still on.

use std::fs;

use protocol::{DetectorState, Detectors};

use crate::{kcsan, kmemleak, sys};

/// What lockdep tells of itself.
const LOCKDEP: &str = "/proc/lockdep_stats";
/// What boot says about a detector that leaves no file behind.
const KASAN_IS_UP: &str = "KernelAddressSanitizer initialized";
/// KASAN taints the kernel with this (`TAINT_BAD_PAGE`) when it reports.
const KASAN_REPORTED: u64 = 1 << 5;

/// What was seen of the detectors early on, while the log still held it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presence {
    kasan: bool,
}

/// Looks for what later is no longer to be seen.
pub(crate) fn presence() -> Presence {
    let log = sys::kernel_log();
    Presence {
        kasan: String::from_utf8_lossy(&log).contains(KASAN_IS_UP),
    }
}

/// Whether any detector is built in: the kernel's part of each call then costs several times as much. Only
/// looks for their files: lockdep counts all its classes' dependencies when its own is read, and kmemleak
/// is asked by a command.
pub(crate) fn instrumented(presence: Presence) -> bool {
    let mut files = [LOCKDEP, kcsan::STATS, kmemleak::FILE].into_iter();
    presence.kasan || files.any(|file| fs::exists(file).unwrap_or(false))
}

/// The state of each detector now.
pub(crate) fn states(presence: Presence) -> Detectors {
    let read = |path: &str| fs::read_to_string(path).ok();
    let words = read("/proc/cmdline").unwrap_or_default();
    let taint = read("/proc/sys/kernel/tainted")
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    Detectors::from([
        ("lockdep".into(), lockdep(read(LOCKDEP).as_deref())),
        ("kasan".into(), kasan(presence.kasan, &words, taint)),
        ("kcsan".into(), kcsan::state()),
        ("kmemleak".into(), kmemleak::state()),
    ])
}

/// `debug_locks` falls to 0 with the first report.
fn lockdep(stats: Option<&str>) -> DetectorState {
    let Some(stats) = stats else {
        return DetectorState::Absent;
    };
    match value_after(stats, "debug_locks:") {
        Some("1") => DetectorState::On,
        // Unreadable is not known to be on.
        _ => DetectorState::Off,
    }
}

/// KASAN falls silent after its first report unless told otherwise.
fn kasan(present: bool, cmdline: &str, taint: u64) -> DetectorState {
    match (
        present,
        cmdline
            .split_whitespace()
            .any(|word| word == "kasan_multi_shot"),
    ) {
        (false, _) => DetectorState::Absent,
        (true, true) => DetectorState::On,
        (true, false) if taint & KASAN_REPORTED == 0 => DetectorState::On,
        (true, false) => DetectorState::Off,
    }
}

/// What stands behind a key at a line's beginning, as kernel statistics have it.
pub(crate) fn value_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.trim_start().strip_prefix(key))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use DetectorState::{Absent, Off, On};

    use super::*;

    #[test]
    fn lockdep_is_on_while_its_flag_is() {
        for (stats, state) in [
            (None, Absent),
            (
                Some(" lock-classes:   9\n debug_locks:                             1\n"),
                On,
            ),
            (
                Some(" lock-classes:   9\n debug_locks:                             0\n"),
                Off,
            ),
            (Some(""), Off),
        ] {
            assert_eq!(lockdep(stats), state, "{stats:?}");
        }
    }

    #[test]
    fn kasan_is_off_after_a_report_unless_it_reports_all() {
        for (present, cmdline, taint, state) in [
            (false, "kasan_multi_shot", 0, Absent),
            (true, "console=ttyS0 kasan_multi_shot", KASAN_REPORTED, On),
            (true, "console=ttyS0", 0, On),
            (true, "console=ttyS0", KASAN_REPORTED | 1, Off),
            (true, "nokasan_multi_shot", KASAN_REPORTED, Off),
        ] {
            assert_eq!(kasan(present, cmdline, taint), state, "{cmdline} {taint}");
        }
    }
}
