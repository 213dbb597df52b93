//! QEMU's start to the agent's hello, and the same kernel under virtme-ng.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use harness::{
    engine::{AccelChoice, Lab, Request},
    host::{Cmd, doctor},
};

use super::{Bench, Figure, median, request};

/// Configs with what a boot may take under TCG on 2 vCPUs, in seconds.
const CONFIGS: [(&str, f64); 3] = [("plain", 1.2), ("kasan", 4.5), ("kcsan", 3.5)];
const BOOTS: u32 = 5;
/// The most that a boot may take, over virtme-ng's.
const OVER_VNG: f64 = 0.25;
/// What virtme-ng's guest says when its command has run.
const VNG_RAN: &str = "script exited with code 0";
/// What virtme-ng needs of a kernel besides.
const NINE_P: &str = "CONFIG_PCI=y\nCONFIG_VIRTIO_PCI=y\nCONFIG_NET=y\nCONFIG_NETWORK_FILESYSTEMS=y\nCONFIG_NET_9P=y\n\
                      CONFIG_NET_9P_VIRTIO=y\nCONFIG_9P_FS=y\nCONFIG_ACPI=y\nCONFIG_OVERLAY_FS=y\n";

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let request = Request {
        accel: AccelChoice::Tcg,
        ..request()
    };
    let mut lab = bench.lab(&request)?;
    for (config, bound) in CONFIGS {
        let hello = hello(&mut lab, config)?;
        figures.push(
            Figure::new(format!("{config}, QEMU's start to hello, TCG"), hello, "s").at_most(bound),
        );
    }
    match against_vng(bench) {
        Ok(compared) => figures.extend(compared),
        // Its own trouble must not lose the figures that there are.
        Err(error) => crate::ui::say(&format!(
            "the comparison with virtme-ng was NOT made: {error:#}"
        )),
    }
    Ok(figures)
}

fn hello(lab: &mut Lab<'_>, config: &str) -> Result<f64> {
    let image = lab.base(config)?;
    let mut times = Vec::new();
    for _ in 0..BOOTS {
        let record = lab.boot(config, &image, None, Vec::new())?;
        times.push(
            record
                .hello_s
                .with_context(|| format!("a {config} guest did not say hello: {:?}", record.end))?,
        );
    }
    Ok(median(times))
}

/// The same kernel, ours first, then theirs; nothing where virtme-ng is not installed.
fn against_vng(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let Some(vng) = doctor::find("vng") else {
        crate::ui::say("virtme-ng is not installed: the comparison with it was NOT made");
        return Ok(Vec::new());
    };
    let temp = bench.cache.temp()?;
    let fragment = temp.path().join("9p.config");
    fs::write(&fragment, NINE_P)?;
    let request = Request {
        accel: AccelChoice::Tcg,
        kconfig: vec![fragment],
        ..request()
    };
    let mut lab = bench.lab(&request)?;
    let ours = hello(&mut lab, "kcsan")?;
    let kernel = lab.base("kcsan")?.boot;
    let theirs = theirs(bench, &vng, &kernel)?;
    Ok(vec![
        Figure::new("kcsan with 9P, ours to hello", ours, "s"),
        Figure::new("kcsan with 9P, virtme-ng to `true`", theirs, "s"),
        Figure::new("ours over virtme-ng's", ours / theirs, "").at_most(OVER_VNG),
    ])
}

fn theirs(bench: &Bench<'_>, vng: &Path, kernel: &Path) -> Result<f64> {
    let command = |more: &[&str]| {
        Cmd::new(vng)
            .args(["--disable-kvm", "--force-9p", "--cpus", "2"])
            .args(more)
            .arg("-r")
            .arg(kernel)
            .args(["--", "true"])
    };
    // Its exit code tells nothing on a host without udev, whose names for the guest's ports it
    // needs; its guest's words do. They are printed for this one alone: printing takes time.
    let said = command(&["--verbose"]).run(bench.cancel)?;
    let said = format!("{}\n{}", said.text(), String::from_utf8_lossy(&said.stderr));
    ensure!(
        said.contains(VNG_RAN),
        "its guest did not run `true`: {}",
        said.lines().last().unwrap_or_default()
    );
    let mut times = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        command(&[]).run(bench.cancel)?;
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(median(times))
}
