//! The host's side of the plugin inside QEMU: what it is to watch in one kernel, and what it saw.
//!
//! | file | job |
//! |---|---|
//! | `spec.rs` | a stall as the user writes it: where, and for how long |
//! | `code.rs` | a kernel's instructions |
//! | `stalls.rs` | stall points: a spec's, and those of a patch's functions |
//! | `references.rs` | where those functions take and drop references |
//! | `coverage.rs` | which of a patch's lines own code, and which of them ran |
//! | `probe.rs` | whether a QEMU takes the plugin |
//! | `counts.rs` | the same for counting instructions: what is counted, and what came of it |
//! | `board.rs` | the file that host and plugin share while a guest runs |

mod board;
mod code;
mod counts;
mod coverage;
mod probe;
mod references;
mod spec;
mod stalls;

pub use board::{Board, PointCount, Watch, Watched};
pub use code::Code;
pub use counts::{Counting, Functions, Operation};
pub use coverage::{Coverage, Line, lines};
pub use probe::refusal;
pub use references::{likely, references};
pub use spec::{Place, Spec};
pub use stalls::{Count, Point, Stalled, stalls};
