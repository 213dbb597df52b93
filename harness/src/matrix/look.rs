//! What the files that a cell needs say before it runs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    plan::Known,
    types::{Cell, KernelFrom, PatchFrom},
};
use crate::{
    Result, engine,
    error::Context,
    hash::read_sha256,
    patch::Chooser,
    source::{self, Ways},
};

/// Looks at cells, and once at what several of them have in common.
pub struct Look<'a> {
    ways: Ways<'a>,
    /// The commits of trees' revisions.
    commits: BTreeMap<(PathBuf, String), String>,
    /// SHA-256 of files.
    files: BTreeMap<PathBuf, String>,
}

impl<'a> Look<'a> {
    /// Has not looked at anything yet.
    pub fn new(ways: Ways<'a>) -> Self {
        Self {
            ways,
            commits: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    /// Looks at a cell's files.
    ///
    /// # Errors
    /// Bad input, where a run of the cell would be refused.
    pub fn at(&mut self, cell: &Cell, choose: &mut Chooser<'_>) -> Result<Known> {
        let foreseen = engine::foresee(&cell.request(), choose);
        self.ways.cancel.check()?;
        let foreseen = foreseen?;
        let from = &cell.kernel.from;
        let kernel = foreseen.kernel.map(|file| self.file(&file)).transpose()?;
        let since = match &cell.patch.from {
            PatchFrom::Since(rev) => self.commit(from, rev)?,
            PatchFrom::Own | PatchFrom::Path(_) | PatchFrom::None => String::new(),
        };
        Ok(Known {
            patch: foreseen.patches.join("+"),
            file: self.file(&foreseen.scenario.file)?,
            commit: self.commit(from, "HEAD")?,
            since,
            kernel: kernel.unwrap_or_default(),
            config: foreseen.config,
            scenario: foreseen.scenario,
        })
    }

    /// A tarball takes a second.
    fn file(&mut self, path: &Path) -> Result<String> {
        if let Some(known) = self.files.get(path) {
            return Ok(known.clone());
        }
        let hash = read_sha256(path).input(|| format!("failed to read {}", path.display()))?;
        self.files.insert(path.to_owned(), hash.clone());
        Ok(hash)
    }

    fn commit(&mut self, from: &KernelFrom, rev: &str) -> Result<String> {
        let KernelFrom::Path(tree) = from else {
            return Ok(String::new());
        };
        let key = (tree.clone(), rev.to_owned());
        if let Some(known) = self.commits.get(&key) {
            return Ok(known.clone());
        }
        let commit = source::commit_of(tree, rev, self.ways)?.unwrap_or_default();
        self.commits.insert(key, commit.clone());
        Ok(commit)
    }
}
