//! The kernel's command line, from a table (pure).
//!
//! There is no `nokaslr`: a PVH kernel is never moved, and one built without KASLR would pass the
//! word on to the agent.

use protocol::{KCSAN_WATCHES, KcsanWatch};

use super::settings::Accel;
use crate::{build::Enabled, plan::Purpose};

/// When a word is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    On(Accel),
    /// In boots for this.
    For(Purpose),
    /// To a kernel built with the symbol, by whichever fragment.
    With(&'static str),
    /// To a kernel built with the first symbol and without the second.
    Built(&'static str, &'static str),
}

/// When, the word, and why.
type Row = (When, &'static str, &'static str);

#[rustfmt::skip]
const WORDS: &[Row] = &[
    (When::Always, "console=ttyS0", "the console that is recorded"),
    (When::Always, "reboot=t", "a triple fault ends QEMU (-no-reboot) without firmware"),
    (When::Always, "panic=-1", "a panic ends the boot at once"),
    (When::Always, "oops=panic", "what follows an oops is no evidence"),
    (When::Always, "mitigations=off", "nobody attacks this guest, and they cost time"),
    (When::Always, "random.trust_cpu=on", "nothing waits for entropy"),
    (When::Always, "8250.nr_uarts=1", "no probing for serial lines that are not there"),
    (When::On(Accel::Tcg), "no_timer_check", "its timer's timing is not a processor's"),
    (When::On(Accel::Tcg), "tsc=reliable", "no watchdog doubts the only good clock"),
    (When::For(Purpose::Counted), "norandmaps", "the agent's addresses are the same in every boot"),
    (When::For(Purpose::Counted), "nolapic_timer", "its calibration would take most of the boot"),
    (When::For(Purpose::Weighed), "slab_nomerge", "objects of one size are not counted as one kind"),
    (When::Built("TRACING", "FTRACE"), "initcall_blacklist=trace_eval_init,tracer_init_tracefs",
        "lockdep selects tracing that nobody asked for: a fifth of its boot"),
    (When::Built("KCSAN", "SLUB_DEBUG"), "initcall_blacklist=slab_late_init",
        "/sys/kernel/slab has next to nothing to tell, at a fifteenth of KCSAN's boot"),
    (When::With("KASAN"), "kasan_multi_shot", "a second report may be the patch's"),
];

/// How often a second the kernel's tick comes, by the symbol that says so.
const TICKS: &[(&str, u64)] = &[
    ("HZ_100", 100),
    ("HZ_250", 250),
    ("HZ_300", 300),
    ("HZ_1000", 1000),
];

/// What decides a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot<'a> {
    /// How guest code is run.
    pub accel: Accel,
    /// What the kernel was built with.
    pub built: &'a Enabled,
    /// The frequency of the time stamp counter that the guest will see; none where unknown.
    pub tsc_khz: Option<u32>,
    /// What the boot is for.
    pub purpose: Purpose,
}

/// The time stamp counter's frequency where one instruction is one nanosecond, in kHz.
pub const COUNTED_TSC_KHZ: u32 = 1_000_000;

/// The words, the user's own last, where they override.
pub fn words(boot: &Boot<'_>, append: &[String]) -> Vec<String> {
    let mut words: Vec<String> = WORDS
        .iter()
        .filter(|(when, ..)| when.holds(boot))
        .map(|(_, word, _)| (*word).to_owned())
        .collect();
    // Under TCG the counter is the host's own. Told its frequency, the kernel need not measure it
    // against an emulated timer, which takes long and goes wrong on a busy host.
    if let (Accel::Tcg, Some(khz)) = (boot.accel, boot.tsc_khz) {
        words.push(format!("tsc_early_khz={khz}"));
        // Nor time its delay loop, which is that counter, over again on each further CPU.
        if let Some((_, hz)) = TICKS.iter().find(|(symbol, _)| boot.built.has(symbol)) {
            words.push(format!("lpj={}", u64::from(khz) * 1000 / hz));
        }
    }
    // Long watches find little in a boot, which is one thread most of the time, and take a tenth
    // of it. The agent lengthens them before the first load.
    if When::With("KCSAN").holds(boot) {
        words.extend(KCSAN_WATCHES.iter().map(KcsanWatch::word));
    }
    words.extend_from_slice(append);
    words
}

impl When {
    fn holds(self, boot: &Boot<'_>) -> bool {
        match self {
            When::Always => true,
            When::On(accel) => accel == boot.accel,
            When::For(purpose) => boot.purpose == purpose,
            When::With(symbol) => boot.built.has(symbol),
            When::Built(with, without) => boot.built.has(with) && !boot.built.has(without),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(accel: Accel, tsc_khz: Option<u32>, built: &str) -> String {
        let boot = Boot {
            accel,
            built: &Enabled::of(built),
            tsc_khz,
            purpose: Purpose::Loads,
        };
        words(&boot, &["quiet".into()]).join(" ")
    }

    #[test]
    fn words_come_by_accelerator_and_what_is_built() {
        use Accel::{Kvm, Tcg};
        type Row = (
            Accel,
            &'static str,
            &'static [&'static str],
            &'static [&'static str],
        );
        let table: [Row; 4] = [
            (
                Tcg,
                "CONFIG_PREEMPT_LAZY=y\n",
                &["tsc=reliable", "tsc_early_khz=2600000"],
                &["kasan_multi_shot"],
            ),
            (
                Tcg,
                "CONFIG_PROVE_LOCKING=y\nCONFIG_KASAN=y\n",
                &["kasan_multi_shot", "oops=panic", "no_timer_check"],
                &["kcsan.udelay_task=8"],
            ),
            (
                Kvm,
                "CONFIG_KCSAN=y\n",
                &["console=ttyS0", "reboot=t", "kcsan.udelay_task=8"],
                &["tsc=reliable", "tsc_early_khz=2600000", "no_timer_check"],
            ),
            (Kvm, "CONFIG_KASAN_VMALLOC=y\n", &[], &["kasan_multi_shot"]),
        ];
        for (accel, config, with, without) in table {
            let line = line(accel, Some(2_600_000), config);
            let has = |word: &str| line.split(' ').any(|w| w == word);
            assert!(with.iter().all(|w| has(w)), "{config}: {line}");
            assert!(!without.iter().any(|w| has(w)), "{config}: {line}");
            assert!(
                line.ends_with(" quiet"),
                "the user's words come last: {line}"
            );
        }
    }

    #[test]
    fn initcalls_are_left_out_where_nobody_asked_for_what_they_make() {
        let count = |config: &str| {
            line(Accel::Tcg, None, config)
                .matches("initcall_blacklist=")
                .count()
        };
        assert_eq!(count(""), 0);
        assert_eq!(count("CONFIG_TRACING=y\nCONFIG_KCSAN=y\n"), 2);
        assert_eq!(count("CONFIG_TRACING=y\nCONFIG_FTRACE=y\n"), 0);
        assert_eq!(count("CONFIG_KCSAN=y\nCONFIG_SLUB_DEBUG=y\n"), 0);
    }

    #[test]
    fn the_delay_loop_is_told_where_tick_and_frequency_are_known() {
        let table = [
            (
                Accel::Tcg,
                Some(2_600_000),
                "CONFIG_HZ_100=y\n",
                " lpj=26000000 ",
            ),
            (
                Accel::Tcg,
                Some(2_600_000),
                "CONFIG_HZ_300=y\n",
                " lpj=8666666 ",
            ),
            (Accel::Tcg, Some(2_600_000), "", ""),
            (Accel::Tcg, None, "CONFIG_HZ_100=y\n", ""),
            (Accel::Kvm, Some(2_600_000), "CONFIG_HZ_100=y\n", ""),
        ];
        for (accel, khz, config, word) in table {
            let line = line(accel, khz, config);
            assert_eq!(line.contains(" lpj="), !word.is_empty(), "{line}");
            assert!(line.contains(word), "{line}");
        }
    }

    #[test]
    fn an_unknown_frequency_is_left_to_the_kernel() {
        let line = line(Accel::Tcg, None, "");
        assert!(!line.contains("tsc_early_khz"), "{line}");
    }
}
