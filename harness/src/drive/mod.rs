//! Driving a machine: its events, its watchdogs, its end.
//!
//! | file | job |
//! |---|---|
//! | `limits.rs` | how long a boot may take, from one table |
//! | `lines.rs` | the agent's bytes, cut into messages |
//! | `watchdog.rs` | when to end a guest, fed with what it says and with the clock |
//! | `conclude.rs` | from what stopped a boot to what that means |
//! | `pump.rs` | the sockets, the clock and the observer, brought together |
//! | `neighbours.rs` | what others had of the host meanwhile |
//! | `cell.rs` | one boot from its start to its record |
//! | `snapshot.rs` | one boot to the agent's hello, kept in a file |

mod cell;
mod conclude;
pub mod limits;
mod lines;
mod neighbours;
mod pump;
mod snapshot;
#[cfg(test)]
mod tests;
mod watchdog;

pub(crate) use cell::settings;
pub use cell::{CellContext, Counted, Provoked, Restored, Until, Watched, run_cell};
pub use conclude::{Cause, Exit, Shown, conclude};
pub(crate) use conclude::{SLEPT, slept};
pub use limits::Limits;
pub use lines::{Line, Lines};
pub use pump::{Event, Go, Observer, drive};
pub use snapshot::{Taken, take};
pub use watchdog::Stop;
