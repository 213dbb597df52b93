//! The loads: one file or folder each.

pub(crate) mod backing_race;
pub(crate) mod corner;
pub(crate) mod exec;
pub(crate) mod fio;
mod idle;
pub(crate) mod memory;
mod one_file;
pub(crate) mod operations;
mod outcome;
pub(crate) mod run;
mod stamp;
