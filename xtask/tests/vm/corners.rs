//! The corners of backing ids' life: the right patch goes round them, and planted bugs do not.

use harness::judge::verdict::{Comparison, Finding, Kind, Outcome, Status};

use crate::ktwin::{Run, full, run, top};

const RIGHT: &str = "ida-hashtable";

/// A file below the subject's folder.
fn subject(path: &str) -> String {
    let path = top().join("scenarios/fuse-backing").join(path);
    path.display().to_string()
}

/// Arguments for a variant that is the right patch with a bug, and what lies between them, put on it.
fn on_the_right_patch(bug: &str, between: &[&str]) -> Vec<String> {
    let mut args = vec![
        "--variant".into(),
        format!("{bug}={}", subject("patches/ida-hashtable")),
    ];
    let planted = format!("overlays/planted/{bug}.patch");
    for overlay in between.iter().copied().chain([planted.as_str()]) {
        args.push("--overlay".into());
        args.push(format!("{bug}={}", subject(overlay)));
    }
    args
}

/// Runs a scenario with the right patch and what else is given.
fn corners(config: &str, scenario: &str, more: &[String]) -> Run {
    let mut args = vec![
        config,
        "--scenario",
        scenario,
        "--seed",
        "1",
        "--variant",
        RIGHT,
    ];
    args.extend(more.iter().map(String::as_str));
    run(&args)
}

/// A variant's count, and base's.
fn counts(comparison: &Comparison, name: &str) -> [u64; 2] {
    [&comparison.exercise, &comparison.exercise_base].map(|counts| {
        let count = counts.get(name);
        *count.unwrap_or_else(|| panic!("no {name}: {comparison:#?}"))
    })
}

/// Wrong answers of the kernel's, on no side.
fn nothing_wrong(run: &Run) {
    assert_eq!(counts(run.of(RIGHT), "wrong"), [0, 0]);
    run.clean(RIGHT);
}

/// Connections without passthrough, that end early, and two at once.
#[test]
fn corners_are_refused_and_ended_as_they_must() {
    let planted = ["unasked", "abort-frees", "other-connection"];
    let mut more: Vec<String> = planted
        .iter()
        .flat_map(|bug| ["--variant".to_owned(), (*bug).to_owned()])
        .collect();
    more.extend(on_the_right_patch("teardown-without-table", &[]));
    let run = corners("plain", "corners", &more);
    run.ended(RIGHT, Outcome::Pass);
    nothing_wrong(&run);
    let right = run.of(RIGHT);
    for count in ["unmounts", "forced_unmounts", "aborts", "forsaken"] {
        assert_eq!(counts(right, count), [10, 10], "{count}");
    }
    for (bug, title) in [
        (
            "unasked",
            "BACKING_OPEN without passthrough ended with ELOOP, not EPERM",
        ),
        (
            "other-connection",
            "wrong data: an open beside other connections read what it should not",
        ),
    ] {
        run.found(bug, Kind::WrongData, "wrong-data", title, Status::New);
    }
    let title = "WARNING in fuse_backing_id_free";
    run.found("abort-frees", Kind::Splat, "warning", title, Status::New);
    let bug = "teardown-without-table";
    let title = "in fuse_backing_files_free";
    run.found(bug, Kind::Splat, "oops", title, Status::New);
    for bug in planted.iter().copied().chain([bug]) {
        run.ended(bug, Outcome::Regression);
    }
}

/// Ids at the end of their range. With debug overlays nothing passes; the counts say what was seen.
#[test]
fn ids_go_on_at_one_and_a_full_range_is_searched_twice() {
    let debug = &["overlays/cursor-ida-hashtable.patch"];
    let more = ["cursor-stays", "searches-thrice"].map(|bug| on_the_right_patch(bug, debug));
    let run = corners("plain", "cursor", &more.concat());
    run.ended(RIGHT, Outcome::Inconclusive);
    nothing_wrong(&run);
    let right = run.of(RIGHT);
    assert_eq!(counts(right, "full"), [200, 200]);
    assert_eq!(right.exercise["retried_once"], 200);
    assert_eq!(right.exercise["retried_otherwise"], 0);
    assert!(counts(right, "wraps").iter().all(|wraps| *wraps >= 2));
    for (bug, title) in [
        (
            "cursor-stays",
            "BACKING_OPEN with free ids left ended with ENOSPC, not success",
        ),
        (
            "searches-thrice",
            "a full range was searched 3 times, not 2",
        ),
    ] {
        run.found(bug, Kind::WrongData, "wrong-data", title, Status::New);
        run.ended(bug, Outcome::Regression);
    }
}

/// A kernel of its own, so base is compiled for it: minutes.
#[test]
fn the_mount_goes_on_where_memory_fails() {
    if !full("failing allocations, on kernels with fault injection") {
        return;
    }
    let mut more = vec!["--variant".to_owned(), "ida-rhashtable".to_owned()];
    more.extend(on_the_right_patch("missing-table", &[]));
    let run = corners("plain", "no-memory", &more);
    nothing_wrong(&run);
    for variant in [RIGHT, "ida-rhashtable"] {
        run.ended(variant, Outcome::Pass);
        let without = counts(run.of(variant), "without_passthrough");
        assert!(without[0] >= 1 && without[1] == 0, "{without:?}");
    }
    let bug = "missing-table";
    let oops = |f: &&Finding| f.kind == Kind::Splat && f.title.contains("in fuse_backing_open");
    let found = run.of(bug).findings.iter().find(oops);
    assert!(found.is_some(), "{:#?}", run.of(bug));
    run.ended(bug, Outcome::Regression);
}

/// A thousand mounts under KCSAN, where base has races of its own.
#[test]
fn ids_are_asked_for_while_init_is_answered() {
    if !full("BACKING_OPEN against INIT's answer, a thousand mounts under KCSAN") {
        return;
    }
    let mut more = vec!["--variant".to_owned(), "ida-rhashtable".to_owned()];
    more.extend(on_the_right_patch("plain-table", &[]));
    let run = corners("kcsan", "init-race", &more);
    for variant in [RIGHT, "ida-rhashtable"] {
        let comparison = run.of(variant);
        assert_eq!(counts(comparison, "wrong"), [0, 0]);
        assert_eq!(counts(comparison, "raced"), [1000, 1000]);
        let new = comparison.findings.iter().find(|f| f.status == Status::New);
        assert!(new.is_none(), "{variant}: {new:#?}");
    }
    let title = "fuse_backing_files_enable";
    run.found("plain-table", Kind::Splat, "kcsan", title, Status::New);
}
