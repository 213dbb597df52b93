//! What GitHub shows of a matrix that runs there: annotations, and a summary of the step.

use std::{env, fs::File, io::Write};

use anyhow::{Context, Result};
use harness::{
    matrix::Summary,
    report::{self, Format},
};

use crate::ui;

/// A step's summary is cut off there, in bytes.
const LONGEST: usize = 1 << 20;

/// Prints workflow commands, on stderr: stdout is the result's alone, and both are looked at.
pub(super) fn annotate(summary: &Summary) {
    if env::var_os("GITHUB_ACTIONS").is_some_and(|set| set == "true") {
        report::annotations(summary)
            .iter()
            .for_each(|line| ui::say(line));
    }
}

/// Adds the report to the step's summary.
pub(super) fn summarize(summary: &Summary) -> Result<()> {
    let Some(path) = env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let mut text = report::render_matrix(Format::Markdown, summary)?;
    if text.len() > LONGEST {
        text = "The report is longer than a summary may be: it is report.md, among what the job leaves.\n".to_owned();
    }
    let file = File::options().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("failed to write {}", path.display()))
}
