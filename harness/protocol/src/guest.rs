//! Guest to host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Named event counts of a phase (`lookups`, `misses`, `removes`, `enoents`,
/// `registers`, `overlaps`, ...), each from the phase's start.
pub type Counters = BTreeMap<String, u64>;

/// What the guest agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GuestMessage {
    /// The first message of a boot.
    Hello(Hello),
    /// A phase of the plan has begun.
    PhaseStarted {
        /// The phase's position in the plan, from 0.
        index: usize,
        /// The load's name, as in a scenario.
        phase: String,
    },
    /// Sent at least once a second, in a phase and between phases.
    Heartbeat {
        /// The phase's name; empty between phases.
        phase: String,
        /// What the phase has done so far; the host tells progress by their change.
        counters: Counters,
    },
    /// Something wrong that the agent itself saw.
    Finding(GuestFinding),
    /// fio's own report.
    FioResult(FioResult),
    /// What a command of the user's printed just now, wrong bytes replaced: where the guest dies, all
    /// that is known of how far it came. Of a flood some is left out, with a mark in its place; its
    /// end comes with the result.
    Output {
        /// A piece of its stdout and stderr.
        text: String,
    },
    /// How a command of the user's ended.
    ExecResult(ExecResult),
    /// What lives in the kernel's memory at one point of a load.
    Slabs(Slabs),
    /// Which detectors were still on at the end of the boot.
    Detectors(Detectors),
    /// A phase has ended by itself.
    PhaseEnded {
        /// The phase's position in the plan, from 0.
        index: usize,
        /// The load's name.
        phase: String,
        /// Its final counts.
        counters: Counters,
    },
    /// The plan is done; the guest powers off next.
    Finished,
    /// The agent cannot go on (a mount failed, a device is missing): the
    /// host's or harness's fault unless base managed the same step.
    Fatal {
        /// The step and its error.
        message: String,
    },
}

/// The agent's introduction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::PROTOCOL`] of the agent.
    pub protocol: u32,
    /// `uname -r` and `uname -v` of the running kernel.
    pub kernel: String,
    /// The agent's version.
    pub agent: String,
}

/// Which kind of wrong the agent saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// An opener read another file's stamp, a live id was handed out twice, or a call
    /// ended otherwise than it must.
    WrongData,
    /// kmemleak reported an object twice in a row.
    Leak,
    /// Threads of a load, or its program, did not come back in time.
    Hang,
    /// A command's exit code was not the expected one.
    CommandFailed,
}

/// Something wrong that the agent saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFinding {
    /// Which kind.
    pub kind: FindingKind,
    /// Stable from run to run: no ids, addresses or PIDs.
    pub title: String,
    /// The particulars, for a reader.
    pub detail: String,
    /// How often it was seen since the last message with this title.
    pub count: u64,
}

/// fio's own report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FioResult {
    /// fio's exit code.
    pub code: i32,
    /// The output of `fio --output-format=json`, whole; null where it was not JSON.
    pub json: serde_json::Value,
    /// The end of what fio wrote to stderr.
    pub stderr: String,
}

/// What lives in the kernel's slab caches, after each was shrunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slabs {
    /// How many backing ids are alive, or how many connections.
    pub alive: u32,
    /// How they came to be alive.
    pub state: SlabState,
    /// Live objects of each cache that has any, by its name.
    pub caches: BTreeMap<String, Slab>,
    /// How long an open with passthrough takes that is answered with one of these ids, in nanoseconds,
    /// the median of many; none where none were timed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_ns: Option<u64>,
}

/// What is alive, and how it came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlabState {
    /// Connections with passthrough, and no ids.
    Connected,
    /// Ids, registered one after the other.
    Dense,
    /// Seven of eight that were registered are gone again.
    Sparse,
    /// Dense, and then removed and registered anew, several times each.
    Churned,
}

/// A slab cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slab {
    /// Live objects.
    pub objects: u64,
    /// The size of each, in bytes.
    pub size: u64,
}

/// How a command of the user's ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecResult {
    /// The command line that ran.
    pub command: Vec<String>,
    /// Its exit code; none where a signal ended it, it could not start, or not even be killed.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it could not start.
    pub error: Option<String>,
    /// The end of its stdout and stderr, interleaved as they came, lossily as UTF-8.
    pub output: String,
    /// Whether the beginning of the output was dropped.
    pub truncated: bool,
    /// How long it ran, in seconds.
    pub seconds: f64,
}

/// Is a detector on?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetectorState {
    /// Built in and still watching.
    On,
    /// Built in, and it stopped (after its first report, or by itself).
    Off,
    /// Not built into this kernel.
    Absent,
}

/// Detector name (`lockdep`, `kasan`, `kcsan`, `kmemleak`) to its state.
pub type Detectors = BTreeMap<String, DetectorState>;
