//! How runs end that do not get to a comparison: bad input, and Ctrl-C.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use harness::judge::verdict::{Finding, Kind, Outcome, Status, Verdict};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::ktwin::{Run, command, plain, planted_file, run};

#[test]
fn a_patch_that_does_not_apply_says_where() {
    let patch = planted_file("no-apply");
    let run = run(&["plain", "--patch", patch.to_str().unwrap()]);
    assert_eq!((run.code, run.verdict.outcome), (5, Outcome::Untestable));
    let finding = run.found(
        "no-apply",
        Kind::PatchRejected,
        "patch-rejected",
        "fs/fuse/backing.c, hunk 2",
        Status::New,
    );
    assert!(
        finding.detail.contains("reads"),
        "what stands there: {}",
        finding.detail
    );
}

#[test]
fn bad_input_is_named() {
    let table: &[(&[&str], i32, &str)] = &[
        (&["run", "kassan", "--locked"], 2, "kasan"),
        (
            &["run", "kasan", "--locked", "--scenario", "rase"],
            2,
            "race",
        ),
        (&["run", "kasan", "--kernel", "xtask"], 2, "kernel"),
        (
            &["run", "kasan", "--locked", "--patch", "no-such-file.patch"],
            2,
            "no-such-file.patch",
        ),
        (
            &["run", "kasan", "--locked", "--variant", "no-such"],
            2,
            "ida-hashtable",
        ),
    ];
    for (args, code, word) in table {
        let output = plain(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_patch_elsewhere_needs_a_workload() {
    let patch = planted_file("outside-fuse");
    let output = plain(&[
        "run",
        "kasan",
        "--locked",
        "--patch",
        patch.to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("-- COMMAND") || said.contains("--scenario"),
        "{said}"
    );
}

/// What a command had printed by then is there, whatever became of the guest.
#[test]
fn a_commands_output_outlives_the_guest() {
    let script = "echo ok 1; echo c > /proc/sysrq-trigger; echo ok 2";
    let run = run(&["plain", "--no-patch", "--", "/bin/sh", "-c", script]);
    assert_eq!(run.code, 1);
    let dir = run.dir.path().join("run/plain-base-1");
    let text = |name| fs::read_to_string(dir.join(name)).unwrap();
    assert_eq!(text("output.log"), "ok 1\n");
    assert!(text("console.log").contains("Kernel panic"));
}

/// A program that no other may interrupt, but for the threads that print, keeps the agent from its beats.
#[test]
fn a_guest_that_hangs_is_asked_what_it_does() {
    let script = "for comm in /proc/[0-9]*/comm; do \
                      read -r name < $comm; pid=${comm#/proc/}; \
                      case $name in pr/*) chrt -f -p 99 ${pid%/comm};; esac; \
                  done; \
                  echo -1 > /proc/sys/kernel/sched_rt_runtime_us; \
                  echo 0 > /sys/kernel/debug/sched/fair_server/cpu0/runtime; \
                  while :; do :; done";
    let run = run(&[
        "plain",
        "--no-patch",
        "--cpus",
        "1",
        "--",
        "chrt",
        "-f",
        "90",
        "/bin/sh",
        "-c",
        script,
    ]);
    assert_eq!(run.code, 1);
    let hang = &run.verdict.comparisons[0].findings[0];
    assert_eq!(hang.kind, Kind::Hang);
    let console = run.dir.path().join("run/plain-base-1/console.log");
    let console = fs::read_to_string(console).unwrap();
    for answer in ["Show Blocked State", "Show backtrace of all active CPUs"] {
        assert!(console.contains(answer), "no {answer} in {console}");
    }
}

/// What a command leaves behind in a session of its own is gone when the next one runs.
#[test]
fn a_command_leaves_nothing_behind() {
    let daemon = "setsid sleep 999 > /dev/null 2>&1 & sleep 1";
    let look = "for comm in /proc/[0-9]*/comm; do \
                    read -r name < $comm; [ \"$name\" != sleep ] || exit 1; \
                done; exit 0";
    let run = run_loads(&[
        json!({"exec": {"command": ["sh", "-c", daemon], "seconds": 60}}),
        json!({"exec": {"command": ["sh", "-c", look], "seconds": 60}}),
    ]);
    assert_eq!(run.code, 0, "{:#?}", run.verdict);
}

/// A write to a frozen file system waits in the kernel, whatever signal comes.
#[test]
fn a_command_that_cannot_be_killed_ends_the_boot() {
    let freeze = "cd /sys/block; \
                  for disk in vd*; do \
                      read -r serial < $disk/serial; \
                      [ \"$serial\" != ktwin-scratch ] || mount -t ext4 /dev/$disk /mnt; \
                  done; \
                  $0 -f /mnt; echo > /mnt/file";
    let run = run_loads(&[
        // It brings the disk.
        json!({"fio": {"store": "ext4", "jobs": 1, "file": "1M", "seconds": 1}}),
        json!({"exec": {"command": ["sh", "-c", freeze, "/usr/sbin/fsfreeze"], "seconds": 10}}),
        json!({"exec": {"command": ["true"], "seconds": 10}}),
    ]);
    assert_eq!(run.code, 1);
    let findings = &run.verdict.comparisons[0].findings;
    let hangs =
        |f: &Finding| f.kind == Kind::Hang && f.title == "threads of exec did not come back";
    assert!(findings.iter().any(hangs), "{findings:#?}");
    let events = run.dir.path().join("run/plain-base-1/events.ndjson");
    let events = fs::read_to_string(events).unwrap();
    assert!(events.contains("sh (D): waits in"), "{events}");
    assert!(!events.contains("\"index\":2"), "{events}");
}

/// Runs a scenario of these loads on one kernel.
fn run_loads(loads: &[Value]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("loads.yaml");
    let scenario = json!({"name": "loads", "subject": "boot", "covers": [], "loads": loads});
    // JSON is YAML.
    fs::write(&file, scenario.to_string()).unwrap();
    run(&["plain", "--no-patch", "--scenario", file.to_str().unwrap()])
}

/// Ctrl-C in the middle of a boot: QEMU is gone, the run directory can be read and says so.
#[test]
fn an_interrupted_run_is_readable_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut command = command();
    command
        .args([
            "run",
            "kasan",
            "--locked",
            "--variant",
            "ida-hashtable",
            "--json",
            "--out",
        ])
        .arg(&out);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let console =
        || find(&out, "console.log").is_some_and(|p| fs::metadata(p).is_ok_and(|m| m.len() > 1000));
    let deadline = Instant::now() + Duration::from_secs(1500);
    while !console() {
        assert!(Instant::now() < deadline, "no guest booted");
        thread::sleep(Duration::from_millis(200));
    }
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = fs::read_to_string(out.join("verdict.json")).unwrap();
    let verdict: Verdict = serde_json::from_str(&text).unwrap();
    assert_eq!(verdict.outcome, Outcome::Interrupted);
    assert!(out.join("report.md").exists());
    assert!(!qemu_runs_in(&out), "QEMU survived");
}

fn find(dir: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    fs::read_dir(dir)
        .ok()?
        .filter_map(Result::ok)
        .map(|e| e.path())
        .find_map(|path| {
            if path.is_dir() {
                find(&path, name)
            } else {
                (path.file_name()? == name).then_some(path)
            }
        })
}

/// Does any process name this folder on its command line?
fn qemu_runs_in(dir: &std::path::Path) -> bool {
    let wanted = dir.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|e| fs::read(e.path().join("cmdline")).ok())
        .any(|line| {
            String::from_utf8_lossy(&line).contains(wanted)
                && String::from_utf8_lossy(&line).contains("qemu")
        })
}
