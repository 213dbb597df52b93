//! The plugin inside QEMU: vCPUs held, holds that mattered, lines that ran; and detectors that speak.

use std::{fs, path::Path};

use harness::{
    collect::record::RunRecord,
    judge::verdict::{Kind, Outcome, Status},
};

use crate::ktwin::{full, plain, planted, run, top};

const TCG: [&str; 4] = ["--scenario", "hammer", "--accel", "tcg"];

/// The right patch stays right, and what was done to it is known.
#[test]
fn held_vcpus_find_nothing_in_the_right_patch() {
    let run = run(&[&["kasan", "--seed", "1"][..], &TCG].concat());
    run.ended("ida-hashtable", Outcome::Pass);
    let right = run.of("ida-hashtable");
    for exercise in [&right.exercise_base, &right.exercise] {
        assert!(exercise["stall_holds"] > 100, "{exercise:?}");
        assert!(exercise["held_overlaps"] > 0, "{exercise:?}");
    }
    let coverage = right.coverage.as_ref().unwrap();
    let (executed, owned) = (coverage.executed(), coverage.lines.len());
    assert!(executed >= 25 && executed < owned, "{coverage:?}");
    for detector in ["KASAN", "kmemleak", "lockdep"] {
        assert_eq!(right.proved.get(detector), Some(&None), "{detector}");
    }
}

/// A place of the user's own choice is held too, and again when that boot is replayed.
#[test]
fn a_chosen_place_is_held_and_replayed() {
    let stall = ["plain", "--seed", "1", "--stall", "fuse_backing_get:300us"];
    let run = run(&[&stall[..], &TCG].concat());
    run.ended("ida-hashtable", Outcome::Pass);
    let exercise = &run.of("ida-hashtable").exercise;
    assert!(exercise["stall_holds"] > 100, "{exercise:?}");

    let (first, again) = (run.dir.path().join("run"), run.dir.path().join("again"));
    let (cell, out) = ("plain-ida-hashtable-1", again.display().to_string());
    let args = [
        "replay",
        &first.display().to_string(),
        "--cell",
        cell,
        "--out",
        &out,
    ];
    let replayed = plain(&args);
    assert!(replayed.status.success(), "{replayed:?}");
    let record = |run: &Path| -> RunRecord {
        let text = fs::read_to_string(run.join(cell).join("record.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let (first, again) = (record(&first), record(&again));
    assert_eq!(first.cell, again.cell);
    let holds: u64 = again.stalls.iter().map(|point| point.holds).sum();
    assert!(holds > 100, "{:?}", again.stalls);
}

/// A debug-only patch is on the kernels that it is for, and is never a clean verdict.
#[test]
fn an_overlay_is_no_clean_verdict() {
    let overlay = top().join("xtask/tests/vm/udelay.patch");
    let overlay = overlay.display().to_string();
    let args = [
        "plain",
        "--overlay",
        &overlay,
        "--stall",
        "off",
        "--scenario",
        "hammer",
    ];
    let run = run(&args);
    run.ended("ida-hashtable", Outcome::Inconclusive);
    let both = run.of("ida-hashtable");
    assert!(
        both.reasons.iter().any(|why| why.contains(&overlay)),
        "{both:?}"
    );
    for exercise in [&both.exercise_base, &both.exercise] {
        // 2 vCPUs for 20 s, 2 ms each; without the delay there are several times as many.
        let opens = exercise["opens"];
        assert!(0 < opens && opens <= 20_000, "{exercise:?}");
    }
}

/// A use-after-free that the load alone meets in minutes or not at all, found by what its patch
/// says about where to hold.
#[test]
fn held_vcpus_find_a_rare_use_after_free() {
    if !full("a rare use-after-free, with held vCPUs") {
        return;
    }
    let variant = planted("rare-uaf");
    let wanted = ["kasan", "--seed", "1", "--profile", "standard", "--variant"];
    let run = run(&[&wanted[..], &[variant.as_str()], &TCG].concat());
    run.found(
        "rare-uaf",
        Kind::Splat,
        "kasan",
        "use-after-free",
        Status::New,
    );
}
