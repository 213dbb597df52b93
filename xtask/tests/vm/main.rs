//! VM tests: real kernels, built, booted and hammered through the command line as a user would.
//!
//! `cargo xtask test` runs them one at a time; `KTWIN_TEST_FULL=1` adds the long ones. Planted bugs
//! that belong to one config share a run, and so one base kernel and one base boot.

mod commits;
mod ktwin;

mod always;
mod bisect;
mod bundle;
mod claims;
mod cluster;
mod corners;
mod cost;
mod default_variant;
mod ends;
mod full;
mod lkdtm;
mod matrix;
mod pages;
mod planted;
mod stall;
