//! What the engine tells whoever watches: a terminal, a log file, a test.

use std::{path::PathBuf, time::Duration};

use protocol::GuestMessage;

use crate::judge::verdict::Outcome;

/// A long step, named so that a watcher can keep a line for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Fetching or exporting the kernel's source.
    Source,
    /// Building the guest agent.
    Agent,
    /// Building the disk image with fio or the user's command.
    Tools,
    /// Configuring and compiling one kernel.
    Build,
    /// The timed trial of accelerators.
    Accel,
    /// One boot, from QEMU's start to its end.
    Cell,
}

/// How much of a step is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// Of how many; none where that is not known.
    pub total: Option<u64>,
    /// What is counted, e.g. `B`, `files`, `objects`.
    pub unit: &'static str,
    /// Time left by the step's own estimate.
    pub left: Option<Duration>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Worth saying once, aloud.
    Note(String),
    /// Worth a look, and the run goes on.
    Warning(String),
    /// A step has begun; `what` names its object, e.g. `kasan base`.
    Started {
        /// Which step.
        step: Step,
        /// Its object.
        what: String,
    },
    /// A step goes on.
    Advanced {
        /// Which step.
        step: Step,
        /// Its object.
        what: String,
        /// How far it is.
        progress: Progress,
    },
    /// A step has ended.
    Ended {
        /// Which step.
        step: Step,
        /// Its object.
        what: String,
        /// How, in a few words: `cached`, `281 s`, `failed: ...`.
        how: String,
    },
    /// QEMU has started for a cell.
    Booting {
        /// The cell's id.
        cell: String,
        /// How long its phases take together.
        expected: Duration,
    },
    /// The agent of a cell said something.
    Guest {
        /// The cell's id.
        cell: String,
        /// What it said.
        message: GuestMessage,
    },
    /// A splat is complete on a cell's console.
    Splat {
        /// The cell's id.
        cell: String,
        /// Its title.
        title: String,
        /// How many the cell has shown by now.
        total: u64,
    },
    /// A comparison was judged.
    Judged {
        /// Config and variant.
        what: String,
        /// How it came out.
        outcome: Outcome,
    },
    /// The run directory, once it exists.
    RunDir(PathBuf),
}

/// Whoever watches.
pub trait Watcher: Send + Sync {
    /// Called for each event, in order, from any thread; returns at once.
    fn event(&self, event: &Event);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn event(&self, _: &Event) {}
}
