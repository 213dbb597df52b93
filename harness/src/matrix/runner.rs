//! What runs a cell: the engine in this process, or a command of the user's.

use std::path::{Path, PathBuf};

use super::types::Cell;
use crate::{
    Error, Result, cache::Cache, cancel::Cancel, engine, event::Watcher, history, host::Cmd,
    judge::verdict::Verdict, patch::Chooser, report,
};

/// Where a command's words go, in the matrix's folder of the attempt's run.
const LOG: &str = "runner.log";

/// Runs one cell to its end.
pub trait Runner {
    /// Makes the run directory `dir`, which does not exist yet, and leaves the verdict there.
    ///
    /// # Errors
    /// What ends a run before there is anything to compare.
    fn run(&mut self, cell: &Cell, seed: u64, dir: &Path, cancel: &Cancel) -> Result<Verdict>;
}

/// The engine, in this process: what `cargo xtask run` does.
pub struct InProcess<'a> {
    /// Where kernels are kept.
    pub cache: &'a Cache,
    /// Who watches.
    pub watcher: &'a dyn Watcher,
    /// Asked where a patch's file holds several versions.
    pub choose: &'a mut Chooser<'a>,
}

impl Runner for InProcess<'_> {
    fn run(&mut self, cell: &Cell, seed: u64, dir: &Path, cancel: &Cancel) -> Result<Verdict> {
        let request = engine::Request {
            seed,
            out: Some(dir.to_owned()),
            ..cell.request()
        };
        let done = engine::run(&request, self.cache, cancel, self.watcher, self.choose)?;
        Ok(done.verdict)
    }
}

/// A command that is given the words of `cargo xtask run`, such as a script that goes to another machine.
#[derive(Debug)]
pub struct Command {
    /// The program.
    pub program: PathBuf,
}

impl Runner for Command {
    fn run(&mut self, cell: &Cell, seed: u64, dir: &Path, cancel: &Cancel) -> Result<Verdict> {
        let log = dir.with_extension(LOG);
        let command = Cmd::new(&self.program)
            .args(cell.words())
            .args(["--keep-going", "--json", "--seed"])
            .arg(seed.to_string())
            .arg("--out")
            .arg(dir)
            // What it leaves is recorded and told of by whoever runs the matrix.
            .env(history::NAMED, "")
            .env(history::NOTIFY, "")
            .log(&log);
        let output = command.run(cancel)?;
        report::read_verdict(dir).map_err(|error| {
            let failed = if output.success() {
                None
            } else {
                Some(command.failed(&output))
            };
            let cause = failed.unwrap_or(error).chain();
            let what = format!("`{}` left no verdict: {cause}", self.program.display());
            Error::infrastructure(what).mend(format!("read {}", log.display()))
        })
    }
}
