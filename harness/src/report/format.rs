//! The formats that a verdict can be shown in.

use std::path::Path;

use super::{
    boots, claims, content, html, junit, kcidb, ktap,
    mail::{self, Identity},
    matrix, md, term,
};
use crate::{
    Error, Result,
    claims::Claimed,
    error::Context,
    judge::verdict::Verdict,
    matrix::{Forecast, Summary},
};

/// How to show a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One screen of text.
    Term {
        /// Whether the terminal takes colours.
        colour: bool,
    },
    /// Markdown, as in `report.md`.
    Markdown,
    /// A page for browsers, as in `report.html`.
    Html,
    /// The verdict itself, on one line.
    Json,
    /// Test cases, for CI systems.
    Junit,
    /// The kernel's own test format.
    Ktap,
    /// What KernelCI's common database takes.
    Kcidb {
        /// Who reports: lower-case letters, digits and `_`.
        origin: String,
    },
    /// An answer to the patch's mail.
    Mail {
        /// Who answers.
        from: Identity,
    },
}

/// The verdict of the run in `dir`, in a format.
///
/// # Errors
/// Where a figure has no JSON, or what is asked for makes no sense.
pub fn render(format: Format, verdict: &Verdict, dir: &Path) -> Result<String> {
    Ok(match format {
        Format::Term { colour } => term::render(&content::page(verdict, dir), colour),
        Format::Markdown => md::render(&content::page(verdict, dir)),
        Format::Html => html::run(verdict, dir)?,
        Format::Junit => junit::render(verdict, &boots::read(dir))?,
        Format::Ktap => ktap::render(verdict, &boots::read(dir)),
        Format::Kcidb { origin } => kcidb::render(verdict, &boots::read(dir), &origin)?,
        Format::Mail { from } => mail::render(verdict, &boots::read(dir), &from)?,
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
        Format::Html
        | Format::Junit
        | Format::Ktap
        | Format::Kcidb { .. }
        | Format::Mail { .. } => {
            return Err(Error::input("claims are shown as text, Markdown or JSON"));
        }
        Format::Json => {
            let doing = || "failed to write the claims as JSON".to_owned();
            let all = serde_json::json!({ "claims": claimed });
            serde_json::to_string(&all).host(doing)? + "\n"
        }
    })
}

/// What became of a matrix, in a format; a page of HTML has links that begin in its folder.
///
/// # Errors
/// Where a figure has no JSON, or what is asked for makes no sense.
pub fn render_matrix(format: Format, summary: &Summary) -> Result<String> {
    Ok(match format {
        Format::Term { colour } => term::render(&matrix::page(summary, false), colour),
        Format::Markdown => md::render(&matrix::page(summary, true)),
        Format::Html => html::matrix(summary)?,
        Format::Junit | Format::Ktap | Format::Kcidb { .. } | Format::Mail { .. } => {
            return Err(Error::input(
                "a matrix is shown as text, Markdown, HTML or JSON; ask for another format of one of its runs",
            ));
        }
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

/// How many cells of a matrix are left, and how long they take: a line of text.
pub fn render_left(forecast: &Forecast) -> String {
    matrix::forecast_line(forecast)
}

/// What of a matrix would run, for a terminal.
pub fn render_forecast(forecast: &Forecast, colour: bool) -> String {
    term::render(&matrix::forecast_page(forecast), colour)
}
