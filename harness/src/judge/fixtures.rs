//! What the tests of judging are made of: boots in which all went well, and what may go wrong.

use std::collections::BTreeMap;

use protocol::{
    BackingRace, DetectorState, Exec, ExecResult, FindingKind, Fio, FioResult, GuestFinding, Hello,
    Load, Phase, Plan, Store,
};
use serde_json::json;

use super::{
    compare::{JudgeInput, Judged, judge},
    throughput::Rules,
    touched::Touched,
    unjudged::Broken,
    verdict::{Comparison, Kind, Status},
};
use crate::{
    collect::record::{End, Limit, PhaseRecord, RunRecord, TimedFinding, TimedSplat},
    plan::Cell,
    plugin::Count,
    scenario::Scenario,
    splat::{Frame, Place, Splat},
};

pub(super) const RACE: usize = 0;
pub(super) const FIO: usize = 1;
pub(super) const EXEC: usize = 2;

/// A boot in which everything went well.
pub(crate) fn good(id: &str) -> RunRecord {
    let loads = [
        Load::BackingRace(BackingRace {
            servers: 3,
            openers: 3,
            churners: 2,
            ids: 64,
            files: 512,
        }),
        Load::Fio(Fio {
            store: Store::Ext4,
            jobs: 1,
            engine: "psync".into(),
            pattern: "randrw".into(),
            block: "4k".into(),
            file_mib: 1,
        }),
        Load::Exec(Exec {
            command: vec!["./repro".into()],
            expect: 0,
        }),
    ];
    let phases = loads
        .iter()
        .enumerate()
        .map(|(index, load)| PhaseRecord {
            index,
            name: load.name().into(),
            started_s: 1.0,
            ended_s: Some(11.0),
            counters: match index {
                RACE => ["lookups", "removes", "overlaps"]
                    .map(|name| (name.to_owned(), 100))
                    .into(),
                _ => BTreeMap::new(),
            },
            others: None,
        })
        .collect();
    RunRecord {
        cell: Cell {
            id: id.into(),
            config: "lockdep".into(),
            variant: String::new(),
            scenario: "race".into(),
            repeat: 1,
            plan: Plan {
                seed: 1,
                phases: loads.map(|load| Phase { load, seconds: 10 }).into(),
            },
            memory_mib: 2048,
            cpus: 2,
            append: vec![],
            purpose: crate::plan::Purpose::Loads,
        },
        end: End::Finished,
        hello: Some(Hello {
            protocol: 1,
            kernel: "7.3".into(),
            agent: "0".into(),
        }),
        hello_s: Some(1.0),
        elapsed_s: 40.0,
        phases,
        findings: vec![],
        fio: vec![FioResult {
            code: 0,
            json: json!({"jobs": [{"read": {"iops": 50.0, "total_ios": 9}}]}),
            stderr: String::new(),
        }],
        exec: vec![ExecResult {
            command: vec!["./repro".into()],
            code: Some(0),
            signal: None,
            error: None,
            output: String::new(),
            truncated: false,
            seconds: 1.0,
        }],
        detectors: [("lockdep".to_owned(), DetectorState::On)].into(),
        stalls: Vec::new(),
        coverage: None,
        operations: Vec::new(),
        slabs: Vec::new(),
        splats: vec![],
        console_bytes: 1,
        last_lines: vec![],
    }
}

pub(super) type Change = Box<dyn Fn(&mut RunRecord)>;

pub(super) fn place(function: &str, line: u32) -> Place {
    Place {
        function: function.into(),
        file: "fs/fuse/backing.c".into(),
        line,
    }
}

/// A splat whose stacks hold one frame each, symbolized where a line is given.
pub(super) fn splat(class: &str, title: &str, accesses: &[(&str, Option<u32>)]) -> Splat {
    Splat {
        title: title.into(),
        class: class.into(),
        stacks: accesses
            .iter()
            .map(|(function, line)| {
                vec![Frame {
                    function: (*function).into(),
                    places: line.map(|line| place(function, line)).into_iter().collect(),
                    ..Frame::default()
                }]
            })
            .collect(),
        ..Splat::default()
    }
}

pub(super) fn splats(all: Vec<Splat>) -> Change {
    Box::new(move |record| {
        for splat in all.clone() {
            let file = format!("splats/{:04}.txt", record.splats.len() + 1);
            record.splats.push(TimedSplat {
                count: 1,
                at_s: 5.0,
                file,
                splat,
            });
        }
    })
}

/// A KASAN report in `f`, not symbolized.
pub(super) fn kasan(function: &str) -> Change {
    let title = format!("KASAN: slab-use-after-free Read in {function}");
    splats(vec![splat("kasan", &title, &[(function, None)])])
}

pub(super) fn race(a: u32, b: u32) -> Splat {
    splat(
        "kcsan",
        "KCSAN: data-race in f / g",
        &[("f", Some(a)), ("g", Some(b))],
    )
}

pub(super) fn seen(kind: FindingKind, title: &str, detail: &str) -> Change {
    let finding = GuestFinding {
        kind,
        title: title.into(),
        detail: detail.into(),
        count: 3,
    };
    Box::new(move |record| {
        record.findings.push(TimedFinding {
            at_s: 6.0,
            finding: finding.clone(),
        });
    })
}

pub(super) fn nothing() -> Change {
    Box::new(|_| {})
}

pub(super) fn ended(end: End) -> Change {
    Box::new(move |record| {
        record.end = end.clone();
        record.phases[FIO].ended_s = None;
        record.phases.truncate(EXEC);
        record.exec.clear();
        record.fio.clear();
        record.detectors.clear();
    })
}

pub(super) fn watchdog(limit: Limit) -> Change {
    ended(End::Watchdog {
        limit,
        why: "nothing for 30 s".into(),
    })
}

pub(super) fn no_boot() -> Change {
    Box::new(|record| {
        record.end = End::BootFailed {
            why: "a panic".into(),
        };
        record.hello = None;
        record.phases.clear();
        record.fio.clear();
        record.exec.clear();
        record.detectors.clear();
    })
}

pub(super) fn count(name: &'static str, value: u64) -> Change {
    Box::new(move |record| {
        record.phases[RACE].counters.insert(name.into(), value);
    })
}

pub(super) fn detector(state: DetectorState) -> Change {
    Box::new(move |record| {
        record.detectors.insert("lockdep".into(), state);
    })
}

/// One stall point, with what came of it.
pub(super) fn held(places: u64, hits: u64, holds: u64) -> Change {
    Box::new(move |record| {
        record.stalls = vec![Count {
            spec: "f:5us".into(),
            derived: false,
            overlaps: 0,
            places,
            hits,
            holds,
            held_us: 5 * holds,
        }];
    })
}

pub(super) fn exec_ends(code: Option<i32>, error: Option<&'static str>) -> Change {
    Box::new(move |record| {
        record.exec[0].code = code;
        record.exec[0].error = error.map(str::to_owned);
    })
}

/// The patch's one change: line 14 of fs/fuse/backing.c, in `touched_fn`; one line comes in at 5.
pub(super) fn patch() -> Touched {
    let before = "int a;\nint b;\nint c;\nint d;\n\nint f(void)\n{\n\treturn 1;\n}\n\
                  \nint touched_fn(void)\n{\n\treturn 2;\n}\n";
    let after = before
        .replace("int d;\n", "int d;\nint e;\n")
        .replace("return 2", "return 3");
    patch_of(before, &after)
}

/// A patch that makes one text of fs/fuse/backing.c into another.
pub(super) fn patch_of(before: &str, after: &str) -> Touched {
    use crate::patch::{FileChange, Patch, Series};
    let path = Some("fs/fuse/backing.c".to_owned());
    let series = Series {
        patches: vec![Patch {
            subject: String::new(),
            origin: String::new(),
            diff: vec![],
            files: vec![FileChange {
                old: path.clone(),
                new: path,
                hunks: vec![],
            }],
            mail: None,
        }],
        ..Series::default()
    };
    Touched::of(&series, &|_| Some(before.to_owned()), &|_| {
        Some(after.to_owned())
    })
}

pub(super) struct Setup {
    pub(super) base: Vec<RunRecord>,
    pub(super) boots: Vec<RunRecord>,
    pub(super) scenario: Scenario,
    pub(super) touched: Option<Touched>,
    pub(super) compiled: Vec<String>,
    pub(super) unchanged: bool,
    pub(super) symbols: BTreeMap<String, String>,
    pub(super) alone: bool,
    pub(super) reruns_left: u32,
    pub(super) base_broken: Option<Broken>,
    pub(super) earlier: Vec<Splat>,
    pub(super) rules: Option<Rules>,
    pub(super) uncounted: Option<&'static str>,
    pub(super) unwatched: Option<&'static str>,
}

impl Setup {
    /// One boot for each change.
    pub(super) fn new(base: Vec<Change>, variant: Vec<Change>) -> Self {
        let boots = |side: &str, changes: Vec<Change>| -> Vec<RunRecord> {
            (1..)
                .zip(changes)
                .map(|(repeat, change)| {
                    let mut record = good(&format!("lockdep-{side}-{repeat}"));
                    change(&mut record);
                    record
                })
                .collect()
        };
        Self {
            base: boots("base", base),
            boots: boots("ida", variant),
            scenario: Scenario::of_command(vec!["x".into()]),
            touched: Some(patch()),
            compiled: vec!["fs/fuse/backing.c".into()],
            unchanged: false,
            symbols: BTreeMap::new(),
            alone: false,
            reruns_left: 0,
            base_broken: None,
            earlier: vec![],
            rules: None,
            uncounted: None,
            unwatched: None,
        }
    }

    pub(super) fn judged(&self) -> Judged {
        judge(&JudgeInput {
            proof: None,
            structures: &[],
            config: "lockdep",
            scenario: &self.scenario,
            variant: "ida",
            base: &self.base,
            earlier: &self.earlier,
            boots: &self.boots,
            alone: self.alone,
            base_broken: self.base_broken.as_ref(),
            touched: self.touched.as_ref(),
            compiled: Some(&self.compiled),
            unchanged: self.unchanged,
            symbols: &self.symbols,
            reruns_left: self.reruns_left,
            rules: self.rules,
            uncounted: self.uncounted,
            unwatched: self.unwatched,
            today: "2026-11-23",
        })
    }

    pub(super) fn judge(&self) -> Comparison {
        self.judged().comparison
    }
}

pub(super) fn brief(comparison: &Comparison) -> Vec<(Kind, Status)> {
    let findings = comparison.findings.iter();
    findings.map(|one| (one.kind, one.status)).collect()
}
