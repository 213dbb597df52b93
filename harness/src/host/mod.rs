//! The host: its programs, and what it lacks.

pub mod command;
pub mod doctor;

pub use command::{Cmd, Output, quote};
