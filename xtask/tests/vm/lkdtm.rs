//! The kernel's own crashes on demand (LKDTM): each is found, classed and titled. One of the long
//! ones, as its kernels serve nothing else.

use harness::judge::verdict::Kind;

use crate::ktwin::{full, run, top};

/// What is provoked: the kernel's name for it, the finding's class, and what its title must be.
type Provoked = (&'static str, &'static str, &'static str);

/// A boot goes on after these, so one boot provokes them all.
#[rustfmt::skip]
const SURVIVED: &[Provoked] = &[
    ("WARNING", "warning", "WARNING in lkdtm_WARNING"),
    ("WARNING_MESSAGE", "warning", "WARNING in lkdtm_WARNING_MESSAGE"),
    ("REFCOUNT_INC_ZERO", "refcount", "WARNING: refcount bug in lkdtm_REFCOUNT_INC_ZERO"),
    ("REFCOUNT_DEC_ZERO", "refcount", "WARNING: refcount bug in lkdtm_REFCOUNT_DEC_ZERO"),
    ("CORRUPT_LIST_ADD", "list-corruption", "BUG: corrupted list in lkdtm_CORRUPT_LIST_ADD"),
    ("READ_AFTER_FREE", "kasan", "KASAN: slab-use-after-free Read in lkdtm_READ_AFTER_FREE"),
    ("WRITE_AFTER_FREE", "kasan", "KASAN: slab-use-after-free Write in lkdtm_WRITE_AFTER_FREE"),
    ("SLAB_FREE_DOUBLE", "kasan", "KASAN: invalid-free in lkdtm_SLAB_FREE_DOUBLE"),
    ("SLAB_LINEAR_OVERFLOW", "kasan", "KASAN: slab-out-of-bounds Write in lkdtm_SLAB_LINEAR_OVERFLOW"),
    ("ARRAY_BOUNDS", "ubsan", "UBSAN: array-index-out-of-bounds in lkdtm_ARRAY_BOUNDS"),
    ("HUNG_TASK", "hang", "INFO: task hung in lkdtm_HUNG_TASK"),
];

/// A boot ends with each of these. A lockup is named by what the system call reached: where in a
/// loop it is found differs from time to time.
#[rustfmt::skip]
const FATAL: &[Provoked] = &[
    ("PANIC", "panic", "kernel panic: dumptest"),
    ("BUG", "bug", "kernel BUG in lkdtm_BUG"),
    ("EXCEPTION", "oops", "general protection fault in lkdtm_EXCEPTION"),
    ("USERCOPY_KERNEL", "usercopy", "BUG: bad usercopy in lkdtm_USERCOPY_KERNEL"),
    ("SOFTLOCKUP", "lockup", "BUG: soft lockup in full_proxy_write"),
    ("HARDLOCKUP", "lockup", "BUG: hard lockup in full_proxy_write"),
    ("ACCESS_NULL", "oops", "general protection fault in lkdtm_ACCESS_NULL"),
];

/// Else a guest that is locked up goes on to the command's limit.
const LOCKUPS_PANIC: &str = "softlockup_panic=1 nmi_watchdog=panic";
/// Long enough for a hung task to be reported (30 s), and for the detector to come round twice.
const WAIT_S: u32 = 70;

#[test]
fn crashes_on_demand_are_named() {
    if !full("crashes on demand (LKDTM)") {
        return;
    }
    let all: Vec<String> = SURVIVED
        .iter()
        .map(|(name, ..)| format!("{} &", provoke(name)))
        .collect();
    check(&format!("{} sleep {WAIT_S}", all.join(" ")), SURVIVED);
    for crash in FATAL {
        let script = format!("{}; sleep {WAIT_S}", provoke(crash.0));
        check(&script, &[*crash]);
    }
}

fn provoke(name: &str) -> String {
    format!("echo {name} > /sys/kernel/debug/provoke-crash/DIRECT")
}

/// Runs the script in a guest; everything provoked must be found.
fn check(script: &str, provoked: &[Provoked]) {
    let config = top().join("xtask/tests/vm/lkdtm.config");
    let config = config.to_str().unwrap();
    let run = run(&[
        "kasan",
        "--no-patch",
        "--kconfig",
        config,
        "--append",
        LOCKUPS_PANIC,
        "--",
        "/bin/sh",
        "-c",
        script,
    ]);
    let findings = &run.verdict.comparisons[0].findings;
    for (name, class, title) in provoked {
        let found = findings.iter().any(|f| {
            f.class == *class && f.title == *title && matches!(f.kind, Kind::Splat | Kind::Hang)
        });
        assert!(found, "{name}: no {class} {title:?} in {findings:#?}");
    }
}
