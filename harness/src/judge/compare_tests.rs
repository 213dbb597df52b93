//! Comparisons by tables: what each side's boots showed, and what follows.

use protocol::{DetectorState, FindingKind};
use serde_json::json;

use super::{
    fixtures::*,
    touched::Touched,
    unjudged::{Broken, untestable},
    verdict::{Kind, Outcome, Status},
};
use crate::{
    collect::record::{End, Limit},
    scenario::Accepted,
    splat::Splat,
};

#[test]
fn a_clean_pair_passes() {
    let comparison = Setup::new(vec![nothing()], vec![nothing()]).judge();
    assert_eq!(comparison.outcome, Outcome::Pass, "{comparison:?}");
    assert!(comparison.findings.is_empty() && comparison.reasons.is_empty());
    assert_eq!(comparison.exercise["overlaps"], 100);
    assert_eq!(comparison.exercise["fio_ios"], 9);
    assert_eq!(comparison.detectors["lockdep"], DetectorState::On);
    let names: Vec<&str> = comparison
        .measures
        .iter()
        .map(|m| m.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "fio iops",
            "fio read iops",
            "backing-race lookups",
            "backing-race removes"
        ]
    );
    assert_eq!(comparison.measures[0].ratio, Some(1.0));
    assert_eq!(comparison.measures[2].variant.median, Some(10.0));
}

/// Base's boots, the variant's boots, the outcome, the findings.
#[test]
fn findings_side_by_side() {
    use FindingKind::{Hang, Leak, WrongData};
    use Outcome::{Inconclusive, Infrastructure, Pass, Regression, Untestable};
    use Status::{Common, Fixed, New, Unconfirmed};
    let many = |n: usize, make: &dyn Fn() -> Change| -> Vec<Change> {
        std::iter::repeat_with(make).take(n).collect()
    };
    type Row = (
        &'static str,
        Vec<Change>,
        Vec<Change>,
        Outcome,
        Vec<(Kind, Status)>,
    );
    let died = |panicked| {
        ended(End::Died {
            why: "reset".into(),
            panicked,
        })
    };
    let table: Vec<Row> = vec![
        (
            "a splat with a touched function",
            vec![nothing()],
            vec![kasan("touched_fn")],
            Regression,
            vec![(Kind::Splat, New)],
        ),
        (
            "a splat elsewhere, once",
            vec![nothing()],
            vec![kasan("other")],
            Inconclusive,
            vec![(Kind::Splat, Unconfirmed)],
        ),
        (
            "a splat elsewhere, in three of three",
            many(3, &nothing),
            many(3, &|| kasan("other")),
            Regression,
            vec![(Kind::Splat, New)],
        ),
        (
            "a splat elsewhere, in two of two",
            many(2, &nothing),
            many(2, &|| kasan("other")),
            Inconclusive,
            vec![(Kind::Splat, Unconfirmed)],
        ),
        (
            "a splat on both sides",
            vec![kasan("touched_fn"), nothing()],
            vec![nothing(), kasan("touched_fn")],
            Pass,
            vec![(Kind::Splat, Common)],
        ),
        (
            "a splat on base",
            vec![kasan("touched_fn")],
            vec![nothing()],
            Pass,
            vec![(Kind::Splat, Fixed)],
        ),
        (
            "wrong data on the variant",
            many(1, &nothing),
            vec![seen(WrongData, "another id's data", "")],
            Regression,
            vec![(Kind::WrongData, New)],
        ),
        (
            "wrong data on both",
            vec![seen(WrongData, "another id's data", "")],
            vec![seen(WrongData, "another id's data", "")],
            Pass,
            vec![(Kind::WrongData, Common)],
        ),
        (
            "a leak elsewhere",
            vec![nothing()],
            vec![seen(Leak, "memory leak in x", "x+0x1/0x2")],
            Inconclusive,
            vec![(Kind::Leak, Unconfirmed)],
        ),
        (
            "a leak from a touched function",
            vec![nothing()],
            vec![seen(
                Leak,
                "memory leak in x",
                "x+0x1/0x2 touched_fn+0x1/0x2",
            )],
            Regression,
            vec![(Kind::Leak, New)],
        ),
        (
            "a load that hangs",
            vec![nothing()],
            vec![seen(Hang, "openers did not come back", "")],
            Regression,
            vec![(Kind::Hang, New)],
        ),
        (
            "no progress on the variant",
            vec![nothing()],
            vec![watchdog(Limit::NoProgress)],
            Regression,
            vec![(Kind::Hang, New)],
        ),
        (
            "silence on both",
            vec![watchdog(Limit::Silence)],
            vec![watchdog(Limit::Silence)],
            Inconclusive,
            vec![(Kind::Hang, Common)],
        ),
        (
            "silence on base",
            vec![watchdog(Limit::Silence)],
            vec![nothing()],
            Pass,
            vec![(Kind::Hang, Fixed)],
        ),
        (
            "the cell's limit on both",
            vec![watchdog(Limit::Cell)],
            vec![watchdog(Limit::Cell)],
            Infrastructure,
            vec![(Kind::Hang, Common)],
        ),
        (
            "the cell's limit on the variant, once",
            vec![nothing()],
            vec![watchdog(Limit::Cell)],
            Inconclusive,
            vec![(Kind::Hang, Unconfirmed)],
        ),
        (
            "the guest was gone, on both",
            vec![died(false)],
            vec![died(false)],
            Infrastructure,
            vec![(Kind::Hang, Common)],
        ),
        (
            "a panic without a report",
            many(3, &nothing),
            many(3, &|| died(true)),
            Regression,
            vec![(Kind::Splat, New)],
        ),
        (
            "the variant does not boot",
            vec![nothing()],
            vec![no_boot()],
            Untestable,
            vec![(Kind::BootFailed, New)],
        ),
        (
            "base does not boot",
            vec![no_boot()],
            vec![nothing()],
            Pass,
            vec![(Kind::BootFailed, Fixed)],
        ),
        (
            "neither boots",
            vec![no_boot()],
            vec![no_boot()],
            Infrastructure,
            vec![(Kind::BootFailed, Common)],
        ),
        (
            "base does not boot, and the variant has wrong data",
            vec![no_boot()],
            vec![seen(WrongData, "another id's data", "")],
            Inconclusive,
            vec![(Kind::WrongData, Unconfirmed), (Kind::BootFailed, Fixed)],
        ),
        (
            "a command that fails each time",
            many(2, &nothing),
            many(2, &|| exec_ends(Some(1), None)),
            Regression,
            vec![(Kind::CommandFailed, New)],
        ),
        (
            "a command that fails now and then",
            many(2, &nothing),
            vec![exec_ends(Some(1), None), nothing()],
            Inconclusive,
            vec![(Kind::CommandFailed, Unconfirmed)],
        ),
        (
            "a command that fails on both",
            vec![exec_ends(Some(1), None)],
            vec![exec_ends(Some(1), None)],
            Pass,
            vec![(Kind::CommandFailed, Common)],
        ),
        (
            "a command that fails otherwise",
            vec![exec_ends(Some(1), None)],
            vec![exec_ends(Some(2), None)],
            Regression,
            vec![(Kind::CommandFailed, New), (Kind::CommandFailed, Fixed)],
        ),
    ];
    for (what, base, variant, outcome, findings) in table {
        let comparison = Setup::new(base, variant).judge();
        assert_eq!(brief(&comparison), findings, "{what}: {comparison:#?}");
        assert_eq!(comparison.outcome, outcome, "{what}: {comparison:#?}");
        if !matches!(outcome, Pass | Regression | Untestable) {
            assert!(!comparison.reasons.is_empty(), "{what}");
        }
    }
}

/// Base's races, the variant's races by the lines of both accesses, and what follows. The patch
/// puts one line in at 5, so base's line 8 is the variant's 9; it changes base's 13.
#[test]
fn races_of_one_title() {
    use Status::{Common, Fixed, New, Unconfirmed};
    let bare = || {
        splat(
            "kcsan",
            "KCSAN: data-race in f / g",
            &[("f", None), ("g", None)],
        )
    };
    type Row = (&'static str, Vec<Splat>, Vec<Splat>, Vec<Status>);
    let table: Vec<Row> = vec![
        (
            "moved by the patch",
            vec![race(8, 2)],
            vec![race(9, 2)],
            vec![Common],
        ),
        (
            "the other way round",
            vec![race(8, 2)],
            vec![splat(
                "kcsan",
                "KCSAN: data-race in f / g",
                &[("g", Some(2)), ("f", Some(9))],
            )],
            vec![Common],
        ),
        (
            "at other lines",
            vec![race(8, 2)],
            vec![race(9, 3)],
            vec![Unconfirmed, Fixed],
        ),
        (
            "at a touched line",
            vec![race(8, 2)],
            vec![race(14, 2)],
            vec![New, Fixed],
        ),
        (
            "both",
            vec![race(8, 2)],
            vec![race(9, 2), race(14, 2)],
            vec![New, Common],
        ),
        (
            "on a removed line",
            vec![race(13, 2)],
            vec![race(13, 2)],
            vec![Unconfirmed, Fixed],
        ),
        (
            "base without symbols",
            vec![bare()],
            vec![race(9, 2)],
            vec![Common],
        ),
        (
            "the variant without symbols",
            vec![race(8, 2)],
            vec![bare()],
            vec![Common],
        ),
        (
            "neither with symbols",
            vec![bare()],
            vec![bare()],
            vec![Common],
        ),
        (
            "the variant without symbols, base without the race",
            vec![],
            vec![bare()],
            vec![Unconfirmed],
        ),
    ];
    for (what, base, variant, statuses) in table {
        let comparison = Setup::new(vec![splats(base)], vec![splats(variant)]).judge();
        let got: Vec<Status> = comparison.findings.iter().map(|one| one.status).collect();
        assert_eq!(got, statuses, "{what}: {comparison:#?}");
    }
}

#[test]
fn what_a_finding_says() {
    let comparison = Setup::new(
        vec![nothing()],
        vec![splats(vec![race(14, 2), race(14, 2)])],
    )
    .judge();
    let finding = &comparison.findings[0];
    assert_eq!(finding.class, "kcsan");
    assert_eq!(finding.count, 2);
    assert_eq!(finding.first_s, Some(5.0));
    assert_eq!(finding.evidence, "lockdep-ida-1/splats/0001.txt");
    assert_eq!(finding.detail, "fs/fuse/backing.c:14 / fs/fuse/backing.c:2");
    assert_eq!(
        finding.why,
        "the patch touches f (fs/fuse/backing.c:14); in 1 of 1 boot of the variant, none of 1 boot of base"
    );
    let hang = Setup::new(vec![nothing()], vec![watchdog(Limit::NoProgress)]).judge();
    assert_eq!(
        hang.findings[0].title,
        "fio: the agent beats and its load does no work"
    );
    assert_eq!(hang.findings[0].detail, "nothing for 30 s");
}

#[test]
fn a_boot_that_failed_is_called_after_its_splat() {
    let broken: Change = Box::new(|record| {
        kasan("fuse_init")(record);
        no_boot()(record);
    });
    let comparison = Setup::new(vec![nothing()], vec![broken]).judge();
    assert_eq!(comparison.outcome, Outcome::Untestable);
    let [finding] = &comparison.findings[..] else {
        panic!("{comparison:?}");
    };
    assert_eq!(
        finding.title,
        "KASAN: slab-use-after-free Read in fuse_init"
    );
    assert_eq!(finding.class, "kasan");
    assert_eq!(finding.evidence, "lockdep-ida-1/splats/0001.txt");
}

#[test]
fn reruns_while_they_can_settle() {
    for (boots, left, expected) in [(1, 0, 0), (1, 1, 0), (1, 2, 1), (2, 1, 1), (3, 9, 0)] {
        let all = |make: &dyn Fn() -> Change| std::iter::repeat_with(make).take(boots).collect();
        let mut setup = Setup::new(all(&nothing), all(&|| kasan("other")));
        setup.reruns_left = left;
        assert_eq!(setup.judged().rerun.len(), expected, "{boots} {left}");
    }
}

#[test]
fn unmet_conditions() {
    let table: Vec<(&str, Change, &str)> = vec![
        (
            "no overlap",
            count("overlaps", 0),
            "backing-race was not exercised on ida: no overlaps in 1 boot",
        ),
        ("no remove", count("removes", 0), "no removes"),
        (
            "fio failed",
            Box::new(|r| r.fio[0].code = 1),
            "fio was not exercised in lockdep-ida-1: it ended with 1",
        ),
        (
            "fio idle",
            Box::new(|r| r.fio[0].json = json!({})),
            "it did no I/O",
        ),
        ("fio missing", Box::new(|r| r.fio.clear()), "it did not run"),
        (
            "no command",
            exec_ends(None, Some("no such file")),
            "the command did not run to its end in lockdep-ida-1: no such file",
        ),
        (
            "a stall point that the kernel lacks",
            held(0, 0, 0),
            "no vCPU was held at f:5us in lockdep-ida-1: this kernel has no such place",
        ),
        (
            "a stall point never reached",
            held(2, 0, 0),
            "no vCPU was held at f:5us in lockdep-ida-1: it was never reached",
        ),
        (
            "a stall point without a hold",
            held(2, 9, 0),
            "it was reached too rarely",
        ),
        (
            "no end",
            Box::new(|r| r.exec.clear()),
            "no end of it was seen",
        ),
        (
            "detector off",
            detector(DetectorState::Off),
            "lockdep had stopped watching by the variant's end; wrong locking after that would not \
             show",
        ),
        (
            "detector absent",
            detector(DetectorState::Absent),
            "lockdep is not built into the lockdep kernel",
        ),
        (
            "detector unknown",
            Box::new(|r| r.detectors.clear()),
            "whether lockdep was on is not known",
        ),
    ];
    for (what, change, reason) in table {
        let comparison = Setup::new(vec![nothing()], vec![change]).judge();
        assert_eq!(
            comparison.outcome,
            Outcome::Inconclusive,
            "{what}: {comparison:#?}"
        );
        assert!(
            comparison.reasons.iter().any(|one| one.contains(reason)),
            "{what}: {:?}",
            comparison.reasons
        );
    }
    let on_base = Setup::new(vec![count("overlaps", 0)], vec![nothing()]).judge();
    assert_eq!(on_base.outcome, Outcome::Inconclusive);
    assert!(
        on_base.reasons[0].contains("on base"),
        "{:?}",
        on_base.reasons
    );
}

#[test]
fn a_command_ended_by_its_limit_did_not_run_to_its_end() {
    let killed = |seconds: f64| -> Change {
        Box::new(move |record| {
            record.exec[0].code = None;
            record.exec[0].signal = Some(9);
            record.exec[0].seconds = seconds;
        })
    };
    let both = Setup::new(vec![killed(10.1)], vec![killed(10.1)]).judge();
    assert_eq!(both.outcome, Outcome::Inconclusive);
    assert_eq!(
        both.reasons[0],
        "the command did not run to its end in lockdep-ida-1: its limit of 10 s ended it"
    );
    let crashes = Setup::new(vec![killed(1.0)], vec![killed(1.0)]).judge();
    assert_eq!(crashes.outcome, Outcome::Pass);
    assert_eq!(brief(&crashes), [(Kind::CommandFailed, Status::Common)]);
    assert_eq!(
        crashes.findings[0].title,
        "./repro was ended by signal 9, not 0"
    );
    let alone = Setup::new(vec![nothing()], vec![killed(10.1)]).judge();
    assert_eq!(alone.outcome, Outcome::Regression);
}

#[test]
fn what_is_told_twice_is_one_finding() {
    let told: Change = Box::new(|record| {
        seen(FindingKind::CommandFailed, "repro exited with 1, not 0", "")(record);
        exec_ends(Some(1), None)(record);
        let leak = "memory leak in touched_fn";
        seen(FindingKind::Leak, leak, "touched_fn+0x1/0x2")(record);
        let notice = splat("memleak", "kmemleak: new suspected memory leaks", &[]);
        splats(vec![
            notice,
            splat("memleak", leak, &[("touched_fn", None)]),
        ])(record);
    });
    let comparison = Setup::new(vec![nothing()], vec![told]).judge();
    let titles: Vec<&str> = comparison
        .findings
        .iter()
        .map(|one| one.title.as_str())
        .collect();
    assert_eq!(
        titles,
        ["memory leak in touched_fn", "repro exited with 1, not 0"]
    );
    assert_eq!(comparison.findings[0].class, "memleak");
    assert_eq!(comparison.findings[0].count, 1);
}

#[test]
fn a_detector_that_a_common_splat_turned_off() {
    let change = || -> Change {
        Box::new(|record| {
            let report = splat("lockdep", "possible deadlock in x", &[("x", None)]);
            splats(vec![report])(record);
            detector(DetectorState::Off)(record);
        })
    };
    let comparison = Setup::new(vec![change()], vec![change()]).judge();
    assert_eq!(comparison.outcome, Outcome::Inconclusive);
    assert_eq!(
        comparison.reasons,
        [
            "lockdep had stopped watching by the variant's end, on base as well, after \
             \"possible deadlock in x\"; wrong locking after that would not show"
        ]
    );
    // A report of the variant's own is a regression, whatever it turned off.
    let own: Change = Box::new(|record| {
        let report = splat("lockdep", "possible deadlock in y", &[("touched_fn", None)]);
        splats(vec![report])(record);
        detector(DetectorState::Off)(record);
    });
    let comparison = Setup::new(vec![nothing()], vec![own]).judge();
    assert_eq!(comparison.outcome, Outcome::Regression);
}

#[test]
fn a_file_that_is_not_compiled() {
    let mut setup = Setup::new(vec![nothing()], vec![nothing()]);
    setup.compiled = vec!["fs/fuse/dev.c".into()];
    setup.symbols = [(
        "fs/fuse/backing.c".to_owned(),
        "FUSE_PASSTHROUGH".to_owned(),
    )]
    .into();
    let comparison = setup.judge();
    assert_eq!(comparison.outcome, Outcome::Inconclusive);
    assert_eq!(
        comparison.reasons,
        [
            "fs/fuse/backing.c is touched and lockdep does not compile it; CONFIG_FUSE_PASSTHROUGH would"
        ]
    );
}

#[test]
fn a_patch_of_words_asks_for_nothing_to_have_run() {
    let mut setup = Setup::new(vec![count("overlaps", 0)], vec![count("overlaps", 0)]);
    assert_eq!(setup.judge().outcome, Outcome::Inconclusive);
    setup.touched = Some(Touched::default());
    setup.compiled.clear();
    assert_eq!(setup.judge().outcome, Outcome::Pass);
}

#[test]
fn accepted_until_a_day() {
    let title = "KASAN: slab-use-after-free Read in touched_fn";
    for (variant, until, outcome) in [
        (None, "2026-11-23", Outcome::Pass),
        (None, "2027-01-01", Outcome::Pass),
        (Some("ida"), "2027-01-01", Outcome::Pass),
        (None, "2026-11-22", Outcome::Regression),
        (Some("other"), "2027-01-01", Outcome::Regression),
    ] {
        let mut setup = Setup::new(vec![nothing()], vec![kasan("touched_fn")]);
        setup.scenario.accepted = vec![Accepted {
            variant: variant.map(str::to_owned),
            title: title.into(),
            reason: "known".into(),
            until: until.into(),
        }];
        let comparison = setup.judge();
        assert_eq!(comparison.outcome, outcome, "{until}");
        let finding = &comparison.findings[0];
        assert_eq!(finding.status, Status::New);
        match outcome {
            Outcome::Pass => assert_eq!(
                finding.accepted.as_deref(),
                Some(format!("known (until {until})").as_str())
            ),
            _ if variant.is_some() => assert!(!finding.why.contains("accepted")),
            _ => assert!(finding.why.contains("it was accepted until 2026-11-22")),
        }
    }
}

#[test]
fn one_kernel_alone() {
    let alone = |change| {
        let mut setup = Setup::new(vec![], vec![change]);
        setup.alone = true;
        setup.touched = None;
        setup.judge()
    };
    let clean = alone(nothing());
    assert_eq!((clean.outcome, clean.base.as_str()), (Outcome::Pass, ""));
    assert_eq!(alone(kasan("other")).outcome, Outcome::Regression);
    assert_eq!(alone(no_boot()).outcome, Outcome::Untestable);
    assert_eq!(alone(watchdog(Limit::Cell)).outcome, Outcome::Regression);
    assert_eq!(alone(count("overlaps", 0)).outcome, Outcome::Inconclusive);
}

#[test]
fn ends_that_are_nobodys() {
    let infra = || {
        ended(End::Infrastructure {
            why: "no QEMU".into(),
        })
    };
    let table = [
        (vec![infra()], vec![nothing()], Outcome::Infrastructure),
        (vec![nothing()], vec![infra()], Outcome::Infrastructure),
        (
            vec![nothing()],
            vec![ended(End::Interrupted)],
            Outcome::Interrupted,
        ),
        (vec![], vec![nothing()], Outcome::Infrastructure),
        (vec![nothing()], vec![], Outcome::Infrastructure),
        (
            vec![nothing(), infra()],
            vec![kasan("touched_fn")],
            Outcome::Regression,
        ),
    ];
    for (base, variant, outcome) in table {
        let comparison = Setup::new(base, variant).judge();
        assert_eq!(comparison.outcome, outcome, "{comparison:#?}");
        if outcome != Outcome::Regression {
            assert!(!comparison.reasons.is_empty());
        }
    }
}

#[test]
fn what_never_booted() {
    let broken = Broken {
        kind: Kind::BuildFailed,
        title: "fs/fuse/backing.c:9: no member named 'users'".into(),
        evidence: "build/ida.log".into(),
        detail: "make: *** [x] Error 1".into(),
    };
    let comparison = untestable("kasan", "race", "ida", &broken);
    assert_eq!(comparison.outcome, Outcome::Untestable);
    assert_eq!(brief(&comparison), [(Kind::BuildFailed, Status::New)]);
    let mut setup = Setup::new(vec![], vec![nothing()]);
    setup.base_broken = Some(broken);
    let comparison = setup.judge();
    assert_eq!(comparison.outcome, Outcome::Pass, "{comparison:#?}");
    assert_eq!(brief(&comparison), [(Kind::BuildFailed, Status::Fixed)]);
}

#[test]
fn guests_may_say_anything() {
    let long = "\u{1b}[31m\n".repeat(10_000);
    let change: Change = Box::new(move |record| {
        seen(FindingKind::WrongData, &long, &long)(record);
        record.findings[0].finding.count = u64::MAX;
        record.findings.push(record.findings[0].clone());
        record.phases[RACE]
            .counters
            .insert("lookups".into(), u64::MAX);
        record.phases[FIO]
            .counters
            .insert("lookups".into(), u64::MAX);
    });
    let comparison = Setup::new(vec![nothing()], vec![change]).judge();
    let finding = &comparison.findings[0];
    assert!(finding.title.chars().count() < 300 && !finding.title.contains(char::is_control));
    assert_eq!(finding.count, u64::MAX);
    assert_eq!(comparison.exercise["lookups"], u64::MAX);
}
