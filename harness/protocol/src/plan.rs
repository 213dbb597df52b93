//! Host to guest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Corner;

/// What the host says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum HostMessage {
    /// What to do in this boot; sent once, after hello.
    Plan(Plan),
    /// End the running phase, skip the rest, report and power off.
    Stop,
}

/// Everything one boot does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Seeds every random choice that the loads make.
    pub seed: u64,
    /// Loads, one after the other.
    pub phases: Vec<Phase>,
}

/// One load and its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// What to run.
    pub load: Load,
    /// How long it runs, in seconds; for a command, its limit.
    pub seconds: u64,
}

/// One thing that the agent does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// Lookup against remove on the same FUSE backing ids.
    BackingRace(BackingRace),
    /// fio over a FUSE passthrough mount.
    Fio(Fio),
    /// A program of the user's, as root.
    Exec(Exec),
    /// Single operations, marked for whoever counts their instructions.
    Operations(Operations),
    /// Many backing ids, for what they take in memory.
    Memory(Memory),
    /// A corner of backing ids' life that ordinary use does not reach.
    Corner(Corner),
    /// Nothing; no scenario asks for it.
    Idle,
}

impl Load {
    /// The load's name, as in a scenario.
    pub fn name(&self) -> &'static str {
        match self {
            Load::BackingRace(_) => "backing-race",
            Load::Fio(_) => "fio",
            Load::Exec(_) => "exec",
            Load::Operations(_) => "operations",
            Load::Memory(_) => "memory",
            Load::Corner(corner) => corner.name(),
            Load::Idle => "idle",
        }
    }
}

/// Single operations, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// How often each is done.
    pub times: u32,
    /// How many backing ids live meanwhile.
    pub ids: u32,
    /// Functions of the kernel's whose executions are operations too: a name, and the function's.
    pub functions: BTreeMap<String, String>,
}

/// Numbers of backing ids at which the kernel's memory is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The numbers, ascending.
    pub ids: Vec<u32>,
}

/// Sizes of the backing-race load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackingRace {
    /// Threads that answer FUSE requests.
    pub servers: u32,
    /// Threads that open, read, check and close.
    pub openers: u32,
    /// Threads that register and remove ids.
    pub churners: u32,
    /// Slots whose ids are registered and removed over and over.
    pub ids: u32,
    /// Files that openers choose from.
    pub files: u32,
}

/// Where the backing files lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// ext4 on the scratch disk.
    Ext4,
    /// tmpfs.
    Tmpfs,
}

/// One fio run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fio {
    /// Where the backing files lie.
    pub store: Store,
    /// Parallel jobs, one file each.
    pub jobs: u32,
    /// fio's `ioengine`, e.g. `io_uring`, `psync`.
    pub engine: String,
    /// fio's `rw`, e.g. `randrw`.
    pub pattern: String,
    /// fio's `bs`, e.g. `4k`.
    pub block: String,
    /// The size of each job's file, in MiB.
    pub file_mib: u32,
}

/// A program of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The program (a path on the tools disk, as on the host) and its arguments.
    pub command: Vec<String>,
    /// The exit code that means success.
    pub expect: i32,
}
