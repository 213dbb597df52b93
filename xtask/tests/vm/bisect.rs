//! A commit found among others by a race that shows in some trials only, killed and resumed on the way.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    commits::Commits,
    ktwin::{command, full, planted_file},
};

const TITLE: &str = "KCSAN: data-race in fuse_backing_close / fuse_backing_open";
/// What the planted race reads in a loop, and how often here: it is to be rare.
const LOOKS: (&str, &str) = ("look < 32", "look < 5");
/// The commit that brings it, those between which nothing compiles, and one that changes nothing.
const CULPRIT: usize = 8;
const BROKEN: usize = 13;
const SAME: usize = 10;
const COMMITS: usize = 20;
/// Files that the other commits touch.
const FILES: [&str; 5] = ["dir", "file", "inode", "control", "readdir"];

/// The commits, each with what it is in the test.
fn history(dir: &Path) -> Commits {
    let mut commits = Commits::make(dir);
    for step in 1..=COMMITS {
        match step {
            CULPRIT => {
                let patch = fs::read_to_string(planted_file("kcsan-race")).unwrap();
                assert!(patch.contains(LOOKS.0));
                commits.apply(&patch.replace(LOOKS.0, LOOKS.1));
            }
            // In question all the same: with --path it would not be.
            SAME => {}
            BROKEN => commits.append("fs/fuse/file.c", "#error this does not compile"),
            _ if step == BROKEN + 1 => commits.restore("fs/fuse/file.c", BROKEN - 1),
            _ => {
                let file = format!("fs/fuse/{}.c", FILES[step % FILES.len()]);
                commits.append(&file, &format!("/* step {step} */"));
            }
        }
        commits.commit(&format!("fuse: step {step}"));
    }
    commits
}

fn bisect(history: &Commits, out: &Path) -> Command {
    let mut bisect = command();
    bisect
        .args(["bisect", "--kernel"])
        .arg(&history.tree)
        .args(["--good", &history.ids[0], "--bad", "HEAD", "kcsan"])
        .args(["--scenario", "hammer", "--title", TITLE, "--seconds", "5"])
        .args(["--json", "--out"])
        .arg(out)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    bisect
}

fn trials(journal: &Path) -> usize {
    let text = fs::read_to_string(journal).unwrap_or_default();
    text.lines()
        .filter(|line| line.contains("\"trial\""))
        .count()
}

#[test]
fn a_race_that_shows_now_and_then_is_bisected() {
    if !full("a race bisected through twenty commits") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let history = history(dir.path());
    let out = dir.path().join("bisect");
    let journal = out.join("journal.ndjson");

    // Killed in the middle of its work, it has lost nothing that had ended.
    let mut first = bisect(&history, &out).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(3 * 3600);
    while trials(&journal) < 5 {
        assert!(Instant::now() < until && first.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(200));
    }
    kill(Pid::from_raw(first.id().cast_signed()), Signal::SIGKILL).unwrap();
    first.wait().unwrap();
    let before = fs::read_to_string(&journal).unwrap();

    let output = bisect(&history, &out).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(output.status.success(), "{found:#}");
    let whole = before.rfind('\n').map_or(0, |at| at + 1);
    assert!(
        fs::read_to_string(&journal)
            .unwrap()
            .starts_with(&before[..whole])
    );

    assert_eq!(
        found["culprit"]["commit"],
        history.ids[CULPRIT].as_str(),
        "{found:#}"
    );
    assert_eq!(found["culprit"]["subject"], format!("fuse: step {CULPRIT}"));
    assert!(found["confidence"].as_f64().unwrap() >= 0.99, "{found:#}");
    let splat = found["splat"].as_str().unwrap();
    assert!(splat.contains("fuse_backing_open"), "{splat}");
    let (mut hits, mut tried) = (0, 0);
    for one in found["trials"].as_array().unwrap() {
        if one["has_it"].as_f64().unwrap() > 0.99 {
            hits += one["hits"].as_u64().unwrap();
            tried += one["trials"].as_u64().unwrap();
        } else {
            assert_eq!(one["hits"], 0, "{one:#}");
        }
    }
    assert!(
        2 * hits < tried,
        "it is to be rare, and showed in {hits} of {tried}"
    );

    let log = fs::read_to_string(out.join("bisect.log")).unwrap();
    let first = format!("# first bad commit: [{}]", history.ids[CULPRIT]);
    assert!(log.contains(&first), "{log}");
}
