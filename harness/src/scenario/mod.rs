//! Scenarios: what is exercised, read from YAML.

mod types;

pub use types::{Accepted, Count, FioSpec, GuestSpec, LoadSpec, Profile, Scenario};
