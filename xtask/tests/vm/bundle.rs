//! Boots repeated from a bundle, on a machine that has nothing of the run's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use harness::collect::record::{End, RunRecord};

use crate::ktwin::{Run, command, full, plain, run, top};

const BOOT: &str = "plain-ida-hashtable-1";
/// What a command of the user's prints in the guest.
const SAID: &str = "seen in the guest";

/// A run of a program on base and the variant. What it says of the patch is nothing: it does not use FUSE.
fn ran() -> Run {
    let patch = top().join("scenarios/fuse-backing/patches/ida-hashtable");
    let variant = format!("ida-hashtable={}", patch.display());
    let run = run(&["plain", "--variant", &variant, "--", "echo", SAID]);
    said_it(&record(&run.dir.path().join("run")));
    run
}

fn bundled(run: &Run, more: &[&str]) -> PathBuf {
    let (from, to) = (run.dir.path().join("run"), run.dir.path().join("bundle"));
    let (from, out) = (from.display().to_string(), to.display().to_string());
    let args = ["bundle", &from, "--cell", BOOT, "--output", &out];
    let output = plain(&[&args, more].concat());
    assert!(output.status.success(), "{output:?}");
    to
}

/// Replays a bundle with an empty cache.
fn replayed(bundle: &Path, run: &Run, cache: &str) -> (Output, RunRecord) {
    let out = run.dir.path().join("again");
    let mut replay = command();
    replay.arg("replay").arg(bundle).arg("--out").arg(&out);
    replay.env("KTWIN_CACHE", run.dir.path().join(cache));
    let output = replay.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    (output, record(&out))
}

fn record(run: &Path) -> RunRecord {
    let record = fs::read(run.join(BOOT).join("record.json")).unwrap();
    serde_json::from_slice(&record).unwrap()
}

/// It ended, and the program said what it says.
fn said_it(record: &RunRecord) {
    assert_eq!(record.end, End::Finished);
    let said = record.exec.iter().map(|ran| (ran.code, ran.output.trim()));
    assert_eq!(said.collect::<Vec<_>>(), [(Some(0), SAID)]);
}

#[test]
fn a_bundle_with_its_kernel_needs_nothing_else() {
    let run = ran();
    let bundle = bundled(&run, &["--kernel-image"]);
    let (_, record) = replayed(&bundle, &run, "empty");
    said_it(&record);
    for built in ["source", "tree", "build"] {
        let folder = run.dir.path().join("empty").join(built);
        let count = fs::read_dir(folder).map_or(0, Iterator::count);
        assert_eq!(count, 0, "there was something in {built}");
    }
    // One that came over in part, or was changed on its way, is not begun with.
    let whole = fs::read(&bundle).unwrap();
    let half = whole.len() / 2;
    let mut changed = whole.clone();
    changed[half] ^= 1;
    for bad in [&whole[..half], &changed] {
        let path = run.dir.path().join("bad");
        fs::write(&path, bad).unwrap();
        let mut replay = command();
        let replay = replay.arg("replay").arg(&path);
        let replay = replay.env("KTWIN_CACHE", run.dir.path().join("empty"));
        assert_eq!(replay.output().unwrap().status.code(), Some(2));
    }
}

/// Without its kernel the source is fetched and built anew, and comes out as the same image.
#[test]
fn a_bundle_without_its_kernel_builds_the_same_one() {
    if !full("a kernel built from a bundle, with an empty cache") {
        return;
    }
    let run = ran();
    let bundle = bundled(&run, &[]);
    let (output, record) = replayed(&bundle, &run, "cold");
    said_it(&record);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("the kernel's image was"), "{said}");
}
