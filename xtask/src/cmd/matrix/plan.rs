//! `matrix plan`: what would run, and how long it takes.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use harness::{
    exit,
    matrix::{self, Durations, Folder, Plan},
    report,
};

use super::{
    before::before,
    select::{self, Which},
};
use crate::{host, ui};

/// What would run, and how long it takes, by what past runs in the history took.
///
/// Shards are split by the file alone, whatever the history says.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask matrix plan nightly.yaml\n  cargo xtask matrix plan nightly.yaml --shards 8 --json\n  cargo xtask matrix plan nightly.yaml --durations >>nightly.yaml\n                                 once: a file has one list of them"
)]
pub(super) struct Options {
    /// The matrix file.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    which: Which,

    /// Show each cell's shard of N.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "shard")]
    shards: Option<u32>,

    /// The matrix's folder, where it is not one under target/ktwin/matrices.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Print what cells took before as `durations:` for the matrix file, by which shards are then split.
    #[arg(long, conflicts_with = "json")]
    durations: bool,

    /// Print one JSON object, and nothing else, on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: Options) -> Result<u8> {
    let (_, plan) = select::load(&options.file, &host::cancel_on_signals()?)?;
    let wanted = options.which.of(&plan)?;
    let before = before()?;
    if options.durations {
        match durations(&plan, &wanted, &before) {
            Some(text) => ui::out(text.trim_end()),
            None => ui::say("none of these cells was measured: run them first"),
        }
        return Ok(exit::PASS);
    }
    let shards = match options.shards {
        Some(of) => matrix::split(&plan, of as usize)?,
        None => Vec::new(),
    };
    let begun = Folder::begun(&plan, options.out.as_deref(), &select::root(), &wanted)?;
    let summary = begun.map(|folder| folder.summary()).transpose()?;
    let forecast = matrix::forecast(&plan, &wanted, summary.as_ref(), &before, &shards);
    if options.json {
        ui::out(&serde_json::to_string(&forecast)?);
    } else {
        let colour = ui::Paint::stdout().is_on();
        ui::out(report::render_forecast(&forecast, colour).trim_end());
    }
    Ok(exit::PASS)
}

/// What was measured, as the matrix file says it; none where nothing was. An empty list would be in the way
/// of the next one.
fn durations(plan: &Plan, wanted: &[usize], before: &dyn Durations) -> Option<String> {
    let mut out = String::new();
    for at in wanted {
        let cell = &plan.cells[*at].cell;
        if let Some(seconds) = before.seconds(cell) {
            let [kernel, patch, config, scenario, profile] = cell.parts();
            let names = format!(
                "kernel: [{kernel}], patch: [{patch}], config: [{config}], scenario: [{scenario}], profile: [{profile}]"
            );
            let takes = seconds.ceil().max(1.0);
            out.push_str(&format!("  - {{cells: {{{names}}}, takes: {takes}s}}\n"));
        }
    }
    (!out.is_empty()).then(|| format!("durations:\n{out}"))
}
