//! `replay`: one boot of a past run, or of a bundle, once more.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use harness::{
    boot::settings::Accel,
    cache::Cache,
    collect::record::{End, RunRecord},
    engine::{self, Again},
    exit,
    report::escape::terminal_line,
};

use crate::{host, ui};

/// One boot of a past run, or of a bundle, once more: the same kernel, machine, load plan, seed and
/// stall points. Nothing in a bundle is run on the host.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask replay target/ktwin/runs/20260102-030405-kasan-1a2b3c4d --cell kasan-my-1\n  cargo xtask replay kasan-my-1.ktwin.tar.zst\n  cargo xtask replay kasan-my-1.ktwin.tar.zst --accel tcg    where there is no KVM\n\nExit codes: 0 nothing went wrong this time, 1 something did, 4 the host's fault."
)]
pub(crate) struct Options {
    /// A run directory, a boot's folder in one, or a bundle.
    #[arg(value_name = "RUN|BUNDLE")]
    run: PathBuf,

    /// Which boot, where the run has several.
    #[arg(long, value_name = "ID")]
    cell: Option<String>,

    /// A kernel tree or tarball that has the source of a bundle's kernel, where neither the cache nor
    /// a mirror has it.
    #[arg(long, value_name = "TREE|TARBALL")]
    kernel: Option<PathBuf>,

    /// How the guest runs, where that is not to be as it was: under KVM, or emulated.
    #[arg(long, value_enum)]
    accel: Option<AccelName>,

    /// The new run directory, instead of one under target/ktwin/runs.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Install missing host packages without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AccelName {
    Kvm,
    Tcg,
}

impl From<AccelName> for Accel {
    fn from(name: AccelName) -> Self {
        match name {
            AccelName::Kvm => Accel::Kvm,
            AccelName::Tcg => Accel::Tcg,
        }
    }
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let cache = Cache::open()?;
    host::prepare(&cache, &cancel, options.yes)?;
    let progress = ui::Progress::new();
    let which = Again {
        run: &options.run,
        cell: options.cell.as_deref(),
        kernel: options.kernel.as_deref(),
        accel: options.accel.map(Accel::from),
        out: options.out.as_deref(),
    };
    let done = engine::replay(&which, &cache, &cancel, &progress);
    progress.finish();
    let done = done?;
    if let Some(then) = &done.then {
        ui::out(&format!("then  {}", told(then)));
    }
    ui::out(&format!("now   {}", told(&done.now)));
    ui::out(&format!("files {}", done.dir.display()));
    Ok(match &done.now.end {
        End::Infrastructure { .. } => exit::INFRASTRUCTURE,
        End::Interrupted => exit::INTERRUPTED,
        End::Finished if seen(&done.now).is_empty() => exit::PASS,
        End::Finished | End::BootFailed { .. } | End::Watchdog { .. } | End::Died { .. } => {
            exit::REGRESSION
        }
    })
}

/// A boot in a line: what it showed, by title.
fn told(record: &RunRecord) -> String {
    let end = match &record.end {
        End::Finished => format!("ended after {:.0} s", record.elapsed_s),
        End::Interrupted => "interrupted".to_owned(),
        End::BootFailed { why } => format!("did not boot: {why}"),
        End::Watchdog { why, .. } | End::Died { why, .. } | End::Infrastructure { why } => {
            format!("ended after {:.0} s: {why}", record.elapsed_s)
        }
    };
    let titles: Vec<String> = seen(record)
        .into_iter()
        .map(|(title, count)| format!("{title} ({count})"))
        .collect();
    let showed = match titles.len() {
        0 => "nothing wrong".to_owned(),
        _ => titles.join("; "),
    };
    terminal_line(&format!("{end}; {showed}"))
}

fn seen(record: &RunRecord) -> BTreeMap<&str, u64> {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for timed in &record.splats {
        *all.entry(&timed.splat.title).or_default() += timed.count;
    }
    for timed in &record.findings {
        *all.entry(&timed.finding.title).or_default() += 1;
    }
    all
}
