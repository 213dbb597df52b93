//! How fast console logs are read: a clean one, against ripgrep searching it for the same strings,
//! and one that is nothing but splats.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use harness::{host::doctor, splat};

use super::{Figure, median};

const CLEAN_BYTES: usize = 1_000_000_000;
/// Each measured so often, by turns.
const ROUNDS: usize = 5;
const SPLATS: usize = 10_000;
/// The part of them that the time of all is compared with.
const PART: usize = 2_500;
const GIGA: f64 = 1e9;

/// What a healthy kernel says, a number in each line.
const CHATTER: &[&str] = &[
    "virtio_blk virtio{}: [vda] 262144 512-byte logical blocks (134 MB/128 MiB)",
    "EXT4-fs (vda): mounted filesystem with ordered data mode. Quota mode: none. pass {}",
    "systemd[1]: Started session-{}.scope - Session of User root.",
    "clocksource: tsc: mask: 0xffffffffffffffff max_cycles: {} max_idle_ns: 440795202120 ns",
    "audit: type=1400 audit({}.0:2): apparmor=\"STATUS\" operation=\"profile_load\"",
    "Memory: 1991568K/2096628K available (26624K kernel code, {}K rwdata, 9012K rodata)",
    "e1000e 0000:00:1f.6 eth0: NIC Link is Up {} Mbps Full Duplex, Flow Control: Rx/Tx",
    "random: crng init done after {} ms",
];

pub(super) fn measure() -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let clean = dir.path().join("clean.log");
    write_clean(&clean)?;
    let rg = doctor::find("rg");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(timed(|| expect(&clean, 0))?);
        if let Some(rg) = &rg {
            theirs.push(timed(|| ripgrep(rg, &clean))?);
        }
    }
    let ours = median(ours);
    let mut figures =
        vec![Figure::new("a clean 1 GB console log, read at", 1.0 / ours, "GB/s").at_least(1.0)];
    if rg.is_some() {
        let ratio = Figure::new("time for it, against rg -c", ours / median(theirs), "");
        figures.push(ratio.at_most(1.0));
    } else {
        crate::ui::say("ripgrep is not installed: the comparison with it was NOT made");
    }
    let (part, all) = (dir.path().join("part.log"), dir.path().join("all.log"));
    let bytes = write_splats(&all, SPLATS)?;
    write_splats(&part, PART)?;
    let (mut of_part, mut of_all) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_part.push(timed(|| expect(&part, PART))?);
        of_all.push(timed(|| expect(&all, SPLATS))?);
    }
    let (of_part, of_all) = (median(of_part), median(of_all));
    let rate = bytes as f64 / GIGA / of_all;
    // Linear is the ratio of their sizes, 4; more than noise above it is not.
    let ratio = Figure::new("10,000 splats, time against 2,500", of_all / of_part, "");
    figures.push(ratio.at_most(4.8));
    figures.push(Figure::new("10,000 splats, read at", rate, "GB/s"));
    Ok(figures)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

fn expect(log: &Path, splats: usize) -> Result<()> {
    let mut count = 0;
    splat::scan_reader(File::open(log)?, |_| count += 1)?;
    if count != splats {
        bail!("{count} splats were read where there are {splats}");
    }
    Ok(())
}

/// One thread, as the parser has.
fn ripgrep(rg: &Path, log: &Path) -> Result<()> {
    let mut rg = Command::new(rg);
    rg.args(["--no-config", "-c", "-F", "-j1", "-a"]);
    rg.args(splat::needles().iter().flat_map(|needle| ["-e", needle]));
    let status = rg.arg("--").arg(log).stdout(Stdio::null()).status();
    let status = status.context("failed to start rg")?;
    match status.code() {
        // 1: nothing found, as it should be.
        Some(0 | 1) => Ok(()),
        _ => bail!("rg ended with {status}"),
    }
}

fn write_clean(path: &Path) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut written, mut n) = (0, 0_usize);
    while written < CLEAN_BYTES {
        let (before, after) = CHATTER[n % CHATTER.len()]
            .split_once("{}")
            .unwrap_or_default();
        let (s, us) = (n / 5000, n % 5000 * 200);
        let line = format!("[{s:5}.{us:06}][  T{:3}] {before}{n}{after}\n", n % 400);
        out.write_all(line.as_bytes())?;
        written += line.len();
        n += 1;
    }
    Ok(out.flush()?)
}

/// Use-after-free reports one behind the other, each of a task of its own.
fn write_splats(path: &Path, count: usize) -> Result<u64> {
    let mut out = BufWriter::new(File::create(path)?);
    let stack = |task: &str, at: &str, from: usize| -> String {
        let frames = (from..from + 12).map(|i| format!("{at}{task} f{i}+0x{i:x}/0x200\n"));
        frames.collect()
    };
    for n in 0..count {
        let at = format!("[{:5}.{:06}]", n / 100, n % 100 * 10_000);
        let task = format!("[ T{:4}]", n % 9000);
        let say = |text: &str| format!("{at}{task} {text}\n");
        let report = [
            say("=================================================================="),
            say(&format!(
                "BUG: KASAN: slab-use-after-free in f{}+0x10/0x200",
                n % 50
            )),
            say("Read of size 8 at addr ffff888004a8b040 by task ktwin-agent/100"),
            say("CPU: 1 UID: 0 PID: 100 Comm: ktwin-agent Not tainted 7.3.4 #1"),
            say("Call Trace:"),
            say(" <TASK>"),
            say(" kasan_report+0xc1/0xf0"),
            stack(&task, &at, n % 50),
            say(" </TASK>"),
            say("Allocated by task 100:"),
            stack(&task, &at, 60),
            say("Freed by task 101:"),
            stack(&task, &at, 80),
            say("The buggy address belongs to the object at ffff888004a8b000"),
            say("=================================================================="),
        ];
        out.write_all(report.concat().as_bytes())?;
    }
    out.flush()?;
    Ok(path.metadata()?.len())
}
