//! Building: kernels, the guest agent, the initramfs and the tools disk, cached by content.

mod artifacts;
mod guest;
mod kconfig;
mod kernel;
mod objects;
mod plugin;
pub mod sandbox;

pub use artifacts::KernelImage;
pub(crate) use guest::locate;
pub use guest::{GuestImages, Tools};
pub use kconfig::{ConfigText, Enabled, Fragment, Lost, Request, Symbols, Value, lost};
pub(crate) use kernel::bootable;
pub use kernel::{Builder, Following, Patched, Source, same_code, would_compile};
pub use objects::Origin;
pub use plugin::plugin;
pub use sandbox::{Sandbox, Toolchain};
