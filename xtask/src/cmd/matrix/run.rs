//! `matrix run`: the cells that have not ended, one after the other.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use harness::{
    cache::Cache,
    cancel::Cancel,
    event::{Event, Watcher},
    matrix::{self, Cell, Folder, Hears, Left, Remembered, Runner, Stopped, Summary, Work},
    report::{self, Format},
};

use super::{
    github,
    select::{self, Which},
};
use crate::{
    host,
    record::{self, Recorder},
    ui,
};

/// Run the cells that have not ended.
///
/// The same command goes on after a kill. Once all of its cells have ended it begins a new night, in a
/// folder of its own; one that --out names holds a single night, and nothing is run there any more.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask matrix run nightly.yaml --yes\n  cargo xtask matrix run nightly.yaml --shard 2/8 --out /shared/tonight\n  cargo xtask matrix run nightly.yaml --only plain+operations --again\n  cargo xtask matrix run nightly.yaml --notify 'jq -c .changes >>/var/tmp/changes'"
)]
pub(super) struct Options {
    /// The matrix file.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    which: Which,

    /// Run cells that have ended once more, in the newest folder. What they said before stays: a pass
    /// after a failure makes a cell flaky.
    #[arg(long, conflicts_with = "new")]
    again: bool,

    /// Begin a new folder, whatever the last one lacks.
    #[arg(long, conflicts_with = "out")]
    new: bool,

    /// The matrix's folder, instead of one under target/ktwin/matrices.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Run each cell by this program, which is given the words of `cargo xtask run`, and not in this
    /// process; such as a script that goes to another machine.
    #[arg(long, value_name = "PROGRAM")]
    runner: Option<PathBuf>,

    #[command(flatten)]
    record: record::Recording,

    /// Print what became of the cells as one JSON object, and nothing else, on stdout.
    #[arg(long)]
    json: bool,

    /// Install missing host packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(options: Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let recorder = options.record.recorder()?;
    let (_, plan) = select::load(&options.file, &cancel)?;
    let wanted = options.which.of(&plan)?;
    let root = select::root();
    let folder = match (&options.out, options.again) {
        (None, true) => Folder::again(plan, &root)?,
        (out, _) => Folder::to_run(plan, out.as_deref(), &root, &wanted, options.new)?,
    };
    if let Some(at) = folder.ended(&wanted)?.filter(|_| !options.again) {
        let day = at.split('T').next().unwrap_or_default();
        ui::warn(&format!(
            "all of these cells had ended on {day}, and nothing is run: name another folder with --out, or \
             run them once more with --again"
        ));
    }
    let cache = Cache::open()?;
    let runner = options.runner.as_deref();
    if runner.is_none() {
        host::prepare(&cache, &cancel, options.yes)?;
    }
    let how = How {
        again: options.again,
        runner,
        recorder: Some(&recorder),
    };
    let stopped = cells(&folder, &wanted, &how, &cache, &cancel)?;
    let summary = folder.summary()?;
    folder.keep(&summary)?;
    let own = only(&summary, &wanted);
    if options.json {
        ui::out(&serde_json::to_string(&own)?);
    } else {
        let format = Format::Term {
            colour: ui::Paint::stdout().is_on(),
        };
        ui::out(report::render_matrix(format, &own)?.trim_end());
    }
    github::annotate(&own);
    github::summarize(&own)?;
    Ok(code(stopped, &own))
}

/// How cells are run.
pub(super) struct How<'a> {
    /// Those that have ended once more.
    pub(super) again: bool,
    /// By this program, and not in this process.
    pub(super) runner: Option<&'a Path>,
    /// Who records them; nobody on a cluster, whose machines may not share a database.
    pub(super) recorder: Option<&'a Recorder>,
}

/// Remembers how long cells took, and records their runs.
struct Remembering<'a> {
    before: Remembered,
    recorder: Option<&'a Recorder>,
    watcher: &'a dyn Watcher,
}

impl Hears for Remembering<'_> {
    fn took(&mut self, cell: &Cell, seconds: f64) {
        if let Err(error) = self.before.add(cell, seconds) {
            let what = format!("what {} took is not remembered", cell.id);
            record::warn(self.watcher, &what, &error);
        }
    }

    fn left(&mut self, _: &Cell, attempts: &[Left]) {
        if let Some(recorder) = self.recorder {
            attempts
                .iter()
                .for_each(|left| recorder.attempt(left, self.watcher));
        }
    }
}

/// Runs cells of a folder, remembers how long they took, and records them.
pub(super) fn cells(
    folder: &Folder,
    wanted: &[usize],
    how: &How<'_>,
    cache: &Cache,
    cancel: &Cancel,
) -> Result<Stopped> {
    let progress = ui::Progress::new();
    progress.event(&Event::Note(format!(
        "matrix in {}",
        folder.dir().display()
    )));
    let work = Work {
        folder,
        wanted,
        again: how.again,
        cancel,
        watcher: &progress,
    };
    let mut hears = Remembering {
        before: Remembered::read(cache),
        recorder: how.recorder,
        watcher: &progress,
    };
    let mut choose = ui::chooser(cancel);
    let mut runner: Box<dyn Runner + '_> = match how.runner {
        Some(program) => Box::new(matrix::Command {
            program: program.to_owned(),
        }),
        None => Box::new(matrix::InProcess {
            cache,
            watcher: &progress,
            choose: &mut choose,
        }),
    };
    let stopped = matrix::run(&work, &mut *runner, &mut hears);
    progress.finish();
    Ok(stopped?)
}

/// The summary of these cells alone.
pub(super) fn only(summary: &Summary, wanted: &[usize]) -> Summary {
    let cells = wanted.iter().map(|at| summary.cells[*at].clone());
    Summary::over(&summary.name, cells.collect(), summary)
}

/// The exit code over all cells of a summary.
pub(super) fn code(stopped: Stopped, summary: &Summary) -> u8 {
    let outcomes: Vec<_> = summary
        .cells
        .iter()
        .map(matrix::CellSummary::counting)
        .collect();
    matrix::exit_code(stopped, &outcomes)
}
