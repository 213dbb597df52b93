//! The messages that the host and the guest agent exchange.
//!
//! One JSON object a line, at most [`MAX_LINE`] bytes with its newline, over a
//! virtio-serial port named [`PORT_NAME`]. The guest speaks first
//! ([`GuestMessage::Hello`]); the host answers with [`HostMessage::Plan`], so
//! one initramfs serves every cell.

pub mod board;
mod corner;
pub mod counts;
mod guest;
mod line;
mod plan;

pub use corner::Corner;
pub use guest::{
    Counters, DetectorState, Detectors, ExecResult, FindingKind, FioResult, GuestFinding,
    GuestMessage, Hello, Slab, SlabState, Slabs,
};
pub use line::{LineError, decode, encode};
pub use plan::{BackingRace, Exec, Fio, HostMessage, Load, Memory, Operations, Phase, Plan, Store};

/// The version of these messages. Another number is refused, with both named.
pub const PROTOCOL: u32 = 1;

/// The longest line either side accepts, in bytes, newline included.
pub const MAX_LINE: usize = 1 << 20;

/// The virtio-serial port's name; in the guest it is found through
/// `/sys/class/virtio-ports/*/name`.
pub const PORT_NAME: &str = "ktwin.agent.0";

/// The prefix of the marks that the agent writes to `/dev/kmsg`, so that every
/// splat knows its phase: `ktwin: phase backing-race begin`.
pub const KMSG_PREFIX: &str = "ktwin: ";

/// How long KCSAN watches an access, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KcsanWatch {
    /// The kernel's module parameter.
    pub parameter: &'static str,
    /// While the guest boots; the host's to ask for.
    pub boot_us: u32,
    /// From the first load on; the agent's to set. The kernel's own default.
    pub load_us: u32,
}

impl KcsanWatch {
    /// What asks for it on the kernel's command line.
    pub fn word(&self) -> String {
        format!("kcsan.{}={}", self.parameter, self.boot_us)
    }
}

/// KCSAN's watches in tasks and in interrupts.
pub const KCSAN_WATCHES: [KcsanWatch; 2] = [
    KcsanWatch {
        parameter: "udelay_task",
        boot_us: 8,
        load_us: 80,
    },
    KcsanWatch {
        parameter: "udelay_interrupt",
        boot_us: 2,
        load_us: 20,
    },
];

/// The serial number of the read-only disk that holds programs (fio, a user's
/// command with its libraries); the agent finds it in `/sys/block/*/serial`.
pub const TOOLS_DISK: &str = "ktwin-tools";

/// The serial number of the scratch disk for backing files, in the same place.
pub const SCRATCH_DISK: &str = "ktwin-scratch";
