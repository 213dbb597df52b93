//! How long `history` takes to answer, over 100,000 cells.

use std::{env, path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use harness::history::{History, simulate};

use super::{Bench, Figure, median};

const NIGHTS: usize = 200;
/// Cells a night.
const CELLS: usize = 500;
/// Each question is asked so often, by turns.
const ROUNDS: usize = 5;
const MOST_SECONDS: f64 = 1.0;
/// Questions, the widest of each kind among them.
const QUESTIONS: [&[&str]; 8] = [
    &["since", "function_7 /"],
    &["since", "data-race"],
    &["rate", "function_7 /"],
    &["rate", "data-race"],
    &["trend", "instructions of operation 3"],
    &["trend", "instructions"],
    &["trend", "instructions", "--all"],
    &["shifts"],
];

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("history.sqlite");
    simulate::fill(&mut History::at(&file)?, NIGHTS, CELLS)?;
    let program = env::current_exe().context("failed to find this program")?;
    let mut took = QUESTIONS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (question, took) in QUESTIONS.iter().zip(&mut took) {
            bench.cancel.check()?;
            took.push(asked(&program, &file, question)?);
        }
    }
    let figures = QUESTIONS.iter().zip(took).map(|(question, took)| {
        let what = format!("{} cells, history {}", NIGHTS * CELLS, question.join(" "));
        Figure::new(what, median(took), "s").at_most(MOST_SECONDS)
    });
    Ok(figures.collect())
}

/// From the command's start to its end, in seconds.
fn asked(program: &Path, file: &Path, question: &[&str]) -> Result<f64> {
    let mut command = Command::new(program);
    command
        .arg("history")
        .args(question)
        .env("KTWIN_HISTORY", file);
    let started = Instant::now();
    let output = command.output().context("failed to start this program")?;
    let took = started.elapsed().as_secs_f64();
    ensure!(
        output.status.success() && !output.stdout.is_empty(),
        "history {}: {} {}",
        question.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(took)
}
