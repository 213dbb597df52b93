//! `test`: the project's tests, VM tests included.

use std::{env, time::Instant};

use anyhow::{Context, Result};
use clap::Args;
use harness::{cache::Cache, exit, host::doctor::Extra};
use xshell::{Shell, cmd};

use crate::{host, ui};

/// The project's tests, VM tests included.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cargo xtask test --yes\nThe fast tests alone are `cargo test`."
)]
pub(crate) struct Options {
    /// The long ones too: every config, both variants, both kernel versions.
    #[arg(long)]
    full: bool,

    /// Install missing host packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let extras: &[Extra] = match options.full {
        true => &[Extra::Tests, Extra::Slurm],
        false => &[Extra::Tests],
    };
    host::prepare_for(extras, &Cache::open()?, &cancel, options.yes)?;
    let shell = Shell::new()?;
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let started = Instant::now();
    ui::say("fast tests: units, tables, golden files");
    cmd!(shell, "{cargo} test --workspace --quiet")
        .quiet()
        .run()
        .context("the fast tests failed")?;
    cancel.check()?;
    ui::say(
        "VM tests: real kernels are built, booted and hammered; their output follows as it comes",
    );
    if options.full {
        shell.set_var("KTWIN_TEST_FULL", "1");
    }
    // One at a time: two guests on one machine would disturb each other's clocks.
    let vm = cmd!(
        shell,
        "{cargo} test --package xtask --test vm -- --test-threads=1 --nocapture"
    );
    vm.quiet().run().context("a VM test failed")?;
    cancel.check()?;
    ui::say(&format!(
        "all tests passed in {} s",
        started.elapsed().as_secs()
    ));
    Ok(exit::PASS)
}
