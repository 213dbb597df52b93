//! How long a boot may take and how much it may say, from one table (pure).

use std::time::Duration;

use protocol::{MAX_LINE, Plan};
use serde::{Deserialize, Serialize};

use crate::scenario::Profile;

/// A boot's limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// From QEMU's start to the agent's hello, in seconds.
    pub boot_s: f64,
    /// Neither console nor agent says anything.
    pub silence_s: f64,
    /// The agent says nothing, while the console goes on.
    pub beat_s: f64,
    /// A phase's counters stand still.
    pub progress_s: f64,
    /// Between phases, nothing but beats.
    pub idle_s: f64,
    /// From the agent's last message to QEMU's end.
    pub power_off_s: f64,
    /// The whole boot.
    pub cell_s: f64,
    /// The console, in bytes.
    pub console_bytes: u64,
    /// A line of the agent's, in bytes.
    pub agent_line: usize,
    /// All that the agent says, in bytes.
    pub agent_bytes: u64,
}

/// Without a sanitizer, in the shortest profile. Phases' own seconds come on top of `cell_s`. The
/// kernel's own detectors must come first, and they go by the clock, however quick the guest is: a
/// hung task is reported between 30 and 60 s after it stopped, a lockup or a stall after some 20 to 25.
const PLAIN: Limits = Limits {
    boot_s: 45.0,
    silence_s: 30.0,
    beat_s: 45.0,
    progress_s: 67.5,
    idle_s: 90.0,
    // Nothing is left to be written then: it is the kernel's own shutdown, and a busy host.
    power_off_s: 45.0,
    cell_s: 90.0,
    console_bytes: 1 << 30,
    agent_line: MAX_LINE,
    agent_bytes: 256 << 20,
};

/// Added to `cell_s` for each phase: making its files, ending its threads.
const PHASE_S: f64 = 30.0;

/// How much longer everything takes, by fragment; a stack takes the product of its parts.
const CONFIGS: [(&str, f64); 4] = [
    ("plain", 1.0),
    ("lockdep", 1.25),
    ("kasan", 1.5),
    ("kcsan", 1.5),
];
/// What an unknown fragment takes.
const UNKNOWN: f64 = 1.5;
/// How patient a profile is: who has hours does not want to lose them to a busy minute.
const PROFILES: [(Profile, f64); 3] = [
    (Profile::Quick, 1.0),
    (Profile::Standard, 1.0),
    (Profile::Full, 1.5),
];

impl Limits {
    /// A boot's limits.
    pub fn of(config: &str, profile: Profile, plan: &Plan) -> Self {
        let parts = config.split('+').map(|part| look_up(&CONFIGS, &part));
        let slowness = parts.product::<f64>() * look_up(&PROFILES, &profile);
        let phases: f64 = plan
            .phases
            .iter()
            .map(|p| p.seconds as f64 + PHASE_S * slowness)
            .sum();
        let stretch = |seconds: f64| (seconds * slowness).round();
        Self {
            boot_s: stretch(PLAIN.boot_s),
            silence_s: stretch(PLAIN.silence_s),
            beat_s: stretch(PLAIN.beat_s),
            progress_s: stretch(PLAIN.progress_s),
            idle_s: stretch(PLAIN.idle_s),
            power_off_s: stretch(PLAIN.power_off_s),
            cell_s: (stretch(PLAIN.boot_s + PLAIN.cell_s) + phases).round(),
            ..PLAIN
        }
    }
}

/// Seconds as a duration.
pub(crate) fn seconds(s: f64) -> Duration {
    Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX)
}

fn look_up<K: PartialEq>(table: &[(K, f64)], key: &K) -> f64 {
    table
        .iter()
        .find(|(k, _)| k == key)
        .map_or(UNKNOWN, |(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Exec, Load, Phase};

    #[test]
    fn limits_stretch_by_what_slows_a_guest() {
        use Profile::{Full, Quick};
        let table = [
            ("plain", Quick, 30.0),
            ("kasan", Quick, 45.0),
            ("lockdep+kasan", Quick, 56.0),
            ("my-own", Quick, 45.0),
            ("plain", Full, 45.0),
        ];
        for (config, profile, silence) in table {
            let limits = Limits::of(config, profile, &Plan::default());
            assert_eq!(limits.silence_s, silence, "{config} {profile:?}");
        }
    }

    #[test]
    fn a_boot_may_take_its_phases_time_and_more() {
        let load = Load::Exec(Exec {
            command: vec!["true".into()],
            expect: 0,
        });
        let plan = Plan {
            seed: 0,
            phases: vec![Phase { load, seconds: 100 }; 2],
        };
        let limits = Limits::of("plain", Profile::Quick, &plan);
        assert_eq!(limits.cell_s, 45.0 + 90.0 + 2.0 * 130.0);
    }

    #[test]
    fn a_shutdown_is_given_more_time_where_all_takes_more() {
        let of = |config| Limits::of(config, Profile::Quick, &Plan::default()).power_off_s;
        assert_eq!(of("plain"), 45.0);
        assert_eq!(of("kcsan"), (45.0_f64 * 1.5).round());
    }

    #[test]
    fn the_kernels_detectors_come_first() {
        let least = Limits::of("plain", Profile::Quick, &Plan::default());
        assert!(least.silence_s > 25.0, "a lockup is reported within 25 s");
        assert!(least.beat_s > least.silence_s);
        assert!(
            least.progress_s > 60.0,
            "a hung task is reported within 60 s"
        );
    }
}
