//! The sizes of a kernel's structures, kept in the cache beside its image.
//!
//! Kernels are built without types, a fifth of the debug information: the few objects that are wanted
//! are compiled once more, in a folder of their own, with base's configuration and what it generated.

use std::{fs, path::Path};

use super::{
    Builder, Patched, Source,
    builder::{BUILD, base_config, touched},
    folder,
    kbuild::WITH_TYPES,
    one::Name,
};
use crate::{
    Result,
    build::{kconfig::ConfigText, objects::may_add},
    cache::Kind,
    error::Context,
    hash::hex_sha256,
    structures::Size,
};

/// Raised when what lies in the cache changes its form or its making.
const FORMAT: &str = "1";
const RECORD: &str = "structures.json";

impl Builder<'_> {
    /// The structures that these source files of a tree, or of a patched one, define or include; from
    /// the cache where they lie there.
    ///
    /// # Errors
    /// An object does not build, or its debug information cannot be read.
    pub fn structures(
        &self,
        source: &Source<'_>,
        patched: Option<&Patched<'_>>,
        config: &ConfigText,
        sources: &[String],
    ) -> Result<Vec<Size>> {
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let kernel = self.key(source, patched, config);
        let files = sources.join("\n");
        let fields = [FORMAT, &kernel, WITH_TYPES, &files];
        let key = hex_sha256(&fields.map(str::as_bytes));
        let entry = match self.cache.get(Kind::Structures, &key, self.cancel)? {
            Some(entry) => entry,
            None => {
                let mut name = Name::new(config, patched.map(|p| p.name));
                name.what.push_str(" structures");
                let fill = |to: &Path| {
                    let found = self.compile_again(source, patched, &name, (sources, &key))?;
                    let failed = || format!("failed to write {}", to.join(RECORD).display());
                    let json = serde_json::to_vec(&found).host(failed)?;
                    fs::write(to.join(RECORD), json).host(failed)
                };
                self.told(&name.what, || {
                    let entry = self
                        .cache
                        .entry(Kind::Structures, &key, self.cancel, fill)?;
                    let fresh = entry.fresh;
                    Ok((entry, fresh))
                })?
            }
        };
        let failed = || format!("failed to read the structures in {}", entry.path.display());
        let json = fs::read(entry.path.join(RECORD)).host(failed)?;
        serde_json::from_slice(&json).host(failed)
    }

    fn compile_again(
        &self,
        source: &Source<'_>,
        patched: Option<&Patched<'_>>,
        name: &Name<'_>,
        (sources, key): (&[String], &str),
    ) -> Result<Vec<Size>> {
        let temp = self.cache.temp()?;
        let folder = temp.path().join(BUILD);
        let base = base_config(source, patched, name.config)?;
        let base = self.key(source, None, &base);
        // Without base's folder, which is large and goes first when the cache is cleared, it takes what
        // configuring takes.
        match self.cache.get(Kind::BuildDir, &base, self.cancel)? {
            Some(entry) => folder::copy_prepared(&entry.path.join(BUILD), &folder, self.cancel)?,
            None => {
                fs::create_dir(&folder).host(|| format!("failed to make {}", folder.display()))?
            }
        }
        let tree = patched.map_or(source.path, |patched| patched.path);
        if let Some(patched) = patched {
            folder::touch(patched.path, &touched(patched.series))?;
        }
        self.build(tree, &folder, name, may_add(source, patched))
            .structures(sources, key)
    }
}
