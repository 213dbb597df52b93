//! Building: kernels, the guest agent, the initramfs and the tools disk, cached by content.

mod artifacts;

pub use artifacts::KernelImage;
