//! What a scenario file says.

use std::{collections::BTreeMap, path::PathBuf};

use protocol::{BackingRace, Corner, Memory, Operations, Store};

use super::value::DEFAULT_GUEST;
use crate::plugin::Spec;

/// The scenario of a run that names none.
pub const DEFAULT: &str = "fuse-backing/race";

/// How much time to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// 20 s of hammer, one boot a side.
    Quick,
    /// 60 s of hammer, several boots a side.
    Standard,
    /// 300 s of hammer, boots until settled.
    Full,
}

/// Without a scenario's own.
pub(super) const DEFAULT_MARGIN: f64 = 0.05;

/// One scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it proves: the comment at the file's top, as one line.
    pub about: String,
    /// The subject's folder.
    pub subject: String,
    /// Paths of the kernel tree that it exercises; a patch elsewhere needs the scenario by name.
    pub covers: Vec<String>,
    /// The patch series that are the default variants, files or folders in the subject's `patches`.
    pub variants: Vec<String>,
    /// Kconfig symbols that must be on, without `CONFIG_`.
    pub requires: Vec<String>,
    /// Lines of Kconfig that its kernels have besides their config's, as `.config` writes them.
    pub kconfig: Vec<String>,
    /// Debug-only patches by the kernel that they are put on, `base` or a variant's name: files below the
    /// folder of the scenario's own.
    pub overlays: BTreeMap<String, String>,
    /// The guest's size.
    pub guest: GuestSpec,
    /// Phases, one after the other.
    pub loads: Vec<LoadSpec>,
    /// Where vCPUs are held instead of where the patch says, under emulation.
    pub stalls: Vec<Spec>,
    /// A throughput within so much of base's is no change: 0.05 for 5 %.
    pub margin: f64,
    /// Costs or titles known and accepted.
    pub accepted: Vec<Accepted>,
    /// The file that it was read from; empty for one made from `-- COMMAND`.
    pub file: PathBuf,
}

impl Scenario {
    /// The scenario of `-- COMMAND`: the program alone, with success as exit code 0.
    pub fn of_command(command: Vec<String>) -> Self {
        Self {
            name: "command".into(),
            about: "A command of the user's.".into(),
            subject: String::new(),
            covers: Vec::new(),
            variants: Vec::new(),
            requires: Vec::new(),
            kconfig: Vec::new(),
            overlays: BTreeMap::new(),
            guest: DEFAULT_GUEST,
            loads: vec![LoadSpec::Exec(ExecSpec {
                command,
                expect: 0,
                seconds: None,
            })],
            stalls: Vec::new(),
            margin: DEFAULT_MARGIN,
            accepted: Vec::new(),
            file: PathBuf::new(),
        }
    }
}

impl Scenario {
    /// Whether the scenario accepts what bears this title on a variant, `today` being `YYYY-MM-DD`.
    pub fn acceptance(&self, title: &str, variant: &str, today: &str) -> Acceptance {
        let fits = |entry: &&Accepted| {
            entry.names(title) && entry.variant.as_deref().is_none_or(|own| own == variant)
        };
        // One that was renewed stands beside the one that expired.
        let entries = self.accepted.iter().filter(fits);
        let Some(entry) = entries.max_by(|a, b| a.until.cmp(&b.until)) else {
            return Acceptance::default();
        };
        let Accepted { reason, until, .. } = entry;
        match until.as_str() >= today {
            true => Acceptance {
                current: Some(format!("{reason} (until {until})")),
                expired: String::new(),
            },
            false => Acceptance {
                current: None,
                expired: format!("; it was accepted until {until}"),
            },
        }
    }
}

/// The guest's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestSpec {
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// vCPUs.
    pub cpus: u32,
}

/// A load whose size may depend on the profile.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadSpec {
    /// Lookup against remove on the same ids.
    BackingRace(RaceSpec),
    /// fio over a passthrough mount.
    Fio(FioSpec),
    /// A program of the user's.
    Exec(ExecSpec),
    /// Single operations, whose instructions are counted.
    Operations(Operations),
    /// Many backing ids, for what they take in memory.
    Memory(Memory),
    /// A corner that ordinary use does not reach.
    Corner(Corner),
}

/// The hammer's part of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct RaceSpec {
    /// Threads, ids and files.
    pub sizes: BackingRace,
    /// How long; none as the profile says.
    pub seconds: Option<u64>,
}

/// fio's part of a scenario. What is none is the profile's to say.
#[derive(Debug, Clone, PartialEq)]
pub struct FioSpec {
    /// Where the backing files lie.
    pub store: Store,
    /// Parallel jobs.
    pub jobs: Count,
    /// `ioengine`.
    pub engine: Option<String>,
    /// `rw`.
    pub pattern: Option<String>,
    /// `bs`.
    pub block: Option<String>,
    /// The size of each job's file, in MiB.
    pub file_mib: Option<u32>,
    /// How long.
    pub seconds: Option<u64>,
}

/// A command's part of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecSpec {
    /// The program and its arguments. A program with a slash is looked for beside the scenario
    /// file (for `-- COMMAND`, in the current folder), one without in `PATH`.
    pub command: Vec<String>,
    /// The exit code that means success.
    pub expect: i32,
    /// Its limit; none as the profile says.
    pub seconds: Option<u64>,
}

/// A number, or the word `profile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// As the profile says.
    Profile,
    /// This many.
    Fixed(u32),
}

/// A cost or title that is known and accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The finding's title, or the measure's name.
    pub title: String,
    /// The variant that it is accepted of; all without.
    pub variant: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is, `YYYY-MM-DD`.
    pub until: String,
}

impl Accepted {
    /// Is it about what bears this title? A cost without a number of ids is meant at any of them.
    fn names(&self, title: &str) -> bool {
        let Some(rest) = title.strip_prefix(&self.title) else {
            return false;
        };
        let ids = rest
            .strip_prefix(" at ")
            .and_then(|r| r.strip_suffix(" ids"));
        rest.is_empty() || ids.is_some_and(|ids| ids.parse::<u32>().is_ok())
    }
}

/// Whether a finding or a measure is accepted today.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// Why, and until when.
    pub current: Option<String>,
    /// That it was, for the end of an explanation; empty where it was not.
    pub expired: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_entry_is_about() {
        for (entry, title, is_about) in [
            ("KASAN: x in y", "KASAN: x in y", true),
            ("KASAN: x in y", "KASAN: x in y2", false),
            ("instructions of lookup", "instructions of lookup", true),
            (
                "instructions of lookup",
                "instructions of lookup at 100 ids",
                true,
            ),
            (
                "instructions of lookup at 100 ids",
                "instructions of lookup",
                false,
            ),
            (
                "instructions of lookup at 1 ids",
                "instructions of lookup at 100 ids",
                false,
            ),
            (
                "instructions of lookup",
                "instructions of lookup at all ids",
                false,
            ),
            (
                "instructions of",
                "instructions of lookup at 100 ids",
                false,
            ),
            ("memory", "memory per id", false),
        ] {
            let entry = Accepted {
                title: entry.into(),
                variant: None,
                reason: String::new(),
                until: String::new(),
            };
            assert_eq!(entry.names(title), is_about, "{}: {title}", entry.title);
        }
    }

    #[test]
    fn what_was_renewed_is_accepted_wherever_it_stands() {
        let until = |day: &str| Accepted {
            title: "memory per id".into(),
            variant: None,
            reason: "known".into(),
            until: day.into(),
        };
        let accepted = |days: [&str; 2]| {
            let mut scenario = Scenario::of_command(vec!["true".into()]);
            scenario.accepted = days.map(until).into();
            scenario.acceptance("memory per id", "mine", "2026-06-01")
        };
        for days in [["2026-01-31", "2027-01-31"], ["2027-01-31", "2026-01-31"]] {
            let current = accepted(days).current;
            assert_eq!(current.as_deref(), Some("known (until 2027-01-31)"));
        }
        let expired = accepted(["2026-01-31", "2025-01-31"]);
        assert_eq!(expired.current, None);
        assert_eq!(expired.expired, "; it was accepted until 2026-01-31");
    }
}
