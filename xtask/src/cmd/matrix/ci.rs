//! `matrix ci`: a job definition for a CI of the user's own.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use harness::{
    exit,
    matrix::{self, System},
};

use super::select;
use crate::{host, ui};

/// A job definition for a CI of your own: one job a shard, and one that reports on all.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask matrix ci scenarios/matrices/nightly.yaml --format github --shards 8 \\\n      >.github/workflows/nightly.yml\n  cargo xtask matrix ci scenarios/matrices/nightly.yaml --format gitlab --shards 4 \\\n      >.gitlab-ci.yml"
)]
pub(super) struct Options {
    /// The matrix file, by its path in the checkout.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Whose.
    #[arg(long, value_enum)]
    format: SystemName,

    /// How many jobs run cells.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    shards: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SystemName {
    Github,
    Gitlab,
}

pub(super) fn run(options: Options) -> Result<u8> {
    let (_, plan) = select::load(&options.file, &host::cancel_on_signals()?)?;
    let system = match options.format {
        SystemName::Github => System::Github,
        SystemName::Gitlab => System::Gitlab,
    };
    let file = options.file.to_string_lossy();
    let text = matrix::definition(system, &plan, &file, options.shards as usize)?;
    ui::out(text.trim_end());
    Ok(exit::PASS)
}
