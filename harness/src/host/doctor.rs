//! What ktwin needs of this host, what is missing, and the one command that mends it.

use std::{env, fs, io, path::Path};

pub use super::needs::{Extra, find};
use super::{
    Cmd,
    needs::{CONFINES, NEEDS, Need, WISHES, found},
    packages::{Manager, install_line, privileged},
};
use crate::{
    Error, Result,
    boot::{accel, confine::WITHOUT},
    build::Sandbox,
    cancel::Cancel,
};

/// Disk space that a first run of all configs takes, in bytes.
const DISK_WANTED: u64 = 16 << 30;
/// Disk space without which not even one config can be built, in bytes: a source and a build folder.
const DISK_NEEDED: u64 = 4 << 30;
/// Memory under which two guests' worth of work swaps, in bytes.
const MEMORY_WANTED: u64 = 4 << 30;

/// How a line of the doctor's came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// There, and it works.
    Good,
    /// Works, with less than one would wish.
    Poor,
    /// Missing; nothing runs without it.
    Missing,
}

/// One line of the doctor's.
#[derive(Debug, Clone)]
pub struct Line {
    /// What was looked for.
    pub what: String,
    /// How it came out.
    pub health: Health,
    /// What was found, or what it is for.
    pub detail: String,
    /// The one command that mends it.
    pub mend: Option<String>,
}

/// Everything that the doctor looked at.
#[derive(Debug)]
pub struct Report {
    /// Line by line.
    pub lines: Vec<Line>,
    /// Packages that are missing, in this host's own names.
    pub packages: Vec<&'static str>,
    manager: Option<Manager>,
}

impl Report {
    /// Does everything needed work?
    pub fn healthy(&self) -> bool {
        self.lines.iter().all(|l| l.health != Health::Missing)
    }

    /// What mends the first line without which nothing runs.
    pub fn first_mend(&self) -> Option<&str> {
        let missing = self.lines.iter().filter(|l| l.health == Health::Missing);
        missing.filter_map(|l| l.mend.as_deref()).next()
    }

    /// The command that installs what is missing, for a person to type.
    pub fn mend(&self) -> Option<String> {
        install_line(self.manager?, &self.packages)
    }

    /// The commands that install what is missing, in order; the last one counts. A host may have a
    /// broken source among its good ones, so a failing update need not end it.
    ///
    /// # Errors
    /// No package manager is known.
    pub fn commands(&self) -> Result<Vec<Vec<String>>> {
        if self.packages.is_empty() {
            return Ok(Vec::new());
        }
        let missing = || {
            format!(
                "no apt-get, dnf or pacman to install {}",
                self.packages.join(" ")
            )
        };
        let manager = self
            .manager
            .ok_or_else(|| Error::infrastructure(missing()).mend("install them by hand"))?;
        Ok(manager
            .install(&self.packages)
            .into_iter()
            .map(privileged)
            .collect())
    }
}

/// Looks at everything that runs need, and at what these extras do. `cache` is where the disk space is
/// wanted.
pub fn examine(cache: &Path, extras: &[Extra], cancel: &Cancel) -> Report {
    let manager = Manager::here();
    let unconfined = env::var_os(WITHOUT).is_some_and(|v| v == "1");
    let mut lines = vec![architecture(), toolchain(cancel)];
    let mut packages = Vec::new();
    let extras = extras.iter().flat_map(|extra| extra.needs());
    for need in NEEDS.iter().chain(extras) {
        let package = manager.map(|m| need.packages[m as usize]);
        let line = match found(need.probe, cancel) {
            Some(detail) => line(need.what, Health::Good, detail, None),
            None if need.what == CONFINES && unconfined => wanted(need, manager),
            None => {
                packages.extend(package.filter(|p| !packages.contains(p)));
                let mend = manager
                    .zip(package)
                    .and_then(|(m, p)| install_line(m, &[p]));
                line(
                    need.what,
                    Health::Missing,
                    format!("not found: {}", need.why),
                    mend,
                )
            }
        };
        lines.push(line);
    }
    lines.extend(WISHES.iter().map(|wish| wished(wish, manager, cancel)));
    lines.extend(
        [
            qemu(cancel),
            find("bwrap").map(|bwrap| sandbox(&bwrap, unconfined, cancel)),
            disk(cache),
            memory(),
            accelerator(accel::device()),
        ]
        .into_iter()
        .flatten(),
    );
    Report {
        lines,
        packages,
        manager,
    }
}

/// Never among the packages that are installed for want of them.
fn wished(wish: &Need, manager: Option<Manager>, cancel: &Cancel) -> Line {
    match found(wish.probe, cancel) {
        Some(detail) => line(wish.what, Health::Good, detail, None),
        None => wanted(wish, manager),
    }
}

/// Not there, and nothing waits for it.
fn wanted(need: &Need, manager: Option<Manager>) -> Line {
    let mend = manager.and_then(|m| install_line(m, &[need.packages[m as usize]]));
    let detail = format!("not found: {}", need.why);
    line(need.what, Health::Poor, detail, mend)
}

fn line(what: &str, health: Health, detail: impl Into<String>, mend: Option<String>) -> Line {
    Line {
        what: what.into(),
        health,
        detail: detail.into(),
        mend,
    }
}

fn architecture() -> Line {
    let health = if env::consts::ARCH == "x86_64" {
        Health::Good
    } else {
        Health::Missing
    };
    line(
        "architecture",
        health,
        format!("{} (guests are x86_64)", env::consts::ARCH),
        None,
    )
}

fn toolchain(cancel: &Cancel) -> Line {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    match Cmd::new(cargo).arg("--version").run_ok(cancel) {
        Ok(output) => line("cargo", Health::Good, output.text(), None),
        Err(error) => line(
            "cargo",
            Health::Missing,
            // rustup prints where it panicked, too.
            error.chain().lines().take(2).collect::<Vec<_>>().join(" "),
            Some("install Rust with rustup".into()),
        ),
    }
}

fn qemu(cancel: &Cancel) -> Option<Line> {
    const NAME: &str = "QEMU's version";
    let output = Cmd::new(find("qemu-system-x86_64")?)
        .arg("--version")
        .run_ok(cancel);
    let (health, detail) = match output.map(|o| o.text()) {
        Ok(text) => {
            let first = text.lines().next().unwrap_or_default().to_owned();
            match version(&first) {
                Some(v) if v >= (7, 2) => (Health::Good, first),
                _ => (Health::Missing, format!("{first}: 7.2 or later is needed")),
            }
        }
        Err(error) => (Health::Missing, error.chain()),
    };
    let mend =
        (health == Health::Missing).then(|| "put a QEMU of 7.2 or later first in PATH".to_owned());
    Some(line(NAME, health, detail, mend))
}

/// Major and minor in `QEMU emulator version 7.2.22 (...)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text
        .split_once("version ")?
        .1
        .split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether bubblewrap can confine a build here; without it nothing runs unless the user says so.
fn sandbox(bwrap: &Path, unconfined: bool, cancel: &Cancel) -> Line {
    let trial = Sandbox::bubblewrap(bwrap, cancel);
    confined(trial.map(drop), unconfined)
}

fn confined(trial: Result<()>, unconfined: bool) -> Line {
    const NAME: &str = "sandbox";
    let Err(error) = trial else {
        return line(NAME, Health::Good, "bubblewrap makes namespaces", None);
    };
    // Its own words come last; before them stands a command that fills a screen.
    let chain = error.chain();
    let why = chain.lines().last().unwrap_or_default();
    if unconfined {
        let detail = format!("nothing is confined, as {WITHOUT}=1 says: {why}");
        return line(NAME, Health::Poor, detail, None);
    }
    let mend = error.mending().map(str::to_owned);
    line(NAME, Health::Missing, why, mend)
}

fn disk(cache: &Path) -> Option<Line> {
    let stat = nix::sys::statvfs::statvfs(cache).ok()?;
    let free = stat.blocks_available() * stat.fragment_size();
    let health = match free {
        DISK_WANTED.. => Health::Good,
        DISK_NEEDED.. => Health::Poor,
        _ => Health::Missing,
    };
    let mend = (health != Health::Good)
        .then(|| "cargo xtask cache gc, or set KTWIN_CACHE to a larger disk".into());
    let detail = format!(
        "{} free for the cache, {} wanted",
        gib(free),
        gib(DISK_WANTED)
    );
    Some(line("disk", health, detail, mend))
}

fn memory() -> Option<Line> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let free = kib.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10;
    let health = if free >= MEMORY_WANTED {
        Health::Good
    } else {
        Health::Poor
    };
    Some(line(
        "memory",
        health,
        format!("{} available, {} wanted", gib(free), gib(MEMORY_WANTED)),
        None,
    ))
}

fn accelerator(device: io::Result<()>) -> Option<Line> {
    const NAME: &str = "accelerator";
    Some(match device {
        Ok(()) => {
            let detail = "/dev/kvm opens; a timed trial boot decides at the first run";
            line(NAME, Health::Good, detail, None)
        }
        Err(error) => {
            let detail = format!("/dev/kvm: {error}; guests run under TCG, some ten times slower");
            let mend = accel::mend(&error).map(str::to_owned);
            line(NAME, Health::Poor, detail, mend)
        }
    })
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, expected) in [
            (
                "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)",
                Some((7, 2)),
            ),
            ("QEMU emulator version 10.0.2", Some((10, 0))),
            ("no such thing", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_trusted_need_not_be_confined() {
        let no = || Err(Error::infrastructure("no namespaces").mend("allow them"));
        for (trial, unconfined, health, mends) in [
            (Ok(()), false, Health::Good, false),
            (Ok(()), true, Health::Good, false),
            (no(), false, Health::Missing, true),
            (no(), true, Health::Poor, false),
        ] {
            let line = confined(trial, unconfined);
            assert_eq!(
                (line.health, line.mend.is_some()),
                (health, mends),
                "{line:?}"
            );
        }
        assert!(NEEDS.iter().any(|need| need.what == CONFINES));
    }

    #[test]
    fn bubblewrap_is_tried_as_builds_use_it() {
        let dir = tempfile::tempdir().unwrap();
        let bwrap = dir.path().join("bwrap");
        // As in a container with parts of /proc masked: everything goes but another /proc.
        let script = r#"#!/bin/sh
            case "$*" in
                *" --proc /proc "*) echo "bwrap: Can't mount proc on /newroot/proc" >&2; exit 1 ;;
            esac"#;
        // A shell writes it: what this process has open for writing nobody can run.
        let write = [
            "-c",
            r#"printf '%s\n' "$1" >"$2" && chmod +x "$2""#,
            "sh",
            script,
        ];
        let write = Cmd::new("sh").args(write).arg(&bwrap);
        write.run_ok(&Cancel::new()).unwrap();
        let line = sandbox(&bwrap, false, &Cancel::new());
        assert_eq!(line.health, Health::Missing, "{line:?}");
        assert!(line.detail.starts_with("bwrap: "), "{line:?}");
        let mend = line.mend.unwrap();
        assert!(mend.contains("masks /proc"), "{mend}");
    }

    #[test]
    fn who_may_not_open_kvm_is_told_the_group() {
        for (kind, mends) in [
            (io::ErrorKind::PermissionDenied, true),
            (io::ErrorKind::NotFound, false),
        ] {
            let line = accelerator(Err(kind.into())).unwrap();
            let group = line.mend.is_some_and(|mend| mend.contains("--groups kvm"));
            assert_eq!((line.health, group), (Health::Poor, mends), "{kind:?}");
        }
    }

    #[test]
    fn what_mends_is_of_a_line_that_stops_runs() {
        let of = |health, mend: &str| line("x", health, "y", Some(mend.into()));
        let report = |lines| Report {
            lines,
            packages: vec![],
            manager: None,
        };
        let both = report(vec![
            of(Health::Poor, "install ccache"),
            of(Health::Missing, "put a QEMU first in PATH"),
        ]);
        assert_eq!(both.first_mend(), Some("put a QEMU first in PATH"));
        assert_eq!(
            report(vec![of(Health::Poor, "install ccache")]).first_mend(),
            None
        );
    }

    #[test]
    fn missing_packages_are_named_in_one_command() {
        let report = Report {
            lines: vec![],
            packages: vec!["fio", "bc"],
            manager: Some(Manager::Dnf),
        };
        assert!(
            report
                .mend()
                .unwrap()
                .ends_with("dnf install --assumeyes fio bc")
        );
        let none = Report {
            lines: vec![],
            packages: vec![],
            manager: Some(Manager::Apt),
        };
        assert_eq!(none.mend(), None);
    }
}
