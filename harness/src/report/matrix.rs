//! What became of a matrix as a page: how it stands, then its cells, those that want a look first.

use super::{
    page::{Block, Column, Page, Row, Text, Tone},
    words,
};
use crate::{
    judge::verdict::Outcome,
    matrix::{
        Forecast,
        summary::{CellSummary, State, Summary},
    },
};

/// So many findings of a cell are named; its own report has all.
const NAMED: usize = 5;

/// The page; with `all`, no cell is left out where room is short.
pub(super) fn page(summary: &Summary, all: bool) -> Page {
    let word = match summary.outcome {
        Some(outcome) => Text::toned(words::outcome_word(outcome), words::outcome_tone(outcome)),
        None => Text::toned("not run", Tone::Quiet),
    };
    let ended = summary
        .cells
        .iter()
        .filter(|cell| cell.state == State::Done)
        .count();
    let about = format!(
        "matrix {}: {ended} of {} ended",
        summary.name,
        words::plural(summary.cells.len() as u64, "cell")
    );
    let mut rows: Vec<Row> = Vec::new();
    // What wants a look stands first.
    for wanted in [true, false] {
        let cells = summary
            .cells
            .iter()
            .filter(|cell| wants_a_look(cell) == wanted);
        rows.extend(cells.map(|cell| row(cell, all)));
    }
    vec![
        Block::Title(word, about.into()),
        Block::Facts(facts(summary)),
        Block::Table {
            columns: vec![
                Column::left("state"),
                Column::left("cell"),
                Column::right("attempts"),
                Column::right("took"),
            ],
            rows,
        },
    ]
}

/// How long the cells of a forecast take that have not ended, in words.
pub(super) fn forecast_line(forecast: &Forecast) -> String {
    let open = forecast
        .cells
        .iter()
        .filter(|cell| cell.state != State::Done);
    let open = open.count();
    let known = match (forecast.measured, open) {
        (0, _) => "guessed".to_owned(),
        (known, open) if known == open => "by what past runs took".to_owned(),
        (known, _) => format!("{known} of them by what past runs took"),
    };
    format!(
        "{}, {} ({known}) and, where no kernel is built yet, {} more",
        words::plural(open as u64, "cell"),
        words::span(forecast.expected_s),
        words::span(forecast.builds_s)
    )
}

/// What would run, as a page.
pub(super) fn forecast_page(forecast: &Forecast) -> Page {
    let about = format!("matrix {}: {}", forecast.name, forecast_line(forecast));
    let sharded = forecast.cells.iter().any(|cell| cell.shard.is_some());
    let mut columns = vec![
        Column::left("state"),
        Column::left("cell"),
        Column::right("takes"),
        Column::left("as"),
    ];
    if sharded {
        columns.insert(0, Column::right("shard"));
    }
    let rows = forecast.cells.iter().map(|cell| {
        let state = match (cell.state, cell.outcome) {
            (State::Done, Some(outcome)) => words::outcome_word(outcome),
            (State::Running, _) => "running",
            (State::Done | State::Planned, _) => "planned",
        };
        let measured = if cell.measured { "before" } else { "guessed" };
        let mut cells = vec![
            state.into(),
            cell.id.as_str().into(),
            words::span(cell.expected_s).into(),
            Text::toned(measured, Tone::Quiet),
        ];
        if sharded {
            cells.insert(
                0,
                cell.shard.map_or(String::new(), |n| n.to_string()).into(),
            );
        }
        Row {
            cells,
            notes: Vec::new(),
            vital: true,
        }
    });
    vec![
        Block::Title("plan".into(), about.into()),
        Block::Table {
            rows: rows.collect(),
            columns,
        },
    ]
}

fn facts(summary: &Summary) -> Vec<(String, Text)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value.into()));
    if let Some(started) = &summary.started {
        fact("started", started.clone());
    }
    if let Some(ended) = &summary.ended {
        fact("ended", ended.clone());
    }
    let cells = || summary.cells.iter();
    for outcome in crate::exit::PRECEDENCE.into_iter().rev() {
        let count = cells().filter(|cell| cell.outcome == Some(outcome)).count();
        if count > 0 {
            fact(words::outcome_word(outcome), words::count(count as u64));
        }
    }
    type Count = (&'static str, fn(&CellSummary) -> u64);
    let more: [Count; 6] = [
        ("running", |cell| u64::from(cell.state == State::Running)),
        ("not run yet", |cell| {
            u64::from(cell.state == State::Planned)
        }),
        ("flaky", |cell| u64::from(cell.flaky)),
        ("expected", |cell| u64::from(cell.expected.is_some())),
        ("tried again for infrastructure's sake", |cell| {
            let other = cell.outcome != Some(Outcome::Infrastructure);
            u64::from(cell.infrastructure) * u64::from(other)
        }),
        ("cut off and begun again", |cell| u64::from(cell.cut_off)),
    ];
    for (name, count) in more {
        let count: u64 = cells().map(count).sum();
        if count > 0 {
            fact(name, words::count(count));
        }
    }
    facts
}

fn wants_a_look(cell: &CellSummary) -> bool {
    let plain = cell.outcome == Some(Outcome::Pass) && cell.state == State::Done;
    !(plain || cell.outcome.is_none()) || cell.flaky
}

fn row(cell: &CellSummary, all: bool) -> Row {
    Row {
        cells: vec![
            state(cell),
            cell.id.as_str().into(),
            words::count(u64::from(cell.attempts)).into(),
            cell.duration_s.map_or("-".to_owned(), words::span).into(),
        ],
        notes: notes(cell),
        vital: all || wants_a_look(cell),
    }
}

fn state(cell: &CellSummary) -> Text {
    match (cell.state, cell.outcome) {
        (State::Running, _) => Text::toned("running", Tone::Plain),
        (State::Done, Some(outcome)) => {
            let tone = match cell.expected {
                Some(_) => Tone::Quiet,
                None => words::outcome_tone(outcome),
            };
            Text::toned(words::outcome_word(outcome), tone)
        }
        (State::Done | State::Planned, _) => Text::toned("planned", Tone::Quiet),
    }
}

fn notes(cell: &CellSummary) -> Vec<Text> {
    let mut notes = Vec::new();
    let mut note = |text: String, tone| notes.push(Text::toned(text, tone));
    if cell.flaky {
        note("flaky: another attempt passed".to_owned(), Tone::Doubt);
    }
    if let Some(expected) = &cell.expected {
        let text = format!("expected: {} (until {})", expected.reason, expected.until);
        note(text, Tone::Quiet);
    }
    if cell.infrastructure > 0 && cell.outcome != Some(Outcome::Infrastructure) {
        let times = words::plural(u64::from(cell.infrastructure), "attempt");
        note(
            format!("{times} ended for infrastructure's sake"),
            Tone::Doubt,
        );
    }
    if !wants_a_look(cell) {
        return notes;
    }
    let mine = cell.findings.iter().filter(|finding| finding.counts());
    let mut mine: Vec<Text> = mine
        .map(|finding| {
            let (status, tone) = words::status(finding.status);
            let text = format!("{status} {} {}", words::kind(finding.kind), finding.title);
            let other = finding.run.as_ref();
            Text::toned(
                text + &other.map_or(String::new(), |run| format!(", in {run}")),
                tone,
            )
        })
        .collect();
    // Findings of one title may differ in their lines, which is for the cell's own report.
    mine.dedup();
    let more = mine.len().saturating_sub(NAMED);
    notes.extend(mine.into_iter().take(NAMED));
    if more > 0 {
        notes.push(format!("and {} more", words::plural(more as u64, "finding")).into());
    }
    notes.extend(cell.reasons.iter().map(Text::from));
    if let Some(run) = &cell.run {
        notes.push(Text::toned(format!("in {run}"), Tone::Quiet));
    }
    notes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        judge::verdict::{Kind, Status},
        matrix::summary::{Expected, FindingSummary, SCHEMA},
        report::{Format, render_matrix},
    };

    const HOSTILE: &str = "\u{1b}[31m|<script>alert(1)</script>\n::error::x%0A[a](http://b)";

    fn cell(patch: &str, state: State, outcome: Option<Outcome>) -> CellSummary {
        CellSummary {
            id: format!("locked+{patch}+kasan+race+quick"),
            kernel: "locked".into(),
            patch: patch.into(),
            config: "kasan".into(),
            scenario: "race".into(),
            profile: "quick".into(),
            state,
            outcome,
            attempts: 1,
            infrastructure: 0,
            cut_off: 0,
            flaky: false,
            expected: None,
            duration_s: outcome.map(|_| 61.0),
            run: outcome.map(|_| format!("cells/locked+{patch}+kasan+race+quick/1")),
            kernel_version: Some("7.3.4".into()),
            findings: Vec::new(),
            measures: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// A cell of each sort, with titles and reasons that mean harm.
    pub(in crate::report) fn summary() -> Summary {
        let finding = |title: &str| FindingSummary {
            title: title.into(),
            kind: Kind::Splat,
            class: "kasan".into(),
            status: Status::New,
            count: 1,
            evidence: "kasan-a-1/splats/1.txt".into(),
            run: None,
            accepted: None,
        };
        let done = |patch, outcome| cell(patch, State::Done, Some(outcome));
        let passes = ["g", "h", "i", "j", "k", "l", "m"];
        let mut cells: Vec<_> = passes.map(|patch| done(patch, Outcome::Pass)).into();
        cells.extend([
            CellSummary {
                findings: (0..7).map(|n| finding(&format!("{n} {HOSTILE}"))).collect(),
                flaky: true,
                attempts: 2,
                ..done("a", Outcome::Regression)
            },
            CellSummary {
                reasons: vec![HOSTILE.into()],
                infrastructure: 3,
                attempts: 3,
                ..done("b", Outcome::Infrastructure)
            },
            CellSummary {
                expected: Some(Expected {
                    reason: HOSTILE.into(),
                    until: "2027-01-31".into(),
                }),
                findings: vec![finding("KASAN: slab-use-after-free Read in f")],
                ..done("c", Outcome::Regression)
            },
            CellSummary {
                infrastructure: 1,
                attempts: 2,
                ..done("d", Outcome::Pass)
            },
            cell("e", State::Running, None),
            cell("f", State::Planned, None),
        ]);
        Summary {
            schema: SCHEMA,
            name: "nightly".into(),
            outcome: Some(Outcome::Regression),
            started: Some("2026-01-01T00:00:00Z".into()),
            ended: None,
            cells,
        }
    }

    #[test]
    fn golden() {
        for (name, format) in [
            ("matrix.txt", Format::Term { colour: false }),
            ("matrix.md", Format::Markdown),
        ] {
            let text = render_matrix(format, &summary()).unwrap();
            crate::report::tests::golden_is(name, &text);
            assert!(!text.contains('\u{1b}'), "{text}");
        }
        let markdown = render_matrix(Format::Markdown, &summary()).unwrap();
        assert!(!markdown.contains("<script>"), "{markdown}");
        let json = render_matrix(Format::Json, &summary()).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary());
    }

    #[test]
    fn what_is_accepted_is_not_named() {
        let mut summary = summary();
        for cell in &mut summary.cells {
            for (finding, number) in cell.findings.iter_mut().zip(0..) {
                finding.title = format!("title {number}");
                finding.accepted = (number < 3).then(|| "known".to_owned());
            }
        }
        let text = render_matrix(Format::Markdown, &summary).unwrap();
        for (title, named) in [("title 0", false), ("title 2", false), ("title 3", true)] {
            assert_eq!(text.contains(title), named, "{text}");
        }
    }

    #[test]
    fn what_wants_a_look_stands_first() {
        let page = page(&summary(), false);
        let Block::Table { rows, .. } = &page[2] else {
            panic!("{page:?}");
        };
        let first: Vec<&str> = rows
            .iter()
            .map(|row| row.cells[0].text.as_str())
            .take(4)
            .collect();
        assert_eq!(
            first,
            ["regression", "infrastructure", "regression", "pass"]
        );
        assert_eq!(rows.len(), 13);
    }
}
