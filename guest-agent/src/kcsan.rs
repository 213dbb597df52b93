//! KCSAN's watches: short while the guest boots, long for the loads.
//!
//! KCSAN stalls a thread at a watched access and waits for somebody else to touch
//! the same memory. Boot is a single thread most of the time: long waits there
//! find little and take a tenth of the boot. The host asks for short ones on the
//! kernel's command line, and the agent restores them before anything is run.

use std::fs;

use anyhow::{Context, Result};
use protocol::{DetectorState, KCSAN_WATCHES, KcsanWatch};

use crate::detectors::value_after;

const PARAMETERS: &str = "/sys/module/kcsan/parameters";
/// Of how many accesses one is watched.
const SKIP: &str = "skip_watch";
pub(crate) const STATS: &str = "/sys/kernel/debug/kcsan";

/// Lets watches last as long as they do by default, unless the user asked for
/// another length on the command line.
pub(crate) fn watch_longer() -> Result<()> {
    let words = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    for watch in KCSAN_WATCHES.iter().filter(|watch| is_short(&words, watch)) {
        let path = format!("{PARAMETERS}/{}", watch.parameter);
        // Without KCSAN there is nothing to lengthen.
        if fs::exists(&path).unwrap_or(false) {
            fs::write(&path, watch.load_us.to_string()).with_context(|| format!("write {path}"))?;
        }
    }
    Ok(())
}

/// KCSAN watching other than by default; as before once this is dropped.
#[derive(Debug)]
pub(crate) struct Watching(String);

impl Watching {
    /// Of so many accesses one is watched; nothing where there is no KCSAN.
    pub(crate) fn one_in(accesses: u32) -> Result<Option<Self>> {
        let path = format!("{PARAMETERS}/{SKIP}");
        let Ok(before) = fs::read_to_string(&path) else {
            return Ok(None);
        };
        fs::write(&path, accesses.to_string()).with_context(|| format!("write {path}"))?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Watching more than usual harms nobody.
        let _ = fs::write(format!("{PARAMETERS}/{SKIP}"), self.0.trim());
    }
}

/// Whether it is on.
pub(crate) fn state() -> DetectorState {
    state_in(fs::read_to_string(STATS).ok().as_deref())
}

fn state_in(stats: Option<&str>) -> DetectorState {
    let Some(stats) = stats else {
        return DetectorState::Absent;
    };
    match value_after(stats, "enabled:") {
        Some("1") => DetectorState::On,
        _ => DetectorState::Off,
    }
}

/// Whether the last word on it is the host's.
fn is_short(words: &str, watch: &KcsanWatch) -> bool {
    let key = format!("kcsan.{}=", watch.parameter);
    let last = words
        .split_whitespace()
        .filter_map(|word| word.strip_prefix(&key))
        .next_back();
    last == Some(watch.boot_us.to_string().as_str())
}

#[cfg(test)]
mod tests {
    use DetectorState::{Absent, Off, On};

    use super::*;

    #[test]
    fn it_tells_by_itself() {
        for (stats, state) in [
            (None, Absent),
            (Some("enabled: 1\nused_watchpoints: 0\n"), On),
            (Some("enabled: 0\n"), Off),
            (Some(""), Off),
        ] {
            assert_eq!(state_in(stats), state, "{stats:?}");
        }
    }

    #[test]
    fn what_the_user_appends_stays() {
        let watch = &KCSAN_WATCHES[0];
        let ours = format!("quiet {}", watch.word());
        for (words, short) in [
            (ours.clone(), true),
            (format!("{ours} kcsan.{}=500", watch.parameter), false),
            ("quiet".into(), false),
        ] {
            assert_eq!(is_short(&words, watch), short, "{words}");
        }
    }
}
