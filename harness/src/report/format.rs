//! The formats that a verdict can be shown in.

use std::path::Path;

use super::{
    boots, claims, content, html, junit, kcidb, ktap,
    mail::{self, Identity},
    md, term,
};
use crate::{
    Error, Result, claims::Claimed, error::Context, judge::verdict::Verdict, matrix::Summary,
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

/// What became of a matrix, as a page whose links begin in the matrix's folder.
///
/// # Errors
/// The host's.
pub fn render_matrix(summary: &Summary) -> Result<String> {
    html::matrix(summary)
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
