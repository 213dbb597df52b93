//! What matrices leave in the history, and who hears of what changed.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
};

use serde_json::Value;

use super::{Bench, MATRIX, json};

/// A cell that is made again once after a failure, and one more.
const TWO: &str = "\
name: m
kernels: [locked]
patches: [ida-hashtable]
configs: [kasan, plain]
scenarios: [race]
budget: {attempts: 2, confirm: 1}
";
const KASAN: &str = "locked+ida-hashtable+kasan+race+quick";

/// How many comparisons of its history show the finding that every run of the script has.
fn recorded(bench: &Bench) -> u64 {
    let mut history = bench.xtask(&["history", "since", "KASAN: 100%", "--json"]);
    let output = history.output().unwrap();
    match output.status.code() {
        Some(0) => json(&output)[0]["seen"].as_u64().unwrap(),
        _ => 0,
    }
}

/// Runs a night into a folder of its own; its exit code, what it said, and what the hook was told.
fn night(bench: &Bench, out: &str, args: &[&str]) -> (i32, String, Vec<Value>) {
    let told = bench.path("told");
    fs::write(&told, "").unwrap();
    let hook = format!("cat >>'{0}'; echo >>'{0}'", told.display());
    let mut command = bench.running_in(out, args);
    let output = command.args(["--notify", &hook]).output().unwrap();
    let lines = fs::read_to_string(&told).unwrap();
    let told = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        told.collect(),
    )
}

#[test]
fn each_run_is_recorded_once() {
    let bench = Bench::new(MATRIX, "0");
    bench.ends("locked+ida-hashtable+plain+race+quick", &["none", "pass"]);
    bench.run(&["--only", "race"]);
    // What left no verdict has shown nothing.
    assert_eq!((bench.begun(), recorded(&bench)), (7, 6));
    bench.run(&[]);
    assert_eq!(recorded(&bench), 12);
    // As by hand.
    let out = bench.path("out");
    let mut import = bench.xtask(&["history", "import", out.to_str().unwrap(), "--json"]);
    let import = json(&import.output().unwrap());
    assert_eq!((&import["new"], &import["known"]), (&0.into(), &12.into()));
    // Of what a killed command left unrecorded, the same command makes up.
    fs::remove_file(bench.history()).unwrap();
    bench.run(&[]);
    assert_eq!(recorded(&bench), 12);
}

/// What a cell comes to that leaves no verdict is in the history, too.
#[test]
fn a_cell_without_a_verdict_is_recorded_and_told_of() {
    let bench = Bench::new(TWO, "0");
    night(&bench, "first", &[]);
    bench.ends(KASAN, &["none", "none"]);
    let (code, text, told) = night(&bench, "second", &[]);
    assert_eq!((code, told.len()), (4, 1), "{text} {told:?}");
    let change = &told[0]["changes"][0];
    let outcomes = |change: &Value| (change["before"].clone(), change["after"].clone());
    assert_eq!(outcomes(change), ("pass".into(), "infrastructure".into()));
    let verdict = &told[0]["verdict"];
    let reason = verdict["comparisons"][0]["reasons"][0].as_str().unwrap();
    assert!(reason.contains("left no verdict"), "{verdict}");
    assert_eq!(verdict["patch"]["sha256"].as_str().unwrap().len(), 64);
    // Known by now, whoever looks.
    let (_, _, told) = night(&bench, "second", &[]);
    assert_eq!(told, [] as [Value; 0]);
    let mark = bench.path("heard");
    let hook = format!("cat >>'{}'", mark.display());
    bench.report("second", 4, &["--notify", &hook]);
    assert!(!mark.exists());
    // The next night is compared with it; one that nobody recorded is by its report.
    bench.ends(KASAN, &["none", "none"]);
    let mut third = bench.running_in("third", &["--no-history"]);
    assert_eq!(third.output().unwrap().status.code(), Some(4));
    bench.report("third", 4, &["--notify", &hook]);
    assert!(!mark.exists(), "as the night before");
    let (_, _, told) = night(&bench, "fourth", &[]);
    assert_eq!(
        outcomes(&told[0]["changes"][0]),
        ("infrastructure".into(), "pass".into())
    );
    let before = told[0]["changes"][0]["before_run"].as_str().unwrap();
    assert!(before.contains("/third/"), "{before}");
}

/// As on a cluster, whose tasks record nothing.
#[test]
fn a_report_records_what_nobody_has() {
    let bench = Bench::new(TWO, "0");
    night(&bench, "first", &[]);
    let mut second = bench.running_in("second", &["--no-history"]);
    bench.ends(KASAN, &["regression", "regression"]);
    assert_eq!(second.output().unwrap().status.code(), Some(1));
    assert_eq!(recorded(&bench), 2);
    let (told, out) = (bench.path("told"), bench.path("second"));
    let report = |more: &[&str]| {
        let mut report = bench.command("report", &["--out", out.to_str().unwrap()]);
        let output = report.args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    };
    report(&["--no-history"]);
    assert_eq!(recorded(&bench), 2);
    let hook = format!("cat >>'{}'", told.display());
    for _ in 0..2 {
        report(&["--notify", &hook]);
        assert_eq!(recorded(&bench), 5);
        let told: Value = serde_json::from_str(&fs::read_to_string(&told).unwrap()).unwrap();
        assert_eq!(told["changes"][0]["after"], "regression", "told once");
    }
}

impl Bench {
    /// Asks for a night's report, which must end so; what it said.
    fn report(&self, out: &str, code: i32, more: &[&str]) -> String {
        let mut report = self.command("report", &["--out"]);
        let output = report.arg(self.path(out)).args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn who_records_takes_nobodys_news() {
    let bench = Bench::new(TWO, "0");
    night(&bench, "first", &[]);
    bench.ends(KASAN, &["regression", "regression"]);
    let mut second = bench.running_in("second", &["--no-history"]);
    assert_eq!(second.output().unwrap().status.code(), Some(1));
    // Somebody looks who has nobody to notify, and everything is recorded.
    bench.report("second", 1, &[]);
    assert_eq!(recorded(&bench), 5);
    let (_, _, told) = night(&bench, "second", &[]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["changes"][0]["after"], "regression");
    let (_, _, told) = night(&bench, "second", &[]);
    assert_eq!(told, [] as [Value; 0], "told once");
    // The third night is as the second, and nobody hears again of that.
    bench.ends(KASAN, &["regression", "regression"]);
    let (_, _, told) = night(&bench, "third", &[]);
    assert_eq!(told, [] as [Value; 0]);
    // A night that was recorded while nobody was to be notified is told of by its report.
    let mut fourth = bench.running_in("fourth", &[]);
    assert_eq!(fourth.output().unwrap().status.code(), Some(0));
    let mark = bench.path("heard");
    let hook = format!("cat >>'{}'", mark.display());
    for _ in 0..2 {
        bench.report("fourth", 0, &["--notify", &hook]);
        let heard: Value = serde_json::from_str(&fs::read_to_string(&mark).unwrap()).unwrap();
        assert_eq!(heard["changes"][0]["after"], "pass", "told once");
    }
}

/// A night tells of its own cells, and not of what older nights left untold.
#[test]
fn old_nights_are_no_news() {
    let bench = Bench::new(TWO, "0");
    bench.ends(KASAN, &["regression", "regression"]);
    let mut first = bench.running_in("first", &[]);
    assert_eq!(first.output().unwrap().status.code(), Some(1));
    bench.ends(KASAN, &["regression", "regression"]);
    let (_, _, told) = night(&bench, "second", &[]);
    assert_eq!(told, [] as [Value; 0]);
}

#[test]
fn a_hook_that_fails_has_told_nobody() {
    let bench = Bench::new(TWO, "0");
    bench.ends(KASAN, &["regression", "regression"]);
    let mut command = bench.running_in("night", &["--notify", "exit 7"]);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    let (_, _, told) = night(&bench, "night", &[]);
    assert_eq!(told.len(), 1, "{told:?}");
}

/// A night that nobody could be told of is not what the next one is compared with.
#[test]
fn the_next_night_tells_what_a_hook_that_failed_did_not() {
    let bench = Bench::new(TWO, "0");
    night(&bench, "first", &[]);
    bench.ends(KASAN, &["regression", "regression"]);
    let mut command = bench.running_in("second", &["--notify", "exit 7"]);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    for (out, news) in [("third", 1), ("fourth", 0)] {
        bench.ends(KASAN, &["regression", "regression"]);
        let (_, _, told) = night(&bench, out, &[]);
        assert_eq!(told.len(), news, "{out}: {told:?}");
    }
}

#[test]
fn a_report_leaves_alone_what_has_not_ended() {
    let bench = Bench::new(TWO, "0");
    let mut night = bench.running_in("night", &["--no-history", "--only", "plain"]);
    assert_eq!(night.output().unwrap().status.code(), Some(0));
    let cells = bench.path("night/cells");
    let plain = fs::read_dir(&cells).unwrap().flatten();
    let plain = plain
        .map(|cell| cell.path())
        .find(|cell| cell.join("1").exists());
    // As if its last attempt had not ended.
    let (plain, kasan) = (plain.unwrap(), cells.join(KASAN));
    fs::create_dir_all(&kasan).unwrap();
    let record = fs::read_to_string(plain.join("1.json")).unwrap();
    let mut record: Value = serde_json::from_str(&record).unwrap();
    record["ended"] = Value::Null;
    fs::write(kasan.join("1.json"), record.to_string()).unwrap();
    fs::create_dir(kasan.join("1")).unwrap();
    let verdict = fs::read_to_string(plain.join("1/verdict.json")).unwrap();
    let mut verdict: Value = serde_json::from_str(&verdict).unwrap();
    verdict["seed"] = 1.into();
    fs::write(kasan.join("1/verdict.json"), verdict.to_string()).unwrap();
    bench.report("night", 3, &[]);
    assert_eq!(recorded(&bench), 1);
}

#[test]
fn a_run_that_cannot_be_read_is_a_warning() {
    let bench = Bench::new(TWO, "0");
    bench.run(&["--no-history"]);
    let run = bench.path("out/cells").join(KASAN).join("1");
    fs::remove_dir_all(&run).unwrap();
    fs::write(&run, "no folder").unwrap();
    let text = bench.report("out", 0, &[]);
    let warned = |line: &str| line.starts_with("warning:") && line.contains("is not recorded");
    assert!(text.lines().any(warned), "{text}");
    assert_eq!(recorded(&bench), 1);
}

/// What a budget stopped is inconclusive for the matrix, and so it is for whoever hears of it.
#[test]
fn a_cell_that_its_budget_stopped_is_told_of() {
    let bench = Bench::new(TWO, "0");
    night(&bench, "first", &["--only", "kasan"]);
    // It comes to the end of its verdict as `run` does that is stopped.
    bench.ends(KASAN, &["interrupted"]);
    fs::write(bench.path("after"), "60").unwrap();
    // As long as a busy host may take for the verdict.
    let short = TWO.replace("{attempts: 2, confirm: 1}", "{cell: 10s, attempts: 1}");
    fs::write(bench.path("m.yaml"), short).unwrap();
    let (code, text, told) = night(&bench, "second", &["--only", "kasan"]);
    assert_eq!((code, told.len()), (3, 1), "{text} {told:?}");
    let change = &told[0]["changes"][0];
    assert_eq!(
        (&change["before"], &change["after"]),
        (&"pass".into(), &"inconclusive".into())
    );
    assert_eq!(told[0]["verdict"]["outcome"], "interrupted");
    fs::remove_file(bench.path("after")).unwrap();
    fs::write(bench.path("m.yaml"), TWO).unwrap();
    // It is the last time that the next night is compared with.
    let (_, _, told) = night(&bench, "third", &["--only", "kasan"]);
    assert_eq!(told[0]["changes"][0]["before"], "inconclusive");
}

#[test]
fn no_history_is_written_where_none_is_wanted() {
    let bench = Bench::new(TWO, "0");
    bench.run(&["--no-history"]);
    let mut run = bench.running_in("second", &[]);
    let output = run.env("KTWIN_HISTORY", "").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!bench.history().exists());
    let cache = fs::read_dir(bench.path("cache")).unwrap().flatten();
    let names: Vec<_> = cache.map(|entry| entry.file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().contains("history"))
    );
    let mut ask = bench.xtask(&["history", "since", "KASAN"]);
    let output = ask.env("KTWIN_HISTORY", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_history_that_cannot_be_written_is_a_warning() {
    type Break = fn(&Bench);
    let table: [(&str, Break); 3] = [
        ("not a database", |bench| {
            fs::write(bench.history(), "x".repeat(5000)).unwrap();
        }),
        ("its schema is 99", |bench| {
            bench.run(&["--only", "plain"]);
            // Where SQLite keeps a database's version.
            let mut file = File::options().write(true).open(bench.history()).unwrap();
            file.seek(SeekFrom::Start(60)).unwrap();
            file.write_all(&99_u32.to_be_bytes()).unwrap();
        }),
        ("unable to open", |bench| {
            fs::create_dir(bench.history()).unwrap();
        }),
    ];
    for (said, break_it) in table {
        let bench = Bench::new(TWO, "0");
        break_it(&bench);
        bench.ends(KASAN, &["regression", "regression"]);
        let (code, text, told) = night(&bench, "night", &[]);
        assert_eq!((code, told.len()), (1, 0), "{text}");
        let warning = text.lines().find(|line| line.starts_with("warning:"));
        let warning = warning.unwrap_or_else(|| panic!("{said}: {text}"));
        assert!(
            warning.contains("is not recorded") && warning.contains(said),
            "{warning}"
        );
    }
}

#[test]
fn a_changed_outcome_is_told_once() {
    let bench = Bench::new(TWO, "0");
    let (_, _, told) = night(&bench, "first", &[]);
    assert_eq!(told, [] as [Value; 0]);
    // A pass after a failure takes nothing back.
    bench.ends(KASAN, &["regression", "pass"]);
    let (code, _, told) = night(&bench, "second", &[]);
    assert_eq!((code, told.len()), (1, 1), "{told:?}");
    let run = |night: &str, attempt: &str| {
        let run = bench.path(night).join("cells").join(KASAN).join(attempt);
        run.canonicalize().unwrap().display().to_string()
    };
    let expected = serde_json::json!([{
        "config": "kasan", "scenario": "race", "variant": "ida-hashtable",
        "before": "pass", "after": "regression", "before_run": run("first", "1"),
    }]);
    assert_eq!(told[0]["changes"], expected);
    assert_eq!(told[0]["dir"], run("second", "1"));
    assert_eq!(told[0]["verdict"]["outcome"], "regression");
    let (_, _, told) = night(&bench, "second", &[]);
    assert_eq!(told, [] as [Value; 0], "it is known");
    // It failed that night, and an attempt that is made again is not told of.
    bench.ends(KASAN, &["infrastructure", "regression", "regression"]);
    let (_, _, told) = night(&bench, "third", &[]);
    assert_eq!(told, [] as [Value; 0], "the same as the night before");
    let (_, _, told) = night(&bench, "fourth", &[]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["changes"][0]["after"], "pass");
    assert_eq!(told[0]["changes"][0]["before_run"], run("third", "2"));
}

#[test]
fn a_hook_changes_no_verdict() {
    let bench = Bench::new(TWO, "0");
    bench.ends(KASAN, &["regression", "regression"]);
    let mut command = bench.running_in("night", &["--json"]);
    // Told of by the environment; its words go to stderr, without what a terminal would take for more.
    command.env(
        "KTWIN_NOTIFY",
        r"echo some words; printf '\033[31m'; exit 7",
    );
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(json(&output)["outcome"], "regression");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("some words") && !text.contains('\u{1b}'),
        "{text}"
    );
    let warned = |line: &str| line.starts_with("warning:") && line.contains("exit code 7");
    assert!(text.lines().any(warned), "{text}");
}

#[test]
fn changes_are_seen_by_a_history_alone() {
    let bench = Bench::new(TWO, "0");
    let (code, text, _) = night(&bench, "out", &["--no-history"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("no history to see changes by"), "{text}");
    assert_eq!(bench.begun(), 0);
    let mut run = bench.xtask(&["run", "kasan", "--notify", "true"]);
    let output = run.env("KTWIN_HISTORY", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let mut run = bench.running_in("out", &["--no-history", "--notify="]);
    let output = run.env("KTWIN_NOTIFY", "false").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn past_runs_tell_what_is_left_and_leave_shards_alone() {
    let bench = Bench::new(MATRIX, "0");
    let plan = |history: &str| {
        let mut plan = bench.command("plan", &["--shards", "3", "--json"]);
        json(&plan.env("KTWIN_HISTORY", history).output().unwrap())
    };
    let history = bench.history().display().to_string();
    let guessed = plan(&history);
    assert!(!bench.history().exists(), "asking makes none");
    assert_eq!(guessed["measured"], 0);
    bench.run(&["--only", "ida-hashtable+race"]);
    fs::remove_dir_all(bench.path("cache/matrix")).unwrap();
    let planned = plan(&history);
    let shards = |plan: &Value| -> Vec<Value> {
        let cells = plan["cells"].as_array().unwrap().iter();
        cells.map(|cell| cell["shard"].clone()).collect()
    };
    assert_eq!(shards(&planned), shards(&guessed));
    // Two boots of 50 s, and what a run takes besides; of another patch's cells, too.
    for cell in planned["cells"].as_array().unwrap() {
        let known = cell["scenario"] == "race";
        assert_eq!(cell["measured"], known, "{cell}");
        assert_eq!(cell["expected_s"] == 120.0, known, "{cell}");
    }
    assert_eq!(planned["measured"], 6);
    let out = bench.path("out").display().to_string();
    let status = bench.command("status", &["--out", &out]).output().unwrap();
    let text = String::from_utf8(status.stdout).unwrap();
    let left = text
        .lines()
        .find(|line| line.starts_with("left: "))
        .unwrap();
    assert!(
        left.contains("9 cells") && left.contains("3 of them by what past"),
        "{left}"
    );
    fs::write(bench.history(), "x".repeat(5000)).unwrap();
    let mut broken = bench.command("plan", &["--json"]);
    let output = broken.output().unwrap();
    assert_eq!(json(&output)["measured"], 0);
    assert!(String::from_utf8_lossy(&output.stderr).contains("what past runs took is not known"));
}
