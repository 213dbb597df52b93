//! Verdicts and run directories that reports are tested with, some of them hostile.

use std::{fs, path::Path};

use protocol::DetectorState;

use crate::claims::{Checked, Claimed};
use crate::judge::verdict::{
    Comparison, Finding, Host, Judgement, Kernel, Kind, Measure, Outcome, Patch, SCHEMA, Sample,
    Shape, Status, Structure, Verdict,
};
use crate::{
    collect::record::TimedSplat,
    judge::fixtures::good,
    patch::MailHead,
    plugin::{Coverage, Line},
    splat::Splat,
};

fn finding(kind: Kind, class: &str, title: &str, status: Status) -> Finding {
    Finding {
        kind,
        class: class.into(),
        title: title.into(),
        status,
        count: 3,
        first_s: Some(12.34),
        evidence: "kasan-ida-1/splats/0001-kasan.txt".into(),
        why: "in 1 of 1 boot of the variant, none of 1 boot of base".into(),
        detail: String::new(),
        files: Vec::new(),
        accepted: None,
    }
}

fn measure(name: &str, unit: &str, base: Option<f64>, variant: Option<f64>) -> Measure {
    let side = |value: Option<f64>| Sample {
        values: value.into_iter().collect(),
        median: value,
    };
    Measure {
        ratio: base.zip(variant).map(|(b, v)| v / b),
        ..Measure::shown(name.into(), unit, side(base), side(variant))
    }
}

fn coverage() -> Coverage {
    let lines = [(59, 12), (63, 0), (64, 0), (65, 0), (80, 0), (254, 7)];
    let line = |(line, hits)| Line {
        file: "fs/fuse/backing.c".into(),
        line,
        hits,
    };
    Coverage {
        lines: lines.map(line).into(),
        without_code: 12,
        ..Coverage::default()
    }
}

pub(super) fn comparison(config: &str, outcome: Outcome, findings: Vec<Finding>) -> Comparison {
    Comparison {
        config: config.into(),
        scenario: "race".into(),
        base: "base".into(),
        variant: "ida-hashtable".into(),
        outcome,
        findings,
        exercise: [("lookups".to_owned(), 12_345), ("overlaps".to_owned(), 67)].into(),
        exercise_base: [("lookups".to_owned(), 11_111)].into(),
        proved: [("KASAN".to_owned(), None)].into(),
        coverage: Some(coverage()),
        detectors: [
            ("kasan".to_owned(), DetectorState::On),
            ("lockdep".to_owned(), DetectorState::Off),
            ("kcsan".to_owned(), DetectorState::Absent),
        ]
        .into(),
        measures: vec![
            measure("fio read iops", "1/s", Some(5000.0), Some(5250.0)),
            measure("fio read latency p99", "us", None, Some(8.25)),
        ],
        structures: vec![],
        reasons: vec!["lockdep had stopped watching by the variant's end".into()],
    }
}

/// A regression with a bit of everything.
pub(crate) fn sample() -> Verdict {
    let mut accepted = finding(
        Kind::Splat,
        "kcsan",
        "KCSAN: data-race in a / b",
        Status::New,
    );
    accepted.accepted = Some("known upstream (until 2027-01-31)".into());
    let mut fixed = finding(
        Kind::Hang,
        "hang",
        "fio: the agent beats and its load does no work",
        Status::Fixed,
    );
    fixed.first_s = None;
    let mut new = finding(
        Kind::Splat,
        "kasan",
        "KASAN: slab-use-after-free Read in fuse_backing_lookup",
        Status::New,
    );
    new.detail = "fs/fuse/backing.c:94".into();
    let commons = (1..=9).map(|n| {
        let title = format!("KCSAN: data-race in common_{n} / common_{n}");
        finding(Kind::Splat, "kcsan", &title, Status::Common)
    });
    let maybe = finding(
        Kind::Splat,
        "warning",
        "WARNING in elsewhere",
        Status::Unconfirmed,
    );
    Verdict {
        schema: SCHEMA,
        outcome: Outcome::Regression,
        kernel: Kernel {
            version: "7.3.4".into(),
            source: "linux-source-7.3 7.3.4-1~bpo13+1".into(),
            tree_hash: "ab".repeat(32),
            commit: None,
        },
        patch: Patch {
            files: ["a.c", "b.c", "fs/fuse/backing.c", "fs/fuse/fuse_i.h", "z.h"]
                .map(str::to_owned)
                .into(),
            sha256: "0123456789abcdef".repeat(4),
            mails: vec![],
        },
        host: Host {
            cpus: 2,
            accel: "tcg".into(),
            qemu: "7.2.19".into(),
        },
        seed: 4711,
        started: "2026-11-23T12:00:00Z".into(),
        elapsed_s: 252.4,
        command: ["cargo", "xtask", "run", "kasan", "plain", "--keep-going"]
            .map(str::to_owned)
            .into(),
        comparisons: vec![
            comparison(
                "kasan",
                Outcome::Regression,
                [new, maybe, fixed]
                    .into_iter()
                    .chain(commons)
                    .chain([accepted])
                    .collect(),
            ),
            Comparison {
                exercise: [].into(),
                exercise_base: [].into(),
                detectors: [].into(),
                measures: vec![],
                reasons: vec![],
                ..comparison("plain", Outcome::Pass, vec![])
            },
        ],
    }
}

fn structure(name: &str, touched: bool, base: Option<u64>, variant: Option<u64>) -> Structure {
    let shape = |bytes: u64| Shape {
        bytes,
        slab: format!("kmalloc-{}", bytes.next_power_of_two()),
        slab_bytes: bytes.next_power_of_two(),
    };
    Structure {
        name: name.into(),
        file: "fs/fuse/fuse_i.h".into(),
        touched,
        base: base.map(shape),
        variant: variant.map(shape),
    }
}

/// What two variants cost: throughput by boots, curves, structures.
pub(crate) fn costs() -> Verdict {
    let throughput = |variant: &[f64], ratio: f64, judgement| {
        let side = |values: &[f64]| Sample {
            values: values.into(),
            median: Some(values[1]),
        };
        let base = [99.0, 100.0, 101.0, 100.0].map(|n| n * 200.0);
        Measure {
            ratio: Some(ratio),
            ci95: Some([ratio - 0.02, ratio + 0.03]),
            margin: Some(0.05),
            judgement: Some(judgement),
            ..Measure::shown("fio iops".into(), "1/s", side(&base), side(variant))
        }
    };
    let curve = |name: &str, unit: &str, each: [f64; 2]| {
        [1, 100, 10_000].map(|ids| {
            let [base, variant] = each.map(|each| Some(100.0 + each * f64::from(ids)));
            measure(name, unit, base, variant).at(ids)
        })
    };
    let variant = |name: &str, measures: Vec<Measure>| Comparison {
        variant: name.into(),
        scenario: "costs".into(),
        coverage: None,
        structures: vec![
            structure("fuse_backing", true, Some(40), Some(56)),
            structure("fuse_backing_table", true, None, Some(2048)),
            structure("fuse_conn", true, Some(1000), Some(1032)),
            structure("embeds_it", false, Some(100), Some(116)),
        ],
        measures,
        reasons: vec![],
        ..comparison("plain", Outcome::Pass, vec![])
    };
    let one = throughput(
        &[20_300.0, 20_200.0, 19_900.0, 20_500.0],
        1.01,
        Judgement::Equivalent,
    );
    let two = throughput(
        &[16_300.0, 16_200.0, 15_900.0, 16_500.0],
        0.81,
        Judgement::Worse,
    );
    let mut part = measure("memory: kmalloc-64", "B", Some(1.0), Some(2.0)).at(100);
    part.part = true;
    let memory = |more: f64| curve("memory", "B", [73.0, 64.0 + more]).into_iter();
    let lookup = |cost: f64| curve("instructions of lookup", "", [0.0, cost]).into_iter();
    Verdict {
        outcome: Outcome::Pass,
        comparisons: vec![
            variant(
                "ida-hashtable",
                [one, part]
                    .into_iter()
                    .chain(memory(0.0))
                    .chain(lookup(0.015))
                    .collect(),
            ),
            variant(
                "ida-rhashtable",
                [two]
                    .into_iter()
                    .chain(memory(16.0))
                    .chain(lookup(0.0))
                    .collect(),
            ),
        ],
        ..sample()
    }
}

/// The same shape, with what guests, patches and users might put into it.
pub(super) fn hostile() -> Verdict {
    let evil = "\u{1b}]0;x\u{7}| <b>`x`</b> \u{202e}\n# [y](https://z)";
    let mut comparison = comparison(
        evil,
        Outcome::Untestable,
        vec![Finding {
            count: u64::MAX,
            first_s: Some(-1.0),
            detail: evil.into(),
            why: evil.into(),
            evidence: evil.into(),
            accepted: Some(evil.into()),
            ..finding(Kind::BootFailed, evil, evil, Status::New)
        }],
    );
    comparison.variant = evil.into();
    comparison.base = String::new();
    comparison.exercise = [(evil.to_owned(), u64::MAX)].into();
    comparison.detectors = [(evil.to_owned(), DetectorState::On)].into();
    comparison.measures = vec![
        measure(evil, evil, Some(-1e300), Some(1e-300)),
        measure(evil, evil, Some(-1e300), Some(1e-300)).at(0),
        measure(evil, evil, Some(1e300), None).at(u32::MAX),
    ];
    comparison.structures = vec![structure(evil, true, Some(1), Some(1 << 63))];
    comparison.reasons = vec![evil.into()];
    Verdict {
        kernel: Kernel {
            version: evil.into(),
            source: evil.into(),
            tree_hash: evil.into(),
            commit: Some(evil.into()),
        },
        patch: Patch {
            files: vec![evil.into()],
            sha256: evil.into(),
            mails: vec![evil_mail(evil)],
        },
        host: Host {
            cpus: u32::MAX,
            accel: evil.into(),
            qemu: evil.into(),
        },
        started: evil.into(),
        elapsed_s: 1e300,
        command: vec![evil.into()],
        comparisons: vec![comparison],
        ..sample()
    }
}

/// A mail's headers, hostile in each.
fn evil_mail(evil: &str) -> MailHead {
    MailHead {
        message_id: "<1@example.org>".into(),
        subject: format!("[PATCH] x\r\nBcc: v@example.org\r\n\r\nbody {evil}"),
        from: format!("\"{evil}\r\nBcc: v@example.org\" <a@example.org>"),
        to: vec![
            "b@example.org".into(),
            "c@example.org, x\r\nBcc: <v w@example.org>".into(),
            evil.into(),
        ],
        references: vec!["<0@example.org>".into()],
    }
}

/// Text that each sink would have to keep from acting.
pub(super) const EVIL_LINES: &str = "ok 1 - all is well\nnot ok 2 x\n# Subtest: x\nKTAP version 1\n1..9\n\
    Tested-by: Evil <e@example.org>\n]]><script>alert(1)</script>\n</div><img src=x onerror=alert(1)>\n\
    \u{1b}[2J\u{202e}\u{0}\n# SKIP\n";

/// What boots leave: each with one splat of this title, decoded to these lines.
pub(super) fn leave(dir: &Path, title: &str, lines: &str) {
    for (id, variant) in [("kasan-base-1", "base"), ("kasan-ida-1", "ida-hashtable")] {
        let folder = dir.join(id);
        fs::create_dir_all(folder.join("splats")).unwrap();
        let mut record = good(id);
        record.cell.config = "kasan".into();
        record.cell.variant = variant.into();
        record.cell.scenario = "race".into();
        record.splats = vec![TimedSplat {
            at_s: 12.34,
            file: "splats/0001-kasan.txt".into(),
            count: 1,
            splat: Splat {
                title: title.into(),
                class: "kasan".into(),
                text: lines.as_bytes().to_vec(),
                ..Splat::default()
            },
        }];
        fs::write(
            folder.join("record.json"),
            serde_json::to_vec(&record).unwrap(),
        )
        .unwrap();
        fs::write(folder.join("console.log"), lines).unwrap();
        fs::write(
            folder.join("splats/0001-kasan.decoded.txt"),
            format!("{title}\n\n{lines}"),
        )
        .unwrap();
    }
}

/// Claims of each outcome, one with a hostile text.
pub(super) fn claimed() -> Vec<Claimed> {
    use crate::claims::Outcome;
    let check = |judgement, measured: &str| Checked {
        what: "memory per id".into(),
        expected: "9.00 ± 10.0 %".into(),
        base: Some("9.27".into()),
        variant: None,
        measured: measured.into(),
        judgement,
        why: "the author rounds".into(),
    };
    let claim = |id: &str, text: &str, checks: Vec<Checked>| Claimed {
        id: id.into(),
        text: text.into(),
        expected: "memory per id 9.00 ± 10.0 %".into(),
        base: Some("9.27".into()),
        variant: None,
        judgement: checks.iter().map(|check| check.judgement).max().unwrap(),
        evidence: "runs/1".into(),
        checks,
    };
    vec![
        claim("C1", "it is small", vec![check(Outcome::Holds, "9.27")]),
        claim(
            "C2",
            "it is <b>smaller</b> \u{1b}[31m | `x`",
            vec![
                check(Outcome::Holds, "9.27"),
                check(Outcome::DoesNotHold, "19.2"),
            ],
        ),
        claim(
            "C3",
            "it is quick",
            vec![check(Outcome::CannotTell, "no such run")],
        ),
    ]
}
