//! From how a boot stopped to what that means (pure).

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use protocol::PROTOCOL;

use super::watchdog::Stop;
use crate::collect::record::{End, Limit};

/// The signal that nobody can catch.
const SIGKILL: i32 = 9;

/// How it is told that the host slept during a boot.
pub(crate) const SLEPT: &str = "the host slept";
/// What QEMU says of a guest that it stops and stays with: KVM could not go on with it.
const HALTS: [&str; 3] = [
    "KVM internal error",
    "KVM: entry failed",
    "error: kvm run failed",
];

/// What stopped a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// QEMU ended by itself.
    Exited(Exit),
    /// A watchdog ended it.
    Stopped(Stop),
    /// A watchdog did, of a guest that QEMU had stopped; with the end of QEMU's stderr.
    Halted(String),
    /// The host slept for so long: the guest's clock jumped, and what its watchdogs say is not its own.
    Slept(Duration),
    /// It had shown what it was run for.
    Enough,
    /// The user did.
    Cancelled,
}

/// How QEMU ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The end of its stderr.
    pub stderr: String,
}

impl Cause {
    /// The same, with what QEMU had to say: a guest that it stopped itself is silent, too.
    pub(super) fn told(self, stderr: &str) -> Self {
        let halted = HALTS.iter().any(|words| stderr.contains(words));
        match self {
            Self::Stopped(Stop::Limit(..) | Stop::Lingers(_)) if halted => {
                Self::Halted(stderr.to_owned())
            }
            other => other,
        }
    }

    /// What QEMU said on stderr, where that tells of the end.
    pub(crate) fn stderr(&self) -> Option<&str> {
        let said = match self {
            Self::Exited(exit) => &exit.stderr,
            Self::Halted(said) => said,
            Self::Stopped(_) | Self::Slept(_) | Self::Enough | Self::Cancelled => return None,
        };
        (!said.is_empty()).then_some(said)
    }
}

impl Exit {
    /// As the host tells it.
    pub fn new(status: ExitStatus, stderr: String) -> Self {
        Self {
            code: status.code(),
            signal: status.signal(),
            stderr,
        }
    }

    /// A guest that reset or powered off ends QEMU with 0.
    fn by_guest(&self) -> bool {
        self.code == Some(0)
    }

    /// Nothing that a guest does sends QEMU this: the host does, where memory runs out, or somebody at
    /// it.
    pub(crate) fn killed(&self) -> bool {
        // bubblewrap passes a signal on as 128 and its number.
        self.signal == Some(SIGKILL) || self.code == Some(128 + SIGKILL)
    }

    /// In words: the code or signal, and what QEMU said.
    pub fn words(&self) -> String {
        let how = match (self.code, self.signal) {
            // bubblewrap's way of passing a signal on.
            (Some(code @ 129..=192), _) => format!("QEMU was ended by signal {}", code - 128),
            (Some(code), _) => format!("QEMU ended with exit code {code}"),
            (None, Some(signal)) => format!("QEMU was ended by signal {signal}"),
            (None, None) => "QEMU ended".into(),
        };
        let said = self.stderr.trim();
        if said.is_empty() {
            how
        } else {
            format!("{how}: {said}")
        }
    }
}

/// What the boot had shown by then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The agent said hello in our protocol.
    pub hello: bool,
    /// The agent said that the plan is done.
    pub finished: bool,
    /// Why the agent gave up.
    pub fatal: Option<String>,
    /// The line of the kernel's panic.
    pub panic: Option<String>,
    /// Bytes of console.
    pub console_bytes: u64,
}

/// How a boot ended.
pub fn conclude(cause: Cause, shown: &Shown) -> End {
    match cause {
        Cause::Cancelled => End::Interrupted,
        Cause::Enough => End::Finished,
        Cause::Halted(said) => End::Infrastructure {
            why: format!("QEMU stopped the guest: {}", said.trim()),
        },
        Cause::Slept(time) => End::Infrastructure { why: slept(time) },
        Cause::Stopped(Stop::Protocol(theirs)) => End::Infrastructure {
            why: format!("the agent speaks protocol {theirs}, and this ktwin protocol {PROTOCOL}"),
        },
        // A panic says more than what it led to.
        Cause::Stopped(Stop::Limit(limit, why)) => match (&shown.panic, shown.hello) {
            (Some(panic), true) => died(panic.clone(), true),
            (Some(panic), false) => End::BootFailed { why: panic.clone() },
            (None, false) if limit != Limit::AgentLine => End::BootFailed { why },
            (None, _) => End::Watchdog { limit, why },
        },
        Cause::Stopped(Stop::Lingers(why)) => match (&shown.fatal, &shown.panic) {
            (Some(fatal), _) => gave_up(fatal),
            (None, Some(panic)) => died(panic.clone(), true),
            (None, None) => End::Watchdog {
                limit: Limit::PowerOff,
                why,
            },
        },
        Cause::Exited(exit) => last_word(shown).unwrap_or_else(|| exited(&exit, shown)),
    }
}

/// That the host slept, in words.
pub(crate) fn slept(time: Duration) -> String {
    format!("{SLEPT} for {} s", time.as_secs())
}

/// The end that the agent itself announced.
fn last_word(shown: &Shown) -> Option<End> {
    match (&shown.fatal, shown.finished) {
        (Some(fatal), _) => Some(gave_up(fatal)),
        (None, true) => Some(End::Finished),
        (None, false) => None,
    }
}

fn gave_up(fatal: &str) -> End {
    died(format!("the agent gave up: {fatal}"), false)
}

fn exited(exit: &Exit, shown: &Shown) -> End {
    match (&shown.panic, shown.hello) {
        (Some(panic), true) => died(panic.clone(), true),
        (Some(panic), false) => End::BootFailed { why: panic.clone() },
        (None, true) if exit.by_guest() => died(
            "the guest reset or powered off before its plan was done".into(),
            false,
        ),
        (None, _) if exit.killed() => End::Infrastructure { why: exit.words() },
        (None, true) => died(exit.words(), false),
        (None, false) if exit.by_guest() && shown.console_bytes > 0 => End::BootFailed {
            why: "the guest reset or powered off before the agent's hello".into(),
        },
        (None, false) if exit.by_guest() => End::BootFailed {
            why: "the kernel reset before it printed anything".into(),
        },
        (None, false) => End::Infrastructure { why: exit.words() },
    }
}

fn died(why: String, panicked: bool) -> End {
    End::Died { why, panicked }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32) -> Cause {
        Cause::Exited(Exit {
            code: Some(code),
            signal: None,
            stderr: "qemu: oh\n".into(),
        })
    }

    fn limit(limit: Limit) -> Cause {
        Cause::Stopped(Stop::Limit(limit, "limit".into()))
    }

    fn lingers() -> Cause {
        Cause::Stopped(Stop::Lingers("it lingers".into()))
    }

    /// `h`ello, `f`inished, `p`anic, `c`onsole, `g`ave up.
    fn shown(what: &str) -> Shown {
        Shown {
            hello: what.contains('h'),
            finished: what.contains('f'),
            fatal: what.contains('g').then(|| "no disk".into()),
            panic: what
                .contains('p')
                .then(|| "Kernel panic - not syncing: x".into()),
            console_bytes: u64::from(what.contains('c')),
        }
    }

    #[test]
    fn every_end_has_its_name() {
        let signal = Cause::Exited(Exit {
            signal: Some(9),
            ..Exit::default()
        });
        let table: Vec<(Cause, &str, &str)> = vec![
            (exit(0), "chf", "finished"),
            (exit(0), "ch", "died: the guest reset"),
            (exit(0), "chp", "panicked: Kernel panic"),
            (exit(0), "cp", "boot-failed: Kernel panic"),
            (exit(0), "c", "boot-failed: the guest reset"),
            (
                exit(0),
                "",
                "boot-failed: the kernel reset before it printed",
            ),
            (exit(0), "chg", "died: the agent gave up: no disk"),
            (
                exit(1),
                "",
                "infrastructure: QEMU ended with exit code 1: qemu: oh",
            ),
            (exit(1), "c", "infrastructure: QEMU ended with exit code 1"),
            (exit(137), "", "infrastructure: QEMU was ended by signal 9"),
            (exit(134), "ch", "died: QEMU was ended by signal 6"),
            (
                exit(137),
                "ch",
                "infrastructure: QEMU was ended by signal 9: qemu: oh",
            ),
            (exit(137), "chp", "panicked: Kernel panic"),
            (exit(137), "chf", "finished"),
            (signal.clone(), "c", "infrastructure: QEMU was ended by"),
            (signal, "ch", "infrastructure: QEMU was ended by signal 9"),
            (limit(Limit::Silence), "ch", "Silence: limit"),
            (limit(Limit::NoBeat), "chp", "panicked: Kernel panic"),
            (limit(Limit::Boot), "c", "boot-failed: limit"),
            (limit(Limit::Silence), "", "boot-failed: limit"),
            (limit(Limit::Console), "c", "boot-failed: limit"),
            (limit(Limit::Silence), "cp", "boot-failed: Kernel panic"),
            (limit(Limit::AgentLine), "c", "AgentLine: limit"),
            (lingers(), "chf", "PowerOff: it lingers"),
            (lingers(), "chfp", "panicked: Kernel panic"),
            (lingers(), "chg", "died: the agent gave up"),
            (
                Cause::Stopped(Stop::Protocol(7)),
                "c",
                "infrastructure: the agent speaks protocol 7, and this ktwin protocol 1",
            ),
            (Cause::Cancelled, "chp", "interrupted"),
        ];
        for (cause, what, expected) in table {
            let got = match conclude(cause.clone(), &shown(what)) {
                End::Finished => "finished".into(),
                End::Interrupted => "interrupted".into(),
                End::BootFailed { why } => format!("boot-failed: {why}"),
                End::Infrastructure { why } => format!("infrastructure: {why}"),
                End::Died {
                    why,
                    panicked: false,
                } => format!("died: {why}"),
                End::Died {
                    why,
                    panicked: true,
                } => format!("panicked: {why}"),
                End::Watchdog { limit, why } => format!("{limit:?}: {why}"),
            };
            assert!(got.starts_with(expected), "{cause:?} after {what:?}: {got}");
        }
    }

    #[test]
    fn a_guest_that_qemu_stopped_is_not_the_kernels_hang() {
        let halt = "KVM internal error. Suberror: 1\nemulation failure\n";
        let halted = limit(Limit::Silence).told(halt);
        assert_eq!(halted.stderr(), Some(halt));
        let why = "QEMU stopped the guest: KVM internal error. Suberror: 1\nemulation failure";
        let infrastructure = |why: &str| End::Infrastructure { why: why.into() };
        assert_eq!(conclude(halted, &shown("hc")), infrastructure(why));
        assert_eq!(
            limit(Limit::Silence).told("a warning"),
            limit(Limit::Silence)
        );
        assert_eq!(exit(0).told(halt), exit(0));
    }

    #[test]
    fn what_the_host_slept_through_is_the_hosts() {
        let end = conclude(Cause::Slept(Duration::from_secs(40)), &shown("hpc"));
        let why = "the host slept for 40 s".into();
        assert_eq!(end, End::Infrastructure { why });
    }
}
