//! The main job with its kernels in the cache, from the command's start to its end.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use super::Figure;

pub(super) fn measure() -> Result<Vec<Figure>> {
    // The first run fills the cache, the second is measured.
    let mut seconds = 0.0;
    for _ in 0..2 {
        let dir = tempfile::tempdir()?;
        let started = Instant::now();
        let status = Command::new(std::env::current_exe()?)
            .args([
                "run",
                "kasan",
                "--locked",
                "--profile",
                "quick",
                "--json",
                "--no-history",
                "--notify=",
                "--out",
            ])
            .arg(dir.path().join("run"))
            .stdout(Stdio::null())
            .status()
            .context("failed to start the run")?;
        seconds = started.elapsed().as_secs_f64();
        if !matches!(status.code(), Some(0 | 1 | 3)) {
            bail!("the run ended with {status}");
        }
    }
    Ok(vec![
        Figure::new("run kasan --profile quick, kernels cached", seconds, "s").at_most(180.0),
    ])
}
