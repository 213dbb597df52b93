//! `doctor`: what this host has and lacks.

use anyhow::Result;
use clap::Args;
use harness::{
    cache::Cache,
    exit,
    host::doctor::{self, Extra, Health},
};

use crate::{host, ui};

/// What this host has and lacks, and the one command that mends it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo xtask doctor\n  cargo xtask doctor --fix")]
pub(crate) struct Options {
    /// Install what is missing with the system's package manager.
    #[arg(long, visible_alias = "yes")]
    fix: bool,

    /// Look at Slurm's programs too, which the test of matrices on a cluster needs.
    #[arg(long)]
    slurm: bool,
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let cache = Cache::open()?;
    let extras: &[Extra] = if options.slurm { &[Extra::Slurm] } else { &[] };
    let mut report = doctor::examine(cache.root(), extras, &cancel);
    if options.fix && !report.packages.is_empty() {
        host::install(&report)?;
        report = doctor::examine(cache.root(), extras, &cancel);
    }
    let paint = ui::Paint::stdout();
    let width = report.lines.iter().map(|l| l.what.len()).max().unwrap_or(0);
    for line in &report.lines {
        let mark = match line.health {
            Health::Good => paint.green("ok  "),
            Health::Poor => paint.yellow("poor"),
            Health::Missing => paint.red("MISS"),
        };
        ui::out(&format!("{mark} {:width$}  {}", line.what, line.detail));
        if let Some(mend) = &line.mend {
            ui::out(&format!("     {:width$}  mend: {mend}", ""));
        }
    }
    match report.mend() {
        Some(command) => ui::out(&format!(
            "\nOne command mends what is missing:\n  {command}"
        )),
        None if report.healthy() => ui::out("\nEverything that is needed is here."),
        None => {}
    }
    Ok(if report.healthy() {
        exit::PASS
    } else {
        exit::INFRASTRUCTURE
    })
}
