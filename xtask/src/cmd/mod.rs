//! One module a subcommand: its options, and one `run()`.

pub(crate) mod bench;
pub(crate) mod bisect;
pub(crate) mod bundle;
pub(crate) mod cache;
pub(crate) mod claims;
pub(crate) mod doctor;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod matrix;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod shell;
pub(crate) mod splats;
pub(crate) mod test;
