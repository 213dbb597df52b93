//! What a guest boots from and runs beside its kernel: agent, initramfs, tools disk, scratch disk.

mod agent;
mod cpio;
mod disk;
mod elf;
mod images;
mod libraries;
mod locate;
mod needs;
mod tree;

pub use images::{GuestImages, Tools};
pub(crate) use locate::locate;
