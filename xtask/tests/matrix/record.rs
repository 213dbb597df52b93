//! What matrices leave in the history.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
};

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

#[test]
fn each_run_is_recorded_once() {
    let bench = Bench::new(MATRIX, "0");
    bench.ends("locked+ida-hashtable+plain+race+quick", &["none", "pass"]);
    bench.run(&["--only", "race"]);
    // What left no verdict has nothing to record.
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
        let output = bench.running_in("night", &[]).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        let warning = text.lines().find(|line| line.starts_with("warning:"));
        let warning = warning.unwrap_or_else(|| panic!("{said}: {text}"));
        assert!(
            warning.contains("is not recorded") && warning.contains(said),
            "{warning}"
        );
    }
}
