//! From a boot's record to what it showed, one observation each.

use std::collections::BTreeSet;

use protocol::{ExecResult, FindingKind, Load};

use super::{
    ends,
    frames::{Access, Spot, files, frames, places, race, sides, spots, trace},
    known::RaceSide,
    touched::Touched,
    verdict::Kind,
};
use crate::{
    collect::record::{RunRecord, TimedFinding, TimedSplat},
    splat::{Frame, Splat},
};

/// Titles and particulars come from the guest; no longer than this, in characters.
const MAX_TITLE: usize = 240;
const MAX_DETAIL: usize = 2000;

/// The load that runs commands.
const EXEC: &str = "exec";

/// What it takes to call something new that was seen on the variant only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nothing more: base would have shown it.
    AtOnce,
    /// Every boot of the variant shows it: a program that sometimes fails proves nothing.
    EveryBoot,
    /// A frame in the patch, or significance.
    Candidate,
}

/// One thing that one boot showed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observation {
    pub(super) kind: Kind,
    pub(super) class: String,
    pub(super) title: String,
    /// For a KCSAN race with symbols, both accesses.
    pub(super) race: Option<Vec<Access>>,
    /// For a splat that names no function, the first one of its stack.
    pub(super) unnamed: Option<String>,
    /// Its sides, where both are known with symbols.
    pub(super) sides: Vec<RaceSide>,
    /// Its lines, whatever the functions are called.
    pub(super) spots: Option<Vec<Spot>>,
    pub(super) rule: Rule,
    /// Seen on both sides, it is the host's fault and not the kernel's.
    pub(super) host_if_common: bool,
    /// The load that alone can show it; none where any may.
    pub(super) load: Option<String>,
    /// Which boot of its side.
    pub(super) boot: usize,
    pub(super) at_s: Option<f64>,
    pub(super) count: u64,
    pub(super) evidence: String,
    pub(super) detail: String,
    /// Where the functions stand that its title names.
    pub(super) files: Vec<String>,
    /// The frame that the patch touches, in words.
    pub(super) touched: Option<String>,
    /// The patch wrote one of the race's lines.
    pub(super) wrote: bool,
}

/// Everything that one side's boots showed. `is_base` maps lines through the patch.
pub(super) fn observe(
    records: &[RunRecord],
    touched: Option<&Touched>,
    is_base: bool,
) -> Vec<Observation> {
    let mut all = Vec::new();
    for (boot, record) in records.iter().enumerate() {
        let of = |kind, class: &str, title: &str| Observation {
            kind,
            class: class.to_owned(),
            title: tidy(title, MAX_TITLE),
            race: None,
            unnamed: None,
            sides: Vec::new(),
            spots: None,
            rule: Rule::Candidate,
            host_if_common: false,
            load: None,
            boot,
            at_s: None,
            count: 1,
            evidence: format!("{}/console.log", record.cell.id),
            detail: String::new(),
            files: Vec::new(),
            touched: None,
            wrote: false,
        };
        let end = ends::of(record);
        if let Some(end) = &end {
            let observation = of(end.kind, &end.class, &end.title);
            all.push(Observation {
                rule: end.rule,
                host_if_common: end.host_if_common,
                at_s: Some(record.elapsed_s),
                evidence: format!("{}/{}", record.cell.id, end.evidence),
                detail: tidy(&end.detail, MAX_DETAIL),
                ..observation
            });
        }
        // A boot that failed is one finding, whatever it printed on the way.
        if end.is_some_and(|end| end.kind == Kind::BootFailed) {
            continue;
        }
        let whole: BTreeSet<(&str, &str)> = record
            .splats
            .iter()
            .filter(|one| !is_cut(&one.splat))
            .flat_map(|one| named(&one.splat))
            .collect();
        let is_told = |splat| is_cut(splat) && named(splat).any(|one| whole.contains(&one));
        let real = record.splats.iter();
        let real = real.filter(|one| !is_notice(&one.splat) && !is_told(&one.splat));
        let splats: Vec<Observation> = real
            .map(|splat| of_splat(of, record, splat, touched, is_base))
            .collect();
        let seen = record.findings.iter();
        let findings: Vec<Observation> = seen
            .map(|seen| of_finding(of, record, seen, touched))
            // The agent reads leaks where the console may have told them already.
            .filter(|one| {
                let told = |splat: &Observation| splat.title == one.title;
                one.kind != Kind::Leak || !splats.iter().any(told)
            })
            .collect();
        let agent_told = findings.iter().any(|one| one.kind == Kind::CommandFailed);
        let failed = if agent_told {
            Vec::new()
        } else {
            failed_commands(record)
        };
        all.extend(splats);
        all.extend(findings);
        all.extend(failed.into_iter().map(|(title, detail)| Observation {
            rule: Rule::EveryBoot,
            load: Some(EXEC.to_owned()),
            evidence: format!("{}/events.ndjson", record.cell.id),
            detail: tidy(&detail, MAX_DETAIL),
            ..of(Kind::CommandFailed, "command-failed", &title)
        }));
    }
    all
}

/// kmemleak's own count of suspects, without any of them: the agent's second scan tells which of
/// them are leaks.
pub(super) fn is_notice(splat: &Splat) -> bool {
    kind_of(splat) == Kind::Leak && splat.stacks.is_empty() && splat.context.is_empty()
}

/// Is it what is left of a report, which says less than a whole one of the same boot's does?
fn is_cut(splat: &Splat) -> bool {
    splat.corrupted.is_some() && splat.stacks.is_empty()
}

/// The functions that a splat names, each with its class.
fn named(splat: &Splat) -> impl Iterator<Item = (&str, &str)> {
    let functions = splat.functions.iter();
    functions.map(|function| (splat.class.as_str(), function.as_str()))
}

fn of_splat(
    of: impl Fn(Kind, &str, &str) -> Observation,
    record: &RunRecord,
    timed: &TimedSplat,
    touched: Option<&Touched>,
    is_base: bool,
) -> Observation {
    let splat = &timed.splat;
    let places = places(splat);
    let wrote = touched.is_some_and(|touched| places.iter().any(|place| touched.wrote(place)));
    let places: Vec<String> = places
        .iter()
        .map(|place| format!("{}:{}", place.file, place.line))
        .collect();
    Observation {
        race: race(splat, touched.filter(|_| is_base)),
        unnamed: splat.unnamed().map(str::to_owned),
        sides: sides(splat, touched.filter(|_| is_base)),
        spots: spots(splat, touched.filter(|_| is_base)),
        count: timed.count,
        at_s: Some(timed.at_s),
        evidence: format!("{}/{}", record.cell.id, timed.file),
        detail: tidy(&places.join(" / "), MAX_DETAIL),
        files: files(splat),
        touched: touched.and_then(|touched| frames(splat).find_map(|f| touched.frame(f))),
        wrote,
        ..of(kind_of(splat), &splat.class, &splat.title)
    }
}

pub(super) fn kind_of(splat: &Splat) -> Kind {
    match splat.class.as_str() {
        "memleak" => Kind::Leak,
        _ => Kind::Splat,
    }
}

fn of_finding(
    of: impl Fn(Kind, &str, &str) -> Observation,
    record: &RunRecord,
    seen: &TimedFinding,
    touched: Option<&Touched>,
) -> Observation {
    let finding = &seen.finding;
    let (kind, class, rule) = match finding.kind {
        FindingKind::WrongData => (Kind::WrongData, "wrong-data", Rule::AtOnce),
        FindingKind::Leak => (Kind::Leak, "memleak", Rule::Candidate),
        FindingKind::Hang => (Kind::Hang, "hang", Rule::AtOnce),
        FindingKind::CommandFailed => (Kind::CommandFailed, "command-failed", Rule::EveryBoot),
    };
    let touched = touched.filter(|_| kind == Kind::Leak).and_then(|touched| {
        trace(&finding.detail).find_map(|function| {
            let frame = Frame {
                function: function.to_owned(),
                ..Frame::default()
            };
            touched.frame(&frame)
        })
    });
    let failed = kind == Kind::CommandFailed;
    Observation {
        rule,
        load: load_at(record, seen.at_s).filter(|_| failed),
        at_s: Some(seen.at_s),
        count: finding.count.max(1),
        evidence: format!("{}/events.ndjson", record.cell.id),
        detail: tidy(&finding.detail, MAX_DETAIL),
        touched,
        ..of(kind, class, &finding.title)
    }
}

/// The load that ran at a time, or had run last.
fn load_at(record: &RunRecord, at_s: f64) -> Option<String> {
    let mut begun = record.phases.iter().filter(|one| one.started_s <= at_s);
    begun.next_back().map(|one| one.name.clone())
}

/// Commands that ended otherwise than expected: title and particulars.
fn failed_commands(record: &RunRecord) -> Vec<(String, String)> {
    let expected = record
        .cell
        .plan
        .phases
        .iter()
        .filter_map(|p| match &p.load {
            Load::Exec(exec) => Some(exec.expect),
            _ => None,
        });
    expected
        .zip(&record.exec)
        .filter(|(expect, result)| result.error.is_none() && result.code != Some(*expect))
        .map(|(expect, result)| (command_title(expect, result), result.output.clone()))
        .collect()
}

fn command_title(expect: i32, result: &ExecResult) -> String {
    let program = result.command.first().map_or("the command", String::as_str);
    let how = match (result.code, result.signal) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "did not exit".to_owned(),
    };
    format!("{program} {how}, not {expect}")
}

/// One line of at most so many characters.
pub(super) fn tidy(text: &str, most: usize) -> String {
    let mut words = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
        if words.len() > most * 4 {
            break;
        }
    }
    match words.char_indices().nth(most) {
        None => words,
        Some((at, _)) => format!("{}...", &words[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tidy_line() {
        assert_eq!(tidy(" a\n\tb\u{1b}[31m c ", 100), "a b [31m c");
        assert_eq!(tidy("äöü", 2), "äö...");
        assert_eq!(tidy(&"x".repeat(1 << 20), 5).len(), 8);
    }
}
