//! What cells took, remembered in the cache from matrix to matrix.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

use super::{estimate::Durations, types::Cell};
use crate::{
    Result,
    cache::Cache,
    collect::{read_json, write_json},
    error::Context,
    hash::hex_sha256,
};

/// The folder in the cache.
const FOLDER: &str = "matrix";
const FILE: &str = "durations.json";
/// So many of a cell's durations are kept, the newest last.
const KEPT: usize = 5;
/// So many cells are kept; a file that grew beyond is begun anew.
const MOST: usize = 100_000;

type Table = BTreeMap<String, Vec<f64>>;

/// The table in the cache, as it was when it was read.
#[derive(Debug)]
pub struct Remembered {
    dir: PathBuf,
    table: Table,
}

impl Remembered {
    /// Reads the cache's table; one that cannot be read tells nothing.
    pub fn read(cache: &Cache) -> Self {
        Self::at(&cache.root().join(FOLDER))
    }

    fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            table: read_json(&dir.join(FILE)).unwrap_or_default(),
        }
    }

    /// Adds what a cell took; others may do so at the same time.
    ///
    /// # Errors
    /// The host's.
    pub fn add(&mut self, cell: &Cell, seconds: f64) -> Result<()> {
        let failed = || format!("failed to write into {}", self.dir.display());
        fs::create_dir_all(&self.dir).host(failed)?;
        let lock = File::create(self.dir.join(".lock")).host(failed)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusive);
        let _lock = lock
            .map_err(|(_, errno)| std::io::Error::from(errno))
            .host(failed)?;
        let mut table: Table = read_json(&self.dir.join(FILE)).unwrap_or_default();
        if table.len() >= MOST {
            table.clear();
        }
        let own = table.entry(key(cell)).or_default();
        own.push(seconds);
        let old = own.len().saturating_sub(KEPT);
        own.drain(..old);
        write_json(&self.dir.join(FILE), &table)?;
        self.table = table;
        Ok(())
    }
}

/// A cell in the table. Two matrices may call other things by the same names.
fn key(cell: &Cell) -> String {
    let (kernel, patch) = (&cell.kernel.from, &cell.patch.from);
    let meant = format!("{kernel:?} {patch:?} {}", cell.scenario.given);
    format!("{} {}", cell.id, &hex_sha256(&[meant.as_bytes()])[..8])
}

impl Durations for Remembered {
    /// The median of what it took.
    fn seconds(&self, cell: &Cell) -> Option<f64> {
        let mut own = self.table.get(&key(cell))?.clone();
        own.sort_by(f64::total_cmp);
        let middle = own.get(own.len() / 2).copied();
        middle.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{plan::tests::of, types::PatchFrom};

    #[test]
    fn the_newest_count() {
        let text = "name: m\nkernels: [locked]\npatches: [a, b]\nconfigs: [c]\nscenarios: [s]\n";
        let plan = of(text).unwrap();
        let [a, b] = [&plan.cells[0].cell, &plan.cells[1].cell];
        let dir = tempfile::tempdir().unwrap();
        let mut one = Remembered::at(dir.path());
        let mut two = Remembered::at(dir.path());
        assert_eq!(one.seconds(a), None);
        for seconds in [900.0, 10.0, 30.0, 20.0] {
            one.add(a, seconds).unwrap();
        }
        two.add(b, 5.0).unwrap();
        assert_eq!((two.seconds(a), two.seconds(b)), (Some(30.0), Some(5.0)));
        // Another patch of the same name is another cell.
        let mut other = a.clone();
        other.patch.from = PatchFrom::Path("/a.patch".into());
        assert_eq!(two.seconds(&other), None);
        for seconds in [1.0, 2.0, 3.0] {
            two.add(a, seconds).unwrap();
        }
        assert_eq!(Remembered::at(dir.path()).seconds(a), Some(3.0));
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(Remembered::at(dir.path()).seconds(a), None);
    }
}
