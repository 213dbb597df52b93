//! The user's command that hears of outcomes that changed.

use std::{ffi::OsStr, path::Path, time::Duration};

use serde::Serialize;

use super::change::Change;
use crate::{
    Result,
    cancel::Cancel,
    error::Context,
    host::{Cmd, Output},
    judge::verdict::Verdict,
};

/// Names the command.
pub const NOTIFY: &str = "KTWIN_NOTIFY";
/// How long it may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What the command reads: one JSON object.
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    /// What changed.
    pub changes: &'a [Change],
    /// The run directory.
    pub dir: &'a Path,
    /// What is in its `verdict.json`.
    pub verdict: &'a Verdict,
}

/// Runs a command of the user's by `sh -c`, with the message on its stdin and nowhere else, and hands
/// every line that it prints to `each`. It may take 30 seconds; then its process group ends.
///
/// # Errors
/// The host's: it cannot be started, fails, or takes too long.
pub fn notify(command: &OsStr, message: &Message<'_>, each: impl FnMut(&str)) -> Result<()> {
    within(LIMIT, command, message, each)
}

fn within(
    limit: Duration,
    command: &OsStr,
    message: &Message<'_>,
    each: impl FnMut(&str),
) -> Result<()> {
    let doing = || "failed to write what changed as JSON".to_owned();
    let json = serde_json::to_vec(message).host(doing)?;
    let shell = Cmd::new("sh").arg("-c").arg(command).stdin(json);
    // A run that it begins is not to begin it.
    let shell = shell.env(NOTIFY, "").limit(limit);
    // Who stops a run wants to hear of what it had found by then.
    let output = shell.lines(&Cancel::new(), each)?;
    if output.success() {
        return Ok(());
    }
    // Its words were handed on.
    Err(shell.failed(&Output {
        code: output.code,
        signal: output.signal,
        ..Output::default()
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::Value;

    use super::*;
    use crate::{judge::verdict::Outcome, report::fixtures::sample};

    fn change() -> Change {
        Change {
            config: "kasan".into(),
            scenario: "race".into(),
            variant: "$(touch /tmp/no); `x`".into(),
            before: Some(Outcome::Pass),
            after: Outcome::Regression,
            before_run: Some("/runs/before".into()),
        }
    }

    fn run(limit: Duration, command: &str) -> (Result<()>, Vec<String>) {
        let (changes, verdict) = ([change()], sample());
        let message = Message {
            changes: &changes,
            dir: Path::new("/runs/now"),
            verdict: &verdict,
        };
        let mut lines = Vec::new();
        let ended = within(limit, command.as_ref(), &message, |line| {
            lines.push(line.to_owned());
        });
        (ended, lines)
    }

    #[test]
    fn the_message_comes_on_stdin_alone() {
        let (ended, lines) = run(LIMIT, "cat; echo; echo \"$#$KTWIN_NOTIFY\" >&2");
        ended.unwrap();
        assert!(lines.contains(&"0".to_owned()), "{lines:?}");
        let json = lines.iter().find(|line| line.starts_with('{')).unwrap();
        let told: Value = serde_json::from_str(json).unwrap();
        let expected = serde_json::json!([{
            "config": "kasan", "scenario": "race", "variant": "$(touch /tmp/no); `x`",
            "before": "pass", "after": "regression", "before_run": "/runs/before",
        }]);
        assert_eq!(told["changes"], expected);
        assert_eq!(told["dir"], "/runs/now");
        assert_eq!(told["verdict"], serde_json::to_value(sample()).unwrap());
    }

    #[test]
    fn one_that_fails_or_hangs_is_an_error() {
        let (ended, lines) = run(LIMIT, "echo oh; exit 3");
        let error = ended.unwrap_err().chain();
        assert!(
            error.contains("exit code 3") && !error.contains("oh\n"),
            "{error}"
        );
        assert_eq!(lines, ["oh"]);
        // Nobody need read what it is told.
        run(LIMIT, "exec <&-; true").0.unwrap();
        let temp = tempfile::tempdir().unwrap();
        let late = temp.path().join("late");
        let began = Instant::now();
        let hang = format!("(sleep 2; touch {}) & sleep 60", late.display());
        let (ended, _) = run(Duration::from_millis(300), &hang);
        assert!(ended.unwrap_err().chain().contains("did not end within"));
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(2500));
        assert!(!late.exists(), "its children end with it");
    }
}
