//! What a comparison comes to where something was not met, not judged or not to be counted, by tables.

use protocol::{Corner, DetectorState, FindingKind, Load};
use serde_json::json;

use super::{
    fixtures::*,
    touched::Touched,
    unjudged::{Broken, untestable},
    verdict::{Finding, Kind, Outcome, Status},
};
use crate::{
    collect::record::{End, Limit},
    plugin::{Coverage, Line},
    scenario::Accepted,
};

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
fn a_corner_that_runs_out_of_time() {
    let ways = ["unmounts", "forced_unmounts", "aborts", "forsaken"];
    let teardown = || Corner::Teardown {
        rounds: 10,
        openers: 3,
    };
    let connections = || Corner::Connections {
        connections: 2,
        rounds: 20,
    };
    let race = || Corner::InitRace {
        mounts: 1000,
        racers: 2,
        skip_watch: None,
    };
    let cursor = || Corner::Cursor {
        limit: 64,
        turns: 200,
    };
    let all = |counts: &[(&'static str, u64)]| counts.to_vec();
    let torn = |last: u64| {
        let more = [("in_flight", 9), ("cut_off", 9)];
        let ways = ways.map(|way| (way, if way == "forsaken" { last } else { 10 }));
        [&more[..], &ways[..]].concat()
    };
    let raced = |mounts: u64| all(&[("raced", 9), ("opens", 9), ("mounts", mounts)]);
    let met = |mounts: u64| all(&[("together", 9), ("refused", 9), ("mounts", mounts)]);
    let turned = |full: u64| all(&[("wraps", 2), ("refills", 9), ("full", full)]);
    let table = [
        (teardown(), torn(10), None),
        (
            teardown(),
            torn(9),
            Some("teardown did not do all of its plan in lockdep-ida-1: 9 of 10 forsaken"),
        ),
        (connections(), met(40), None),
        (connections(), met(39), Some("39 of 40 mounts")),
        (race(), raced(1000), None),
        (race(), raced(12), Some("12 of 1000 mounts")),
        (cursor(), turned(200), None),
        (cursor(), turned(3), Some("3 of 200 full")),
    ];
    for (corner, counts, reason) in table {
        let did = move |counts: Vec<(&'static str, u64)>| -> Change {
            let corner = corner.clone();
            Box::new(move |record| {
                record.cell.plan.phases[RACE].load = Load::Corner(corner.clone());
                let phase = &mut record.phases[RACE];
                phase.name = corner.name().into();
                phase.counters = counts
                    .iter()
                    .map(|(name, n)| ((*name).to_owned(), *n))
                    .collect();
            })
        };
        let judged = Setup::new(vec![], vec![did(counts.clone())]);
        let judged = Setup {
            alone: true,
            ..judged
        }
        .judge();
        match reason {
            None => assert_eq!(judged.outcome, Outcome::Pass, "{:?}", judged.reasons),
            Some(reason) => {
                assert_eq!(judged.outcome, Outcome::Inconclusive, "{reason}");
                assert!(judged.reasons[0].ends_with(reason), "{:?}", judged.reasons);
            }
        }
        // What got stuck is told as that alone.
        let stuck: Change = Box::new(move |record| {
            did(counts.clone())(record);
            seen(FindingKind::Hang, "stuck", "")(record);
        });
        let judged = Setup::new(vec![stuck], vec![nothing()]).judge();
        let short = judged
            .reasons
            .iter()
            .any(|one| one.contains("all of its plan"));
        assert!(!short, "{:?}", judged.reasons);
    }
}

#[test]
fn a_command_ended_by_its_limit_did_not_run_to_its_end() {
    let ended = |signal: Option<i32>, seconds: f64| -> Change {
        Box::new(move |record| {
            record.exec[0].code = None;
            record.exec[0].signal = signal;
            record.exec[0].seconds = seconds;
        })
    };
    let killed = |seconds| ended(Some(9), seconds);
    let both = Setup::new(vec![killed(10.1)], vec![killed(10.1)]).judge();
    assert_eq!(both.outcome, Outcome::Inconclusive);
    assert_eq!(
        both.reasons[0],
        "the command did not run to its end in lockdep-ida-1: its limit of 10 s ended it"
    );
    let stuck = Setup::new(vec![ended(None, 30.1)], vec![ended(None, 30.1)]).judge();
    assert_eq!(stuck.outcome, Outcome::Inconclusive);
    assert_eq!(
        stuck.reasons[0],
        "the command did not run to its end in lockdep-ida-1: it was killed, and is still there"
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
fn a_command_that_does_nothing_on_both_sides_exercised_nothing() {
    let ends = |code: Option<i32>, signal: Option<i32>| -> Change {
        Box::new(move |record| {
            record.exec[0].code = code;
            record.exec[0].signal = signal;
        })
    };
    let alike = "the command likely did not do its work on base and ida: it";
    for (code, signal, reason) in [
        (Some(126), None, "exited with 126: a program that it calls"),
        (Some(127), None, "exited with 127: a program or a library"),
        (None, Some(11), ""),
        (Some(1), None, ""),
        (Some(125), None, ""),
    ] {
        let both = || vec![ends(code, signal)];
        let comparison = Setup::new(both(), both()).judge();
        let found = brief(&comparison);
        assert_eq!(found, [(Kind::CommandFailed, Status::Common)]);
        if reason.is_empty() {
            assert_eq!(comparison.outcome, Outcome::Pass, "{code:?}");
            continue;
        }
        assert_eq!(
            comparison.outcome,
            Outcome::Inconclusive,
            "{code:?} {signal:?}"
        );
        let [told] = comparison.reasons.as_slice() else {
            panic!("{:?}", comparison.reasons);
        };
        assert!(told.starts_with(&format!("{alike} {reason}")), "{told}");
        // One side's alone is a difference, which is told as that.
        let ours = Setup::new(vec![nothing()], both()).judge();
        assert_eq!(ours.outcome, Outcome::Regression, "{code:?} {signal:?}");
        let mended = Setup::new(both(), vec![nothing()]).judge();
        assert_eq!(mended.outcome, Outcome::Pass, "{code:?} {signal:?}");
    }
    // What is expected, or accepted, is what the command is for.
    let expects: fn() -> Change = || {
        Box::new(|record| {
            for phase in &mut record.cell.plan.phases {
                if let Load::Exec(exec) = &mut phase.load {
                    exec.expect = 127;
                }
            }
            record.exec[0].code = Some(127);
        })
    };
    let expected = Setup::new(vec![expects()], vec![expects()]).judge();
    assert_eq!(expected.outcome, Outcome::Pass, "{:?}", expected.reasons);
    let mut accepted = Setup::new(vec![ends(Some(127), None)], vec![ends(Some(127), None)]);
    accepted.scenario.accepted = vec![Accepted {
        variant: None,
        title: "./repro exited with 127, not 0".into(),
        reason: "known".into(),
        until: "2099-01-01".into(),
    }];
    let accepted = accepted.judge();
    assert_eq!(accepted.outcome, Outcome::Pass, "{:?}", accepted.reasons);
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
fn a_patch_of_which_the_compiler_makes_nothing() {
    let mut setup = Setup::new(vec![nothing()], vec![nothing()]);
    setup.unchanged = true;
    let comparison = setup.judge();
    assert_eq!(comparison.outcome, Outcome::Inconclusive);
    assert_eq!(
        comparison.reasons,
        [
            "the patch makes no other kernel of lockdep, in code or data: is what it changes under an \
             option that is off?"
        ]
    );
    // What shows on one side alone shows there by chance.
    let races = [
        race(1, 2),
        splat(
            "kcsan",
            "KCSAN: data-race in touched_fn / h",
            &[("touched_fn", Some(14))],
        ),
    ];
    let [one, other] = races.map(|race| splats(vec![race]));
    let mut chance = Setup::new(vec![one], vec![other]);
    chance.unchanged = true;
    let comparison = chance.judge();
    assert_eq!(comparison.outcome, Outcome::Inconclusive);
    let common = |finding: &Finding| finding.status == Status::Common;
    assert!(comparison.findings.len() == 2 && comparison.findings.iter().all(common));

    // A file that is left out says more.
    setup.compiled.clear();
    let reasons = setup.judge().reasons;
    assert!(
        matches!(&reasons[..], [one] if one.contains("does not compile")),
        "{reasons:?}"
    );

    // Lines of it that own code do what base's do: the other words for it have been tried.
    setup.compiled = vec!["fs/fuse/backing.c".into()];
    let ran: Change = Box::new(|record| {
        record.coverage = Some(Coverage {
            lines: vec![Line {
                file: "fs/fuse/backing.c".into(),
                line: 1,
                hits: 1,
            }],
            ..Coverage::default()
        });
    });
    setup.boots = Setup::new(vec![], vec![ran]).boots;
    assert_eq!(setup.judge().outcome, Outcome::Pass);

    setup.touched = Some(Touched::default());
    setup.boots = Setup::new(vec![], vec![nothing()]).boots;
    assert_eq!(setup.judge().outcome, Outcome::Pass);
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
fn a_patch_of_which_nothing_ran() {
    let coverage = |lines: &[u64], functions: &[u64]| Coverage {
        lines: (1..)
            .zip(lines)
            .map(|(line, hits)| Line {
                file: "fs/fuse/backing.c".into(),
                line,
                hits: *hits,
            })
            .collect(),
        functions: ["f", "g"]
            .map(str::to_owned)
            .into_iter()
            .zip(functions.iter().copied())
            .collect(),
        ..Coverage::default()
    };
    let off = Some("--stall off");
    // What was seen, why nothing could be; the reason, and why it is not known.
    let table = [
        (Some(coverage(&[0, 3], &[])), None, None, None),
        (
            Some(coverage(&[0, 0], &[])),
            None,
            Some("none of the patch's 2 lines that own code ran"),
            None,
        ),
        (Some(coverage(&[], &[0, 1])), None, None, None),
        (
            Some(coverage(&[], &[0, 0])),
            None,
            Some("none of the functions that the patch touches ran (f, g): the load"),
            None,
        ),
        (
            Some(coverage(&[], &[])),
            None,
            None,
            Some("this kernel has none of the functions that it touches"),
        ),
        (None, off, None, Some("--stall off")),
    ];
    for (seen, unwatched, reason, why) in table {
        let of = seen.clone();
        let change: Change = Box::new(move |record| record.coverage.clone_from(&of));
        let mut setup = Setup::new(vec![nothing()], vec![change]);
        setup.unwatched = unwatched;
        let judged = setup.judge();
        let outcome = match reason {
            Some(_) => Outcome::Inconclusive,
            None => Outcome::Pass,
        };
        assert_eq!(judged.outcome, outcome, "{seen:?}: {:?}", judged.reasons);
        if let Some(reason) = reason {
            assert!(judged.reasons[0].starts_with(reason), "{judged:?}");
        }
        let not_known = judged.coverage.and_then(|one| one.unwatched);
        assert_eq!(not_known.as_deref(), why, "{seen:?}");
    }
    let of_words = |touched| {
        let mut setup = Setup::new(vec![nothing()], vec![nothing()]);
        setup.touched = touched;
        setup.judge().coverage
    };
    assert_eq!(of_words(Some(Touched::default())), None);
    assert_eq!(of_words(None), None);
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
