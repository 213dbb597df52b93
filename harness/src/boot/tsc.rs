//! The frequency of the host's time stamp counter, which a guest under TCG sees as its own.

use std::{
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// Long enough for an error of a few millionths.
const SAMPLE: Duration = Duration::from_millis(20);

/// In kHz; none where the counter does not run evenly, or is not there. Measured once a process.
pub(super) fn khz() -> Option<u32> {
    static KHZ: OnceLock<Option<u32>> = OnceLock::new();
    *KHZ.get_or_init(|| {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        even(&cpuinfo).then(measure).flatten()
    })
}

/// Does the counter of the processor described here run at one rate, whatever it does?
fn even(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|l| l.starts_with("flags"));
    let has = |flag| flags.is_some_and(|f| f.split_ascii_whitespace().any(|w| w == flag));
    has("constant_tsc") && has("nonstop_tsc")
}

#[cfg(target_arch = "x86_64")]
fn measure() -> Option<u32> {
    let stamp = || {
        // SAFETY: reads a counter; every x86-64 processor has it, and Linux lets user space read it.
        unsafe { std::arch::x86_64::_rdtsc() }
    };
    let (begin, from) = (Instant::now(), stamp());
    thread::sleep(SAMPLE);
    let (took, to) = (begin.elapsed(), stamp());
    let ticks = u128::from(to.checked_sub(from)?);
    u32::try_from(ticks * 1_000_000 / took.as_nanos()).ok()
}

#[cfg(not(target_arch = "x86_64"))]
fn measure() -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_even_counter_counts() {
        let table = [
            (
                "processor: 0\nflags\t\t: fpu constant_tsc nonstop_tsc\n",
                true,
            ),
            ("flags\t\t: fpu tsc constant_tsc\n", false),
            ("bogomips: 12\n", false),
        ];
        for (cpuinfo, expected) in table {
            assert_eq!(even(cpuinfo), expected, "{cpuinfo:?}");
        }
    }

    #[test]
    fn a_frequency_is_that_of_a_processor() {
        if let Some(khz) = khz() {
            assert!((500_000..10_000_000).contains(&khz), "{khz} kHz");
        }
    }
}
