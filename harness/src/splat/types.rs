//! What a splat is, once it has been cut out of a console log.

use serde::{Deserialize, Serialize};

/// One kernel report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Splat {
    /// In syzbot's conventions: `KASAN: slab-use-after-free Read in F`. No addresses, offsets,
    /// PIDs, CPUs or line numbers.
    pub title: String,
    /// Other titles of the same bug (a KCSAN race under its other side first).
    pub alternatives: Vec<String>,
    /// `kasan`, `kcsan`, `lockdep`, `memleak`, `refcount`, `atomic-sleep`, ...: the verdict's `class`.
    pub class: String,
    /// The functions that the title names.
    pub functions: Vec<String>,
    /// Its first line in the log, from 1.
    pub start_line: u64,
    /// Its last line, inclusive.
    pub end_line: u64,
    /// Why the report is not whole (cut off, mixed with another, no trace).
    pub corrupted: Option<String>,
    /// Whether it says that the kernel died, or would have: it holds an oops or a panic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fatal: bool,
    /// The kernel's own time stamp of the first line, in seconds since boot.
    pub time_s: Option<f64>,
    /// The load that ran at the time, from the agent's marks; none before the first.
    pub phase: Option<String>,
    /// The racing or faulting stacks, outermost caller last, one `Vec` a stack; the first is the
    /// access or fault itself. Stacks that only tell where memory was allocated or a lock was
    /// taken earlier come in `context`.
    pub stacks: Vec<Vec<Frame>>,
    /// Stacks that only explain: allocated by, freed by, earlier lock holders.
    pub context: Vec<Vec<Frame>>,
    /// The report's lines, as they were on the console.
    #[serde(with = "lossy")]
    pub text: Vec<u8>,
}

/// One line of a stack trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The symbol, without `.isra`, `.constprop`, `.part` and `.cold` suffixes.
    pub function: String,
    /// The symbol as printed, suffixes and all.
    pub symbol: String,
    /// Bytes from the symbol's start.
    pub offset: Option<u64>,
    /// The symbol's size in bytes.
    pub size: Option<u64>,
    /// The module that it lives in; none for the kernel itself.
    pub module: Option<String>,
    /// Whether the unwinder doubts it (`? `).
    pub unreliable: bool,
    /// Whether the address is where it happened, not where a call returns to.
    #[serde(default)]
    pub exact: bool,
    /// File and line, innermost inlined function first; empty until symbolized.
    #[serde(default)]
    pub places: Vec<Place>,
    /// Whether one of its places is a line that the patch under test wrote.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub patched: bool,
}

/// A source position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The function there (an inlined one, except in the last place of a frame).
    pub function: String,
    /// Relative to the kernel's top, e.g. `fs/fuse/backing.c`.
    pub file: String,
    /// From 1.
    pub line: u32,
}

mod lossy {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        String::deserialize(from).map(String::into_bytes)
    }
}
