//! `report`: a past run's verdict once more.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use harness::{
    exit,
    report::{self, Format},
};

use crate::ui;

/// A past run's verdict once more.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cargo xtask report target/ktwin/runs/20260102-030405-kasan-1a2b3c4d --format md"
)]
pub(crate) struct Options {
    /// A run directory.
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = FormatName::Term)]
    format: FormatName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Term,
    Md,
    Json,
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let verdict = report::read_verdict(&options.run)?;
    let format = match options.format {
        FormatName::Term => Format::Term {
            colour: ui::Paint::stdout().is_on(),
        },
        FormatName::Md => Format::Markdown,
        FormatName::Json => Format::Json,
    };
    ui::out(report::render(format, &verdict, &options.run)?.trim_end());
    Ok(exit::of_outcome(verdict.outcome))
}
