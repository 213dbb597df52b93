//! Kernels: configured, compiled in the sandbox, and taken out of it with care.

mod alike;
mod builder;
mod compiled;
mod diagnostics;
mod folder;
mod gates;
mod history;
mod kbuild;
mod one;
mod outputs;
mod progress;
mod pvh;
mod structures;

pub use alike::same_code;
pub use builder::{Builder, Following, Patched, Source};
pub use gates::would_compile;
pub(crate) use pvh::bootable;

#[cfg(test)]
mod tests;
