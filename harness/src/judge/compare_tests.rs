//! Comparisons by tables: what each side's boots showed, and what follows.

use protocol::{DetectorState, FindingKind};

use super::{
    fixtures::*,
    verdict::{Kind, Outcome, Status},
};
use crate::{
    collect::record::{End, Limit},
    splat::{Splat, scan_bytes},
};

/// A command that fails in the only boot that ran it: others are no chance to show it.
#[test]
fn boots_without_the_load_are_no_chance() {
    let without = |load: &'static str| -> Change {
        Box::new(move |record| {
            let phases = &mut record.cell.plan.phases;
            phases.retain(|phase| phase.load.name() != load);
            record.phases.retain(|phase| phase.name != load);
            match load {
                "fio" => record.fio.clear(),
                _ => record.exec.clear(),
            }
        })
    };
    let fails = || exec_ends(Some(1), None);
    let fio_fails = || -> Change {
        Box::new(|record| {
            record.phases[EXEC].started_s = 20.0;
            seen(FindingKind::CommandFailed, "fio exited with 1, not 0", "")(record);
        })
    };
    let new = vec![(Kind::CommandFailed, Status::New)];
    let unconfirmed = vec![(Kind::CommandFailed, Status::Unconfirmed)];
    let table = [
        ("exec", fails(), without("exec"), new.clone()),
        ("exec", fails(), without("fio"), unconfirmed.clone()),
        ("fio", fio_fails(), without("fio"), new),
        ("fio", fio_fails(), without("exec"), unconfirmed),
    ];
    for (load, fails, other, expected) in table {
        let base = vec![nothing(), without(load)];
        let judged = Setup::new(base, vec![fails, other]).judge();
        assert_eq!(brief(&judged), expected, "{load}: {:?}", judged.findings);
        let chances = match expected[0].1 {
            Status::New => "in 1 of 1 boot of the variant, none of 1 boot of base",
            _ => "in 1 of 2 boots of the variant, none of 1 boot of base",
        };
        assert!(
            judged.findings[0].why.contains(chances),
            "{:?}",
            judged.findings
        );
    }
}

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
    let died_of = |fatal| -> Change {
        let splat = Splat {
            fatal,
            ..splat("warning", "WARNING in other", &[("other", None)])
        };
        let (shows, dies) = (splats(vec![splat]), died(true));
        Box::new(move |record| {
            shows(record);
            dies(record);
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
            "no power-off on the variant",
            vec![nothing()],
            vec![watchdog(Limit::PowerOff)],
            Regression,
            vec![(Kind::Hang, New)],
        ),
        (
            "no power-off on both",
            vec![watchdog(Limit::PowerOff)],
            vec![watchdog(Limit::PowerOff)],
            Infrastructure,
            vec![(Kind::Hang, Common)],
        ),
        (
            "no power-off on base",
            vec![watchdog(Limit::PowerOff)],
            vec![nothing()],
            Pass,
            vec![(Kind::Hang, Fixed)],
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
            "a panic that the report before it does not tell of",
            many(3, &nothing),
            many(3, &|| died_of(false)),
            Regression,
            vec![(Kind::Splat, New), (Kind::Splat, New)],
        ),
        (
            "a panic that its report tells of",
            many(3, &nothing),
            many(3, &|| died_of(true)),
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

/// Base's reports that name no function and the variant's, by the first one of their stacks.
#[test]
fn reports_that_name_no_function() {
    use Status::{Common, Fixed, Unconfirmed};
    let torn = |function: Option<&str>| {
        let stacks = function.map(|function| (function, None));
        let stacks = Vec::from_iter(stacks);
        Splat {
            corrupted: Some("no function to blame in its stacks".into()),
            ..splat("warning", "WARNING in corrupted", &stacks)
        }
    };
    type Row<'a> = (&'a [Option<&'a str>], &'a [Option<&'a str>], &'a [Status]);
    let table: &[Row<'_>] = &[
        (&[Some("f")], &[Some("f")], &[Common]),
        (&[Some("f")], &[Some("g")], &[Unconfirmed, Fixed]),
        (
            &[Some("f")],
            &[Some("g"), Some("f")],
            &[Unconfirmed, Common],
        ),
        (&[], &[Some("g"), Some("f")], &[Unconfirmed, Unconfirmed]),
        (&[Some("f")], &[None], &[Common]),
        (&[None], &[Some("f")], &[Common]),
        (&[], &[None], &[Unconfirmed]),
    ];
    for (base, variant, statuses) in table {
        let boot = |side: &[Option<&str>]| vec![splats(side.iter().copied().map(torn).collect())];
        let comparison = Setup::new(boot(base), boot(variant)).judge();
        let got: Vec<Status> = comparison.findings.iter().map(|one| one.status).collect();
        assert_eq!(got, *statuses, "{base:?} {variant:?}: {comparison:#?}");
    }
}

/// The end of the log cuts a report off, as it may any.
#[test]
fn what_is_left_of_a_report_that_is_there_whole() {
    let whole = |function: &str| {
        format!(
            "BUG: KASAN: slab-use-after-free in {function}+0x9c/0x180\nRead of size 4 at addr ffff88800a1b2c30 by task a/1\nCall Trace:\n dump_stack_lvl+0x5d/0x80\n {function}+0x9c/0x180\n vfs_read+0x1/0x2\n==================\n"
        )
    };
    let cut = "BUG: KASAN: slab-use-after-free in f+0x9c/0x180\n";
    let (full, part) = (
        "KASAN: slab-use-after-free Read in f",
        "KASAN: slab-use-after-free in f",
    );
    for (log, expected) in [
        (whole("f") + cut, vec![full]),
        (
            whole("g") + cut,
            vec!["KASAN: slab-use-after-free Read in g", part],
        ),
        (cut.repeat(2), vec![part]),
    ] {
        let boot = vec![splats(scan_bytes(log.as_bytes()))];
        let comparison = Setup::new(vec![nothing()], boot).judge();
        let findings = comparison.findings.iter();
        let titles: Vec<&str> = findings.map(|one| one.title.as_str()).collect();
        assert_eq!(titles, expected, "{log}");
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
