//! Matrices through the command line, cells being run by a script in place of the engine.

#[path = "matrix/record.rs"]
mod record;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use harness::{
    judge::verdict::Outcome,
    matrix::{CellSummary, Summary, summary::State},
};
use serde_json::Value;

/// Stands in for `cargo xtask run`.
const RUNNER: &str = include_str!("runner.sh");

/// Twelve cells.
const MATRIX: &str = "\
name: m
kernels: [locked]
patches: [ida-hashtable, ida-rhashtable]
configs: [kasan, kcsan, plain]
scenarios: [race, hammer]
budget: {attempts: 2}
";

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(matrix: &str, seconds: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bench = Self { dir };
        fs::write(bench.path("m.yaml"), matrix).unwrap();
        fs::write(bench.path("seconds"), seconds).unwrap();
        fs::write(bench.path("runner"), RUNNER).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(bench.path("runner"), mode).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// How the next attempts of a cell end; `none` leaves no verdict.
    fn ends(&self, cell: &str, outcomes: &[&str]) {
        fs::write(self.path(cell), outcomes.join("\n") + "\n").unwrap();
    }

    fn history(&self) -> PathBuf {
        self.path("history.sqlite")
    }

    fn command(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = self.xtask(&["matrix", verb]);
        command.arg(self.path("m.yaml")).args(args);
        command
    }

    fn xtask(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(args)
            .env("KTWIN_CACHE", self.path("cache"))
            .env("KTWIN_HISTORY", self.history())
            .env_remove("KTWIN_NOTIFY")
            .env("NO_COLOR", "1")
            .env_remove("GITHUB_ACTIONS")
            .env_remove("GITHUB_STEP_SUMMARY")
            .stdin(Stdio::null());
        command
    }

    fn running(&self, args: &[&str]) -> Command {
        self.running_in("out", args)
    }

    fn running_in(&self, out: &str, args: &[&str]) -> Command {
        let mut command = self.command("run", args);
        let out = self.path(out);
        command
            .arg("--runner")
            .arg(self.path("runner"))
            .arg("--out")
            .arg(out);
        command
    }

    fn run(&self, args: &[&str]) -> (i32, Summary) {
        let output = self
            .running(&[args, &["--json"]].concat())
            .output()
            .unwrap();
        let summary = serde_json::from_slice(&output.stdout);
        (
            output.status.code().unwrap(),
            summary.unwrap_or_else(|error| panic!("{error}: {output:?}")),
        )
    }

    /// How many runs were begun.
    fn begun(&self) -> usize {
        let ledger = fs::read_to_string(self.path("ledger")).unwrap_or_default();
        ledger.lines().count()
    }

    /// How many attempts at a cell ended of their own. What an orphan of a killed one writes after that
    /// was settled is nobody's verdict.
    fn ended(&self, cell: &str) -> usize {
        let cell = self.path("out/cells").join(cell);
        let records = (1..).map(|number| cell.join(format!("{number}.json")));
        let records = records.map_while(|path| fs::read_to_string(path).ok());
        records
            .map(|text| serde_json::from_str(&text).unwrap())
            .filter(|record: &Value| record["ended"]["how"]["outcome"] == "pass")
            .count()
    }
}

fn of<'s>(summary: &'s Summary, cell: &str) -> &'s CellSummary {
    summary.cells.iter().find(|one| one.id == cell).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Killed at twenty random moments and begun again each time: no cell is lost, and none is run twice once
/// it has ended.
#[test]
fn killed_at_random_moments_no_cell_is_lost_and_none_run_twice() {
    let cells = MATRIX.replace("[race, hammer]", "[race, hammer, fio, corners]");
    let bench = Bench::new(&cells, "0.2");
    let mut random = fastrand::Rng::with_seed(7);
    for kill in 0..20 {
        let before = bench.begun();
        let mut child = bench
            .running(&[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Every other kill waits until a cell is begun: however slow this host, some meet one that runs.
        let deadline = Instant::now() + Duration::from_secs(60);
        while kill % 2 == 1 && bench.begun() == before && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(random.u64(0..250)));
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before the kill {kill}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (code, summary) = bench.run(&[]);
    assert_eq!(
        (code, summary.outcome),
        (0, Some(Outcome::Pass)),
        "{summary:#?}"
    );
    assert_eq!(summary.cells.len(), 24);
    for cell in &summary.cells {
        assert_eq!(
            (cell.state, cell.outcome),
            (State::Done, Some(Outcome::Pass)),
            "{cell:?}"
        );
        assert_eq!(bench.ended(&cell.id), 1, "{cell:?}");
        assert_eq!(cell.attempts, 1 + cell.cut_off, "{cell:?}");
    }
    let cut: u32 = summary.cells.iter().map(|cell| cell.cut_off).sum();
    assert!(cut > 0, "no kill met a cell that ran");
    // And once more the same command begins nothing: all has ended.
    let begun = bench.begun();
    bench.run(&[]);
    assert_eq!(bench.begun(), begun);
}

#[test]
fn what_cells_took_need_not_be_remembered() {
    let bench = Bench::new(&MATRIX.replace("[race, hammer]", "[race]"), "0");
    fs::create_dir(bench.path("cache")).unwrap();
    fs::write(bench.path("cache/matrix"), "no folder").unwrap();
    let output = bench.running(&["--only", "plain"]).output().unwrap();
    assert_eq!((output.status.code(), bench.begun()), (Some(0), 2));
    let text = String::from_utf8(output.stderr).unwrap();
    let warned = text
        .lines()
        .filter(|line| line.starts_with("warning: what locked+"));
    assert_eq!(warned.count(), 2, "{text}");
}

/// A folder that is named holds one night.
#[test]
fn a_night_that_had_ended_is_said_to_have() {
    let bench = Bench::new(&MATRIX.replace("[race, hammer]", "[race]"), "0");
    let said = |args: &[&str]| {
        let output = bench.running(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let warned = |line: &str| line.starts_with("warning: all of these cells had ended on 20");
        (text.lines().any(warned), bench.begun())
    };
    assert_eq!(said(&["--only", "plain"]), (false, 2));
    assert_eq!(said(&["--only", "plain"]), (true, 2));
    assert_eq!(said(&["--only", "plain", "--again"]), (false, 4));
    // Others of its cells have not.
    assert_eq!(said(&[]), (false, 8));
    assert_eq!(said(&[]), (true, 8));
}

#[test]
fn infrastructure_flaky_and_expected_are_shown_as_such() {
    let expected = "expected:\n  - {cells: {patch: [ida-rhashtable]}, outcome: regression, reason: known, until: 2199-01-01}\n";
    let bench = Bench::new(&format!("{MATRIX}{expected}"), "0");
    let cell = |patch: &str, config: &str| format!("locked+{patch}+{config}+race+quick");
    bench.ends(&cell("ida-hashtable", "kasan"), &["none", "pass"]);
    bench.ends(&cell("ida-hashtable", "kcsan"), &["none", "none", "none"]);
    bench.ends(&cell("ida-hashtable", "plain"), &["regression"]);
    bench.ends(&cell("ida-rhashtable", "plain"), &["regression"]);
    let (code, summary) = bench.run(&[]);
    assert_eq!((code, summary.outcome), (1, Some(Outcome::Regression)));
    let brief = |summary: &Summary, patch: &str, config: &str| {
        let one = of(summary, &cell(patch, config));
        (
            one.outcome.unwrap(),
            one.attempts,
            one.infrastructure,
            one.flaky,
            one.expected.is_some(),
        )
    };
    let table = [
        (
            "ida-hashtable",
            "kasan",
            (Outcome::Pass, 2, 1, false, false),
        ),
        (
            "ida-hashtable",
            "kcsan",
            (Outcome::Infrastructure, 2, 2, false, false),
        ),
        (
            "ida-hashtable",
            "plain",
            (Outcome::Regression, 1, 0, false, false),
        ),
        (
            "ida-rhashtable",
            "plain",
            (Outcome::Regression, 1, 0, false, true),
        ),
    ];
    for (patch, config, what) in table {
        assert_eq!(brief(&summary, patch, config), what, "{patch} {config}");
    }
    // Run again, it passes; that makes it flaky, and no pass.
    let (code, summary) = bench.run(&["--only", "ida-hashtable+plain+race", "--again"]);
    assert_eq!((code, summary.cells.len()), (1, 1));
    let again = brief(&summary, "ida-hashtable", "plain");
    assert_eq!(again, (Outcome::Regression, 2, 0, true, false));
    // In every form.
    let out = bench.path("out");
    let report = |args: &[&str]| {
        let args = [&["--out", out.to_str().unwrap()], args].concat();
        bench.command("report", &args).output().unwrap()
    };
    for format in ["term", "md", "json"] {
        let output = report(&["--format", format]);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("flaky") && text.contains("known"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let status = bench
        .command("status", &["--json", "--out", out.to_str().unwrap()])
        .output()
        .unwrap();
    let cells = json(&status);
    let cells = cells["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 12);
    let keys = [
        "id", "kernel", "patch", "config", "scenario", "state", "outcome", "attempts",
    ];
    assert!(
        cells
            .iter()
            .all(|cell| keys.iter().all(|key| cell.get(key).is_some()))
    );
    assert!(cells.iter().all(|cell| cell["state"] == "done"));
}

/// A folder is of one kernel and one scenario, whatever lies in their places by now.
#[test]
fn a_folder_goes_on_with_what_it_was_begun_with() {
    let matrix = "\
name: m
kernels: [{name: next, path: linux}]
patches: [{name: mine, path: mine.diff}, {name: tip, since: begin}]
configs: [kasan]
scenarios: [own.yaml]
";
    let scenario = "\
# True, and nothing else.
name: own
subject: boot
covers: []
guest: {memory: 1G, cpus: 2}
loads:
  - exec: {command: [\"true\"], seconds: 30}
accepted: []
";
    let bench = Bench::new(matrix, "0");
    let diff = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-int a;\n+int b;\n";
    fs::write(bench.path("mine.diff"), diff).unwrap();
    fs::write(bench.path("own.yaml"), scenario).unwrap();
    let tree = bench.path("linux");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("Makefile"), "VERSION = 7\n").unwrap();
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(&tree);
        git.args(["-c", "user.name=n", "-c", "user.email=e@example.org"]);
        let output = git.args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    git(&["branch", "begin"]);
    git(&["commit", "--quiet", "--allow-empty", "-m", "its own"]);
    let (code, summary) = bench.run(&[]);
    assert_eq!((code, summary.outcome), (0, Some(Outcome::Pass)));
    let refused = |why: &str| {
        let output = bench.running(&[]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(why), "{text}");
    };
    git(&["commit", "--quiet", "--allow-empty", "-m", "two"]);
    refused("the tree of the kernel next had ");
    git(&["reset", "--quiet", "--hard", "HEAD^"]);
    git(&["branch", "--quiet", "--force", "begin", "HEAD"]);
    refused("what tip is compared with was ");
    git(&["branch", "--quiet", "--force", "begin", "HEAD^"]);
    assert_eq!(bench.run(&[]).0, 0);
    let longer = scenario.replace("seconds: 30", "seconds: 31");
    fs::write(bench.path("own.yaml"), longer).unwrap();
    refused("the file of the scenario own has changed");
    assert_eq!(bench.begun(), 2);
}

/// Each shard runs its own cells in the shared folder, and knows them from the file.
#[test]
fn shards_share_a_folder() {
    let bench = Bench::new(MATRIX, "0");
    let nothing = bench.command("plan", &["--durations"]).output().unwrap();
    assert_eq!((nothing.status.code(), nothing.stdout.len()), (Some(0), 0));
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert!(said.contains("none of these cells was measured"), "{said}");
    let mut all = Vec::new();
    for number in 1..=3 {
        let (code, summary) = bench.run(&["--shard", &format!("{number}/3")]);
        assert_eq!(code, 0);
        all.extend(summary.cells.into_iter().map(|cell| cell.id));
        assert_eq!(bench.begun(), all.len());
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|cell| bench.ended(cell) == 1));
    let planned = json(
        &bench
            .command("plan", &["--shards", "3", "--json"])
            .output()
            .unwrap(),
    );
    let shards = planned["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell["shard"].as_u64());
    assert!(shards.collect::<Vec<_>>().iter().all(Option::is_some));
    // What was measured is remembered, and can be put into the file.
    assert!(
        planned["cells"]
            .as_array()
            .unwrap()
            .iter()
            .all(|cell| cell["measured"] == true)
    );
    let durations = bench.command("plan", &["--durations"]).output().unwrap();
    let durations = String::from_utf8(durations.stdout).unwrap();
    fs::write(bench.path("m.yaml"), format!("{MATRIX}{durations}")).unwrap();
    let planned = json(&bench.command("plan", &["--json"]).output().unwrap());
    assert_eq!(planned["cells"].as_array().unwrap().len(), 12);
    let twice = format!("{MATRIX}{durations}{durations}");
    fs::write(bench.path("m.yaml"), twice).unwrap();
    let twice = bench.command("plan", &[]).output().unwrap();
    let said = String::from_utf8(twice.stderr).unwrap();
    assert!(said.contains("duplicate key `durations`"), "{said}");
    assert!(said.contains("mend: remove one of the two"), "{said}");
}

#[test]
fn on_github_there_are_annotations_and_a_summary() {
    let bench = Bench::new(MATRIX, "0");
    bench.ends("locked+ida-hashtable+plain+race+quick", &["regression"]);
    let mut command = bench.running(&[]);
    let summary = bench.path("summary.md");
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let commands: Vec<&str> = said.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(
        commands,
        [
            "::error title=regression%3A locked+ida-hashtable+plain+race+quick::KASAN: 100%25, in f\\u{1b}[31m"
        ]
    );
    let text = fs::read_to_string(&summary).unwrap();
    assert!(
        text.starts_with("# regression") && text.contains("KASAN"),
        "{text}"
    );
}

#[test]
fn what_cannot_run_is_refused_before_anything_does() {
    let table = [
        (
            "[race, hammer]",
            "[rase, hammer]",
            "unknown scenario `rase`",
            "did you mean race?",
        ),
        (
            "[kasan, kcsan, plain]",
            "[kassan]",
            "no config \"kassan\"",
            "kasan",
        ),
        (
            "ida-hashtable,",
            "ida-hashtabel,",
            "no variant \"ida-hashtabel\"",
            "ida-hashtable",
        ),
        (
            "patches: [",
            "patches: [{name: x, path: gone.mbox}, ",
            "gone.mbox",
            "",
        ),
        (
            "budget:",
            "budgets:",
            "unknown key `budgets`",
            "did you mean budget?",
        ),
    ];
    for (from, to, said, mend) in table {
        let bench = Bench::new(&MATRIX.replacen(from, to, 1), "0");
        let output = bench.running(&[]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said) && text.contains(mend), "{text}");
        assert!(!bench.path("ledger").exists());
    }
    let bench = Bench::new(MATRIX, "0");
    for (args, said) in [
        (&["--only", "kassan"][..], "no cell has \"kassan\""),
        (&["--shard", "4/3"], "no shard 4 of 3"),
        (&["--shard", "1/13"], "13 shards of 12 cells"),
    ] {
        let output = bench.running(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{text}");
    }
    let report = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let mut report = report;
    let output = report
        .args(["matrix", "report"])
        .arg(Path::new("/"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// The project's own matrix is planned, and becomes a job definition of each CI's.
#[test]
fn the_shipped_matrix_is_whole() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let file = "scenarios/matrices/nightly.yaml";
    let xtask = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let cache = tempfile::tempdir().unwrap();
        let command = command.current_dir(top).env("KTWIN_CACHE", cache.path());
        let command = command.env("KTWIN_HISTORY", "");
        let output = command.args(["matrix"]).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        output
    };
    let plan = json(&xtask(&["plan", file, "--json"]));
    assert!(plan["cells"].as_array().unwrap().len() >= 20, "{plan}");
    for format in ["github", "gitlab"] {
        let text = xtask(&["ci", file, "--format", format, "--shards", "4"]).stdout;
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains(&format!("cargo xtask matrix run {file} --shard ")),
            "{text}"
        );
    }
}
