//! Base against one variant: findings side by side, and what they say.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    conditions,
    groups::{Group, Side, groups},
    instructions,
    known::Known,
    measures, memory,
    observe::{Observation, observe},
    ran, status,
    throughput::{self, Rules},
    touched::Touched,
    unable::unable,
    uncompared,
    unjudged::{Broken, broken_finding, unjudged},
    verdict::{Comparison, Finding, Judgement, Kind, Outcome, Status, Structure},
};
use crate::{
    collect::record::{End, Limit, RunRecord},
    exit,
    plan::BASE,
    scenario::{Acceptance, Scenario},
    splat::Splat,
};

/// What a kernel's detectors did when they were provoked: each by name, and why it is not known to
/// speak; none where it does.
pub type Proof = BTreeMap<String, Option<String>>;

/// What one comparison is judged from.
#[derive(Debug, Clone, Copy)]
pub struct JudgeInput<'a> {
    /// The config's name.
    pub config: &'a str,
    /// What was exercised.
    pub scenario: &'a Scenario,
    /// The variant's name.
    pub variant: &'a str,
    /// Base's boots; none for one kernel alone.
    pub base: &'a [RunRecord],
    /// What earlier boots of the same base kernel showed.
    pub earlier: &'a [Splat],
    /// The variant's boots.
    pub boots: &'a [RunRecord],
    /// One kernel alone: every finding that is not accepted counts.
    pub alone: bool,
    /// Why base could not even boot, where the variant could.
    pub base_broken: Option<&'a Broken>,
    /// What the patch touches.
    pub touched: Option<&'a Touched>,
    /// Source files that the variant's build compiled, where that is known.
    pub compiled: Option<&'a [String]>,
    /// Whether the variant's kernel holds the very code and data that base's does.
    pub unchanged: bool,
    /// For source files that are not compiled, the Kconfig symbol that would.
    pub symbols: &'a BTreeMap<String, String>,
    /// What the detectors of the variant's kernel did when they were provoked; none where they were
    /// not.
    pub proof: Option<&'a Proof>,
    /// The structures that the patch changes, where they were looked at.
    pub structures: &'a [Structure],
    /// How many further boots a side the budget allows.
    pub reruns_left: u32,
    /// What throughput is judged by; none where the config's costs are not what a user's are.
    pub rules: Option<Rules>,
    /// Why instructions that were to be counted could not be, where that is so.
    pub uncounted: Option<&'a str>,
    /// Why no boot could tell what of the patch ran, where none could.
    pub unwatched: Option<&'a str>,
    /// Today, `YYYY-MM-DD`.
    pub today: &'a str,
}

impl JudgeInput<'_> {
    /// Whether what bears this title is accepted.
    fn acceptance(&self, title: &str) -> Acceptance {
        self.scenario.acceptance(title, self.variant, self.today)
    }
}

/// A comparison, and what further boots could settle.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The comparison as of now.
    pub comparison: Comparison,
    /// Titles seen on the variant only that further boots of both sides, within the budget, could
    /// make certain, and measures that they could make clear; while there are any, boot one more of
    /// each.
    pub rerun: Vec<String>,
}

/// Reasons and what each makes of the outcome.
#[derive(Debug, Default)]
struct Reasons(Vec<(Outcome, String)>);

impl Reasons {
    fn add(&mut self, outcome: Outcome, reason: impl Into<String>) {
        self.0.push((outcome, reason.into()));
    }

    /// Where the finding itself is the reason.
    fn weigh(&mut self, outcome: Outcome) {
        self.add(outcome, "");
    }

    fn outcome(&self) -> Outcome {
        let outcomes = self.0.iter().map(|(outcome, _)| *outcome);
        exit::combine(outcomes.chain([Outcome::Pass]))
    }

    /// Each reason once, in the order in which they came.
    fn words(self) -> Vec<String> {
        let mut said = BTreeSet::from([String::new()]);
        let reasons = self.0.into_iter().map(|(_, reason)| reason);
        reasons
            .filter(|reason| said.insert(reason.clone()))
            .collect()
    }

    fn inconclusive(&mut self, reasons: impl IntoIterator<Item = String>) {
        for reason in reasons {
            self.add(Outcome::Inconclusive, reason);
        }
    }
}

/// Judges one comparison.
pub fn judge(input: &JudgeInput<'_>) -> Judged {
    let mut reasons = Reasons::default();
    let mut findings = Vec::new();
    let mut rerun = Vec::new();
    let seen = Side {
        base: observe(input.base, input.touched, true),
        variant: observe(input.boots, input.touched, false),
    };
    let known = Known::new(&seen.base, input.earlier, input.touched);
    for group in groups(&seen) {
        let judged = status::of(&group, &known, input);
        let finding = finding(&group, judged.status, judged.why, input);
        if finding.accepted.is_none() {
            weigh(&finding, &group, &mut reasons);
            if judged.settles {
                rerun.push(finding.title.clone());
            }
        }
        findings.push(finding);
    }
    if let Some(broken) = input.base_broken {
        findings.push(broken_finding(broken, Status::Fixed));
    }
    let mut measures = measures::measures(input.base, input.boots);
    if let Some(rules) = &input.rules {
        let taken = measures::taken(input.base, input.boots);
        let judged = measures.iter_mut().filter(|m| measures::is_throughput(m));
        for measure in judged {
            throughput::judge(measure, rules, taken);
            let unclear = measure.judgement == Some(Judgement::Unclear);
            let layouts = rules.layout > 0.0 && throughput::is_layouts(measure);
            // Beyond the margin and within what layouts may do no number of boots is known to settle it.
            let hopeless = measure.ci95.is_some() && measure.more_boots.is_none();
            if unclear && !layouts && !hopeless && input.reruns_left > 0 {
                rerun.push(measure.name.clone());
            }
            let finding = throughput::finding(measure, &|title| input.acceptance(title));
            if finding.as_ref().is_some_and(|one| one.accepted.is_none()) {
                reasons.weigh(Outcome::Regression);
            }
            findings.extend(finding);
        }
    }
    let accepts = |title: &str| input.acceptance(title);
    let executions = instructions::executions(input.base, input.boots);
    for (costs, dearer) in [
        instructions::judge(input.base, input.boots, &accepts),
        (executions, Vec::new()),
        memory::judge(input.base, input.boots, &accepts),
    ] {
        measures.extend(costs);
        if dearer.iter().any(|one| one.accepted.is_none()) {
            reasons.weigh(Outcome::Regression);
        }
        findings.extend(dearer);
    }
    findings.sort_by(|a, b| order(a).cmp(&order(b)));
    ends(input, &findings, &mut reasons);
    requirements(input, &findings, &mut reasons);
    let outcome = reasons.outcome();
    let comparison = Comparison {
        base: if input.alone { "" } else { BASE }.to_owned(),
        findings,
        exercise: conditions::counts(input.boots),
        exercise_base: conditions::counts(input.base),
        coverage: ran::coverage(input),
        detectors: conditions::detectors(input.boots),
        proved: input.proof.cloned().unwrap_or_default(),
        measures,
        structures: input.structures.to_vec(),
        reasons: reasons.words(),
        ..unjudged(
            outcome,
            input.config,
            &input.scenario.name,
            input.variant,
            "",
        )
    };
    Judged { comparison, rerun }
}

fn finding(group: &Group<'_>, status: Status, why: String, input: &JudgeInput<'_>) -> Finding {
    let side = match status {
        Status::Fixed => &group.base,
        Status::New | Status::Unconfirmed | Status::Common => &group.variant,
    };
    let first = side
        .iter()
        .copied()
        .min_by(|a, b| a.boot.cmp(&b.boot).then(time(a).total_cmp(&time(b))));
    let times = side.iter().filter_map(|seen| seen.at_s);
    let acceptance = match group.kind {
        Kind::BootFailed => Acceptance::default(),
        _ => input.acceptance(&group.title),
    };
    Finding {
        kind: group.kind,
        class: first.map_or(String::new(), |seen| seen.class.clone()),
        title: group.title.clone(),
        status,
        count: side
            .iter()
            .fold(0, |sum: u64, o| sum.saturating_add(o.count)),
        first_s: times.min_by(f64::total_cmp),
        evidence: first.map_or(String::new(), |seen| seen.evidence.clone()),
        why: why + &acceptance.expired,
        detail: first.map_or(String::new(), |seen| seen.detail.clone()),
        files: first.map_or(Vec::new(), |seen| seen.files.clone()),
        accepted: acceptance.current,
    }
}

fn time(seen: &Observation) -> f64 {
    seen.at_s.unwrap_or(f64::INFINITY)
}

/// How the reason begins that an unconfirmed finding is.
fn by_chance(title: &str) -> String {
    format!("on the variant only, and it may be chance: {title}")
}

/// Whether a reason is the one that an unconfirmed finding of this title is.
pub(crate) fn is_by_chance(reason: &str, title: &str) -> bool {
    reason.starts_with(&format!("{} (", by_chance(title)))
}

/// What one finding makes of the outcome.
fn weigh(finding: &Finding, group: &Group<'_>, reasons: &mut Reasons) {
    let Finding { title, kind, .. } = finding;
    match finding.status {
        Status::New if *kind == Kind::BootFailed => {
            reasons.add(
                Outcome::Untestable,
                format!("the variant does not boot: {title}"),
            );
        }
        Status::New => reasons.weigh(Outcome::Regression),
        Status::Unconfirmed => reasons.add(
            Outcome::Inconclusive,
            format!("{} ({})", by_chance(title), finding.why),
        ),
        Status::Common if group.host_if_common() => {
            reasons.add(Outcome::Infrastructure, format!("on both sides: {title}"));
        }
        Status::Common if *kind == Kind::Hang => {
            reasons.add(Outcome::Inconclusive, format!("both sides hang: {title}"));
        }
        Status::Common | Status::Fixed => {}
    }
}

/// What the boots' ends make of the outcome, beyond what the findings say.
fn ends(input: &JudgeInput<'_>, findings: &[Finding], reasons: &mut Reasons) {
    for record in input.base.iter().chain(input.boots) {
        let cell = &record.cell.id;
        match &record.end {
            End::Interrupted => {
                reasons.add(Outcome::Interrupted, format!("{cell} was interrupted"));
            }
            End::Infrastructure { why } => {
                reasons.add(Outcome::Infrastructure, format!("{cell}: {why}"));
            }
            End::Finished | End::BootFailed { .. } | End::Watchdog { .. } | End::Died { .. } => {}
        }
    }
    for record in input.boots {
        reasons.inconclusive(cut_short(record));
    }
    // What base broke and the variant mended is a finding, not a doubt.
    let mended = findings.iter().any(|one| one.status == Status::Fixed);
    if !mended && input.base.iter().all(|one| one.end != End::Finished) {
        for record in input.base {
            reasons.inconclusive(cut_short(record));
        }
    }
    reasons.inconclusive(uncompared::costs(input));
    let excused = input.alone || input.base_broken.is_some();
    for (side, missing) in [
        ("base", input.base.is_empty() && !excused),
        (input.variant, input.boots.is_empty()),
    ] {
        if missing {
            reasons.add(
                Outcome::Infrastructure,
                format!("no boot of {side} was made"),
            );
        }
    }
}

/// Why a boot that got as far as hello did not do all of its plan.
fn cut_short(record: &RunRecord) -> Option<String> {
    match &record.end {
        // Its plan was done.
        End::Watchdog {
            limit: Limit::PowerOff,
            ..
        } => None,
        End::Watchdog { why, .. } | End::Died { why, .. } if record.hello.is_some() => {
            let why = super::observe::tidy(why, 200);
            Some(format!(
                "{} did not do all of its plan: {why}",
                record.cell.id
            ))
        }
        _ => None,
    }
}

/// What must have happened for a pass.
fn requirements(input: &JudgeInput<'_>, findings: &[Finding], reasons: &mut Reasons) {
    reasons.inconclusive(conditions::watched(
        input.config,
        input.boots,
        input.base,
        findings,
    ));
    reasons.inconclusive(input.proof.into_iter().flat_map(conditions::proved));
    // A patch of words alone asks for nothing to have run.
    if input.touched.is_some_and(|touched| !touched.has_code()) {
        return;
    }
    reasons.inconclusive(conditions::exercised(input.variant, input.boots));
    let coverage = ran::coverage(input);
    reasons.inconclusive(coverage.as_ref().and_then(ran::nothing));
    if !input.alone && input.base_broken.is_none() {
        reasons.inconclusive(conditions::exercised("base", input.base));
        let (base, boots) = (input.base, input.boots);
        reasons.inconclusive(unable(input.variant, base, boots, findings));
    }
    let lacking = match (input.touched, input.compiled) {
        (Some(touched), Some(compiled)) => {
            conditions::compiled(input.config, touched, compiled, input.symbols)
        }
        _ => Vec::new(),
    };
    if lacking.is_empty() && input.unchanged {
        reasons.inconclusive(ran::unchanged(input.config, coverage.as_ref()));
    }
    reasons.inconclusive(lacking);
}

/// The order of reading: what counts first.
fn order(finding: &Finding) -> (bool, u8, Kind, &str) {
    let rank = match finding.status {
        Status::New => 0,
        Status::Unconfirmed => 1,
        Status::Fixed => 2,
        Status::Common => 3,
    };
    (
        finding.accepted.is_some(),
        rank,
        finding.kind,
        &finding.title,
    )
}
