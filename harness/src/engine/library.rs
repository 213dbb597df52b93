//! The plugin's library, and whether this host's QEMU takes it.

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};

use crate::{Result, boot::version::Qemu, build, plugin::refusal, source::Ways};

/// The plugin, built.
pub(super) struct Library {
    path: PathBuf,
    /// What QEMU has against it, once it was asked.
    refused: OnceCell<Option<String>>,
}

impl Library {
    pub(super) fn build(ways: Ways<'_>) -> Result<Self> {
        Ok(Self {
            path: build::plugin(ways.cancel)?,
            refused: OnceCell::new(),
        })
    }

    /// What QEMU loads.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Why QEMU does not take it, where it was asked and does not.
    pub(super) fn known_refusal(&self) -> Option<&str> {
        self.refused.get()?.as_deref()
    }

    /// Why QEMU does not take it, if it does not, and whether that was not known before.
    pub(super) fn refused(&self, qemu: &Qemu, ways: Ways<'_>) -> Result<Option<(String, bool)>> {
        let first = self.refused.get().is_none();
        if first {
            let refused = refusal(&qemu.path, &self.path, ways.cancel)?;
            let said = refused
                .map(|why| format!("QEMU {} does not take ktwin's plugin: {why}", qemu.version));
            let _ = self.refused.set(said);
        }
        let known = self.refused.get().and_then(Option::clone);
        Ok(known.map(|why| (why, first)))
    }
}
