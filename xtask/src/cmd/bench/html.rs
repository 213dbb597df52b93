//! The page of a large matrix: its size, and how long a browser takes to open it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use harness::{
    host::doctor,
    matrix::simulate,
    report::{self, Format},
};

use super::{Figure, median};

const CELLS: u32 = 500;
/// Each page is opened so often, by turns.
const ROUNDS: usize = 5;
const MOST_BYTES: f64 = 5e6;
const MOST_SECONDS: f64 = 2.0;
/// What Chromium is called.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

pub(super) fn measure() -> Result<Vec<Figure>> {
    let text = report::render_matrix(Format::Html, &simulate::summary(CELLS, ""))?;
    let bytes = text.len() as f64;
    let size = Figure::new(
        format!("page of a matrix of {CELLS} cells"),
        bytes / 1e6,
        "MB",
    );
    let mut figures = vec![size.at_most(MOST_BYTES / 1e6)];
    let Some(browser) = BROWSERS.into_iter().find_map(doctor::find) else {
        crate::ui::say(
            "Chromium is not installed: how long the page takes to open was NOT measured",
        );
        return Ok(figures);
    };
    let dir = tempfile::tempdir()?;
    let (page, empty) = (dir.path().join("page.html"), dir.path().join("empty.html"));
    fs::write(&page, text)?;
    fs::write(&empty, "<!doctype html><title>empty</title>")?;
    let (mut ours, mut nothing) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (took, opened) = open(&browser, &page, dir.path())?;
        let cells = opened.matches("id=\"cell-").count();
        ensure!(cells == CELLS as usize, "{cells} cells are in the page");
        ensure!(
            opened.contains("<html lang=\"en\" class=\"js\">"),
            "the page's script did not run"
        );
        ours.push(took);
        nothing.push(open(&browser, &empty, dir.path())?.0);
    }
    let (ours, nothing) = (median(ours), median(nothing));
    let begun = "from Chromium's start to the page's end";
    figures.push(Figure::new(begun, ours, "s").at_most(MOST_SECONDS));
    figures.push(Figure::new("the same of an empty page", nothing, "s"));
    Ok(figures)
}

/// How long a page takes from the browser's start until it is loaded and its script has run, in seconds;
/// and what has become of it then.
fn open(browser: &PathBuf, page: &Path, dir: &Path) -> Result<(f64, String)> {
    let profile = tempfile::tempdir_in(dir)?;
    let mut command = Command::new(browser);
    command
        // Its sandbox refuses root, and the page is ours.
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()));
    let started = Instant::now();
    let output = command
        .output()
        .with_context(|| format!("failed to start {}", browser.display()))?;
    let took = started.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "{} ended with {}",
        browser.display(),
        output.status
    );
    Ok((took, String::from_utf8(output.stdout)?))
}
