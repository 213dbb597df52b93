//! The formats that a verdict can be shown in.

use std::path::Path;

use super::{claims, content, matrix, md, term};
use crate::{
    Result,
    claims::Claimed,
    error::Context,
    judge::verdict::Verdict,
    matrix::{Forecast, Summary},
};

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

/// What came of a patch's claims, in a format.
///
/// # Errors
/// Where a figure has no JSON.
pub fn render_claims(format: Format, claimed: &[Claimed]) -> Result<String> {
    Ok(match format {
        Format::Term { colour } => term::render(&claims::page(claimed), colour),
        Format::Markdown => md::render(&claims::page(claimed)),
        Format::Json => {
            let doing = || "failed to write the claims as JSON".to_owned();
            let all = serde_json::json!({ "claims": claimed });
            serde_json::to_string(&all).host(doing)? + "\n"
        }
    })
}

/// What became of a matrix, in a format.
///
/// # Errors
/// Where a figure has no JSON.
pub fn render_matrix(format: Format, summary: &Summary) -> Result<String> {
    Ok(match format {
        Format::Term { colour } => term::render(&matrix::page(summary, false), colour),
        Format::Markdown => md::render(&matrix::page(summary, true)),
        Format::Json => {
            let doing = || "failed to write the summary as JSON".to_owned();
            serde_json::to_string(summary).host(doing)? + "\n"
        }
    })
}

/// How far a matrix is, cell by cell, for a terminal.
pub fn render_status(summary: &Summary, colour: bool) -> String {
    term::render(&matrix::page(summary, true), colour)
}

/// What of a matrix would run, for a terminal.
pub fn render_forecast(forecast: &Forecast, colour: bool) -> String {
    term::render(&matrix::forecast_page(forecast), colour)
}
