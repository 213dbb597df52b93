//! Corners of backing ids' life, a file each, on connections that are served by hand.

mod allocation_failure;
mod connections;
mod cursor;
mod cyclic;
mod init_race;
mod refusals;
pub(crate) mod run;
mod teardown;
mod trial;
