//! A verdict in the kernel's test format, KTAP version 1.

use std::fmt::Write;

use super::{
    boots::{self, Boot},
    content,
    escape::ktap,
    words,
};
use crate::judge::verdict::{Comparison, Finding, Outcome, Status, Verdict};

/// Lines of a trace that are shown.
const TRACE: usize = 60;

/// A result line's parts.
struct Result {
    good: bool,
    /// `XFAIL accepted: ...`.
    directive: String,
}

/// A test for each comparison, with a subtest for each finding and one for the outcome.
pub(super) fn render(verdict: &Verdict, boots: &[Boot]) -> String {
    let mut out = Lines::default();
    out.line("KTAP version 1");
    out.line(&format!("1..{}", verdict.comparisons.len()));
    for (name, text) in content::facts(verdict) {
        out.note(&format!("{name}: {}", text.text));
    }
    for (one, number) in verdict.comparisons.iter().zip(1..) {
        comparison(&mut out, one, number, boots);
    }
    out.text
}

fn comparison(out: &mut Lines, one: &Comparison, number: usize, boots: &[Boot]) {
    let name = content::about(one);
    out.deeper = true;
    out.line("KTAP version 1");
    out.line(&format!("# Subtest: {}", ktap(&name)));
    out.line(&format!("1..{}", one.findings.len() + 1));
    for (finding, number) in one.findings.iter().zip(1..) {
        for said in [&finding.why, &finding.detail, &finding.evidence] {
            if !said.is_empty() {
                out.note(&format!("said: {said}"));
            }
        }
        let trace = boots::evidence(boots, finding).filter(|_| finding.counts());
        for line in trace
            .map(|(_, splat)| splat.text(TRACE))
            .unwrap_or_default()
            .lines()
        {
            out.note(&format!("| {line}"));
        }
        out.result(&status(finding), number, &finding.title);
    }
    for reason in &one.reasons {
        out.note(&format!("why: {reason}"));
    }
    out.result(&outcome(one.outcome), one.findings.len() + 1, "outcome");
    out.deeper = false;
    out.result(&outcome(one.outcome), number, &name);
}

fn outcome(outcome: Outcome) -> Result {
    let word = words::outcome_word(outcome);
    let (good, directive) = match outcome {
        Outcome::Pass => (true, String::new()),
        Outcome::Regression | Outcome::Untestable => (false, word.to_owned()),
        Outcome::Inconclusive | Outcome::Infrastructure | Outcome::Interrupted => {
            (false, format!("ERROR {word}"))
        }
    };
    Result { good, directive }
}

fn status(finding: &Finding) -> Result {
    let (good, directive) = match (&finding.accepted, finding.status) {
        // A parser that does not know the directive falls back to the result, which must not fail
        // what holds it.
        (Some(why), _) => (true, format!("XFAIL accepted: {why}")),
        (None, Status::New) => (false, "new".to_owned()),
        (None, Status::Unconfirmed) => (false, "ERROR unconfirmed".to_owned()),
        (None, status) => (true, words::status(status).0.to_owned()),
    };
    Result { good, directive }
}

/// The lines so far.
#[derive(Default)]
struct Lines {
    text: String,
    /// Within a test.
    deeper: bool,
}

impl Lines {
    /// A line of ours, escaped where it holds anything foreign.
    fn line(&mut self, line: &str) {
        let indent = if self.deeper { "  " } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{indent}{line}");
    }

    /// A diagnostic line. It begins with a word of ours: what follows `# ` could be taken for the
    /// heading of a subtest otherwise.
    fn note(&mut self, text: &str) {
        self.line(format!("# {}", ktap(text)).trim_end());
    }

    fn result(&mut self, result: &Result, number: usize, name: &str) {
        let word = if result.good { "ok" } else { "not ok" };
        let name = ktap(name);
        // A name that begins with a dash would lose it.
        let line = format!("{word} {number} {}", name.trim_start_matches(['-', ' ']));
        match result.directive.as_str() {
            "" => self.line(line.trim_end()),
            directive => self.line(&format!("{} # {}", line.trim_end(), ktap(directive))),
        }
    }
}
