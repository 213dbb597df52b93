//! Where kernels are built: a patch under test is untrusted, and its makefiles run on the host.
//!
//! Bubblewrap gives a build the system's programs, the source read-only at one
//! fixed path and its own build folder at another, and nothing else: no
//! network, no capabilities, an environment of our own, limits on time,
//! processes and disk. Fixed paths also make a variant's build incremental and
//! its image repeatable. Without bubblewrap nothing is built, unless
//! `KTWIN_NO_SANDBOX=1` says that every patch is trusted; then paths differ
//! between base and variant, and a variant is compiled from scratch. Debug
//! information names the fixed paths all the same.

mod guard;
mod room;
mod run;

pub use room::{BUILD, Kept, Room, SOURCE, Sandbox};
pub use run::{Job, Ran, Toolchain};
