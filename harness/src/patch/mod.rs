//! Patches: every form that a user may hand in, read into one series.

mod series;

pub use series::{FileChange, Hunk, Patch, Series};
