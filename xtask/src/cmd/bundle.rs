//! `bundle`: one file that repeats a boot elsewhere.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use harness::{cache::Cache, engine, exit, report::escape::terminal_line};

use crate::{host, ui};

/// One file with everything that repeats a boot elsewhere: where the kernel's source is had, its
/// patches and config, the plan, the seed, the machine, and the programs of `-- COMMAND`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bundle target/ktwin/runs/20260102-030405-kasan-1a2b3c4d --cell kasan-my-1\n  cargo xtask bundle target/ktwin/runs/20260102-030405-kasan-1a2b3c4d/kasan-my-1 \\\n      --kernel-image -o race.ktwin\n\ncargo xtask replay BUNDLE repeats it."
)]
pub(crate) struct Options {
    /// A run directory, or a boot's folder in one.
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Which boot, where the run has several.
    #[arg(long, value_name = "ID")]
    cell: Option<String>,

    /// Take the kernel itself along, with its debug information; without, it is built again there.
    #[arg(long)]
    kernel_image: bool,

    /// The bundle, instead of ID.ktwin.tar.zst here.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let cache = Cache::open()?;
    let progress = ui::Progress::new();
    let (cell, out) = (options.cell.as_deref(), options.output.as_deref());
    let (run, image) = (&options.run, options.kernel_image);
    let done = engine::bundle(run, cell, image, out, &cache, &cancel, &progress);
    progress.finish();
    let done = done?;
    let kernel = match (&done.source, done.image) {
        (_, true) => "with its kernel".to_owned(),
        (Some(source), false) => format!("its kernel is built again of {source}"),
        (None, false) => "without a kernel".to_owned(),
    };
    ui::out(&terminal_line(&format!("boot   {}, {kernel}", done.cell)));
    ui::out(&format!(
        "bundle {}, {} KiB",
        done.path.display(),
        done.bytes.div_ceil(1024)
    ));
    Ok(exit::PASS)
}
