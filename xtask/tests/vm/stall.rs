//! The plugin inside QEMU: vCPUs held, holds that mattered, lines that ran; and detectors that speak.

use harness::judge::verdict::{Kind, Outcome, Status};

use crate::ktwin::{full, planted, run};

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

/// A place of the user's own choice is held too.
#[test]
fn a_chosen_place_is_held() {
    let stall = ["plain", "--seed", "1", "--stall", "fuse_backing_get:300us"];
    let run = run(&[&stall[..], &TCG].concat());
    run.ended("ida-hashtable", Outcome::Pass);
    let exercise = &run.of("ida-hashtable").exercise;
    assert!(exercise["stall_holds"] > 100, "{exercise:?}");
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
