//! A verdict as a page: outcome, findings, base against variant, what was exercised, the files.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::Path,
};

use protocol::DetectorState;

use super::{
    costs,
    page::{Block, Column, Page, Row, Text, Tone},
    plots::{self, plots},
    words,
};
use crate::{
    judge::verdict::{Comparison, Finding, Outcome, Status, Verdict},
    plugin::Coverage,
};

/// Files of a patch that are named; the rest are counted.
const NAMED_FILES: usize = 4;
/// Counts that say whether a load did what it is for; where room is short, these stay.
const VITAL_COUNTS: [&str; 6] = [
    "lookups",
    "removes",
    "overlaps",
    "held_overlaps",
    "stall_holds",
    "fio_ios",
];
/// Digits of a hash that are shown.
const HASH: usize = 12;

/// The page of a verdict whose run directory is `dir`.
pub(super) fn page(verdict: &Verdict, dir: &Path) -> Page {
    let mut page = vec![
        Block::Title(
            outcome(verdict.outcome),
            words::outcome_meaning(verdict.outcome).into(),
        ),
        Block::Facts(facts(verdict)),
    ];
    for comparison in &verdict.comparisons {
        page.extend(of_comparison(comparison, &verdict.host.accel));
    }
    page.extend(costs::side_by_side(verdict));
    for plot in plots(verdict) {
        let file = dir.join(plots::FOLDER).join(&plot.file);
        page.push(Block::Plot(plot.title().into(), file.display().to_string()));
    }
    page.push(files(dir));
    page
}

/// An outcome's word in its tone.
pub(super) fn outcome(outcome: Outcome) -> Text {
    Text::toned(words::outcome_word(outcome), words::outcome_tone(outcome))
}

/// What a run was of: kernel, patch, host, and when.
pub(super) fn facts(verdict: &Verdict) -> Vec<(String, Text)> {
    let Verdict {
        kernel,
        patch,
        host,
        ..
    } = verdict;
    let mut facts = Vec::new();
    let mut add = |name: &str, parts: &[String]| {
        let parts: Vec<&str> = parts
            .iter()
            .map(String::as_str)
            .filter(|p| !p.is_empty())
            .collect();
        if !parts.is_empty() {
            facts.push((name.to_owned(), Text::from(parts.join(", "))));
        }
    };
    let commit = kernel.commit.as_ref();
    let commit = commit.map_or(String::new(), |id| format!("commit {}", short(id)));
    add(
        "kernel",
        &[kernel.version.clone(), kernel.source.clone(), commit],
    );
    add("patch", &[patched(&patch.files), short(&patch.sha256)]);
    let qemu = match host.qemu.as_str() {
        "" => String::new(),
        version => format!("QEMU {version}"),
    };
    add(
        "host",
        &[
            words::plural(host.cpus.into(), "CPU"),
            host.accel.clone(),
            qemu,
        ],
    );
    add(
        "run",
        &[
            format!("seed {}", verdict.seed),
            verdict.started.clone(),
            words::span(verdict.elapsed_s),
        ],
    );
    facts
}

fn patched(files: &[String]) -> String {
    let named = files.iter().take(NAMED_FILES).cloned().collect::<Vec<_>>();
    match files.len().saturating_sub(NAMED_FILES) {
        0 => named.join(" "),
        more => format!("{} and {more} more", named.join(" ")),
    }
}

fn short(hash: &str) -> String {
    hash.chars().take(HASH).collect()
}

/// A comparison whole.
pub(super) fn of_comparison(comparison: &Comparison, accel: &str) -> Page {
    let mut page = vec![Block::Heading(
        outcome(comparison.outcome),
        about(comparison).into(),
    )];
    page.extend(findings(comparison));
    page.extend(figures(comparison, accel));
    page.extend(reasons(comparison));
    page
}

/// What a comparison is of.
pub(super) fn about(comparison: &Comparison) -> String {
    let sides = match comparison.base.as_str() {
        "" => format!("{} alone", comparison.variant),
        base => format!("{} against {base}", comparison.variant),
    };
    format!(
        "{}: {sides}, scenario {}",
        comparison.config, comparison.scenario
    )
}

fn findings(comparison: &Comparison) -> Option<Block> {
    let rows: Vec<Row> = comparison.findings.iter().map(finding).collect();
    (!rows.is_empty()).then(|| Block::Table {
        columns: vec![
            Column::left("status"),
            Column::left("kind"),
            Column::left("class"),
            Column::right("count"),
            Column::right("first"),
            Column::left("title"),
        ],
        rows,
    })
}

/// What both sides did, and what it costs.
pub(super) fn figures(comparison: &Comparison, accel: &str) -> Page {
    let mut page = Page::new();
    let mut table = |columns: Vec<Column>, rows: Vec<Row>| {
        if !rows.is_empty() {
            page.push(Block::Table { columns, rows });
        }
    };
    table(
        side_columns("exercised", comparison, None),
        exercise(comparison),
    );
    for costs in costs::tables(comparison, accel) {
        table(costs.columns, costs.rows);
    }
    let mut facts = Vec::new();
    if let Some(coverage) = &comparison.coverage {
        match &coverage.unwatched {
            None => facts.push(("patch".to_owned(), executed(coverage))),
            Some(why) => facts.push(("executed".to_owned(), format!("not watched ({why})").into())),
        }
        if coverage.executed() < coverage.lines.len() {
            facts.push(("not executed".to_owned(), missing(coverage).into()));
        }
    }
    if !comparison.detectors.is_empty() {
        facts.push(("detectors".to_owned(), detectors(comparison)));
    }
    let spoke = comparison.proved.iter().filter(|(_, why)| why.is_none());
    let spoke: Vec<&str> = spoke.map(|(detector, _)| detector.as_str()).collect();
    if !spoke.is_empty() {
        facts.push(("heard".to_owned(), spoke.join(", ").into()));
    }
    if comparison.findings.is_empty() {
        facts.push(("findings".to_owned(), "none".into()));
    }
    if !facts.is_empty() {
        page.push(Block::Facts(facts));
    }
    page
}

/// Why it ended as it did, where that is not in its findings.
pub(super) fn reasons(comparison: &Comparison) -> Option<Block> {
    let reasons = comparison.reasons.iter().map(|r| Text::from(r.as_str()));
    (!comparison.reasons.is_empty()).then(|| Block::List("why".into(), reasons.collect()))
}

fn finding(finding: &Finding) -> Row {
    let (status, tone) = words::counted(finding.status, finding.accepted.is_some());
    let vital = finding.counts();
    let note = |text: &str| Text::toned(text, Tone::Quiet);
    let mut notes = Vec::new();
    let accepted = finding
        .accepted
        .as_ref()
        .map(|why| format!("accepted: {why}"));
    notes.extend(accepted.map(|text| note(&text)));
    if finding.status == Status::Fixed && finding.accepted.is_none() && !finding.why.is_empty() {
        notes.push(note(&finding.why));
    }
    if vital {
        let said = [&finding.why, &finding.detail, &finding.evidence];
        notes.extend(
            said.iter()
                .filter(|text| !text.is_empty())
                .map(|text| note(text)),
        );
    }
    Row {
        cells: vec![
            Text::toned(status, tone),
            words::kind(finding.kind).into(),
            finding.class.as_str().into(),
            words::count(finding.count).into(),
            finding.first_s.map_or(String::new(), words::span).into(),
            Text::toned(
                finding.title.as_str(),
                if vital { Tone::Plain } else { Tone::Quiet },
            ),
        ],
        notes,
        vital,
    }
}

/// A name, base, the variant; of one kernel alone, no base and nothing that needs it.
pub(super) fn side_columns(name: &str, comparison: &Comparison, last: Option<&str>) -> Vec<Column> {
    let compares = !comparison.base.is_empty();
    let base = compares.then(|| Column::right("base"));
    let last = last.filter(|_| compares).map(Column::right);
    let variant = Column::right(comparison.variant.as_str());
    [Some(Column::left(name)), base, Some(variant), last]
        .into_iter()
        .flatten()
        .collect()
}

/// A row under those columns.
pub(super) fn side_row(
    comparison: &Comparison,
    name: Text,
    [base, variant]: [Text; 2],
    last: Option<Text>,
) -> Row {
    let compares = !comparison.base.is_empty();
    let cells = [
        Some(name),
        compares.then_some(base),
        Some(variant),
        last.filter(|_| compares),
    ];
    Row {
        cells: cells.into_iter().flatten().collect(),
        notes: Vec::new(),
        vital: true,
    }
}

fn exercise(comparison: &Comparison) -> Vec<Row> {
    let sides = [&comparison.exercise_base, &comparison.exercise];
    let names: BTreeSet<&str> = sides
        .iter()
        .flat_map(|counts| counts.keys().map(String::as_str))
        .collect();
    let vital = |name: &&str| VITAL_COUNTS.contains(name);
    let ordered = names
        .iter()
        .filter(|name| vital(name))
        .chain(names.iter().filter(|name| !vital(name)));
    ordered
        .map(|name| {
            let counts = sides.map(|counts| counts.get(*name).copied());
            let texts = counts.map(|n| Text::from(n.map_or("-".into(), words::count)));
            Row {
                vital: vital(name),
                ..side_row(comparison, (*name).into(), texts, None)
            }
        })
        .collect()
}

fn detectors(comparison: &Comparison) -> Text {
    let state = |state: &DetectorState| match state {
        DetectorState::On => "on",
        DetectorState::Off => "off",
        DetectorState::Absent => "absent",
    };
    let all: Vec<String> = comparison
        .detectors
        .iter()
        .filter(|(_, s)| **s != DetectorState::Absent)
        .map(|(name, s)| format!("{name} {}", state(s)))
        .collect();
    match all.len() {
        0 => "none in this config".into(),
        _ => all.join(", ").into(),
    }
}

/// `executed 41 of 44 lines that own code (12 more own none)`.
fn executed(coverage: &Coverage) -> Text {
    let none = match coverage.without_code {
        0 => String::new(),
        1 => " (1 more owns none)".to_owned(),
        more => format!(" ({more} more own none)"),
    };
    let (executed, owned) = (coverage.executed(), coverage.lines.len());
    let (entered, touched) = (coverage.entered(), coverage.functions.len());
    let doubt = |ran: usize, of: usize| match ran {
        0 if of > 0 => Tone::Doubt,
        _ => Tone::Plain,
    };
    if owned == 0 && touched > 0 {
        let text = format!(
            "executed {entered} of {touched} functions that it touches; no line of its own owns code"
        );
        return Text::toned(text, doubt(entered, touched));
    }
    Text::toned(
        format!("executed {executed} of {owned} lines that own code{none}"),
        doubt(executed, owned),
    )
}

/// The lines that did not run: `fs/fuse/backing.c:63-65,80`.
fn missing(coverage: &Coverage) -> String {
    let mut files: BTreeMap<&str, Vec<RangeInclusive<u32>>> = BTreeMap::new();
    for line in coverage.lines.iter().filter(|line| line.hits == 0) {
        let runs = files.entry(&line.file).or_default();
        match runs.last_mut() {
            Some(run) if run.end().checked_add(1) == Some(line.line) => {
                *run = *run.start()..=line.line;
            }
            _ => runs.push(line.line..=line.line),
        }
    }
    let files = files.into_iter().map(|(file, runs)| {
        let runs: Vec<String> = runs
            .iter()
            .map(|run| match run.start() == run.end() {
                true => run.start().to_string(),
                false => format!("{}-{}", run.start(), run.end()),
            })
            .collect();
        format!("{file}:{}", runs.join(","))
    });
    files.collect::<Vec<_>>().join(" ")
}

fn files(dir: &Path) -> Block {
    let files = ["report.html", "report.md", "verdict.json"]
        .map(|name| dir.join(name).display().to_string());
    Block::List("files".into(), files.map(Text::from).into())
}
