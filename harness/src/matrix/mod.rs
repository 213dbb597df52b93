//! Matrices: many cells of kernel × patch × config × scenario × profile, run to their end.
//!
//! | file | job |
//! |---|---|
//! | `types.rs` | what a matrix file says, and its cells |
//! | `raw.rs`, `parse.rs` | the YAML's shape, and text to matrix |
//! | `plan.rs` | the cells in the order in which they run (pure) |
//! | `look.rs` | what the files that a cell needs say before it runs |
//! | `estimate.rs`, `durations.rs` | how long they take; what they took before |
//! | `forecast.rs` | what would run, and how far it is (pure) |
//! | `shard.rs` | splitting them over machines (pure) |
//! | `folder.rs`, `attempt.rs` | a matrix's folder, and each cell's within it |
//! | `fold.rs`, `told.rs` | a cell's attempts as one state, and what they found (pure) |
//! | `hears.rs` | whoever hears of what came of cells |
//! | `left.rs` | what attempts left: verdicts, or what is known of those without |
//! | `run.rs`, `runner.rs`, `limit.rs` | cells run to their end, by the engine or a command, within their budget |
//! | `summary.rs` | what became of a matrix: the shape of `matrix.json` |
//! | `simulate.rs` | a summary without a run, to test and measure reports with (pure) |
//! | `slurm.rs`, `submit.rs` | job arrays for Slurm (pure), and handing them over |
//! | `ci.rs` | job definitions for GitHub and GitLab (pure) |

mod attempt;
mod ci;
mod durations;
mod estimate;
mod fold;
mod folder;
mod forecast;
mod hears;
mod left;
mod limit;
mod look;
mod parse;
mod plan;
mod raw;
mod run;
mod runner;
mod shard;
pub mod simulate;
mod slurm;
mod submit;
pub mod summary;
mod told;
mod types;

pub use attempt::cell_of;
pub use ci::{System, definition};
pub use durations::Remembered;
pub use estimate::{Durations, RUN_S, builds};
pub use folder::Folder;
pub use forecast::{Forecast, Foreseen, forecast};
pub use hears::{Hears, Unheard};
pub use left::Left;
pub use look::Look;
pub use parse::load;
pub use plan::{Known, Plan, Planned, plan};
pub use run::{Stopped, Work, exit_code, give_up, run};
pub use runner::{Command, InProcess, Runner};
pub use shard::{Part, Shard, split};
pub use submit::{Submitted, submit};
pub use summary::{CellSummary, Summary};
pub use types::{
    Budget, Cell, Content, Expectation, Filter, Kernel, KernelFrom, Matrix, Patch, PatchFrom,
    Scenario, Slurm,
};
