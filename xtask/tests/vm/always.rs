//! What always shows, bisected: a build that fails, a command's exit code, instructions; and by plain git.

use std::{fs, path::Path, process::Stdio};

use serde_json::Value;

use crate::{
    commits::Commits,
    ktwin::{command, full, planted_file},
};

/// The commits that bring something.
const RENAMED: usize = 2;
const SLOWER: usize = 3;
const BROKEN: usize = 5;
/// The last commit that compiles.
const WHOLE: usize = 4;

/// Exits with 0 where the kernel has the file system of that name.
const HAS_FUSECTL: &str =
    "while read -r a b; do [ \"$b\" = fusectl ] && exit 0; done </proc/filesystems; exit 1";

fn history(dir: &Path) -> Commits {
    let mut commits = Commits::make(dir);
    for step in 1..=BROKEN {
        match step {
            RENAMED => commits.replace("fs/fuse/control.c", "\"fusectl\"", "\"fusecontrol\""),
            SLOWER => {
                commits.apply(&fs::read_to_string(planted_file("lookup-turns")).unwrap());
            }
            BROKEN => commits.append("fs/fuse/dir.c", "#error this does not compile"),
            _ => commits.append("fs/fuse/readdir.c", &format!("/* step {step} */")),
        }
        commits.commit(&format!("fuse: step {step}"));
    }
    commits
}

fn bisected(history: &Commits, bad: usize, out: &Path, args: &[&str]) -> Value {
    let bad = &history.ids[bad];
    let output = command()
        .args(["bisect", "--kernel"])
        .arg(&history.tree)
        .args(["--good", &history.ids[0], "--bad", bad, "plain", "--json"])
        .arg("--out")
        .arg(out)
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(output.status.success(), "{found:#}");
    found
}

#[test]
fn what_always_shows_is_bisected() {
    if !full("a build failure, an exit code and a cost bisected, and git's own bisect") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let history = history(dir.path());
    let kinds: [(usize, usize, &[&str]); 3] = [
        (
            SLOWER,
            WHOLE,
            &[
                "--scenario",
                "operations",
                "--measure",
                "instructions of lookup",
                "--above",
                "160",
            ],
        ),
        (RENAMED, WHOLE, &["--", "sh", "-c", HAS_FUSECTL]),
        // Last: a build that fails leaves no folder for others to go on from.
        (BROKEN, BROKEN, &["--finding", "build-failed"]),
    ];
    for (culprit, bad, args) in kinds {
        let out = dir.path().join(format!("bisect-{culprit}"));
        let found = bisected(&history, bad, &out, args);
        let expected = history.ids[culprit].as_str();
        assert_eq!(found["culprit"]["commit"], expected, "{found:#}");
    }

    // As the README says it, but for the program's own path.
    history.in_tree(&["reset", "--quiet", "--hard"]);
    let (good, bad) = (&history.ids[0], &history.ids[WHOLE]);
    history.in_tree(&["bisect", "start", bad, good, "--", "fs/fuse"]);
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let tree = history.tree.display().to_string();
    let run = [
        "run",
        "plain",
        "--kernel",
        &tree,
        "--no-patch",
        "--bisect-exit",
        "--no-history",
        "--notify=",
    ];
    let command = ["--", "sh", "-c", HAS_FUSECTL];
    let run = [&["bisect", "run", xtask][..], &run, &command].concat();
    let said = history.in_tree(&run);
    let first = format!("{} is the first bad commit", history.ids[RENAMED]);
    assert!(said.contains(&first), "{said}");
}
