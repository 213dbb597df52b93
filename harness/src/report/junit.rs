//! A verdict as JUnit's XML, as CI systems read it.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::{
    boots::{self, Boot},
    content,
    escape::junit,
    words,
};
use crate::{
    Result,
    error::Context,
    judge::verdict::{Comparison, Finding, Outcome, Status, Verdict},
};

/// Lines of a trace that a test case holds.
const TRACE: usize = 60;

/// A suite for each comparison: its outcome is a case, and so is each finding. What is no pass and no
/// regression is an error, so that no reader takes it for a pass.
pub(super) fn render(verdict: &Verdict, boots: &[Boot]) -> Result<String> {
    let mut report = Report::new("ktwin");
    report.set_time(seconds(verdict.elapsed_s));
    let comparisons = verdict.comparisons.iter();
    report.add_test_suites(comparisons.map(|one| suite(verdict, one, boots)));
    let text = report
        .to_string()
        .host(|| "failed to write JUnit's XML".to_owned())?;
    // None is skipped, and the schema that Jenkins refuses reports by has no such count of the whole.
    Ok(text.replacen(" skipped=\"0\"", "", 1))
}

fn suite(verdict: &Verdict, one: &Comparison, boots: &[Boot]) -> TestSuite {
    let mut suite = TestSuite::new(junit(&content::about(one)));
    for (name, text) in content::facts(verdict) {
        suite.add_property(Property::new(junit(&name), junit(&text.text)));
    }
    for measure in &one.measures {
        let sides = [("base", &measure.base), (&one.variant, &measure.variant)];
        for (side, sample) in sides {
            if let Some(median) = sample.median {
                let name = format!("{}, {} ({side})", measure.name, measure.unit);
                suite.add_property(Property::new(junit(&name), median.to_string()));
            }
        }
    }
    let class = format!("{}.{}.{}", one.config, one.scenario, one.variant);
    let mut case = TestCase::new("outcome", outcome(one));
    case.set_classname(junit(&class));
    suite.add_test_case(case);
    suite.add_test_cases(one.findings.iter().map(|finding| {
        let mut case = TestCase::new(junit(&finding.title), status(finding, boots));
        case.set_classname(junit(&format!("{class}.{}", words::kind(finding.kind))));
        case.set_system_out(junit(&said(finding)));
        case
    }));
    suite
}

fn outcome(one: &Comparison) -> TestCaseStatus {
    let kind = match one.outcome {
        Outcome::Pass => return TestCaseStatus::success(),
        Outcome::Regression | Outcome::Untestable => NonSuccessKind::Failure,
        Outcome::Inconclusive | Outcome::Infrastructure | Outcome::Interrupted => {
            NonSuccessKind::Error
        }
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(words::outcome_word(one.outcome));
    status.set_message(words::outcome_meaning(one.outcome));
    if !one.reasons.is_empty() {
        status.set_description(junit(&one.reasons.join("\n")));
    }
    status
}

fn status(finding: &Finding, boots: &[Boot]) -> TestCaseStatus {
    if !finding.counts() {
        return TestCaseStatus::success();
    }
    let kind = match finding.status {
        Status::New => NonSuccessKind::Failure,
        _ => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(words::status(finding.status).0);
    status.set_message(junit(&finding.why));
    let trace = boots::evidence(boots, finding).map(|(_, splat)| splat.text(TRACE));
    let detail = [finding.detail.clone(), trace.unwrap_or_default()];
    let detail: Vec<String> = detail.into_iter().filter(|text| !text.is_empty()).collect();
    if !detail.is_empty() {
        status.set_description(junit(&detail.join("\n")));
    }
    status
}

/// Of a duration that may be anything.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// A finding's status, how often, where.
fn said(finding: &Finding) -> String {
    let (status, _) = words::counted(finding.status, finding.accepted.is_some());
    let why = finding.accepted.as_ref().unwrap_or(&finding.why);
    let parts = [why, &finding.evidence];
    let parts = parts.into_iter().filter(|text| !text.is_empty());
    let parts: Vec<&str> = parts.map(String::as_str).collect();
    format!("{status}, {} times: {}", finding.count, parts.join("; "))
}
