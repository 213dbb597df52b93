//! A matrix as a page: all cells at a glance, and each with what it found and measured.

use askama::Template;

use super::{
    shell::Shell,
    view::{below, place},
};
use crate::{
    Result,
    error::Context,
    matrix::{CellSummary, Summary, summary::State},
    report::{
        content,
        page::{Text, Tone},
        words,
    },
};

/// Findings, and measures, of a cell that are shown.
const MOST: usize = 30;

#[derive(Template)]
#[template(path = "matrix.html")]
struct MatrixPage {
    shell: Shell,
    span: String,
    counts: Vec<(Text, usize)>,
    columns: Vec<String>,
    grid: Vec<(String, Vec<Option<GridCell>>)>,
    cells: Vec<CellView>,
}

#[derive(Clone)]
struct GridCell {
    place: String,
    word: Text,
}

struct CellView {
    place: String,
    word: Text,
    flaky: bool,
    kernel: String,
    version: String,
    patch: String,
    config: String,
    scenario: String,
    profile: String,
    attempts: u32,
    took: String,
    took_s: f64,
    summary: String,
    said: Vec<String>,
    findings: Vec<FoundView>,
    measures: Vec<MeasureView>,
    more: usize,
    page: Option<String>,
}

struct FoundView {
    status: Text,
    title: String,
    count: u64,
    link: Option<String>,
}

struct MeasureView {
    name: String,
    base: String,
    variant: String,
    ratio: String,
    says: Text,
}

/// The page of a matrix; its links begin in the matrix's folder.
///
/// # Errors
/// The host's.
pub(in crate::report) fn render(summary: &Summary) -> Result<String> {
    let cells: Vec<CellView> = summary
        .cells
        .iter()
        .zip(1..)
        .map(|(c, n)| cell(c, n))
        .collect();
    let mut columns: Vec<String> = Vec::new();
    let mut grid: Vec<(String, Vec<Option<GridCell>>)> = Vec::new();
    for one in &cells {
        let column = format!("{} {} {}", one.config, one.scenario, one.profile);
        let row = format!("{} {}", one.kernel, one.patch);
        let at = columns.iter().position(|other| *other == column);
        let at = at.unwrap_or_else(|| {
            columns.push(column);
            columns.len() - 1
        });
        let line = match grid.iter().position(|(name, _)| *name == row) {
            Some(line) => &mut grid[line].1,
            None => {
                grid.push((row, Vec::new()));
                let last = grid.len() - 1;
                &mut grid[last].1
            }
        };
        if line.len() <= at {
            line.resize(at + 1, None);
        }
        line[at] = Some(GridCell {
            place: one.place.clone(),
            word: one.word.clone(),
        });
    }
    for (_, line) in &mut grid {
        line.resize(columns.len(), None);
    }
    let mut counts: Vec<(Text, usize)> = Vec::new();
    for one in &cells {
        match counts
            .iter_mut()
            .find(|(word, _)| word.text == one.word.text)
        {
            Some((_, count)) => *count += 1,
            None => counts.push((one.word.clone(), 1)),
        }
    }
    let outcome = summary
        .outcome
        .map_or("unfinished".into(), content::outcome);
    let times = [&summary.started, &summary.ended];
    let times: Vec<&str> = times.into_iter().flatten().map(String::as_str).collect();
    let page = MatrixPage {
        shell: Shell {
            title: format!("{}: {}", outcome.text, summary.name),
            about: format!("matrix {}", summary.name).into(),
            outcome,
            sifts: "cells and their findings",
        },
        span: times.join(" to "),
        counts,
        columns,
        grid,
        cells,
    };
    page.render()
        .host(|| "failed to make the page of a matrix".to_owned())
}

fn cell(one: &CellSummary, number: usize) -> CellView {
    let findings = one.findings.iter().take(MOST).map(|finding| {
        let (status, tone) = words::counted(finding.status, finding.accepted.is_some());
        let run = finding.run.as_ref().or(one.run.as_ref());
        let page = run.and_then(|run| below(&format!("{run}/report.html")));
        let at = place(&finding.evidence).map_or(String::new(), |at| format!("#{at}"));
        FoundView {
            status: Text::toned(status, tone),
            title: finding.title.clone(),
            count: finding.count,
            link: page.map(|page| page + &at),
        }
    });
    let shown = |median: Option<f64>| median.map_or("-".into(), words::figure);
    let judged = one
        .measures
        .iter()
        .filter_map(|one| Some((one, one.judgement?)));
    let measures = judged.take(MOST).map(|(one, judgement)| {
        let (says, tone) = words::judgement(judgement);
        MeasureView {
            name: match one.unit.as_str() {
                "" => one.name.clone(),
                unit => format!("{}, {unit}", one.name),
            },
            base: shown(one.base),
            variant: shown(one.variant),
            ratio: one.ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
            says: Text::toned(says, tone),
        }
    });
    let expected = one.expected.as_ref();
    let expected = expected.map(|why| format!("expected until {}: {}", why.until, why.reason));
    let flaky = one
        .flaky
        .then(|| "flaky: it passed in one attempt and failed in another".into());
    let lost = [
        ("ended for the host's sake", one.infrastructure),
        ("cut off", one.cut_off),
    ];
    let lost = lost.into_iter().filter(|(_, count)| *count > 0);
    let lost =
        lost.map(|(how, count)| format!("{how}: {}", words::plural(u64::from(count), "attempt")));
    let said = [expected, flaky].into_iter().flatten().chain(lost);
    let counts = one
        .findings
        .iter()
        .filter(|finding| finding.accepted.is_none());
    let titles: Vec<&str> = counts
        .map(|finding| finding.title.as_str())
        .take(1)
        .collect();
    CellView {
        place: format!("cell-{number}"),
        word: word(one),
        flaky: one.flaky,
        kernel: one.kernel.clone(),
        version: one.kernel_version.clone().unwrap_or_default(),
        patch: one.patch.clone(),
        config: one.config.clone(),
        scenario: one.scenario.clone(),
        profile: one.profile.clone(),
        attempts: one.attempts,
        took: one.duration_s.map_or(String::new(), words::span),
        took_s: one.duration_s.unwrap_or(f64::MAX),
        summary: match (titles.first(), one.findings.len()) {
            (_, 0) => "no findings".into(),
            (Some(title), 1) => (*title).to_owned(),
            (Some(title), count) => format!("{title}, and {} more", count - 1),
            (None, count) => words::plural(count as u64, "accepted finding"),
        },
        said: said.chain(one.reasons.iter().cloned()).collect(),
        more: one.findings.len().saturating_sub(MOST),
        findings: findings.collect(),
        measures: measures.collect(),
        page: one
            .run
            .as_ref()
            .and_then(|run| below(&format!("{run}/report.html"))),
    }
}

/// An outcome; what is expected does not count, and what has not ended has none.
fn word(one: &CellSummary) -> Text {
    match (one.state, one.outcome, &one.expected) {
        (State::Planned, ..) => Text::toned("planned", Tone::Quiet),
        (State::Running, ..) => Text::toned("running", Tone::Quiet),
        (State::Done, Some(_), Some(_)) => Text::toned("expected", Tone::Quiet),
        (State::Done, Some(outcome), None) => content::outcome(outcome),
        (State::Done, None, _) => Text::toned("unknown", Tone::Doubt),
    }
}
