//! What came of a patch's claims as a page: each claim with its checks, then all of them in a line each.

use super::page::{Block, Column, Page, Row, Text, Tone};
use crate::claims::{Checked, Claimed, Outcome};

/// The page.
pub(super) fn page(claimed: &[Claimed]) -> Page {
    let holds = claimed.iter().filter(|c| c.judgement == Outcome::Holds);
    let about = format!("{} of {} claims hold", holds.count(), claimed.len());
    let mut page = vec![Block::Title("CLAIMS".into(), about.into())];
    for claim in claimed {
        let about = format!("{}: {}", claim.id, claim.text);
        page.push(Block::Heading(says(claim.judgement), about.into()));
        page.push(Block::Table {
            columns: vec![
                Column::left("figure"),
                Column::right("base"),
                Column::right("variant"),
                Column::left("expected"),
                Column::left("measured"),
                Column::left("says"),
            ],
            rows: claim.checks.iter().map(check).collect(),
        });
        if !claim.evidence.is_empty() {
            let evidence = claim.evidence.as_str().into();
            page.push(Block::Facts(vec![("evidence".into(), evidence)]));
        }
    }
    page
}

fn check(check: &Checked) -> Row {
    let side = |value: &Option<String>| Text::from(value.clone().unwrap_or_else(|| "-".into()));
    Row {
        cells: vec![
            check.what.as_str().into(),
            side(&check.base),
            side(&check.variant),
            check.expected.as_str().into(),
            check.measured.as_str().into(),
            says(check.judgement),
        ],
        notes: vec![Text::toned(check.why.as_str(), Tone::Quiet)],
        vital: true,
    }
}

fn says(outcome: Outcome) -> Text {
    let (word, tone) = match outcome {
        Outcome::Holds => ("holds", Tone::Good),
        Outcome::DoesNotHold => ("does not hold", Tone::Bad),
        Outcome::CannotTell => ("cannot tell", Tone::Doubt),
    };
    Text::toned(word, tone)
}
