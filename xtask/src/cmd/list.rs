//! `list`: configs, scenarios, variants, profiles and cached kernels.

use anyhow::Result;
use clap::Args;
use harness::{cache::Cache, engine::catalogue, exit};

use crate::ui;

/// Configs, scenarios, variants, profiles and cached kernels.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo xtask list")]
pub(crate) struct Options {}

pub(crate) fn run(_: Options) -> Result<u8> {
    let catalogue = catalogue::read(&Cache::open()?)?;
    for (heading, entries) in catalogue.sections() {
        ui::out(heading);
        let width = entries.iter().map(|e| e.name.len()).max().unwrap_or(0);
        for entry in entries {
            ui::out(format!("  {:width$}  {}", entry.name, entry.about).trim_end());
        }
    }
    Ok(exit::PASS)
}
