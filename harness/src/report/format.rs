//! The formats that a verdict can be shown in.

use std::path::Path;

use super::{content, md, term};
use crate::{Result, error::Context, judge::verdict::Verdict};

/// How to show a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One screen of text.
    Term {
        /// Whether the terminal takes colours.
        colour: bool,
    },
    /// Markdown, as in `report.md`.
    Markdown,
    /// The verdict itself, on one line.
    Json,
}

/// The verdict of the run in `dir`, in a format.
///
/// # Errors
/// Where a figure has no JSON.
pub fn render(format: Format, verdict: &Verdict, dir: &Path) -> Result<String> {
    Ok(match format {
        Format::Term { colour } => term::render(&content::page(verdict, dir), colour),
        Format::Markdown => md::render(&content::page(verdict, dir)),
        Format::Json => {
            let doing = || "failed to write the verdict as JSON".to_owned();
            serde_json::to_string(verdict).host(doing)? + "\n"
        }
    })
}
