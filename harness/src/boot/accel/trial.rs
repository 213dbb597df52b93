//! One timed boot, followed until the agent says hello.

use std::{
    ffi::OsString,
    time::{Duration, Instant},
};

use protocol::GuestMessage;
use tokio::io::AsyncReadExt;

use crate::{
    Result,
    boot::machine::Machine,
    cancel::Cancel,
    collect::LastLines,
    drive::{Exit, Line, Lines},
};

/// How a trial went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Went {
    /// The agent said hello.
    Hello(Duration),
    /// QEMU ended first; with the line of the kernel's panic.
    Ended(Exit, Option<String>),
    /// Time ran out; with what QEMU complained about, else the console's last line.
    TimedOut(Option<String>),
}

/// Starts a machine, and ends it once it is clear how it goes.
pub(super) async fn follow(line: &[OsString], limit: Duration, cancel: &Cancel) -> Result<Went> {
    let mut machine = Machine::start(line)?;
    let mut console = LastLines::default();
    let mut complaints = LastLines::default();
    let mut lines = Lines::new(protocol::MAX_LINE);
    let (mut from_console, mut from_agent, mut from_stderr) = ([0; 4096], [0; 4096], [0; 4096]);
    let (mut console_open, mut agent_open, mut stderr_open) = (true, true, true);
    let started = Instant::now();
    while started.elapsed() < limit {
        cancel.check()?;
        // A read that fails is the other side's end, as one of no bytes is.
        tokio::select! {
            n = machine.console.read(&mut from_console), if console_open => {
                let n = n.unwrap_or(0);
                console_open = n > 0;
                console.feed(&from_console[..n]);
            }
            n = machine.agent.read(&mut from_agent), if agent_open => {
                let n = n.unwrap_or(0);
                agent_open = n > 0;
                let mut hello = false;
                lines.feed(&from_agent[..n], &mut |line| hello |= is_hello(&line));
                if hello {
                    return Ok(Went::Hello(started.elapsed()));
                }
            }
            n = machine.stderr.read(&mut from_stderr), if stderr_open => {
                let n = n.unwrap_or(0);
                stderr_open = n > 0;
                complaints.feed(&from_stderr[..n]);
            }
            status = machine.process.wait(), if !console_open && !agent_open && !stderr_open => {
                let exit = Exit::new(status?, complaints.lines().join("\n"));
                return Ok(Went::Ended(exit, console.panic().map(str::to_owned)));
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    let complaint = complaints.lines().into_iter().next();
    Ok(Went::TimedOut(complaint.or_else(|| console.lines().pop())))
}

fn is_hello(line: &Line) -> bool {
    matches!(line, Line::Message(message, _) if matches!(**message, GuestMessage::Hello(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn went(limit: u64, script: &str) -> Went {
        let line = ["sh", "-c", script].map(OsString::from);
        let limit = Duration::from_secs(limit);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(follow(&line, limit, &Cancel::new()))
            .unwrap()
    }

    #[test]
    fn a_trial_reaches_hello_or_says_why_not() {
        let hello = r#"{"type":"hello","protocol":1,"kernel":"7","agent":"1"}"#;
        let hello = went(
            60,
            &format!("echo '[ 0.1] Linux version 7'; echo '{hello}' >&0; sleep 99"),
        );
        assert!(matches!(hello, Went::Hello(_)), "{hello:?}");
        let aborted = went(60, "echo 'error: failed to set MSR' >&2; exit 1");
        assert!(
            matches!(&aborted, Went::Ended(exit, None) if exit.code == Some(1) && exit.stderr.contains("MSR")),
            "{aborted:?}"
        );
        let panicked = went(60, "echo '[ 0.1] Kernel panic - not syncing: x'");
        assert!(
            matches!(&panicked, Went::Ended(_, Some(panic)) if panic.ends_with(": x")),
            "{panicked:?}"
        );
    }

    #[test]
    fn a_trial_that_hangs_says_how_far_it_came() {
        let table = [
            ("sleep 99", None),
            ("echo one; echo two; sleep 99", Some("two")),
            (
                "echo 'KVM internal error' >&2; echo more >&2; echo one; sleep 99",
                Some("KVM internal error"),
            ),
        ];
        for (script, last) in table {
            let went = went(2, script);
            assert_eq!(went, Went::TimedOut(last.map(str::to_owned)), "{script}");
        }
    }
}
