//! `matrix submit`, and what its jobs run.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use harness::{
    Error,
    cache::Cache,
    engine, exit,
    matrix::{self, Folder},
};

use super::{
    run::{How, cells, code, only},
    select::{self, Which},
};
use crate::{host, ui};

/// A job that Slurm began anew more often than this is given up: what ends its nodes may be the cell.
const MOST_RESTARTS: u32 = 5;

/// Hand the cells that have not ended to a cluster.
///
/// Slurm runs them as job arrays: one that builds, and for each base kernel one with its cells, which
/// waits for its build. Nodes need this checkout, the cache (KTWIN_CACHE) and the matrix's folder at the
/// same paths. A node that fails has its tasks begun anew elsewhere.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask matrix submit nightly.yaml --engine slurm --out /shared/tonight\n  cargo xtask matrix status /shared/tonight"
)]
pub(super) struct Submit {
    /// The matrix file.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What runs the jobs.
    #[arg(long, value_enum, default_value_t = Engine::Slurm)]
    engine: Engine,

    /// The matrix's folder, instead of one under target/ktwin/matrices.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Begin a new folder, whatever the last one lacks.
    #[arg(long, conflicts_with = "out")]
    new: bool,

    /// Run each cell by this program, which is given the words of `cargo xtask run`.
    #[arg(long, value_name = "PROGRAM")]
    runner: Option<PathBuf>,

    /// Print the jobs as one JSON object, and nothing else, on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Engine {
    Slurm,
}

/// One task of a job that `submit` made.
#[derive(Debug, Args)]
pub(super) struct Task {
    /// The matrix's folder.
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Which group of cells that share a base kernel, from 0.
    #[arg(long, value_name = "N")]
    group: usize,

    /// Run the group's cell of this number, from 0.
    #[arg(long, value_name = "N", required_unless_present = "build")]
    cell: Option<usize>,

    /// Build the group's kernels instead.
    #[arg(long, conflicts_with = "cell")]
    build: bool,

    /// Run the cell by this program.
    #[arg(long, value_name = "PROGRAM")]
    runner: Option<PathBuf>,
}

pub(super) fn submit(options: Submit) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let Engine::Slurm = options.engine;
    let (matrix, plan) = select::load(&options.file, &cancel)?;
    let all = Which {
        shard: None,
        only: Vec::new(),
    };
    let wanted = all.of(&plan)?;
    let (out, root) = (options.out.as_deref(), select::root());
    let folder = Folder::to_run(plan, out, &root, &wanted, options.new)?;
    let runner = options.runner.map(|runner| std::path::absolute(&runner));
    let submitted = matrix::submit(
        &folder,
        &matrix.slurm,
        &env::current_exe().context("failed to find this program")?,
        engine::Home::here().top(),
        Cache::open()?.root(),
        runner.transpose()?.as_deref(),
        &cancel,
    )?;
    if options.json {
        let jobs = serde_json::json!({ "dir": folder.dir(), "jobs": submitted });
        ui::out(&jobs.to_string());
    } else {
        for job in &submitted {
            ui::out(&format!("{}  {}, {} tasks", job.job, job.name, job.tasks));
        }
        ui::say(&format!(
            "cargo xtask matrix status {}",
            folder.dir().display()
        ));
    }
    Ok(exit::PASS)
}

pub(super) fn task(options: Task) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let folder = Folder::open(&options.dir)?;
    let groups = folder.plan().groups();
    let wanted = match (groups.get(options.group), options.cell) {
        (Some(group), None) => group.clone(),
        (Some(group), Some(cell)) => group.get(cell).copied().into_iter().collect(),
        (None, _) => Vec::new(),
    };
    if wanted.is_empty() {
        let what = format!("{} has no such task", folder.dir().display());
        return Err(Error::input(what).into());
    }
    let cache = Cache::open()?;
    if options.runner.is_none() {
        host::prepare(&cache, &cancel, false)?;
    }
    if options.build {
        let progress = ui::Progress::new();
        let mut built = Ok(());
        for at in wanted {
            let request = folder.plan().cells[at].cell.request();
            // What one lacks is for its cell to tell; the others are built all the same.
            let one = engine::build(
                &request,
                &cache,
                &cancel,
                &progress,
                &mut ui::chooser(&cancel),
            );
            built = built.and(one);
            cancel.check()?;
        }
        progress.finish();
        return Ok(built.map(|()| exit::PASS)?);
    }
    if restarts() > MOST_RESTARTS {
        let reason = format!("Slurm began its job anew more than {MOST_RESTARTS} times");
        for at in &wanted {
            matrix::give_up(&folder, *at, &reason, &cancel)?;
        }
    }
    let how = How {
        again: false,
        runner: options.runner.as_deref(),
        recorder: None,
    };
    let stopped = cells(&folder, &wanted, &how, &cache, &cancel)?;
    let summary = folder.summary()?;
    folder.keep(&summary)?;
    Ok(code(stopped, &only(&summary, &wanted)))
}

/// How often Slurm began this job anew.
fn restarts() -> u32 {
    let count = env::var("SLURM_RESTART_COUNT").ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}
