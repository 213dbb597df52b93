//! The plan: which boots a run makes, in which order, with which seeds (pure).

use protocol::Plan;
use serde::{Deserialize, Serialize};

/// The name of the kernel without any patch.
pub const BASE: &str = "base";

/// One boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// `kasan-ida-hashtable-1`: a folder name in the run directory.
    pub id: String,
    /// The config's name.
    pub config: String,
    /// [`BASE`] or a variant's name.
    pub variant: String,
    /// The scenario's name.
    pub scenario: String,
    /// From 1.
    pub repeat: u32,
    /// What the agent does; its seed is the cell's own, made from the run's.
    pub plan: Plan,
    /// The guest's memory, in MiB.
    pub memory_mib: u32,
    /// vCPUs.
    pub cpus: u32,
    /// What the user adds to the kernel's command line.
    pub append: Vec<String>,
}
