//! What every command does before its work: signals, the cache, missing packages.

use std::{
    fs,
    io::{self, IsTerminal, Write},
};

use anyhow::{Context, Result};
use harness::{Error, cache::Cache, cancel::Cancel, host::doctor};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use xshell::{Shell, cmd};

use crate::ui;

/// A flag that Ctrl-C and its kin set; a second one ends the process at once (its children end
/// with it). A terminal that goes away is none where nohup has that ignored.
pub(crate) fn cancel_on_signals() -> Result<Cancel> {
    let cancel = Cancel::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if signal == SIGHUP && ignores(&status, signal) {
            continue;
        }
        // A terminal that goes away says so twice, the shell's way and the kernel's.
        if signal != SIGHUP {
            let code = i32::from(harness::exit::INTERRUPTED);
            signal_hook::flag::register_conditional_shutdown(signal, code, cancel.flag())
                .context("failed to watch for signals")?;
        }
        signal_hook::flag::register(signal, cancel.flag())
            .context("failed to watch for signals")?;
    }
    Ok(cancel)
}

/// Whether a process ignores a signal, by its `/proc/PID/status`: a mask in hex, signal 1 lowest.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Checks that the host has everything; installs what is missing where the user allows it: `yes`
/// allows, a terminal asks, anything else stops with the command.
pub(crate) fn prepare(cache: &Cache, cancel: &Cancel, yes: bool) -> Result<()> {
    prepare_for(&[], cache, cancel, yes)
}

/// The same, with what only some commands need.
pub(crate) fn prepare_for(
    extras: &[doctor::Extra],
    cache: &Cache,
    cancel: &Cancel,
    yes: bool,
) -> Result<()> {
    let report = doctor::examine(cache.root(), extras, cancel);
    if report.healthy() {
        return Ok(());
    }
    let allowed = !report.packages.is_empty() && (yes || ask(&report)?);
    // Ctrl-C leaves a prompt waiting for its line: what is said after it is no answer.
    cancel.check()?;
    if allowed {
        install(&report)?;
        let again = doctor::examine(cache.root(), extras, cancel);
        return if again.healthy() {
            Ok(())
        } else {
            Err(sick(&again).into())
        };
    }
    Err(sick(&report).into())
}

/// Installs missing packages; their installer's words go to stderr.
pub(crate) fn install(report: &doctor::Report) -> Result<()> {
    let shell = Shell::new()?;
    shell.set_var("DEBIAN_FRONTEND", "noninteractive");
    let commands = report.commands()?;
    let last = commands.len().saturating_sub(1);
    for (at, words) in commands.iter().enumerate() {
        ui::say(&format!("running {}", words.join(" ")));
        let (program, args) = (&words[0], &words[1..]);
        // stdout is the verdict's alone: what an installer says goes to stderr.
        let done = cmd!(shell, "sh -c 'exec \"$@\" >&2' sh {program} {args...}")
            .quiet()
            .run();
        if at == last {
            done.context("failed to install what is missing")?;
        }
    }
    Ok(())
}

fn ask(report: &doctor::Report) -> Result<bool> {
    let Some(command) = report.mend() else {
        return Ok(false);
    };
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    ui::say(&format!("this host lacks {}", report.packages.join(", ")));
    ui::ask(&format!("run `{command}`? [y/N] "))?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn sick(report: &doctor::Report) -> Error {
    let missing: Vec<_> = report
        .lines
        .iter()
        .filter(|l| l.health == doctor::Health::Missing)
        .map(|l| format!("{} ({})", l.what, l.detail))
        .collect();
    let error = Error::infrastructure(format!("this host lacks {}", missing.join(", ")));
    match (report.mend(), report.first_mend()) {
        (Some(install), _) => error.mend(format!(
            "{install}\n(or give --yes, and it is done for you)"
        )),
        (None, Some(mend)) => error.mend(mend),
        (None, None) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_had_ignored_is() {
        let status = "Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, SIGHUP));
        assert!(!ignores(status, SIGINT) && !ignores(status, SIGTERM));
        assert!(!ignores("", SIGHUP));
    }
}
