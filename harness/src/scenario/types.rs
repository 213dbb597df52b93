//! What a scenario file says.

use std::path::PathBuf;

use protocol::{BackingRace, Exec, Store};

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

/// One scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The subject's folder.
    pub subject: String,
    /// Paths of the kernel tree that it exercises; a patch elsewhere needs the scenario by name.
    pub covers: Vec<String>,
    /// The patch series that are the default variants, files or folders under `../patches`.
    pub variants: Vec<String>,
    /// Kconfig symbols that must be on, without `CONFIG_`.
    pub requires: Vec<String>,
    /// The guest's size.
    pub guest: GuestSpec,
    /// Phases, one after the other.
    pub loads: Vec<LoadSpec>,
    /// Costs or titles known and accepted.
    pub accepted: Vec<Accepted>,
    /// The file that it was read from; empty for one made from `-- COMMAND`.
    pub file: PathBuf,
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
    BackingRace(BackingRace),
    /// fio over a passthrough mount.
    Fio(FioSpec),
    /// A program of the user's.
    Exec(Exec),
}

/// fio's part of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct FioSpec {
    /// Where the backing files lie.
    pub store: Store,
    /// Parallel jobs.
    pub jobs: Count,
    /// `ioengine`.
    pub engine: String,
    /// `rw`.
    pub pattern: String,
    /// `bs`.
    pub block: String,
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
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is, `YYYY-MM-DD`.
    pub until: String,
}
