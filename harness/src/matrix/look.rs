//! What the files that a cell needs say before it runs.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    plan::Known,
    types::{Cell, KernelFrom},
};
use crate::{
    Result, engine,
    hash::file_sha256,
    patch::Chooser,
    source::{self, Ways},
};

/// Looks at cells, and at each kernel's tree once.
pub struct Look<'a> {
    ways: Ways<'a>,
    /// The commit that each tree has checked out.
    commits: BTreeMap<PathBuf, String>,
}

impl<'a> Look<'a> {
    /// Has not looked at anything yet.
    pub fn new(ways: Ways<'a>) -> Self {
        Self {
            ways,
            commits: BTreeMap::new(),
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
        Ok(Known {
            patch: foreseen.patches.join("+"),
            file: file_sha256(&foreseen.scenario.file)?,
            commit: self.commit(&cell.kernel.from)?,
            scenario: foreseen.scenario,
        })
    }

    fn commit(&mut self, from: &KernelFrom) -> Result<String> {
        let KernelFrom::Path(tree) = from else {
            return Ok(String::new());
        };
        if let Some(known) = self.commits.get(tree) {
            return Ok(known.clone());
        }
        let commit = source::checked_out(tree, self.ways)?.unwrap_or_default();
        self.commits.insert(tree.clone(), commit.clone());
        Ok(commit)
    }
}
