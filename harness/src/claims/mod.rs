//! A patch's claims as data: what is claimed, how it is measured, and what the figures say.
//!
//! | file | job |
//! |---|---|
//! | `types.rs` | what a file of claims says, and what came of each claim |
//! | `raw.rs` | the YAML's shape |
//! | `parse.rs` | text to claims |
//! | `look.rs` | a figure in the verdicts of the runs |
//! | `findings.rs` | whether a run shows nothing that base does not have (pure) |
//! | `judge.rs` | the claims against those figures (pure) |

mod findings;
mod judge;
mod look;
mod parse;
mod raw;
mod types;

pub use judge::judge;
pub use parse::load;
pub use types::{
    Check, Checked, Claim, Claimed, Claims, Expect, Figure, Outcome, Run, Runs, Side, What,
};
