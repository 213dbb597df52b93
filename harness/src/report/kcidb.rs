//! A verdict for KernelCI's common database: checkouts, builds, tests, issues and incidents.

use serde_json::{Value, json};

use super::{
    boots::{self, Boot},
    content,
    escape::kcidb,
    words,
};
use crate::{
    Error, Result,
    error::Context,
    hash::hex_sha256,
    judge::verdict::{Comparison, Finding, Kind, Outcome, Status, Verdict},
};

/// The schema that it is written in.
const MAJOR: u32 = 5;
const MINOR: u32 = 3;
/// Characters of an excerpt; the schema takes 16384.
const EXCERPT: usize = 16_000;
/// Lines of a trace in one.
const TRACE: usize = 100;
/// Digits of a hash in an id.
const ID: usize = 24;

/// The report, as `kcidb-submit` takes it.
///
/// # Errors
/// Bad input: the origin is none; the host's otherwise.
pub(super) fn render(verdict: &Verdict, boots: &[Boot], origin: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if origin.is_empty() || !origin.chars().all(plain) {
        let error = Error::input(format!("{origin:?} is no origin"));
        return Err(error.mend("use lower-case letters, digits and _"));
    }
    let mut report = Report {
        origin,
        verdict,
        boots,
        run: digest(&[
            &verdict.kernel.tree_hash,
            &verdict.patch.sha256,
            &verdict.started,
            &verdict.seed.to_string(),
        ]),
        builds: Vec::new(),
        tests: Vec::new(),
        issues: Vec::new(),
        incidents: Vec::new(),
    };
    for (one, number) in verdict.comparisons.iter().zip(1..) {
        report.comparison(one, number);
    }
    let whole = json!({
        "version": {"major": MAJOR, "minor": MINOR},
        "checkouts": [report.checkout()],
        "builds": report.builds,
        "tests": report.tests,
        "issues": report.issues,
        "incidents": report.incidents,
    });
    let text = serde_json::to_string_pretty(&whole);
    Ok(text.host(|| "failed to write the report for KCIDB".to_owned())? + "\n")
}

struct Report<'a> {
    origin: &'a str,
    verdict: &'a Verdict,
    boots: &'a [Boot],
    run: String,
    builds: Vec<Value>,
    tests: Vec<Value>,
    issues: Vec<Value>,
    incidents: Vec<Value>,
}

impl Report<'_> {
    fn id(&self, rest: &str) -> String {
        format!("{}:{}{rest}", self.origin, self.run)
    }

    /// The base kernel with the patch on it.
    fn checkout(&self) -> Value {
        let Verdict { kernel, patch, .. } = self.verdict;
        let mut findings = self
            .verdict
            .comparisons
            .iter()
            .flat_map(|one| &one.findings);
        let mut checkout = json!({
            "id": self.id(""),
            "origin": self.origin,
            "comment": kcidb(&format!("{} {}", kernel.version, kernel.source)),
            "valid": !findings.any(|finding| finding.kind == Kind::PatchRejected),
            "misc": {
                "tree_hash": kcidb(&kernel.tree_hash),
                "patch_sha256": kcidb(&patch.sha256),
                "patch_files": patch.files.iter().map(|file| kcidb(file)).collect::<Vec<_>>(),
            },
        });
        let hex =
            |id: &&String| id.len() == 40 && id.bytes().all(|b| b"0123456789abcdef".contains(&b));
        if let Some(commit) = kernel.commit.as_ref().filter(hex) {
            checkout["git_commit_hash"] = json!(commit);
        }
        if patch.sha256.is_empty() {
            checkout["patchset_hash"] = json!("");
        }
        if let Some(started) = self.started() {
            checkout["start_time"] = json!(started);
        }
        checkout
    }

    fn started(&self) -> Option<String> {
        let started: jiff::Timestamp = self.verdict.started.parse().ok()?;
        Some(started.to_string())
    }

    fn comparison(&mut self, one: &Comparison, number: usize) {
        // What only base suffers from is none of the patch's.
        let has = |kind| {
            let mut own = one
                .findings
                .iter()
                .filter(|one| one.status != Status::Fixed);
            own.any(|finding| finding.kind == kind)
        };
        if has(Kind::PatchRejected) {
            return;
        }
        let build = self.id(&format!(".build{number}"));
        let broken = has(Kind::BuildFailed);
        let built = match broken {
            true => "FAIL",
            false if self.began(one) => "PASS",
            false => "MISS",
        };
        self.builds.push(json!({
            "id": build,
            "checkout_id": self.id(""),
            "origin": self.origin,
            "architecture": "x86_64",
            "config_name": kcidb(&one.config),
            "comment": kcidb(&one.variant),
            "status": built,
        }));
        if broken {
            return;
        }
        let path = format!("ktwin.{}", path(&one.scenario));
        let test = self.id(&format!(".test{number}"));
        let mut entry = json!({
            "id": test,
            "build_id": build,
            "origin": self.origin,
            "path": path,
            "comment": kcidb(&content::about(one)),
            "status": status(one.outcome),
            "environment": {"comment": kcidb(&format!(
                "QEMU {}, {}", self.verdict.host.qemu, self.verdict.host.accel
            ))},
            "misc": {"reasons": one.reasons.iter().map(|why| kcidb(why)).collect::<Vec<_>>()},
        });
        if let Some(started) = self.started() {
            entry["start_time"] = json!(started);
        }
        let against: Vec<&Finding> = one.findings.iter().filter(|f| f.counts()).collect();
        let excerpt: String = against
            .iter()
            .map(|finding| self.excerpt(finding))
            .collect();
        if !excerpt.is_empty() {
            let excerpt: String = kcidb(&excerpt).chars().take(EXCERPT).collect();
            entry["log_excerpt"] = json!(excerpt);
        }
        self.tests.push(entry);
        for (measure, at) in one.measures.iter().zip(1..) {
            if let Some(value) = measure.variant.median.filter(|value| value.is_finite()) {
                self.tests.push(json!({
                    "id": self.id(&format!(".test{number}.{at}")),
                    "build_id": build,
                    "origin": self.origin,
                    "path": format!("{path}.{}", self::path(&measure.name)),
                    "status": "DONE",
                    "number": {"value": value, "unit": kcidb(&measure.unit)},
                }));
            }
        }
        for (finding, at) in against.iter().zip(1..) {
            self.issue(finding, &test, &format!(".incident{number}.{at}"));
        }
    }

    /// Whether a kernel of it is known to have been built: one was booted, or it came to an outcome that
    /// takes boots.
    fn began(&self, one: &Comparison) -> bool {
        let judged = matches!(
            one.outcome,
            Outcome::Pass | Outcome::Regression | Outcome::Inconclusive
        );
        let own = |boot: &Boot| {
            boot.config == one.config
                && boot.scenario == one.scenario
                && [&one.base, &one.variant].contains(&&boot.variant)
        };
        // A verdict may have come without its boots.
        let said = !one.detectors.is_empty() || !one.exercise.is_empty();
        judged || said || !one.findings.is_empty() || self.boots.iter().any(own)
    }

    /// What is new is an issue of the code's, and was seen in this test.
    fn issue(&mut self, finding: &Finding, test: &str, incident: &str) {
        if finding.status != Status::New {
            return;
        }
        let id = format!(
            "{}:{}",
            self.origin,
            digest(&[&finding.class, &finding.title])
        );
        if !self.issues.iter().any(|issue| issue["id"] == json!(id)) {
            self.issues.push(json!({
                "id": id,
                "version": 1,
                "origin": self.origin,
                "report_subject": kcidb(&finding.title),
                "culprit": {"code": true},
                "comment": kcidb(words::kind(finding.kind)),
            }));
        }
        self.incidents.push(json!({
            "id": self.id(incident),
            "origin": self.origin,
            "issue_id": id,
            "issue_version": 1,
            "test_id": test,
            "present": true,
            "comment": kcidb(&finding.why),
        }));
    }

    fn excerpt(&self, finding: &Finding) -> String {
        let trace = boots::evidence(self.boots, finding);
        let trace = trace.map_or(String::new(), |(_, splat)| splat.text(TRACE));
        format!("{}\n{trace}", finding.title)
    }
}

/// What the database makes of an outcome: what is no pass and no failure says nothing of the code.
fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "PASS",
        Outcome::Regression | Outcome::Untestable => "FAIL",
        Outcome::Inconclusive | Outcome::Interrupted => "ERROR",
        Outcome::Infrastructure => "MISS",
    }
}

/// A name as a part of a test's path.
fn path(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let path: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    if path.is_empty() {
        "_".to_owned()
    } else {
        path
    }
}

fn digest(parts: &[&str]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let mut hash = hex_sha256(&parts);
    hash.truncate(ID);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::unjudged,
        report::{
            fixtures::sample,
            page::{Text, Tone},
        },
    };

    fn boot(variant: &str) -> Boot {
        Boot {
            id: format!("kasan-{variant}-1"),
            config: "kasan".into(),
            variant: variant.into(),
            scenario: "race".into(),
            end: Text::toned("powered off", Tone::Plain),
            why: String::new(),
            elapsed_s: None,
            splats: Vec::new(),
            last_lines: Vec::new(),
            files: Vec::new(),
        }
    }

    #[test]
    fn a_build_that_nobody_came_to_is_no_pass() {
        let table = [
            (Outcome::Infrastructure, &[][..], "MISS"),
            (Outcome::Interrupted, &[], "MISS"),
            (Outcome::Untestable, &[], "MISS"),
            (Outcome::Interrupted, &["base"], "PASS"),
            (Outcome::Infrastructure, &["mine"], "PASS"),
            // Another variant's.
            (Outcome::Infrastructure, &["other"], "MISS"),
            (Outcome::Inconclusive, &[], "PASS"),
        ];
        for (outcome, booted, expected) in table {
            let verdict = Verdict {
                comparisons: vec![unjudged(outcome, "kasan", "race", "mine", "no luck")],
                ..sample()
            };
            let boots: Vec<Boot> = booted.iter().map(|variant| boot(variant)).collect();
            let report: Value =
                serde_json::from_str(&render(&verdict, &boots, "ktwin").unwrap()).unwrap();
            let status = &report["builds"][0]["status"];
            assert_eq!(status, expected, "{outcome:?} {booted:?}");
        }
    }
}
