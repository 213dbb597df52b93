//! What a patch costs, as tables: judged, shown, structures, and several variants side by side.

use super::{
    content::{side_columns, side_row},
    page::{Block, Column, Page, Row, Text, Tone},
    words,
};
use crate::{
    boot::settings::Accel,
    judge::{
        is_layouts, is_throughput,
        verdict::{Comparison, Judgement, Measure, Shape, Structure, Verdict},
    },
    plan::BASE,
};

/// A table; one without rows is left out.
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

/// One comparison's costs.
pub(super) fn tables(comparison: &Comparison, accel: &str) -> [Table; 3] {
    let (judged, shown): (Vec<&Measure>, Vec<&Measure>) = comparison
        .measures
        .iter()
        .partition(|measure| measure.judgement.is_some());
    let mut columns = side_columns("cost", comparison, Some("ratio"));
    columns.extend([Column::right("95 %"), Column::left("says")]);
    let judged = judged.iter();
    [
        Table {
            columns,
            rows: judged
                .map(|one| judged_measure(comparison, one, accel))
                .collect(),
        },
        Table {
            columns: side_columns("cost, not judged", comparison, Some("ratio")),
            rows: shown.iter().map(|one| measure(comparison, one)).collect(),
        },
        Table {
            columns: structure_columns(comparison),
            rows: structures(comparison),
        },
    ]
}

/// The comparisons of each config and scenario: several variants against the same base.
pub(super) fn groups(verdict: &Verdict) -> Vec<Vec<&Comparison>> {
    let mut groups: Vec<Vec<&Comparison>> = Vec::new();
    for comparison in &verdict.comparisons {
        let same = |group: &&mut Vec<&Comparison>| {
            let first = group[0];
            (&first.config, &first.scenario) == (&comparison.config, &comparison.scenario)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(comparison),
            None => groups.push(vec![comparison]),
        }
    }
    groups
}

/// Where several variants were compared, what each costs in one table.
pub(super) fn side_by_side(verdict: &Verdict) -> Page {
    let groups = groups(verdict);
    let tables = groups
        .iter()
        .filter(|group| group.len() > 1)
        .flat_map(|group| {
            let rows = beside(group);
            let about = format!("{}, scenario {}", group[0].config, group[0].scenario);
            let variants = group.iter().map(|one| Column::right(one.variant.as_str()));
            let names = [Column::left("cost"), Column::right(BASE)];
            (!rows.is_empty()).then(|| {
                [
                    Block::Heading("side by side".into(), about.into()),
                    Block::Table {
                        columns: names.into_iter().chain(variants).collect(),
                        rows,
                    },
                ]
            })
        });
    tables.flatten().collect()
}

/// Every measure that several of these have and that is no other's part.
fn beside(group: &[&Comparison]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let all = group.iter().flat_map(|comparison| &comparison.measures);
    for measure in all.filter(|measure| !measure.part) {
        if seen.contains(&measure.name.as_str()) {
            continue;
        }
        seen.push(&measure.name);
        let of = |comparison: &&Comparison| {
            let mut found = comparison.measures.iter();
            found.find(|one| one.name == measure.name).cloned()
        };
        let measures: Vec<Option<Measure>> = group.iter().map(of).collect();
        if measures.iter().flatten().count() < 2 {
            continue;
        }
        let base = measures.iter().flatten().find_map(|one| one.base.median);
        let variants = measures.iter().map(|one| {
            let median = one.as_ref().and_then(|one| one.variant.median);
            let tone = one.as_ref().and_then(|one| one.judgement);
            let tone = tone.map_or(Tone::Plain, |judgement| words::judgement(judgement).1);
            Text::toned(shown(median), tone)
        });
        let cells = [named(measure).into(), shown(base).into()];
        rows.push(Row {
            cells: cells.into_iter().chain(variants).collect(),
            notes: Vec::new(),
            vital: measure.curve.is_some() || measure.judgement.is_some(),
        });
    }
    rows
}

/// A figure; `-` where there is none.
fn shown(median: Option<f64>) -> String {
    median.map_or("-".into(), words::figure)
}

/// A measure's name and unit.
fn named(measure: &Measure) -> String {
    match measure.unit.as_str() {
        "" => measure.name.clone(),
        unit => format!("{}, {unit}", measure.name),
    }
}

fn measure(comparison: &Comparison, measure: &Measure) -> Row {
    let sides = [&measure.base, &measure.variant];
    let texts = sides.map(|side| Text::from(shown(side.median)));
    let ratio = measure.ratio.map_or("-".into(), |r| format!("{r:.2}"));
    Row {
        vital: !measure.part,
        ..side_row(comparison, named(measure).into(), texts, Some(ratio.into()))
    }
}

/// A judged measure's row: its interval, and what they say together.
fn judged_measure(comparison: &Comparison, one: &Measure, accel: &str) -> Row {
    let mut row = measure(comparison, one);
    let interval = one.ci95.map(|[low, high]| format!("{low:.2} to {high:.2}"));
    let says = said(one, accel).map(|(text, tone)| {
        let more = one
            .more_boots
            .map(|more| format!("; about {more} more boots a side would settle it"));
        let emulated = accel == Accel::Tcg.name();
        let layouts = (emulated && is_layouts(one))
            .then(|| "; an emulator runs the same code that far apart by where it lies".to_owned());
        Text::toned(text + &more.or(layouts).unwrap_or_default(), tone)
    });
    row.cells
        .push(interval.unwrap_or_else(|| "-".into()).into());
    row.cells.push(says.unwrap_or_default());
    row
}

/// What a measure was judged, in words.
pub(super) fn said(one: &Measure, accel: &str) -> Option<(String, Tone)> {
    let judgement = one.judgement?;
    let (word, tone) = words::judgement(judgement);
    // Instructions are the same everywhere.
    let emulated =
        judgement == Judgement::Equivalent && is_throughput(one) && accel == Accel::Tcg.name();
    let text = match emulated {
        true => format!("{word}, under emulation"),
        false => word.to_owned(),
    };
    Some((text, tone))
}

fn structure_columns(comparison: &Comparison) -> Vec<Column> {
    let mut columns = side_columns("structure, B", comparison, Some("more"));
    columns.push(Column::left("from kmalloc"));
    columns
}

/// The structures that the patch changes; another slab cache stands out.
fn structures(comparison: &Comparison) -> Vec<Row> {
    let rows = comparison.structures.iter().map(|one| {
        let sides = [&one.base, &one.variant];
        let bytes = |shape: &Shape| words::count(shape.bytes);
        let texts = sides.map(|side| Text::from(side.as_ref().map_or("-".into(), bytes)));
        let (more, slab) = match (&one.base, &one.variant) {
            (Some(base), Some(variant)) => {
                let more = i128::from(variant.bytes) - i128::from(base.bytes);
                (format!("{more:+}"), served(base, variant))
            }
            (base, variant) => {
                let slab = base.iter().chain(variant).map(|shape| shape.slab.as_str());
                ("-".to_owned(), slab.collect::<String>().into())
            }
        };
        let mut row = side_row(
            comparison,
            one.name.as_str().into(),
            texts,
            Some(more.into()),
        );
        row.cells.push(slab);
        row.vital = one.touched || slab_grows(one);
        row
    });
    rows.collect()
}

/// The slab cache, or both.
fn served(base: &Shape, variant: &Shape) -> Text {
    if base.slab_bytes == variant.slab_bytes {
        return variant.slab.as_str().into();
    }
    let tone = match variant.slab_bytes > base.slab_bytes {
        true => Tone::Bad,
        false => Tone::Good,
    };
    let (from, to) = (i128::from(base.slab_bytes), i128::from(variant.slab_bytes));
    let text = format!("{} to {}: {:+} B each", base.slab, variant.slab, to - from);
    Text::toned(text, tone)
}

fn slab_grows(one: &Structure) -> bool {
    let sides = one.base.as_ref().zip(one.variant.as_ref());
    sides.is_some_and(|(base, variant)| variant.slab_bytes > base.slab_bytes)
}
