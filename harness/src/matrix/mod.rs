//! Matrices: many cells of kernel × patch × config × scenario × profile, run to their end.
//!
//! | file | job |
//! |---|---|
//! | `summary.rs` | what became of a matrix: the shape of `matrix.json` |

pub mod summary;

pub use summary::{CellSummary, Summary};
