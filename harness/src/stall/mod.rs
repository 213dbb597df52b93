//! Stalls: vCPUs held at chosen instructions by the plugin inside QEMU, to widen a race's window
//! from outside the kernel.
//!
//! | file | job |
//! |---|---|
//! | `spec.rs` | what the user writes: where, and for how long |
//! | `points.rs` | a spec to the instructions of one kernel |
//! | `board.rs` | the file that host and plugin share while a guest runs |

mod board;
mod points;
mod spec;

pub use board::{Board, Count};
pub use points::{Point, points};
pub use spec::{Place, Spec};
