//! vCPUs held by the plugin inside QEMU.

use harness::judge::verdict::{Kind, Outcome, Status};

use crate::ktwin::{full, planted, run};

const TCG: [&str; 4] = ["--scenario", "hammer", "--accel", "tcg"];

/// The right patch stays right, and vCPUs were held on both sides.
#[test]
fn held_vcpus_find_nothing_in_the_right_patch() {
    let stall = [
        "kasan",
        "--seed",
        "1",
        "--stall",
        "fuse_backing_lookup:300us",
    ];
    let run = run(&[&stall[..], &TCG].concat());
    run.ended("ida-hashtable", Outcome::Pass);
    let right = run.of("ida-hashtable");
    for exercise in [&right.exercise_base, &right.exercise] {
        assert!(exercise["stall_holds"] > 100, "{exercise:?}");
    }
}

/// A use-after-free that the load alone meets in minutes or not at all.
#[test]
fn held_vcpus_find_a_rare_use_after_free() {
    if !full("a rare use-after-free, with held vCPUs") {
        return;
    }
    let variant = planted("rare-uaf");
    let stall = [
        "kasan",
        "--seed",
        "1",
        "--profile",
        "standard",
        "--stall",
        "fuse_backing_get:300us",
        "--variant",
        &variant,
    ];
    let run = run(&[&stall[..], &TCG].concat());
    run.found(
        "rare-uaf",
        Kind::Splat,
        "kasan",
        "use-after-free",
        Status::New,
    );
}
