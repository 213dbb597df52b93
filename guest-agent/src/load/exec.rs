//! A program of the user's, as root.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use protocol::{Exec, ExecResult, FindingKind, GuestMessage};

use super::run::{Context, Ended};
use crate::{
    job::{self, CpuTime, Outcome},
    reap::End,
    tools,
};

/// How much of a program's output is sent at once, in bytes a second: the channel is others', too.
const LIVE: usize = 64 << 10;
/// How much of it in all: an eighth of what the host takes from an agent, as each byte may take six.
const LIVE_IN_ALL: usize = 32 << 20;
/// What a message takes besides its text, amply.
const MESSAGE: usize = 64;
/// What stands for output that was not sent.
const LEFT_OUT: &str = "\n[... left out ...]\n";

/// All the environment there is.
pub(super) const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("TERM", "dumb"),
];

/// Runs it, within the limit.
pub(crate) fn run(load: &Context<'_>, wanted: &Exec, limit: Duration) -> Result<Ended> {
    let (program, arguments) = wanted
        .command
        .split_first()
        .context("a command without a program")?;
    let cpu = Arc::new(CpuTime::default());
    load.heart.watch(load.phase, cpu.clone());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(ENVIRONMENT.iter().copied())
        .current_dir(home_of(Path::new(program)));
    let mut live = Live::new();
    let out = load.out.clone();
    let outcome = job::run(&mut command, limit, load.stop, &cpu, move |bytes| {
        live.take(bytes, Instant::now(), |text| {
            out.offer(&GuestMessage::Output { text })
        });
    });
    if let Some(title) = failure(program, &outcome, wanted.expect, load.stop.is_set()) {
        load.findings
            .report(FindingKind::CommandFailed, &title, || {
                format!("{}\n{}", wanted.command.join(" "), outcome.told())
            });
    }
    let stuck = stuck(program, &outcome);
    load.out
        .send(&GuestMessage::ExecResult(result(wanted, outcome)))?;
    Ok(Ended {
        progress: cpu,
        stuck,
    })
}

/// What of a program's output goes to the host at once.
struct Live {
    /// The start of a character whose end is still to come.
    begun: Vec<u8>,
    /// When a second began, and how much of its room is left.
    second: (Instant, usize),
    /// How much room is left in all.
    left: usize,
    /// Whether what came last was not sent.
    left_out: bool,
}

impl Live {
    fn new() -> Self {
        Self {
            begun: Vec::new(),
            second: (Instant::now(), LIVE),
            left: LIVE_IN_ALL,
            left_out: false,
        }
    }

    /// Takes a piece of output, and sends it where there is room; `send` says whether it had some, too.
    fn take(&mut self, bytes: &[u8], now: Instant, send: impl FnOnce(String) -> bool) {
        if now.saturating_duration_since(self.second.0) >= Duration::from_secs(1) {
            self.second = (now, LIVE);
        }
        self.begun.extend_from_slice(bytes);
        let whole = match str::from_utf8(&self.begun) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.begun.len(),
        };
        if whole == 0 {
            return;
        }
        let mark = if self.left_out { LEFT_OUT } else { "" };
        let text = format!("{mark}{}", String::from_utf8_lossy(&self.begun[..whole]));
        self.begun.drain(..whole);
        let size = text.len() + MESSAGE;
        let fits = size <= self.second.1.min(self.left);
        self.left_out = !(fits && send(text));
        if !self.left_out {
            self.second.1 -= size;
            self.left -= size;
        }
    }
}

/// A program of the user's own runs where it lies, so that it finds what lies
/// beside it; one of the system's runs in the root.
fn home_of(program: &Path) -> PathBuf {
    let own = program.is_absolute() && !tools::is_system(program);
    program
        .parent()
        .filter(|folder| own && folder.is_dir())
        .unwrap_or(Path::new("/"))
        .into()
}

/// The finding's title, if it failed: the same from run to run.
pub(super) fn failure(
    program: &str,
    outcome: &Outcome,
    expect: i32,
    stopped: bool,
) -> Option<String> {
    let name = name_of(program);
    match outcome.end {
        _ if stopped => None,
        _ if outcome.killed => Some(format!("{name} did not end within its limit")),
        Some(End::Code(code)) if code == expect => None,
        Some(End::Code(code)) => Some(format!("{name} exited with {code}, not {expect}")),
        Some(End::Signal(signal)) => Some(format!("{name} was ended by signal {signal}")),
        None => Some(format!("{name} could not start")),
    }
}

/// Who is stuck: the program, where killing it did not end it.
pub(super) fn stuck(program: &str, outcome: &Outcome) -> Vec<String> {
    let stuck = outcome.stuck.then(|| name_of(program).into_owned());
    stuck.into_iter().collect()
}

fn name_of(program: &str) -> Cow<'_, str> {
    let name = Path::new(program).file_name();
    name.map_or(program.into(), |name| name.to_string_lossy())
}

fn result(wanted: &Exec, outcome: Outcome) -> ExecResult {
    ExecResult {
        command: wanted.command.clone(),
        code: outcome.end.and_then(|end| {
            if let End::Code(code) = end {
                Some(code)
            } else {
                None
            }
        }),
        signal: outcome.end.and_then(|end| {
            if let End::Signal(signal) = end {
                Some(signal)
            } else {
                None
            }
        }),
        error: outcome.error,
        output: outcome.output.text(),
        truncated: outcome.output.truncated,
        seconds: outcome.time.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Tail;

    fn outcome(end: Option<End>, killed: bool) -> Outcome {
        Outcome {
            end,
            error: None,
            killed,
            stood: String::new(),
            stuck: killed && end.is_none(),
            output: Tail::default(),
            time: Duration::ZERO,
        }
    }

    #[test]
    fn a_failure_is_named_after_the_program_and_how_it_ended() {
        for (end, killed, stopped, title) in [
            (Some(End::Code(3)), false, false, None),
            (
                Some(End::Code(0)),
                false,
                false,
                Some("repro exited with 0, not 3"),
            ),
            (
                Some(End::Signal(11)),
                false,
                false,
                Some("repro was ended by signal 11"),
            ),
            (
                Some(End::Signal(9)),
                true,
                false,
                Some("repro did not end within its limit"),
            ),
            (Some(End::Signal(9)), true, true, None),
            (
                None,
                true,
                false,
                Some("repro did not end within its limit"),
            ),
            (None, false, false, Some("repro could not start")),
        ] {
            assert_eq!(
                failure("/home/u/repro", &outcome(end, killed), 3, stopped).as_deref(),
                title
            );
        }
    }

    #[test]
    fn a_program_that_nothing_ends_is_stuck() {
        for (end, killed, named) in [
            (None, true, vec!["repro"]),
            (Some(End::Signal(9)), true, vec![]),
            (None, false, vec![]),
        ] {
            assert_eq!(stuck("/home/u/repro", &outcome(end, killed)), named);
        }
    }

    #[test]
    fn output_goes_to_the_host_in_whole_characters_and_not_without_end() {
        let mut live = Live::new();
        let now = Instant::now();
        let mut take = |bytes: &[u8], at: u64, open: bool| {
            let mut sent = None;
            live.take(bytes, now + Duration::from_secs(at), |text| {
                sent = Some(text).filter(|_| open);
                open
            });
            sent
        };
        assert_eq!(take(b"ok 1\n", 0, true).as_deref(), Some("ok 1\n"));
        assert_eq!(take(b"\xc3", 0, true), None);
        assert_eq!(
            take(b"\xa4\xff!", 0, true).as_deref(),
            Some("\u{e4}\u{fffd}!")
        );
        // What is not sent takes no room, and leaves a mark where the rest goes on.
        for (unsent, open) in [(&[b'x'; LIVE][..], true), (b"lost", false)] {
            assert_eq!(take(unsent, 0, open), None);
        }
        let marked = "\n[... left out ...]\nmore";
        assert_eq!(take(b"more", 0, true).as_deref(), Some(marked));
        assert_eq!(take(b"later", 2, true).as_deref(), Some("later"));
        let sent = |at| usize::from(take(&[b'x'; LIVE / 2], at, true).is_some());
        let sent: usize = (3..3000).map(sent).sum();
        assert!((900..=1024).contains(&sent), "{sent}");
    }

    #[test]
    fn a_program_of_the_systems_runs_in_the_root() {
        assert_eq!(home_of(Path::new("/usr/bin/true")), Path::new("/"));
        assert_eq!(home_of(Path::new("./repro")), Path::new("/"));
        let own = std::env::temp_dir().join("repro");
        assert_eq!(home_of(&own), std::env::temp_dir());
    }
}
