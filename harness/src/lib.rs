//! ktwin's engine: boots a kernel with and without a patch, and says what the patch changes.
//!
//! The data goes one way:
//!
//! | step | module | may touch |
//! |---|---|---|
//! | scenario | [`scenario`] | nothing (pure) |
//! | plan | [`plan`] | nothing (pure) |
//! | source, patch | [`source`], [`patch`] | disk, apt, git |
//! | build | [`build`], [`structures`] | disk, compiler |
//! | watch | [`plugin`] | a file shared with QEMU |
//! | boot | [`boot`] | QEMU |
//! | provoke | [`provoke`] | the machine, once for each kernel |
//! | drive | [`drive`] | the machine |
//! | collect | [`collect`], [`splat`] | the run directory |
//! | judge | [`judge`] | nothing (pure) |
//! | report | [`report`] | files |
//! | bundle | [`bundle`] | a file that goes elsewhere, and one that comes from there |
//! | bisect | [`bisect`] | nothing (pure): which commit to try next, and when to stop |
//! | claims | [`claims`] | nothing (pure): verdicts against what a patch claims |
//! | matrix | [`matrix`] | a matrix's folder; many runs, each made by [`engine`] |
//! | history | [`history`] | one database: what past runs said |
//!
//! [`engine`] runs the steps in this order; whoever watches implements
//! [`event::Watcher`]. Nothing in here prints.

pub mod bisect;
pub mod boot;
pub mod build;
pub mod bundle;
pub mod cache;
pub mod cancel;
pub mod claims;
pub mod collect;
pub mod drive;
pub mod engine;
pub mod error;
pub mod event;
pub mod exit;
pub mod hash;
pub mod history;
pub mod host;
pub mod judge;
pub mod matrix;
pub mod patch;
pub mod plan;
pub mod plugin;
pub mod provoke;
pub mod report;
pub mod scenario;
pub mod source;
pub mod splat;
pub mod structures;

pub use error::{Error, Fault, Result};
