//! Booting: QEMU's command line, the choice of the accelerator, a running machine.
//!
//! | file | job |
//! |---|---|
//! | `settings.rs` | a machine, typed |
//! | `qemu.rs`, `cmdline.rs` | the same as QEMU's arguments and as the kernel's words |
//! | `confine.rs` | the walls around QEMU |
//! | `machine.rs` | a running QEMU and its certain end |
//! | `accel.rs` | which accelerator works on this host |
//! | `snapshot.rs` | a booted machine in a file, and back |
//! | `interactive.rs` | a machine on the user's terminal |
//! | `version.rs`, `tsc.rs` | facts about the host |
//!
//! KVM's arguments are covered by table tests alone wherever a host's KVM does not work; that is
//! why a timed trial boot comes before anything relies upon them.

pub mod accel;
pub mod cmdline;
pub mod confine;
pub mod interactive;
pub mod machine;
pub mod qemu;
pub mod settings;
pub mod snapshot;
mod tsc;
pub mod version;

pub use accel::{Choice, Trial, choose};
pub use confine::Confinement;
pub use settings::{Accel, Disk, Machine, MachineSettings};
pub use snapshot::Snapshot;
pub use version::Qemu;
