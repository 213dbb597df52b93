//! Outcomes, statuses, kinds and figures in words.

use super::page::Tone;
use crate::judge::verdict::{Judgement, Kind, Outcome, Status};

/// An outcome's word, as in `verdict.json`.
pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Regression => "regression",
        Outcome::Inconclusive => "inconclusive",
        Outcome::Infrastructure => "infrastructure",
        Outcome::Untestable => "untestable",
        Outcome::Interrupted => "interrupted",
    }
}

/// What an outcome means.
pub(super) fn outcome_meaning(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "nothing new on the variant, and everything was exercised",
        Outcome::Regression => "the variant shows what base does not",
        Outcome::Inconclusive => "no verdict either way; the reasons say why",
        Outcome::Infrastructure => "the host's or the harness's fault, not the patch's",
        Outcome::Untestable => "the variant does not apply, build or boot",
        Outcome::Interrupted => "stopped before it was done",
    }
}

pub(super) fn outcome_tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Pass => Tone::Good,
        Outcome::Regression | Outcome::Untestable => Tone::Bad,
        Outcome::Inconclusive | Outcome::Infrastructure | Outcome::Interrupted => Tone::Doubt,
    }
}

/// A finding's status, as readers are to take it: what is accepted is of less weight.
pub(super) fn counted(one: Status, accepted: bool) -> (&'static str, Tone) {
    match accepted {
        true => ("accepted", Tone::Quiet),
        false => status(one),
    }
}

pub(super) fn status(status: Status) -> (&'static str, Tone) {
    match status {
        Status::New => ("new", Tone::Bad),
        Status::Unconfirmed => ("unconfirmed", Tone::Doubt),
        Status::Common => ("common", Tone::Quiet),
        Status::Fixed => ("fixed", Tone::Good),
    }
}

pub(super) fn judgement(judgement: Judgement) -> (&'static str, Tone) {
    match judgement {
        Judgement::Equivalent => ("equivalent", Tone::Good),
        Judgement::Better => ("better", Tone::Good),
        Judgement::Worse => ("worse", Tone::Bad),
        Judgement::Unclear => ("unclear", Tone::Doubt),
    }
}

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Splat => "splat",
        Kind::WrongData => "wrong-data",
        Kind::Leak => "leak",
        Kind::Memory => "memory",
        Kind::Hang => "hang",
        Kind::Slower => "slower",
        Kind::BootFailed => "boot-failed",
        Kind::BuildFailed => "build-failed",
        Kind::PatchRejected => "patch-rejected",
        Kind::CommandFailed => "command-failed",
    }
}

/// `12,345`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A figure at three digits or so: `12,345`, `1.23`.
pub(crate) fn figure(n: f64) -> String {
    match n.abs() {
        size if size.is_nan() || size >= 1e15 => format!("{n:.2e}"),
        size if size >= 100.0 => {
            let sign = if n < 0.0 { "-" } else { "" };
            // Below 1e15, as the arm above says.
            format!("{sign}{}", count(size.round() as u64))
        }
        size if size >= 10.0 => format!("{n:.1}"),
        _ => format!("{n:.2}"),
    }
}

/// A duration: `12.3 s`, `4 min 5 s`, `1 h 2 min`.
pub(super) fn span(seconds: f64) -> String {
    if !(0.0..1e12).contains(&seconds) {
        return "unknown".to_owned();
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `1 CPU`, `2 CPUs`.
pub(super) fn plural(n: u64, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        _ => format!("{} {one}s", count(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(
            [0, 7, 999, 1000, 1_234_567].map(count),
            ["0", "7", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0.0, 1.234, 12.34, 123.4, 12_345.6, -5.0, -500.0].map(figure),
            ["0.00", "1.23", "12.3", "123", "12,346", "-5.00", "-500"]
        );
        assert_eq!(figure(1e300), "1.00e300");
        assert_eq!(figure(f64::NAN), "NaN");
    }

    #[test]
    fn spans() {
        assert_eq!(
            [0.0, 59.94, 61.0, 3661.0, -1.0, f64::NAN, 1e300].map(span),
            [
                "0.0 s",
                "59.9 s",
                "1 min 1 s",
                "1 h 1 min",
                "unknown",
                "unknown",
                "unknown"
            ]
        );
    }

    #[test]
    fn kinds_are_called_as_in_the_verdict() {
        for one in [
            Kind::Splat,
            Kind::WrongData,
            Kind::BootFailed,
            Kind::CommandFailed,
        ] {
            assert_eq!(serde_json::to_value(one).unwrap(), kind(one));
        }
        for one in [Outcome::Pass, Outcome::Infrastructure, Outcome::Interrupted] {
            assert_eq!(serde_json::to_value(one).unwrap(), outcome_word(one));
        }
        for one in [
            Status::New,
            Status::Unconfirmed,
            Status::Common,
            Status::Fixed,
        ] {
            assert_eq!(serde_json::to_value(one).unwrap(), status(one).0);
        }
    }
}
