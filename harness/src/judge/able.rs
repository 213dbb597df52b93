//! Which boots could have shown a finding (pure): that others did not show it says nothing.

use std::collections::BTreeSet;

use protocol::DetectorState;

use super::{compare::JudgeInput, conditions, groups::Group, observe::Observation, verdict::Kind};
use crate::collect::record::{End, RunRecord};

/// Classes that one detector tells of, and no longer once it is off.
const TOLD_BY: [(&str, &str); 3] = [
    ("lockdep", "lockdep"),
    ("rcu-usage", "lockdep"),
    ("memleak", "kmemleak"),
];

/// Classes of splats that leave lockdep on. After others the kernel does not trust its locks.
const HARMLESS: [&str; 8] = [
    "atomic-sleep",
    "hang",
    "kcsan",
    "lockup",
    "memleak",
    "rcu-stall",
    "rcu-usage",
    "warning",
];

/// How many boots of each side could have shown a finding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Able {
    pub(super) base: u32,
    pub(super) variant: u32,
}

impl Able {
    pub(super) fn of(input: &JudgeInput<'_>, group: &Group<'_>) -> Self {
        let sides = [(input.base, &group.base), (input.boots, &group.variant)];
        let seen = sides
            .iter()
            .flat_map(|(records, seen)| seen.iter().map(|one| since_hello(records, one)));
        let first = seen.fold(f64::INFINITY, f64::min);
        let count = |(records, seen): (&[RunRecord], &Vec<&Observation>)| {
            let shows: BTreeSet<usize> = seen.iter().map(|one| one.boot).collect();
            let able = records.iter().enumerate().filter(|(at, record)| {
                shows.contains(at) || is_asked(record, group) && watches(record, group) >= first
            });
            u32::try_from(able.count()).unwrap_or(u32::MAX)
        };
        let [base, variant] = sides.map(count);
        Self { base, variant }
    }
}

/// When a boot showed it, in seconds since the agent's hello.
fn since_hello(records: &[RunRecord], one: &Observation) -> f64 {
    let hello = records.get(one.boot).and_then(|record| record.hello_s);
    one.at_s.unwrap_or_default() - hello.unwrap_or_default()
}

/// Whether the boot was one that shows such findings: of one load's, one that had it to run.
fn is_asked(record: &RunRecord, group: &Group<'_>) -> bool {
    let seen = group.base.iter().chain(&group.variant);
    let loads: Option<BTreeSet<&str>> = seen.map(|one| one.load.as_deref()).collect();
    let has_load = |loads: BTreeSet<&str>| {
        let mut loads = loads.into_iter();
        loads.any(|load| conditions::plans(record, load) > 0)
    };
    match record.end {
        End::Infrastructure { .. } | End::Interrupted => false,
        _ if group.kind == Kind::BootFailed => true,
        _ => record.hello.is_some() && loads.is_none_or(has_load),
    }
}

/// Until when such a finding would have shown, in seconds since the hello: to the end of a boot that
/// did all of its plan, while its detector was on.
fn watches(record: &RunRecord, group: &Group<'_>) -> f64 {
    let since = |at_s: f64| at_s - record.hello_s.unwrap_or_default();
    let is_whole = record.end == End::Finished || group.kind == Kind::BootFailed;
    let lived = match is_whole {
        true => f64::INFINITY,
        false => since(record.elapsed_s),
    };
    let seen = group.base.iter().chain(&group.variant);
    let class = seen
        .map(|one| one.class.as_str())
        .next()
        .unwrap_or_default();
    let Some((_, detector)) = TOLD_BY.iter().find(|(told, _)| *told == class) else {
        return lived;
    };
    let stopped = match (record.detectors.get(*detector), *detector) {
        (Some(DetectorState::On), _) => None,
        (Some(_), "kmemleak") => Some(f64::NEG_INFINITY),
        (_, "kmemleak") => None,
        (state, _) => {
            let all = record.splats.iter();
            let ends = all.filter(|one| !HARMLESS.contains(&one.splat.class.as_str()));
            let ends = ends.map(|one| since(one.at_s)).reduce(f64::min);
            // Off by something that is not known may have been off from the start.
            ends.or(state.map(|_| f64::NEG_INFINITY))
        }
    };
    stopped.map_or(lived, |at| lived.min(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{
        fixtures::{Change, Setup, detector, ended, kasan, nothing, splat, splats},
        verdict::{Finding, Outcome, Status},
    };

    /// A boot that dies so long after the hello.
    fn dies(after_s: f64) -> Change {
        let end = ended(End::Died {
            why: "a panic".into(),
            panicked: true,
        });
        Box::new(move |record| {
            end(record);
            record.elapsed_s = record.hello_s.unwrap_or_default() + after_s;
        })
    }

    fn deadlock(name: &'static str, at_s: f64) -> Change {
        Box::new(move |record| {
            let title = format!("possible deadlock in {name}");
            splats(vec![splat("lockdep", &title, &[(name, None)])])(record);
            record.splats.last_mut().unwrap().at_s = at_s;
            detector(DetectorState::Off)(record);
        })
    }

    fn both(one: Change, other: Change) -> Change {
        Box::new(move |record| {
            one(record);
            other(record);
        })
    }

    fn of<'a>(all: &'a [Finding], words: &str) -> &'a Finding {
        all.iter().find(|one| one.title.contains(words)).unwrap()
    }

    #[test]
    fn a_base_that_died_before_proves_nothing() {
        // Seen 4 s after the hello, in a function that the patch touches.
        for (base, status, outcome) in [
            (nothing as fn() -> Change, Status::New, Outcome::Regression),
            (|| dies(5.0), Status::New, Outcome::Regression),
            (|| dies(3.0), Status::Unconfirmed, Outcome::Inconclusive),
        ] {
            let base = (0..3).map(|_| base()).collect();
            let variant = (0..3).map(|_| kasan("touched_fn")).collect();
            let comparison = Setup::new(base, variant).judge();
            let own = of(&comparison.findings, "touched_fn");
            assert_eq!(
                (own.status, comparison.outcome),
                (status, outcome),
                "{}",
                own.why
            );
            let told = own.why.contains("no boot of base could have shown it");
            assert_eq!(told, status == Status::Unconfirmed, "{}", own.why);
        }
    }

    #[test]
    fn a_lockdep_that_had_stopped_proves_nothing() {
        let own = || deadlock("touched_fn", 9.0);
        let kasan_at_5 = || both(kasan("other"), detector(DetectorState::Off));
        for (base, status) in [
            (nothing as fn() -> Change, Status::New),
            (|| deadlock("other", 5.0), Status::Unconfirmed),
            (|| deadlock("other", 12.0), Status::New),
            (kasan_at_5, Status::Unconfirmed),
            // What stopped it is not known.
            (|| detector(DetectorState::Off), Status::Unconfirmed),
        ] {
            let comparison = Setup::new(vec![base()], vec![own()]).judge();
            let own = of(&comparison.findings, "touched_fn");
            assert_eq!(own.status, status, "{}", own.why);
        }
    }

    #[test]
    fn what_is_gone_was_not_merely_missed() {
        // The variant dies before base's finding shows, or its lockdep had stopped by then.
        let late = || both(deadlock("other", 20.0), nothing());
        for (variant, gone) in [
            (nothing as fn() -> Change, true),
            (|| dies(10.0), false),
            (|| deadlock("f", 6.0), false),
        ] {
            let comparison = Setup::new(vec![late()], vec![variant()]).judge();
            let fixed = of(&comparison.findings, "other");
            assert_eq!(fixed.status, Status::Fixed);
            let tried = fixed.why.contains("none of 1 boot of the variant");
            assert_eq!(tried, gone, "{}", fixed.why);
        }
    }
}
