//! What a matrix came to as GitHub's workflow commands, which become annotations.

use super::{
    escape::{annotation, annotation_property},
    words,
};
use crate::{
    judge::verdict::Outcome,
    matrix::summary::{CellSummary, Summary},
};

/// One line for each cell that is not a plain pass, the worst first.
pub fn annotations(summary: &Summary) -> Vec<String> {
    let mut lines: Vec<(u8, String)> = Vec::new();
    for cell in &summary.cells {
        let Some(outcome) = cell.outcome else {
            continue;
        };
        let (rank, command) = match outcome {
            _ if cell.expected.is_some() => (2, "notice"),
            Outcome::Regression | Outcome::Untestable => (0, "error"),
            Outcome::Inconclusive | Outcome::Infrastructure => (1, "warning"),
            Outcome::Pass if cell.infrastructure > 0 => (2, "notice"),
            Outcome::Pass | Outcome::Interrupted => continue,
        };
        let title = format!("{}: {}", words::outcome_word(outcome), cell.id);
        let line = format!(
            "::{command} title={}::{}",
            annotation_property(&title),
            annotation(&says(cell))
        );
        lines.push((rank, line));
    }
    lines.sort_by_key(|(rank, _)| *rank);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The one thing to know of a cell.
fn says(cell: &CellSummary) -> String {
    if let Some(expected) = &cell.expected {
        return format!("expected: {} (until {})", expected.reason, expected.until);
    }
    let flaky = if cell.flaky { "flaky: " } else { "" };
    let first = cell.findings.iter().find(|finding| finding.counts());
    let what = first.map(|finding| finding.title.as_str());
    let what = what.or(cell.reasons.first().map(String::as_str));
    let retried = "it passed after attempts that ended for infrastructure's sake";
    format!(
        "{flaky}{}",
        what.unwrap_or(match cell.outcome {
            Some(Outcome::Pass) => retried,
            _ => "see its report",
        })
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::matrix::tests::summary;

    #[test]
    fn golden() {
        let lines = annotations(&summary());
        for line in &lines {
            // One command a line, and nothing of foreign text begins another.
            assert!(
                !line.contains(['\n', '\r']) && line.starts_with("::"),
                "{line}"
            );
        }
        crate::report::tests::golden_is("matrix.actions", &(lines.join("\n") + "\n"));
    }

    #[test]
    fn what_is_accepted_is_no_cause() {
        let mut summary = summary();
        let cells = summary.cells.iter_mut();
        let mut regressed = cells.filter(|cell| cell.outcome == Some(Outcome::Regression));
        let cell = regressed.next().unwrap();
        cell.findings[0].accepted = Some("known".into());
        cell.findings[1].title = "the cause".into();
        assert_eq!(says(cell), "flaky: the cause");
        cell.findings.truncate(1);
        cell.reasons = vec!["why".into()];
        assert_eq!(says(cell), "flaky: why");
    }
}
