//! The host: its programs, and what it lacks.

pub mod busy;
pub mod command;
pub mod doctor;
mod log;
mod needs;
mod packages;
pub mod shortage;

pub use command::{Cmd, Output, quote};
