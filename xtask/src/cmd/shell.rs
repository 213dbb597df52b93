//! `shell`: a shell, or a waiting gdb stub, in the guest of a config and variant.

use anyhow::Result;
use clap::Args;
use harness::{cache::Cache, engine, exit};

use super::run::What;
use crate::{host, ui};

/// A shell in that very guest, or one that waits for gdb.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask shell kasan --no-patch\n  cargo xtask shell kasan --variant ida-hashtable --gdb\n  cargo xtask shell lockdep --kernel ~/linux --patch fix.patch\n\nIt takes one config, and one variant at most: without any named, the scenario's default.\nCtrl-A X ends QEMU."
)]
pub(crate) struct Options {
    #[command(flatten)]
    what: What,

    /// Wait for gdb on a socket before the first instruction; says how to connect.
    #[arg(long)]
    gdb: bool,
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let cache = Cache::open()?;
    host::prepare(&cache, &cancel, options.what.yes)?;
    let progress = ui::Progress::new();
    let shell = engine::prepare_shell(
        &options.what.request(),
        options.gdb,
        &cache,
        &cancel,
        &progress,
        &mut ui::chooser(&cancel),
    )?;
    progress.finish();
    for line in shell.hints() {
        ui::say(&line);
    }
    let status = shell.run()?;
    Ok(if status.success() {
        exit::PASS
    } else {
        exit::INFRASTRUCTURE
    })
}
