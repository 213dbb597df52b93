//! `test`: the project's tests, VM tests included.

use std::{env, time::Instant};

use anyhow::Result;
use clap::Args;
use harness::{
    Error,
    cache::Cache,
    cancel::Cancel,
    exit,
    host::{Cmd, doctor::Extra},
};

use crate::{host, ui};

/// What a check says that lacks a program.
const NOT_RUN: &str = "NOT RUN: ";

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
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let test = |args: &[&str]| Cmd::new(&cargo).arg("test").args(args);
    let started = Instant::now();
    ui::say("fast tests: units, tables, golden files");
    let fast = test(&["--workspace", "--quiet"]);
    step(&fast, "the fast tests failed", &cancel, ui::out)?;
    ui::say("reports, read by what they are for where that is installed");
    let mut not_run = Vec::new();
    let valid = test(&["--package", "xtask", "--test", "valid", "--quiet"]);
    let valid = valid.args(["--", "--nocapture"]);
    step(
        &valid,
        "a report is not what it should be",
        &cancel,
        |line| {
            not_run.extend(lacking(line).map(str::to_owned));
            ui::out(line);
        },
    )?;
    ui::say(
        "VM tests: real kernels are built, booted and hammered; their output follows as it comes",
    );
    // One at a time: two guests on one machine would disturb each other's clocks.
    let mut vm = test(&["--package", "xtask", "--test", "vm"]);
    vm = vm.args(["--", "--test-threads=1", "--nocapture"]);
    if options.full {
        vm = vm.env("KTWIN_TEST_FULL", "1");
    }
    step(&vm, "a VM test failed", &cancel, ui::out)?;
    ui::say(&format!(
        "all tests passed in {} s",
        started.elapsed().as_secs()
    ));
    for what in not_run {
        ui::say(&format!("  but not run: {what}"));
    }
    Ok(exit::PASS)
}

/// Runs one step, in a process group that ends with us, and shows each line as it comes.
fn step(cmd: &Cmd, failed: &str, cancel: &Cancel, show: impl FnMut(&str)) -> Result<()> {
    let output = cmd.lines(cancel, show)?;
    // The user's wish may have come as the step ended: its result is then nobody's.
    cancel.check()?;
    match output.success() {
        true => Ok(()),
        false => Err(Error::infrastructure(format!("{failed}: `{}`", cmd.line())).into()),
    }
}

/// What was not run, and what it lacks. The test runner may have begun the line.
fn lacking(line: &str) -> Option<&str> {
    line.split_once(NOT_RUN).map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    fn sh(script: &str) -> Cmd {
        Cmd::new("sh").args(["-c", script])
    }

    fn code(cmd: &Cmd, cancel: &Cancel) -> u8 {
        let done = step(cmd, "it failed", cancel, |_| {});
        done.map_or_else(|error| crate::exit_code(&error), |()| exit::PASS)
    }

    #[test]
    fn a_step_that_the_user_stops_is_interrupted_and_ends() {
        let cancel = Cancel::new();
        assert_eq!(code(&sh("exit 0"), &cancel), exit::PASS);
        assert_eq!(code(&sh("exit 101"), &cancel), exit::INFRASTRUCTURE);
        let other = cancel.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            other.cancel();
        });
        let started = Instant::now();
        // Descendants end with it.
        let stopped = code(&sh("sleep 60 & sleep 60"), &cancel);
        assert_eq!(stopped, exit::INTERRUPTED);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_was_not_run_is_found_wherever_the_runner_prints_it() {
        for (line, what) in [
            ("NOT RUN: JUnit: xmllint", Some("JUnit: xmllint")),
            ("test mail ... NOT RUN: mail: git", Some("mail: git")),
            ("..NOT RUN: mail: git", Some("mail: git")),
            ("test mail ... ok", None),
        ] {
            assert_eq!(lacking(line), what);
        }
    }
}
