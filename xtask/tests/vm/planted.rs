//! Planted bugs of the KCSAN config, and a patch elsewhere.

use harness::judge::verdict::{Finding, Kind, Outcome, Status};

use crate::ktwin::{planted, planted_file, run};

/// Base has races of its own that show in some boots and not in others. One boot a side cannot
/// tell whose such a race is, and then the verdict is inconclusive, by contract. But what base
/// showed once is remembered: before long nothing is left that the right patch could be taken for.
#[test]
fn the_right_patch_passes_in_kcsan() {
    const RUNS: u32 = 4;
    for n in 1..=RUNS {
        let seed = n.to_string();
        let run = run(&["kcsan", "--scenario", "hammer", "--seed", &seed]);
        let right = run.of("ida-hashtable");
        let by_chance =
            |f: &Finding| f.status == Status::Unconfirmed && f.class == "kcsan" && n < RUNS;
        if right.outcome == Outcome::Inconclusive && right.findings.iter().any(by_chance) {
            let new = right.findings.iter().find(|f| f.status == Status::New);
            assert!(new.is_none(), "the right patch brings {new:#?}");
            continue;
        }
        run.ended("ida-hashtable", Outcome::Pass);
        assert_eq!(run.code, 0);
        return;
    }
}

#[test]
fn kcsan_and_its_planted_bugs() {
    let planted = [
        "kcsan-race",
        "kcsan-race-common-title",
        "lock-order",
        "switched-off",
    ]
    .map(planted);
    let mut args = vec!["kcsan", "--scenario", "hammer", "--seed", "2"];
    args.extend(planted.iter().flat_map(|p| ["--variant", p.as_str()]));
    let run = run(&args);

    run.ended("kcsan-race", Outcome::Regression);
    run.found(
        "kcsan-race",
        Kind::Splat,
        "kcsan",
        "KCSAN: data-race in",
        Status::New,
    );
    run.ended("kcsan-race-common-title", Outcome::Regression);
    let title = "KCSAN: data-race in fuse_backing_open / fuse_backing_open";
    run.found(
        "kcsan-race-common-title",
        Kind::Splat,
        "kcsan",
        title,
        Status::New,
    );
    run.ended("lock-order", Outcome::Regression);
    run.found(
        "lock-order",
        Kind::Splat,
        "lockdep",
        "possible deadlock in",
        Status::New,
    );
    // Its function runs, but nothing in it that the patch wrote.
    run.ended("switched-off", Outcome::Inconclusive);
    let reasons = &run.of("switched-off").reasons;
    let told = |reason: &String| reason.contains("makes no other kernel of kcsan");
    assert!(reasons.iter().any(told), "{reasons:?}");
    assert_eq!(run.code, 1);
}

/// A patch that is not FUSE, with a program of the user's.
#[test]
fn a_patch_elsewhere_with_a_command() {
    let patch = planted_file("outside-fuse");
    let patch = patch.to_str().unwrap();
    let good = run(&[
        "kasan",
        "--patch",
        patch,
        "--",
        "/bin/sh",
        "-c",
        "echo through | cat; exit 0",
    ]);
    good.ended("outside-fuse", Outcome::Pass);
    assert_eq!(good.code, 0);

    let bad = run(&["kasan", "--patch", patch, "--", "/bin/sh", "-c", "exit 7"]);
    // The command fails on base as well: nothing that the patch changed.
    let finding = bad.found(
        "outside-fuse",
        Kind::CommandFailed,
        "command-failed",
        "",
        Status::Common,
    );
    assert!(finding.count > 0);
    assert_ne!(bad.code, 1);
}
