//! What a kernel build leaves in the cache.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One built kernel, in the cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelImage {
    /// What keys it in the cache: source, patch, config and compiler, in hex.
    pub key: String,
    /// The bootable PVH ELF, without debug information.
    pub boot: PathBuf,
    /// The same with debug information.
    pub vmlinux: PathBuf,
    /// The resulting `.config`.
    pub config: PathBuf,
    /// SHA-256 of the resulting `.config`, in hex.
    pub config_sha256: String,
    /// `make kernelrelease`.
    pub release: String,
    /// The compiler's own version line.
    pub compiler: String,
    /// Warnings that the compiler gave, one a line, as it gave them.
    pub warnings: Vec<String>,
    /// CPU time of the build, user and system, in seconds.
    pub cpu_s: f64,
    /// Source files that were compiled, relative to the kernel's top (`fs/fuse/backing.c`).
    pub compiled: Vec<String>,
}
