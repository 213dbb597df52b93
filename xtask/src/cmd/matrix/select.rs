//! A matrix file's plan, and which of its cells a command is about.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use harness::{
    Error,
    cache::Cache,
    cancel::Cancel,
    engine,
    event::Unwatched,
    matrix::{self, Cell, Folder, Look, Matrix, Plan, Shard},
    scenario::did_you_mean,
    source::Ways,
};

use crate::{host, ui};

/// Which cells.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Of N parts that take about as long, the I-th. Every machine that reads the same file comes to the
    /// same parts.
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,

    /// Cells whose name has this part (a kernel's, patch's, config's, scenario's or profile's name), or
    /// all of several parts joined by `+`; may be given several times.
    #[arg(long, value_name = "PART[+PART]")]
    pub(super) only: Vec<String>,
}

/// Reads a matrix file and every file that its cells need.
pub(super) fn load(file: &Path, cancel: &Cancel) -> Result<(Matrix, Plan)> {
    let matrix = matrix::load(file)?;
    let cache = Cache::open()?;
    let mut look = Look::new(Ways {
        cache: &cache,
        cancel,
        watcher: &Unwatched,
    });
    let plan = matrix::plan(&matrix, &mut |cell: &Cell| {
        look.at(cell, &mut ui::chooser(cancel))
    })?;
    Ok((matrix, plan))
}

impl Which {
    /// The cells' places in the plan.
    pub(super) fn of(&self, plan: &Plan) -> Result<Vec<usize>> {
        let mut cells = match self.shard {
            Some(shard) => {
                matrix::split(plan, shard.of)?
                    .swap_remove(shard.number - 1)
                    .cells
            }
            None => (0..plan.cells.len()).collect(),
        };
        for one in &self.only {
            known(plan, one)?;
        }
        let meant = |at: &usize| {
            let parts = plan.cells[*at].cell.parts();
            let mut only = self.only.iter();
            self.only.is_empty() || only.any(|one| one.split('+').all(|part| parts.contains(&part)))
        };
        cells.retain(meant);
        match cells.is_empty() {
            false => Ok(cells),
            true => {
                let error = Error::input(format!("no cell is {}", self.only.join(" or ")));
                Err(error.mend("cargo xtask matrix plan FILE lists them").into())
            }
        }
    }
}

/// Every part of it is some cell's.
fn known(plan: &Plan, only: &str) -> Result<()> {
    let mut parts: Vec<&str> = plan
        .cells
        .iter()
        .flat_map(|planned| planned.cell.parts())
        .collect();
    parts.sort_unstable();
    parts.dedup();
    match only.split('+').find(|part| !parts.contains(part)) {
        None => Ok(()),
        Some(part) => {
            let error = Error::input(format!("no cell has {part:?} in its name"));
            Err(error.mend(did_you_mean(part, parts.iter().copied())).into())
        }
    }
}

/// The folder that a matrix's own commands make, or that a matrix file's newest command made.
pub(super) fn folder(named: &Path, out: Option<&PathBuf>) -> Result<Folder> {
    if named.is_dir() {
        return Ok(Folder::open(named)?);
    }
    let (_, plan) = load(named, &host::cancel_on_signals()?)?;
    let folder = match out {
        Some(out) => Folder::open(out)?,
        None => Folder::newest(&plan.name, &root())?,
    };
    // What the file expects by now counts, not what it did when the cells were begun.
    Ok(folder.with(plan))
}

/// Where matrices go that no `--out` sends elsewhere.
pub(super) fn root() -> PathBuf {
    engine::Home::here().matrices()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use harness::{
        engine::Request,
        matrix::{Content, Kernel, KernelFrom, Patch, PatchFrom, Scenario},
    };

    use super::*;
    use crate::{
        cli::{Cli, Command},
        cmd,
    };

    /// A cell's words ask for the same as it asks of the engine in this process.
    #[test]
    fn a_cells_words_are_its_request() {
        let dir = tempfile::tempdir().unwrap();
        let kernels = [
            KernelFrom::Newest,
            KernelFrom::Locked,
            KernelFrom::Package("linux-source-7.3".into()),
            KernelFrom::Path(dir.path().to_owned()),
            KernelFrom::Path("/a b/linux-7.3.tar.xz".into()),
        ];
        let patches = [
            PatchFrom::Own,
            PatchFrom::None,
            PatchFrom::Path("/a=b/my series.mbox".into()),
        ];
        let both = kernels
            .iter()
            .flat_map(|k| patches.iter().map(move |p| (k.clone(), p.clone())));
        let tree = kernels[3].clone();
        for (kernel, patch) in both.chain([(tree, PatchFrom::Since("v7.2".into()))]) {
            let cell = Cell {
                id: "id".into(),
                kernel: Kernel {
                    name: "k".into(),
                    from: kernel,
                },
                patch: Patch {
                    name: "mine".into(),
                    from: patch,
                },
                config: "kcsan".into(),
                scenario: Scenario {
                    given: "fuse-backing/race".into(),
                    name: "race".into(),
                },
                profile: "standard".into(),
                content: Content::default(),
            };
            let mut words = cell.words();
            words.extend(["--keep-going".to_owned(), "--seed=7".to_owned()]);
            let cli = Cli::try_parse_from(std::iter::once("xtask".to_owned()).chain(words));
            let Command::Run(options) = cli.unwrap().command else {
                panic!("{cell:?}");
            };
            let own = Request {
                seed: 7,
                ..cell.request()
            };
            // What reports show: this process's own words, which are the test's.
            let asked = Request {
                command: own.command.clone(),
                ..cmd::run::request(&options).unwrap()
            };
            assert_eq!(format!("{asked:?}"), format!("{own:?}"));
        }
    }
}
