//! `claims`: what a patch claims, measured.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use harness::{
    Error,
    cache::Cache,
    claims::{self, Claimed, Claims, Runs},
    engine::{self, Made, Request},
    exit,
    judge::verdict::Outcome,
    report::{self, Format},
};

use super::run;
use crate::{host, ui};

/// What is measured where no file is named.
const DEFAULT: &str = "scenarios/fuse-backing/claims.yaml";

/// A patch's claims, measured.
///
/// A file lists what a patch claims, by which runs it is measured and within what tolerance. The runs
/// are made, and each claim holds, does not hold, or cannot be told. A claim that does not hold is a
/// result, not an error.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask claims\n  cargo xtask claims --only C1 --only C4\n  cargo xtask claims my/claims.yaml --kernel ~/linux --out out\n\nExit codes: 0 every claim was measured, 3 of some it cannot be told, 2 bad input, 4 the host's fault, 5 the patch cannot be tested, 130 interrupted."
)]
pub(crate) struct Options {
    /// The file of claims, instead of the first subject's.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// This claim only; may be given several times.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,

    /// A kernel tree, a tarball, or a Debian source package by name; without, the newest such package
    /// to which the patch applies.
    #[arg(long, value_name = "TREE|TARBALL|PACKAGE")]
    kernel: Option<PathBuf>,

    /// Use the source package that the subject's kernel.lock names.
    #[arg(long, conflicts_with = "kernel")]
    locked: bool,

    /// Seeds every random choice; printed, so that the runs can be repeated.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Keep the runs there, a folder each; those that have ended there are not made again.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Print what came of them as one JSON object, and nothing else, on stdout.
    #[arg(long)]
    json: bool,

    /// Install missing host packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let file = match &options.file {
        Some(file) => file.clone(),
        None => engine::Home::here().top().join(DEFAULT),
    };
    let claims = only(claims::load(&file)?, &options.only)?;
    let request = Request {
        kernel: run::kernel(options.kernel.as_deref(), options.locked),
        seed: options.seed.unwrap_or_else(run::fresh_seed),
        out: options.out.clone(),
        keep_going: true,
        ..Request::default()
    };
    let cache = Cache::open()?;
    host::prepare(&cache, &cancel, options.yes)?;
    let progress = ui::Progress::new();
    let made = engine::measure_claims(
        &claims,
        &request,
        &cache,
        &cancel,
        &progress,
        &mut ui::chooser(&cancel),
    );
    progress.finish();
    let Made { runs, failed } = made?;
    if runs.is_empty()
        && let Some(error) = failed
    {
        return Err(error.into());
    }
    let claimed = claims::judge(&claims, &runs);
    let format = match options.json {
        true => Format::Json,
        false => Format::Term {
            colour: ui::Paint::stdout().is_on(),
        },
    };
    ui::out(report::render_claims(format, &claimed)?.trim_end());
    match failed {
        Some(error) => Err(error.into()),
        None if cancel.is_cancelled() => Ok(exit::INTERRUPTED),
        None => Ok(code(&runs, &claimed)),
    }
}

/// The exit code: runs that could not be made say more than what cannot be told for want of them.
fn code(runs: &Runs, claimed: &[Claimed]) -> u8 {
    let ended = |outcome| runs.values().any(|(verdict, _)| verdict.outcome == outcome);
    let unknown = |claim: &Claimed| {
        let mut checks = claim.checks.iter();
        checks.any(|check| check.judgement == claims::Outcome::CannotTell)
    };
    let row = [
        Outcome::Interrupted,
        Outcome::Untestable,
        Outcome::Infrastructure,
    ];
    match row.into_iter().find(|outcome| ended(*outcome)) {
        Some(outcome) => exit::of_outcome(outcome),
        None if claimed.iter().any(unknown) => exit::INCONCLUSIVE,
        None => exit::PASS,
    }
}

/// The claims that were asked for.
fn only(mut claims: Claims, ids: &[String]) -> Result<Claims> {
    for id in ids {
        if claims.claims.iter().all(|claim| claim.id != *id) {
            let known = claims.claims.iter().map(|claim| claim.id.as_str());
            let mend = harness::scenario::did_you_mean(id, known);
            return Err(Error::input(format!("no claim {id:?}")).mend(mend).into());
        }
    }
    let wanted = |id: &String| ids.is_empty() || ids.contains(id);
    claims.claims.retain(|claim| wanted(&claim.id));
    Ok(claims)
}
