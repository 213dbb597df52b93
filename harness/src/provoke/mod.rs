//! Provocations: a kernel is made to do wrong things, so that its detectors are known to speak.
//!
//! | file | job |
//! |---|---|
//! | `table.rs` | what makes each detector speak, as data |
//! | `run.rs` | that, done to a running kernel |
//! | `gdb.rs` | gdb's remote protocol |

mod gdb;
mod run;
mod table;

pub use run::{Armed, Failures, Provoke};
pub use table::{PROVOCATIONS, Provocation};
