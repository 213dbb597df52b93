//! One boot's record: everything that judging needs, nothing that it must read from elsewhere.

use protocol::{Counters, Detectors, ExecResult, FioResult, GuestFinding, Hello, Slabs};
use serde::{Deserialize, Serialize};

use crate::{
    plan::Cell,
    plugin::{Count, Coverage, Operation},
    splat::Splat,
};

/// What one boot showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The boot.
    pub cell: Cell,
    /// How it ended.
    pub end: End,
    /// The agent's hello, if it came.
    pub hello: Option<Hello>,
    /// Seconds from QEMU's start to the hello.
    pub hello_s: Option<f64>,
    /// Seconds from QEMU's start to its end.
    pub elapsed_s: f64,
    /// Phases that began, in order.
    pub phases: Vec<PhaseRecord>,
    /// What the agent saw, in order.
    pub findings: Vec<TimedFinding>,
    /// fio's reports, one for each fio phase.
    pub fio: Vec<FioResult>,
    /// Commands' ends, one for each exec phase.
    pub exec: Vec<ExecResult>,
    /// Detectors at the end; empty if the boot did not get there.
    pub detectors: Detectors,
    /// Where vCPUs were held, and how often; empty without stalls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stalls: Vec<Count>,
    /// Which lines of the patch ran; none where that was not watched, or there is no patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// What single operations took, where they were counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// What lived in the kernel's memory at points of a load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slabs: Vec<Slabs>,
    /// Splats in the console, in order.
    pub splats: Vec<TimedSplat>,
    /// Bytes of console log.
    pub console_bytes: u64,
    /// The console's last lines, lossily as UTF-8, for a boot that ended badly.
    pub last_lines: Vec<String>,
}

impl RunRecord {
    /// A boot that has shown nothing yet.
    pub fn of(cell: &Cell, end: End) -> Self {
        Self {
            cell: cell.clone(),
            end,
            hello: None,
            hello_s: None,
            elapsed_s: 0.0,
            phases: Vec::new(),
            findings: Vec::new(),
            fio: Vec::new(),
            exec: Vec::new(),
            detectors: Detectors::new(),
            stalls: Vec::new(),
            coverage: None,
            operations: Vec::new(),
            slabs: Vec::new(),
            splats: Vec::new(),
            console_bytes: 0,
            last_lines: Vec::new(),
        }
    }
}

/// How a boot ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum End {
    /// The plan was done and the guest powered off.
    Finished,
    /// The kernel did not reach the agent's hello; says what it did instead.
    BootFailed {
        /// In words.
        why: String,
    },
    /// A watchdog ended the guest, for [`Limit::PowerOff`] after its plan was done.
    Watchdog {
        /// Which.
        limit: Limit,
        /// In words, with the limit's size.
        why: String,
    },
    /// QEMU, or the guest, ended after hello and before the plan was done (a panic among them).
    Died {
        /// In words: exit code or signal, and QEMU's stderr.
        why: String,
        /// A panic on the console: the guest's doing, not the host's.
        panicked: bool,
    },
    /// QEMU could not be started, or a device of it failed: the host's fault.
    Infrastructure {
        /// In words.
        why: String,
    },
    /// The user stopped it.
    Interrupted,
}

/// The watchdogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// No hello in time, while the console still spoke.
    Boot,
    /// Neither console nor agent said anything.
    Silence,
    /// The console went on, and the agent stopped beating.
    NoBeat,
    /// The agent went on beating, and its counters stood still.
    NoProgress,
    /// The whole boot took too long.
    Cell,
    /// More console output than is kept.
    Console,
    /// A line of the agent's was too long, or no message.
    AgentLine,
    /// The plan was done, and the guest did not power off.
    PowerOff,
}

/// A phase that began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseRecord {
    /// Its position in the plan.
    pub index: usize,
    /// The load's name.
    pub name: String,
    /// Seconds from QEMU's start.
    pub started_s: f64,
    /// None if it did not end.
    pub ended_s: Option<f64>,
    /// The last counts that came.
    pub counters: Counters,
    /// The share of the host's CPUs that went to others meanwhile, 0 to 1; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<f64>,
}

/// What the agent saw, and when it said so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimedFinding {
    /// Seconds from QEMU's start.
    pub at_s: f64,
    /// What it saw.
    pub finding: GuestFinding,
}

/// A splat, when it came, and where its text lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimedSplat {
    /// Seconds from QEMU's start to its first line.
    pub at_s: f64,
    /// The file in the cell's folder: `splats/0001-kasan.txt`.
    pub file: String,
    /// How many it stands for: 1, and more where a flood of one title was not kept whole.
    #[serde(default = "one")]
    pub count: u64,
    /// The splat; its text is in the file.
    pub splat: Splat,
}

fn one() -> u64 {
    1
}
