//! `matrix`: many cells, run to their end on one machine, in shards, or on a cluster.

mod before;
mod ci;
mod cluster;
mod github;
mod plan;
mod run;
mod select;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Many kernels, patches, configs and scenarios, on one machine or a cluster.
///
/// A matrix file names kernels, patches, configs, scenarios and profiles; every combination that it does
/// not exclude is a cell, and each cell is what `cargo xtask run` does. Every cell's state is on disk:
/// after a kill at any moment the same command goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask matrix plan scenarios/matrices/nightly.yaml
  cargo xtask matrix run scenarios/matrices/nightly.yaml --yes
                                 again after a kill: goes on; after the end: a new night
  cargo xtask matrix run nightly.yaml --shard 2/8 --out /shared/tonight
  cargo xtask matrix run nightly.yaml --only kcsan --again
                                 failures once more; a pass then makes them flaky
  cargo xtask matrix submit nightly.yaml --engine slurm --out /shared/tonight
  cargo xtask matrix status /shared/tonight
  cargo xtask matrix report nightly.yaml --format md
  cargo xtask matrix ci scenarios/matrices/nightly.yaml --format github --shards 8

Exit codes: run and report give the outcome over all cells, as `run` does; what is expected does not
count until its date, and a cell that did not run makes it inconclusive.";

#[derive(Debug, Subcommand)]
enum Command {
    /// What would run, and how long it takes.
    Plan(plan::Options),
    /// Run the cells that have not ended.
    Run(run::Options),
    /// How far it is.
    Status(show::Status),
    /// What became of it.
    Report(show::Report),
    /// Hand the cells that have not ended to a cluster.
    Submit(cluster::Submit),
    /// One task of a job that `submit` made.
    #[command(hide = true)]
    Task(cluster::Task),
    /// A job definition for a CI of your own.
    Ci(ci::Options),
}

pub(crate) fn run(options: Options) -> Result<u8> {
    match options.command {
        Command::Plan(options) => plan::run(options),
        Command::Run(options) => run::run(options),
        Command::Status(options) => show::status(options),
        Command::Report(options) => show::report(options),
        Command::Submit(options) => cluster::submit(options),
        Command::Task(options) => cluster::task(options),
        Command::Ci(options) => ci::run(options),
    }
}
