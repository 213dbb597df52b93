//! Whether a patch costs instructions: medians of single operations, counted exactly (pure).
//!
//! A counted guest does the same again and again, whatever its seed: one boot a side tells.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Load, counts::MARKED};

use super::verdict::{Finding, Judgement, Kind, Measure, Sample, Status};
use crate::{
    collect::record::{End, RunRecord},
    plan::Purpose,
    plugin::Operation,
    scenario::Acceptance,
};

/// Within so much of base's is no change.
const MARGIN: f64 = 0.005;
/// Fewer operations than this are shown and not judged.
const FEWEST: u64 = 1000;
/// Functions that an explanation names.
const NAMED: usize = 4;
/// A function that got dearer by less than this is not named.
const LEAST: f64 = 0.5;

/// The operations of both sides, judged; and what got dearer.
pub(super) fn judge(
    base: &[RunRecord],
    variant: &[RunRecord],
    accepts: &dyn Fn(&str) -> Acceptance,
) -> (Vec<Measure>, Vec<Finding>) {
    let several = sizes(base).union(&sizes(variant)).count() > 1;
    let (base, variant) = (counted(base, several), counted(variant, several));
    let mut keys: Vec<&Key> = variant.iter().map(|(key, _)| key).collect();
    let of_variant: BTreeSet<&Key> = keys.iter().copied().collect();
    let base_only = base.iter().map(|(key, _)| key);
    keys.extend(base_only.filter(|key| !of_variant.contains(key)));
    let (mut measures, mut findings) = (Vec::new(), Vec::new());
    for key in keys {
        let find = |side: &[(Key, Operation)]| {
            let found = side.iter().find(|(known, _)| known == key);
            found.map(|(_, one)| one.clone())
        };
        let (base, variant) = (find(&base), find(&variant));
        let measure = measure(key, base.as_ref(), variant.as_ref());
        let time = time(key, base.as_ref(), variant.as_ref());
        if let (Some(Judgement::Worse), Some(base), Some(variant)) =
            (measure.judgement, base, variant)
        {
            findings.push(finding(&measure, &base, &variant, accepts));
        }
        measures.push(measure);
        measures.extend(time);
    }
    (measures, findings)
}

/// How often the functions that a load names ran in each operation, on average: one execution takes
/// what the function itself took of its own operation.
pub(super) fn executions(base: &[RunRecord], variant: &[RunRecord]) -> Vec<Measure> {
    let [base, variant] = [base, variant].map(|side| whole(side).next().map(|(record, _)| record));
    let Some(Load::Operations(named)) = [variant, base].into_iter().flatten().find_map(|record| {
        let mut phases = record.cell.plan.phases.iter().map(|phase| &phase.load);
        phases.find(|load| matches!(load, Load::Operations(_)))
    }) else {
        return Vec::new();
    };
    let per = |record: Option<&RunRecord>, name: &str, function: &str, within: &str| {
        let find = |name: &str| record?.operations.iter().find(|one| one.name == name);
        let took = |one: &Operation| one.functions.get(function).copied();
        let one = took(find(name)?).filter(|one| *one > 0.0)?;
        Some(took(find(within)?).unwrap_or(0.0) / one)
    };
    let pairs = named.functions.iter();
    let pairs = pairs.flat_map(|pair| MARKED.iter().map(move |within| (pair, *within)));
    let all = pairs.filter_map(|((name, function), within)| {
        let sides = [base, variant].map(|side| per(side, name, function, within));
        let [base, variant] = sides.map(|value| Sample {
            values: value.into_iter().collect(),
            median: value,
        });
        base.median.or(variant.median)?;
        let title = format!("executions of {name} in {within}");
        Some(Measure {
            part: true,
            ..Measure::shown(title, "", base, variant)
        })
    });
    all.collect()
}

/// An operation's name, and the number of ids at which it was done, where there are several.
type Key = (String, Option<u32>);

/// The operations that boots counted to their end.
fn counted(records: &[RunRecord], several: bool) -> Vec<(Key, Operation)> {
    let all = whole(records).flat_map(|(record, ids)| {
        let ids = several.then_some(ids);
        let keyed = move |one: &Operation| ((one.name.clone(), ids), one.clone());
        record.operations.iter().map(keyed)
    });
    all.collect()
}

/// The numbers of ids at which operations were counted.
fn sizes(records: &[RunRecord]) -> BTreeSet<u32> {
    whole(records).map(|(_, ids)| ids).collect()
}

/// Boots that counted to their end, and how many ids lived there.
fn whole(records: &[RunRecord]) -> impl Iterator<Item = (&RunRecord, u32)> {
    let counted = records
        .iter()
        .filter(|record| record.cell.purpose == Purpose::Counted && record.end == End::Finished);
    counted.filter_map(|record| {
        let ids = record
            .cell
            .plan
            .phases
            .iter()
            .find_map(|phase| match &phase.load {
                Load::Operations(operations) => Some(operations.ids),
                _ => None,
            });
        Some((record, ids?))
    })
}

fn measure((name, ids): &Key, base: Option<&Operation>, variant: Option<&Operation>) -> Measure {
    let sample = |side: Option<&Operation>| Sample {
        values: side.map(|one| one.median).into_iter().collect(),
        median: side.map(|one| one.median),
    };
    let title = format!("instructions of {name}");
    let mut measure = Measure::shown(title, "", sample(base), sample(variant));
    let enough = [base, variant]
        .into_iter()
        .flatten()
        .all(|one| one.times >= FEWEST);
    let ratio = measure.ratio.filter(|_| enough);
    measure.margin = ratio.map(|_| MARGIN);
    measure.judgement = ratio.map(|ratio| match ratio {
        ratio if ratio > 1.0 + MARGIN => Judgement::Worse,
        ratio if ratio < 1.0 - MARGIN => Judgement::Better,
        _ => Judgement::Equivalent,
    });
    match ids {
        Some(ids) => measure.at(*ids),
        None => measure,
    }
}

/// How long a function ran, where it was counted at several numbers of ids; shown only: it holds what
/// emulating and counting cost, and the host's caches and neighbours.
fn time(
    (name, ids): &Key,
    base: Option<&Operation>,
    variant: Option<&Operation>,
) -> Option<Measure> {
    let sample = |side: Option<&Operation>| {
        let median = side.and_then(|one| one.emulated_ns);
        Sample {
            values: median.into_iter().collect(),
            median,
        }
    };
    let (base, variant) = (sample(base), sample(variant));
    base.median.or(variant.median)?;
    let title = format!("emulated time of {name}");
    Some(Measure::shown(title, "ns", base, variant).at((*ids)?))
}

fn finding(
    measure: &Measure,
    base: &Operation,
    variant: &Operation,
    accepts: &dyn Fn(&str) -> Acceptance,
) -> Finding {
    let acceptance = accepts(&measure.name);
    let dearer = dearer(&base.functions, &variant.functions);
    let where_to = match dearer.is_empty() {
        true => String::new(),
        false => format!(": {}", dearer.join(", ")),
    };
    Finding {
        kind: Kind::Slower,
        class: "instructions".into(),
        title: measure.name.clone(),
        status: Status::New,
        count: variant.times,
        first_s: None,
        evidence: String::new(),
        why: format!(
            "{} where base takes {}, the median of {}{where_to}{}",
            variant.median, base.median, variant.times, acceptance.expired
        ),
        detail: String::new(),
        files: Vec::new(),
        accepted: acceptance.current,
    }
}

/// The functions that got dearer by the most, with the difference of their averages.
fn dearer(base: &BTreeMap<String, f64>, variant: &BTreeMap<String, f64>) -> Vec<String> {
    let more = variant.iter().map(|(name, took)| {
        let before = base.get(name).copied().unwrap_or_default();
        (took - before, name)
    });
    let mut more: Vec<(f64, &String)> = more.filter(|(more, _)| *more >= LEAST).collect();
    more.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let named = more.into_iter().take(NAMED);
    named
        .map(|(more, name)| format!("{name} +{more:.0}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use protocol::{Operations, Phase};

    use super::*;
    use crate::{
        judge::fixtures::{Change, Setup, brief, good},
        judge::verdict::Outcome,
        scenario::Accepted,
    };

    fn operation(name: &str, median: f64, functions: &[(&str, f64)]) -> Operation {
        Operation {
            name: name.into(),
            times: 1000,
            median,
            emulated_ns: None,
            functions: functions
                .iter()
                .map(|(name, took)| ((*name).to_owned(), *took))
                .collect(),
        }
    }

    /// Makes it a boot that counts at so many ids.
    fn counts(record: &mut RunRecord, ids: u32) {
        record.cell.purpose = Purpose::Counted;
        let operations = Operations {
            times: 1000,
            ids,
            functions: BTreeMap::new(),
        };
        record.cell.plan.phases = vec![Phase {
            load: Load::Operations(operations),
            seconds: 60,
        }];
    }

    /// A boot that counted these, and what has to be counted.
    fn boot(operations: Vec<Operation>) -> Change {
        Box::new(move |record| {
            counts(record, 64);
            let others = MARKED.iter().map(|name| operation(name, 10.0, &[]));
            record.operations = operations.iter().cloned().chain(others).collect();
        })
    }

    #[test]
    fn too_few_operations_are_not_judged() {
        let few = |median: f64| {
            boot(vec![Operation {
                times: FEWEST - 1,
                ..operation("lookup", median, &[])
            }])
        };
        let judged = Setup::new(vec![few(100.0)], vec![few(200.0)]).judge();
        let mut measures = judged.measures.iter();
        let lookup = measures
            .find(|m| m.name == "instructions of lookup")
            .unwrap();
        assert_eq!((lookup.ratio, lookup.judgement), (Some(2.0), None));
        assert_eq!(judged.outcome, Outcome::Pass);
    }

    #[test]
    fn more_instructions_are_a_regression_unless_they_are_accepted() {
        let base = || {
            boot(vec![operation(
                "lookup",
                100.0,
                &[("find", 60.0), ("get", 40.0)],
            )])
        };
        let table = [
            (100.4, Outcome::Pass, Judgement::Equivalent),
            (99.6, Outcome::Pass, Judgement::Equivalent),
            (90.0, Outcome::Pass, Judgement::Better),
            (101.0, Outcome::Regression, Judgement::Worse),
        ];
        for (median, outcome, judgement) in table {
            let functions = [("find", 60.0), ("get", median - 60.0)];
            let variant = boot(vec![operation("lookup", median, &functions)]);
            let mut setup = Setup::new(vec![base()], vec![variant]);
            let judged = setup.judge();
            assert_eq!(judged.outcome, outcome, "{median}: {judged:?}");
            let measure = judged
                .measures
                .iter()
                .find(|m| m.name == "instructions of lookup");
            assert_eq!(measure.unwrap().judgement, Some(judgement), "{median}");
            if outcome == Outcome::Regression {
                assert_eq!(brief(&judged), [(Kind::Slower, Status::New)]);
                let why = "101 where base takes 100, the median of 1000: get +1";
                assert_eq!(judged.findings[0].why, why);
                setup.scenario.accepted = vec![Accepted {
                    variant: None,
                    title: "instructions of lookup".into(),
                    reason: "worth it".into(),
                    until: "2026-12-31".into(),
                }];
                assert_eq!(setup.judge().outcome, Outcome::Pass);
            }
        }
    }

    #[test]
    fn several_numbers_of_ids_are_told_apart() {
        let boot = |ids| {
            let mut boot = good("plain-base+count-1");
            counts(&mut boot, ids);
            boot.operations = vec![Operation {
                emulated_ns: Some(9.0).filter(|_| ids > 1),
                ..operation("lookup", f64::from(ids), &[])
            }];
            boot
        };
        let boots = [boot(1), boot(100)];
        let (measures, _) = judge(&boots, &boots, &|_: &str| Acceptance::default());
        let names: Vec<&str> = measures.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "instructions of lookup at 1 ids",
                "instructions of lookup at 100 ids",
                "emulated time of lookup at 100 ids",
            ]
        );
    }

    #[test]
    fn executions_in_other_operations_are_told_by_what_the_function_takes() {
        let mut boot = good("plain-base+count-1");
        counts(&mut boot, 64);
        let Load::Operations(load) = &mut boot.cell.plan.phases[0].load else {
            unreachable!("it counts");
        };
        load.functions = [("lookup".to_owned(), "find".to_owned())].into();
        boot.operations = vec![
            operation("lookup", 100.0, &[("find", 60.0), ("get", 40.0)]),
            operation("open", 5000.0, &[("find", 60.0), ("other", 4000.0)]),
            operation("read", 5000.0, &[("other", 4000.0)]),
        ];
        let measures = executions(&[boot.clone()], &[boot]);
        let found = |name: &str| {
            let mut found = measures.iter().filter(|m| m.name == name);
            found.next().and_then(|m| m.base.median)
        };
        assert_eq!(found("executions of lookup in open"), Some(1.0));
        assert_eq!(found("executions of lookup in read"), Some(0.0));
        assert_eq!(found("executions of lookup in write"), None, "not counted");
    }

    #[test]
    fn what_only_one_side_does_is_shown_and_not_judged() {
        let mut base = good("plain-base+count-1");
        let mut variant = good("plain-ida+count-1");
        for record in [&mut base, &mut variant] {
            counts(record, 64);
        }
        base.operations = vec![operation("old", 5.0, &[])];
        variant.operations = vec![operation("new", 6.0, &[])];
        let accepts = |_: &str| Acceptance::default();
        let (measures, findings) = judge(&[base.clone()], &[variant], &accepts);
        let names: Vec<&str> = measures.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["instructions of new", "instructions of old"]);
        assert!(findings.is_empty() && measures.iter().all(|m| m.judgement.is_none()));
        base.end = End::Interrupted;
        assert!(judge(&[base], &[], &accepts).0.is_empty());
    }
}
