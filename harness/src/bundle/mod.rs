//! Bundles: one file with all that repeats a boot elsewhere. Whoever opens one trusts nothing in it.
//!
//! A bundle is a tar archive under zstd. Its first member, `bundle.json`, says what was booted, typed,
//! and names every other member with its size and SHA-256.
//!
//! | file | job |
//! |---|---|
//! | `members.rs` | which members there may be, and how large |
//! | `facts.rs` | what was booted, and what of that is within bounds |
//! | `manifest.rs` | `bundle.json` |
//! | `pack.rs` | writes a bundle |
//! | `limits.rs` | what reading an archive may take |
//! | `unpack.rs` | reads one into an empty folder |

mod facts;
mod limits;
mod manifest;
mod members;
mod pack;
mod unpack;

#[cfg(test)]
mod hostile_tests;

pub use facts::Facts;
#[cfg(test)]
pub(crate) use facts::tests::facts;
pub use manifest::Manifest;
pub use members::{BOOT, CONFIG, RECIPE, RECORD, TOOLS, VMLINUX};
pub use pack::pack;
pub use unpack::unpack;
