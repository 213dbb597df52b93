//! The project's own patch passes.

use std::{fs, path::Path};

use harness::judge::verdict::{Kind, Outcome, Status};

use crate::ktwin::{planted, run};

/// With it, in the same config and so against the same base: every bug that KASAN's config shows.
#[test]
fn kasan_and_its_planted_bugs() {
    let names = [
        "kasan-uaf",
        "leak",
        "wrong-data",
        "missing-unlock",
        "boot-oops",
        "no-compile",
        "no-apply",
        "comment-only",
    ];
    let planted = names.map(planted);
    let mut args = vec![
        "kasan",
        "--scenario",
        "race",
        "--seed",
        "1",
        "--variant",
        "ida-hashtable",
    ];
    args.extend(planted.iter().flat_map(|p| ["--variant", p.as_str()]));
    let run = run(&args);

    run.ended("ida-hashtable", Outcome::Pass);
    run.clean("ida-hashtable");
    let exercise = &run.of("ida-hashtable").exercise;
    for counter in ["lookups", "misses", "removes", "overlaps"] {
        assert!(
            exercise.get(counter).is_some_and(|n| *n > 0),
            "{counter}: {exercise:?}"
        );
    }
    let fio = run
        .of("ida-hashtable")
        .measures
        .iter()
        .find(|m| m.name.contains("iops"));
    assert!(
        fio.is_some_and(|m| m.base.median > Some(0.0) && m.variant.median > Some(0.0)),
        "{fio:?}"
    );

    run.ended("comment-only", Outcome::Pass);
    run.clean("comment-only");

    run.ended("kasan-uaf", Outcome::Regression);
    let freed = run.found(
        "kasan-uaf",
        Kind::Splat,
        "kasan",
        "use-after-free",
        Status::New,
    );
    // Decoded, the frame in the line that the patch wrote is marked.
    let decoded = Path::new(&freed.evidence).with_extension("decoded.txt");
    let decoded = fs::read_to_string(run.dir.path().join("run").join(decoded)).unwrap();
    assert!(decoded.contains("\n    + fs/fuse/backing.c:"), "{decoded}");
    run.ended("leak", Outcome::Regression);
    run.found("leak", Kind::Leak, "memleak", "memory leak in", Status::New);
    run.ended("wrong-data", Outcome::Regression);
    run.found("wrong-data", Kind::WrongData, "wrong-data", "", Status::New);
    run.ended("missing-unlock", Outcome::Regression);
    assert!(
        run.of("missing-unlock")
            .findings
            .iter()
            .any(|f| f.kind == Kind::Hang && f.status == Status::New)
    );
    run.ended("boot-oops", Outcome::Untestable);
    run.found(
        "boot-oops",
        Kind::BootFailed,
        "oops",
        "fuse_init",
        Status::New,
    );
    run.ended("no-compile", Outcome::Untestable);
    run.found(
        "no-compile",
        Kind::BuildFailed,
        "build-failed",
        "",
        Status::New,
    );
    run.ended("no-apply", Outcome::Untestable);
    run.found(
        "no-apply",
        Kind::PatchRejected,
        "patch-rejected",
        "",
        Status::New,
    );

    // Over several comparisons a regression comes before what cannot be tested.
    assert_eq!(run.code, 1);
}
