//! How runs end that do not get to a comparison: bad input, and Ctrl-C.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use harness::judge::verdict::{Kind, Outcome, Status, Verdict};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::ktwin::{command, plain, planted_file, run};

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
