//! What must have happened for a comparison to count: loads exercised, files compiled, detectors
//! alive. Each that did not is a reason.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Corner, DetectorState, ExecResult, FindingKind, Load, counts::MARKED};

use super::{
    Proof, measures,
    touched::Touched,
    verdict::{Finding, Status},
};
use crate::{
    collect::record::{End, RunRecord, TimedFinding},
    plugin::Count,
};

/// The counts that a load must have raised.
const COUNTED: [(&str, &[&str]); 7] = [
    ("backing-race", &["lookups", "removes", "overlaps"]),
    ("cursor", &["wraps", "full", "refills"]),
    ("allocation-failure", &["injected", "registers_failed"]),
    ("refusals", &["refused", "opens"]),
    (
        "teardown",
        &["in_flight", "cut_off", "unmounts", "aborts", "forsaken"],
    ),
    ("connections", &["together", "refused"]),
    ("init-race", &["raced", "opens"]),
];

/// The detectors without which a config would not be what it says.
const DETECTORS: [(&str, &[&str]); 3] = [
    ("kasan", &["kasan"]),
    ("kcsan", &["kcsan"]),
    ("lockdep", &["lockdep"]),
];

/// What no longer shows once a detector has stopped: lockdep does at its first report, kmemleak
/// when it runs out of memory, KASAN at its first where `kasan_multi_shot` is not given.
const UNSEEN: [(&str, &str); 4] = [
    ("kasan", "memory errors"),
    ("kcsan", "data races"),
    ("kmemleak", "leaks"),
    ("lockdep", "wrong locking"),
];

/// Endings of files that are compiled on their own; headers and makefiles are not.
const COMPILED: [&str; 3] = [".c", ".S", ".rs"];

/// All counts of one side's boots.
pub(super) fn counts(records: &[RunRecord]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let phases = records.iter().flat_map(|record| &record.phases);
    for (name, count) in phases.flat_map(|phase| &phase.counters) {
        let sum: &mut u64 = counts.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
    for stall in records.iter().flat_map(|record| &record.stalls) {
        let counted = [
            ("stall_hits", stall.hits),
            ("stall_holds", stall.holds),
            ("held_overlaps", stall.overlaps),
        ];
        for (name, count) in counted {
            let sum: &mut u64 = counts.entry(name.to_owned()).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    let ios = records.iter().flat_map(|r| &r.fio).map(measures::ios).sum();
    if records.iter().any(|record| !record.fio.is_empty()) {
        counts.insert("fio_ios".into(), ios);
    }
    counts
}

/// Detectors that are not known to speak on the variant's kernel.
pub(super) fn proved(proof: &Proof) -> Vec<String> {
    let silent = proof
        .iter()
        .filter_map(|(detector, why)| Some((detector, why.as_ref()?)));
    silent
        .map(|(detector, why)| format!("{detector} is not known to speak on this kernel: {why}"))
        .collect()
}

/// Loads that one side's boots did not exercise, and stall points at which nothing was held; `side`
/// names it.
pub(super) fn exercised(side: &str, records: &[RunRecord]) -> Vec<String> {
    let mut reasons = loads(side, records);
    reasons.extend(stalls(records));
    reasons.into_iter().collect()
}

pub(super) fn finished(records: &[RunRecord]) -> impl Iterator<Item = &RunRecord> {
    records.iter().filter(|record| record.end == End::Finished)
}

/// Stall points at which no vCPU was held.
fn stalls(records: &[RunRecord]) -> BTreeSet<String> {
    let all = finished(records).flat_map(|record| {
        let of_it = record.stalls.iter().map(|stall| (&record.cell.id, stall));
        of_it.filter_map(|(cell, stall)| {
            let how = not_held(stall)?;
            let spec = &stall.spec;
            Some(format!("no vCPU was held at {spec} in {cell}: {how}"))
        })
    });
    all.collect()
}

/// Loads that one side's boots did not exercise.
pub(super) fn loads(side: &str, records: &[RunRecord]) -> BTreeSet<String> {
    let finished: Vec<&RunRecord> = finished(records).collect();
    let mut reasons = BTreeSet::new();
    for (load, names) in COUNTED {
        let of_load = finished
            .iter()
            .flat_map(|record| &record.phases)
            .filter(|phase| phase.name == load);
        if !finished.iter().any(|record| plans(record, load) > 0) {
            continue;
        }
        for name in names {
            let sum: u64 = of_load
                .clone()
                .filter_map(|phase| phase.counters.get(*name))
                .fold(0, |sum, count| sum.saturating_add(*count));
            if sum == 0 {
                reasons.insert(format!(
                    "{load} was not exercised on {side}: no {name} in {}",
                    boots(finished.len())
                ));
            }
        }
    }
    for record in finished {
        let cell = &record.cell.id;
        reasons.extend(unfinished_corners(record));
        if plans(record, "operations") > 0 {
            let done = |name: &&str| record.operations.iter().any(|one| one.name == **name);
            let missing: Vec<&str> = MARKED.iter().filter(|name| !done(name)).copied().collect();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                reasons.insert(format!("{cell} counted no {missing}"));
            }
        }
        if plans(record, "memory") > 0 && record.slabs.is_empty() {
            reasons.insert(format!("the kernel's memory was not looked at in {cell}"));
        }
        let did_io = |result: &&protocol::FioResult| result.code == 0 && measures::ios(result) > 0;
        let ran = record.fio.iter().filter(did_io).count();
        if ran < plans(record, "fio") {
            let how = match record.fio.iter().find(|result| !did_io(result)) {
                None => "it did not run".to_owned(),
                Some(result) if result.code != 0 => format!("it ended with {}", result.code),
                Some(_) => "it did no I/O".to_owned(),
            };
            reasons.insert(format!("fio was not exercised in {cell}: {how}"));
        }
        for (at, limit) in limits(record).into_iter().enumerate() {
            if let Some(how) = not_ended(record.exec.get(at), limit) {
                reasons.insert(format!(
                    "the command did not run to its end in {cell}: {how}"
                ));
            }
        }
    }
    reasons
}

/// Corners that ran out of time: what each did of all that it was to do.
fn unfinished_corners(record: &RunRecord) -> Vec<String> {
    // What got stuck ends its corner, and is told as that.
    let hung = |seen: &TimedFinding| seen.finding.kind == FindingKind::Hang;
    if record.findings.iter().any(hung) {
        return Vec::new();
    }
    let plan = record.cell.plan.phases.iter().enumerate();
    let corners = plan.filter_map(|(index, phase)| match &phase.load {
        Load::Corner(corner) => Some((index, corner)),
        _ => None,
    });
    let short = corners.filter_map(|(index, corner)| {
        let ran = record.phases.iter().find(|one| one.index == index);
        let did = |name: &str| ran.and_then(|one| one.counters.get(name).copied());
        let (name, all) = asked(corner)
            .into_iter()
            .find(|(name, all)| did(name).unwrap_or(0) < *all)?;
        Some(format!(
            "{} did not do all of its plan in {}: {} of {all} {name}",
            corner.name(),
            record.cell.id,
            did(name).unwrap_or(0)
        ))
    });
    short.collect()
}

/// What a corner counts once it has done all that it is asked for.
fn asked(corner: &Corner) -> Vec<(&'static str, u64)> {
    let ends = ["unmounts", "forced_unmounts", "aborts", "forsaken"];
    match corner {
        Corner::Teardown { rounds, .. } => ends.map(|way| (way, (*rounds).into())).into(),
        Corner::Connections {
            connections,
            rounds,
        } => vec![("mounts", u64::from(*connections) * u64::from(*rounds))],
        Corner::InitRace { mounts, .. } => vec![("mounts", (*mounts).into())],
        Corner::Cursor { turns, .. } => vec![("full", (*turns).into())],
        Corner::AllocationFailure | Corner::Refusals => Vec::new(),
    }
}

/// Why no vCPU was held at a stall point, if none was.
fn not_held(stall: &Count) -> Option<&'static str> {
    // What follows from the patch may be on one side only, or on no path of the load's: which of
    // the patch's lines ran says more.
    if stall.derived {
        return None;
    }
    match (stall.places, stall.hits, stall.holds) {
        (0, ..) => Some("this kernel has no such place"),
        (_, 0, _) => Some("it was never reached"),
        (_, _, 0) => Some("it was reached too rarely"),
        _ => None,
    }
}

/// The limits of the commands that the boot was to run.
fn limits(record: &RunRecord) -> Vec<u64> {
    let phases = record.cell.plan.phases.iter();
    let commands = phases.filter(|phase| matches!(phase.load, Load::Exec(_)));
    commands.map(|phase| phase.seconds).collect()
}

/// Why a command did not run to its end, if it did not. One that died of a signal of its own did.
fn not_ended(result: Option<&ExecResult>, limit: u64) -> Option<String> {
    let Some(result) = result else {
        return Some("no end of it was seen".to_owned());
    };
    let late = result.seconds >= limit as f64;
    match (&result.error, result.code, result.signal) {
        (Some(error), ..) => Some(super::observe::tidy(error, 200)),
        (None, None, None) => Some("it was killed, and is still there".to_owned()),
        (None, _, Some(_)) if late => Some(format!("its limit of {limit} s ended it")),
        (None, ..) => None,
    }
}

/// How many phases of a load the boot was to do.
pub(super) fn plans(record: &RunRecord, load: &str) -> usize {
    let names = record
        .cell
        .plan
        .phases
        .iter()
        .map(|phase| match &phase.load {
            // Written out, so that a new load is thought of here.
            load @ (Load::BackingRace(_)
            | Load::Fio(_)
            | Load::Exec(_)
            | Load::Operations(_)
            | Load::Memory(_)
            | Load::Corner(_)
            | Load::Idle) => load.name(),
        });
    names.filter(|name| *name == load).count()
}

/// Touched files that the config does not compile.
pub(super) fn compiled(
    config: &str,
    touched: &Touched,
    compiled: &[String],
    symbols: &BTreeMap<String, String>,
) -> Vec<String> {
    let compiled: BTreeSet<&str> = compiled.iter().map(String::as_str).collect();
    touched
        .code_files()
        .filter(|file| COMPILED.iter().any(|end| file.ends_with(end)) && !compiled.contains(file))
        .map(|file| {
            let would = match symbols.get(file) {
                Some(symbol) => format!(
                    "CONFIG_{} would",
                    symbol.strip_prefix("CONFIG_").unwrap_or(symbol)
                ),
                None => "no Kconfig symbol is known that would".to_owned(),
            };
            format!("{file} is touched and {config} does not compile it; {would}")
        })
        .collect()
}

/// Each detector's worst state at the end of one side's finished boots.
pub(super) fn detectors(records: &[RunRecord]) -> BTreeMap<String, DetectorState> {
    let rank = |state: DetectorState| match state {
        DetectorState::Off => 0,
        DetectorState::Absent => 1,
        DetectorState::On => 2,
    };
    let mut worst = BTreeMap::new();
    let finished = records.iter().filter(|record| record.end == End::Finished);
    for (name, state) in finished.flat_map(|record| &record.detectors) {
        let seen = worst.entry(name.clone()).or_insert(*state);
        if rank(*state) < rank(*seen) {
            *seen = *state;
        }
    }
    worst
}

/// Detectors that did not watch to the end on the variant.
pub(super) fn watched(
    config: &str,
    variant: &[RunRecord],
    base: &[RunRecord],
    findings: &[Finding],
) -> Vec<String> {
    let finished = variant.iter().filter(|r| r.end == End::Finished).count();
    if finished == 0 {
        return Vec::new();
    }
    let states = detectors(variant);
    let base = detectors(base);
    let mut reasons = Vec::new();
    for (name, state) in &states {
        if *state != DetectorState::Off {
            continue;
        }
        let shared = match base.get(name) {
            Some(DetectorState::Off) => ", on base as well",
            _ => "",
        };
        let cause = findings
            .iter()
            .find(|finding| finding.class == *name && finding.status != Status::Fixed)
            .map_or(String::new(), |finding| {
                format!(", after \"{}\"", finding.title)
            });
        let unseen = UNSEEN.iter().find(|(detector, _)| detector == name);
        let unseen = unseen.map_or(String::new(), |(_, what)| {
            format!("; {what} after that would not show")
        });
        reasons.push(format!(
            "{name} had stopped watching by the variant's end{shared}{cause}{unseen}"
        ));
    }
    let needed = DETECTORS.iter().find(|(name, _)| *name == config);
    for name in needed.map_or(&[][..], |(_, names)| names) {
        match states.get(*name) {
            Some(DetectorState::Absent) => {
                reasons.push(format!("{name} is not built into the {config} kernel"));
            }
            None => reasons.push(format!("whether {name} was on is not known")),
            Some(DetectorState::On | DetectorState::Off) => {}
        }
    }
    reasons
}

/// `1 boot`, `2 boots`.
pub(super) fn boots(count: usize) -> String {
    match count {
        1 => "1 boot".to_owned(),
        _ => format!("{count} boots"),
    }
}
