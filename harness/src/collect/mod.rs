//! Collecting: what a boot said, on disk and as a record.
//!
//! | file | job |
//! |---|---|
//! | `record.rs` | a boot's record: everything that judging needs |
//! | `run_dir.rs` | a run's directory, which says how far the run is |
//! | `cell_dir.rs` | a boot's directory within it |
//! | `recipe.rs` | what a kernel was made of, in full |
//! | `collector.rs` | a boot's events, onto the disk and into a record |
//! | `last_lines.rs` | the console's last lines, and the panic among them |
//! | `line_times.rs` | when each line of the console came |
//! | `files.rs` | small files, written whole or not at all |

mod cell_dir;
mod collector;
mod files;
mod last_lines;
mod line_times;
mod recipe;
pub mod record;
mod run_dir;

pub(crate) use cell_dir::is_folder_name;
pub use cell_dir::{CellDir, CellFile, KernelFacts, Provenance, SCHEMA, WatchedFile};
pub use collector::Collector;
pub(crate) use files::{read_json, write_json, write_new_json, write_whole};
pub use last_lines::LastLines;
pub use recipe::Recipe;
pub use run_dir::{RunDir, State, state};
