//! A commit found among others by a race that shows in some trials only, killed and resumed on the way.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use harness::{
    cache::Cache,
    cancel::Cancel,
    event::Unwatched,
    source::{self, Fit, Lock, Request, SourceTree, Ways},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::ktwin::{command, full, planted_file, top};

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

/// A git history made of the kernel that the tests use. Its checkout holds only what shows that it is
/// a kernel's: nobody is to read more of it than its objects.
struct History {
    tree: PathBuf,
    source: SourceTree,
    commits: Vec<String>,
}

impl History {
    fn make(dir: &Path) -> Self {
        let (cache, cancel) = (Cache::open().unwrap(), Cancel::new());
        let ways = Ways {
            cache: &cache,
            cancel: &cancel,
            watcher: &Unwatched,
        };
        let lock = Lock::read(&top().join("scenarios/fuse-backing/kernel.lock")).unwrap();
        let wanted = Request::Debian(Some(lock));
        let source = source::resolve(&wanted, ways, &|_| Ok(Fit::Yes)).unwrap();
        let tree = dir.join("tree");
        for folder in ["kernel", "fs", "arch/x86"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        for file in ["Makefile", "Kconfig"] {
            fs::copy(source.path.join(file), tree.join(file)).unwrap();
        }
        let mut history = Self {
            tree,
            source,
            commits: Vec::new(),
        };
        history.git(&["init", "--quiet"]);
        history.git(&["config", "core.looseCompression", "0"]);
        history.git(&["add", "--all", "--force", "."]);
        history.commit("fuse: as released");
        for step in 1..=COMMITS {
            history.step(step);
        }
        let last = history.commits.last().unwrap().clone();
        history.git(&["update-ref", "HEAD", &last]);
        history
    }

    fn step(&mut self, step: usize) {
        match step {
            CULPRIT => {
                let patch = fs::read_to_string(planted_file("kcsan-race")).unwrap();
                assert!(patch.contains(LOOKS.0));
                let path = self.tree.join("planted.patch");
                fs::write(&path, patch.replace(LOOKS.0, LOOKS.1)).unwrap();
                self.git(&["apply", "--cached", &path.display().to_string()]);
            }
            SAME => {}
            BROKEN => self.append("fs/fuse/file.c", "#error this does not compile"),
            _ if step == BROKEN + 1 => {
                let before = self.commits[BROKEN - 1].clone();
                self.git(&["reset", "--quiet", &before, "--", "fs/fuse/file.c"]);
            }
            _ => {
                let file = format!("fs/fuse/{}.c", FILES[step % FILES.len()]);
                self.append(&file, &format!("/* step {step} */"));
            }
        }
        self.commit(&format!("fuse: step {step}"));
    }

    /// Adds a line to a file, in the index alone.
    fn append(&self, file: &str, line: &str) {
        let text = self.git(&["cat-file", "-p", &format!(":{file}")]);
        let path = self.tree.join("appended");
        fs::write(&path, format!("{text}\n{line}\n")).unwrap();
        let path = path.display().to_string();
        let blob = self.git(&["hash-object", "-w", "--no-filters", &path]);
        let entry = format!("100644,{blob},{file}");
        self.git(&["update-index", "--cacheinfo", &entry]);
    }

    fn commit(&mut self, message: &str) {
        let tree = self.git(&["write-tree"]);
        let mut args = vec!["commit-tree", &tree, "-m", message];
        let parent = self.commits.last().cloned();
        args.extend(parent.iter().flat_map(|parent| ["-p", parent]));
        let commit = self.git(&args);
        self.commits.push(commit);
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
            .args(args)
            .current_dir(&self.source.path)
            .env("GIT_DIR", self.tree.join(".git"))
            .env("GIT_WORK_TREE", &self.source.path)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn bisect(&self, out: &Path) -> Command {
        let mut bisect = command();
        bisect
            .args(["bisect", "--kernel"])
            .arg(&self.tree)
            .args(["--good", &self.commits[0], "--bad", "HEAD", "kcsan"])
            .args(["--scenario", "hammer", "--title", TITLE, "--seconds", "5"])
            .args(["--path", "fs/fuse", "--json", "--out"])
            .arg(out)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        bisect
    }
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
    let history = History::make(dir.path());
    let out = dir.path().join("bisect");
    let journal = out.join("journal.ndjson");

    // Killed in the middle of its work, it has lost nothing that had ended.
    let mut first = history.bisect(&out).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(3 * 3600);
    while trials(&journal) < 5 {
        assert!(Instant::now() < until && first.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(200));
    }
    kill(Pid::from_raw(first.id().cast_signed()), Signal::SIGKILL).unwrap();
    first.wait().unwrap();
    let before = fs::read_to_string(&journal).unwrap();

    let output = history.bisect(&out).output().unwrap();
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
        history.commits[CULPRIT].as_str(),
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
    let first = format!("# first bad commit: [{}]", history.commits[CULPRIT]);
    assert!(log.contains(&first), "{log}");
}
