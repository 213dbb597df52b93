//! Memory that reading a 100 MB console log takes: the peak of a process of its own.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::Figure;

const LOG_BYTES: u64 = 100 << 20;
const MEBI: f64 = 1_048_576.0;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("console.log");
    write_log(&log)?;
    let started = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .arg("splats")
        .arg("--json")
        .arg(&log)
        .stdout(Stdio::null())
        .spawn()
        .context("failed to start the parser")?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        // The kernel keeps the peak itself: the last look before the end tells nearly all.
        peak = peak.max(peak_kib(&status_file));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(Duration::from_millis(5));
    };
    if !matches!(status.code(), Some(0 | 1)) {
        bail!("the parser ended with {status}");
    }
    let rate = LOG_BYTES as f64 / MEBI / started.elapsed().as_secs_f64();
    Ok(vec![
        Figure::new(
            "a 100 MB console log, peak memory",
            peak as f64 / 1024.0,
            "MiB",
        )
        .at_most(100.0),
        Figure::new("a 100 MB console log, read at", rate, "MiB/s"),
    ])
}

/// Boot chatter with a splat now and then.
fn write_log(path: &std::path::Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut written = 0;
    let mut n: u64 = 0;
    while written < LOG_BYTES {
        n += 1;
        let at = format!("[{:5}.{:06}][    T1] ", n / 1000, n % 1000 * 1000);
        let line = if n.is_multiple_of(50_000) {
            format!(
                "{at}WARNING: CPU: 0 PID: 1 at fs/x.c:{n} f+0x10/0x20\n{at}Call Trace:\n{at} g+0x1/0x2\n{at} h+0x1/0x2\n"
            )
        } else {
            format!(
                "{at}virtio_blk virtio{}: [vda] {n} 512-byte logical blocks\n",
                n % 7
            )
        };
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    out.flush()?;
    Ok(())
}

fn peak_kib(status: &str) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
