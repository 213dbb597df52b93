//! What a kernel build leaves in the cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Result, error::Context};

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

/// The record's name in a kernel's cache entry.
const RECORD: &str = "image.json";

impl KernelImage {
    /// Writes the record of the image that lies in `folder`. Paths in it are relative: the folder
    /// gets its final name later, and a cache may be moved.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let mut kernel = self.clone();
        for path in kernel.paths() {
            if let Ok(name) = path.strip_prefix(folder) {
                *path = name.to_owned();
            }
        }
        let failed = || format!("failed to write {}", folder.join(RECORD).display());
        let bytes = serde_json::to_vec_pretty(&kernel).host(failed)?;
        fs::write(folder.join(RECORD), bytes).host(failed)
    }

    /// Reads the record of the image that lies in `folder`.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let failed = || format!("failed to read the kernel in {}", folder.display());
        let bytes = fs::read(folder.join(RECORD)).host(failed)?;
        let mut kernel: Self = serde_json::from_slice(&bytes).host(failed)?;
        for path in kernel.paths() {
            *path = folder.join(&path);
        }
        Ok(kernel)
    }

    fn paths(&mut self) -> [&mut PathBuf; 3] {
        [&mut self.boot, &mut self.vmlinux, &mut self.config]
    }
}
