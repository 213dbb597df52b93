//! `matrix status` and `matrix report`: how far it is, and what became of it.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use harness::{
    exit,
    matrix::{self, Folder, Stopped},
    report::{self, Format},
};

use super::{before::before, github, run::code, select};
use crate::{
    record::{self, Recorder},
    ui,
};

/// How far it is.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask matrix status nightly.yaml\n  cargo xtask matrix status /shared/tonight --json"
)]
pub(super) struct Status {
    /// A matrix file, for its newest folder, or a matrix's folder.
    #[arg(value_name = "FILE|DIR")]
    named: PathBuf,

    /// The file's folder, where it is not one under target/ktwin/matrices.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Print one JSON object, and nothing else, on stdout.
    #[arg(long)]
    json: bool,
}

/// What became of it.
///
/// Runs that the history lacks are recorded: on a cluster, whose machines may not share a database, this
/// is what records them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask matrix report nightly.yaml\n  cargo xtask matrix report /shared/tonight --format md"
)]
pub(super) struct Report {
    /// A matrix file, for its newest folder, or a matrix's folder.
    #[arg(value_name = "FILE|DIR")]
    named: PathBuf,

    /// The file's folder, where it is not one under target/ktwin/matrices.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = FormatName::Term)]
    format: FormatName,

    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,

    #[command(flatten)]
    record: record::Recording,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Term,
    Md,
    Html,
    Json,
}

pub(super) fn status(options: Status) -> Result<u8> {
    let folder = select::folder(&options.named, options.out.as_ref())?;
    let summary = folder.summary()?;
    let all: Vec<usize> = (0..folder.plan().cells.len()).collect();
    let forecast = matrix::forecast(folder.plan(), &all, Some(&summary), &before()?, &[]);
    if options.json {
        ui::out(&serde_json::to_string(&forecast)?);
    } else {
        ui::say(&format!("in {}", folder.dir().display()));
        let colour = ui::Paint::stdout().is_on();
        ui::out(report::render_status(&summary, colour).trim_end());
        ui::out(&format!("left: {}", report::render_left(&forecast)));
    }
    Ok(exit::PASS)
}

pub(super) fn report(options: Report) -> Result<u8> {
    let recorder = options.record.recorder()?;
    let folder = select::folder(&options.named, options.out.as_ref())?;
    let summary = folder.summary()?;
    folder.keep(&summary)?;
    remember(&folder, &recorder)?;
    let format = match options.format {
        _ if options.json => Format::Json,
        FormatName::Term => Format::Term {
            colour: ui::Paint::stdout().is_on(),
        },
        FormatName::Md => Format::Markdown,
        FormatName::Html => Format::Html,
        FormatName::Json => Format::Json,
    };
    ui::out(report::render_matrix(format, &summary)?.trim_end());
    github::summarize(&summary)?;
    Ok(code(Stopped::Ended, &summary))
}

/// Records what the history lacks of the cells that have ended, and tells of what changed by the attempts
/// that count, where nobody has been told yet. What of it fails is a warning.
fn remember(folder: &Folder, recorder: &Recorder) -> harness::Result<()> {
    let progress = ui::Progress::new();
    for at in 0..folder.plan().cells.len() {
        for left in folder.left(at)? {
            recorder.attempt(&left, &progress);
        }
    }
    progress.finish();
    Ok(())
}
