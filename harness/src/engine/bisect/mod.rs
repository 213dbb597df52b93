//! Bisecting for real: kernels of commits, trials in guests, every one of them on disk at once.
//!
//! | file | job |
//! |---|---|
//! | `asked.rs` | the question, and what makes it another |
//! | `journal.rs` | the trials on disk, from which the same question goes on |
//! | `kernels.rs` | a commit's kernel, built on what another left |
//! | `trials.rs` | one trial: a boot, and what it says |
//! | `blind.rs` | when a commit whose trials cannot say is tried no more |
//! | `kept.rs` | when a trial may begin after the boot |
//! | `scout.rs` | where a splat's trace says to hold vCPUs |
//! | `scouting.rs` | the trials that look for that |
//! | `run.rs` | the search, trial by trial |
//! | `spent.rs` | what builds and trials took, and so what the next ones cost |
//! | `answer.rs` | what the trials say, with their evidence |
//! | `found.rs` | what came of it, as it is told |
//! | `log.rs` | the same as `git bisect replay` takes it |

mod answer;
mod asked;
mod blind;
mod found;
mod journal;
mod kept;
mod kernels;
mod log;
mod run;
mod scout;
mod scouting;
mod spent;
mod trials;

pub use asked::Asked;
pub use found::{Commit, Ended, Found, Tried};
pub use run::bisect;
