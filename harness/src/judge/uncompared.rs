//! Costs that were to be compared and that base lacks, or that nothing could measure (pure): without
//! them there is no judgement, and what was not judged is no pass. What the variant's own boots did
//! not do to their end is a reason without this.

use std::collections::BTreeSet;

use protocol::Load;

use super::{compare::JudgeInput, conditions::plans, measures, memory, observe::tidy};
use crate::{
    collect::record::{End, RunRecord},
    plan::Purpose,
};

/// What the boots of a purpose tell.
const TOLD: [(Purpose, &str); 2] = [
    (Purpose::Counted, "instructions were"),
    (Purpose::Weighed, "memory was"),
];

/// Why costs were not compared.
pub(super) fn costs(input: &JudgeInput<'_>) -> Vec<String> {
    // Without a base there is nothing to compare, and that is said elsewhere.
    if input.alone || input.base_broken.is_some() {
        return Vec::new();
    }
    let counting = input
        .uncounted
        .map(|why| format!("no instructions were counted: {why}"));
    let mut reasons: Vec<String> = counting.into_iter().collect();
    reasons.extend(input.base.iter().filter_map(apart));
    // Elsewhere throughput is shown, and nothing follows from it.
    if input.rules.is_some() {
        reasons.extend(fio(input.base));
    }
    reasons.extend(functions(input));
    reasons.extend(memory::unsettled(input.base, input.boots));
    reasons
}

/// What a boot of base's that was made for one cost does not tell.
fn apart(record: &RunRecord) -> Option<String> {
    let (_, what) = TOLD.iter().find(|(of, _)| *of == record.cell.purpose)?;
    let why = cut_short(record)?;
    let cell = &record.cell.id;
    Some(format!(
        "{what} to be compared, and {cell} did not do its plan: {why}"
    ))
}

fn cut_short(record: &RunRecord) -> Option<String> {
    match &record.end {
        End::BootFailed { why } | End::Watchdog { why, .. } | End::Died { why, .. } => {
            Some(tidy(why, 200))
        }
        End::Finished | End::Infrastructure { .. } | End::Interrupted => None,
    }
}

/// Where base has no throughput at all, as no boot of its got so far.
fn fio(base: &[RunRecord]) -> Option<String> {
    let mut planned = base.iter().filter(|one| plans(one, "fio") > 0).peekable();
    planned.peek()?;
    let did = |one: &RunRecord| one.fio.iter().any(|result| measures::ios(result) > 0);
    let (mut cut, mut last) = (None, None);
    for record in planned {
        if did(record) {
            return None;
        }
        last = Some(record);
        cut = cut.or_else(|| cut_short(record));
    }
    let cell = &last?.cell.id;
    Some(format!(
        "throughput was to be compared, and fio did not run to its end in {cell}: {}",
        cut?
    ))
}

/// Functions whose instructions were counted on one side only, or on none.
fn functions(input: &JudgeInput<'_>) -> BTreeSet<String> {
    let pairs = input.boots.iter().filter_map(|of_variant| {
        let twin = |one: &&RunRecord| {
            one.cell.purpose == Purpose::Counted && one.cell.plan == of_variant.cell.plan
        };
        let of_base = input.base.iter().find(twin)?;
        let both = [of_base, of_variant];
        both.iter()
            .all(|one| one.end == End::Finished)
            .then_some(both)
    });
    let mut reasons = BTreeSet::new();
    for both in pairs {
        let phases = both[0].cell.plan.phases.iter().map(|phase| &phase.load);
        let named = phases.filter_map(|load| match load {
            Load::Operations(operations) => Some(&operations.functions),
            _ => None,
        });
        for (name, function) in named.flatten() {
            let has = |one: &&RunRecord| one.operations.iter().any(|done| done.name == *name);
            let without = both.into_iter().filter(|one| !has(one));
            let lacks: Vec<&str> = without.map(|one| one.cell.id.as_str()).collect();
            if !lacks.is_empty() {
                reasons.insert(format!(
                    "instructions of {name} were to be compared, and {} counted no {function}: it may \
                     be inlined there, or have another name",
                    lacks.join(" and ")
                ));
            }
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::{Memory, Operations, Phase, counts::MARKED};

    use super::*;
    use crate::{
        collect::record::Limit,
        judge::{
            fixtures::{Change, Setup, ended, nothing},
            throughput::Rules,
            verdict::Outcome,
        },
        plugin::Operation,
    };

    fn hang() -> End {
        End::Watchdog {
            limit: Limit::Silence,
            why: "nothing for 30 s".into(),
        }
    }

    fn died() -> End {
        End::Died {
            why: "QEMU was ended by signal 6".into(),
            panicked: false,
        }
    }

    fn no_boot() -> End {
        End::BootFailed {
            why: "no hello".into(),
        }
    }

    /// A boot that was made to count, in which `find` was executed or not.
    fn counted(end: End, finds: bool) -> Change {
        Box::new(move |record| {
            record.cell.id = format!("{}+count-1", record.cell.id);
            record.cell.purpose = Purpose::Counted;
            record.end = end.clone();
            record.cell.plan.phases = vec![Phase {
                load: Load::Operations(Operations {
                    times: 1000,
                    ids: 64,
                    functions: [("lookup".to_owned(), "find".to_owned())].into(),
                }),
                seconds: 60,
            }];
            let found = finds.then_some("lookup");
            let names = MARKED.iter().copied().chain(found);
            record.operations = names
                .map(|name| Operation {
                    name: name.into(),
                    times: 1000,
                    median: 10.0,
                    emulated_ns: None,
                    functions: BTreeMap::new(),
                })
                .collect();
        })
    }

    fn weighed(end: End) -> Change {
        Box::new(move |record| {
            record.cell.purpose = Purpose::Weighed;
            record.end = end.clone();
            record.cell.plan.phases = vec![Phase {
                load: Load::Memory(Memory { ids: vec![10] }),
                seconds: 60,
            }];
            record.slabs = vec![protocol::Slabs {
                alive: 0,
                state: protocol::SlabState::Dense,
                caches: BTreeMap::new(),
                open_ns: None,
            }];
        })
    }

    #[test]
    fn a_cost_that_base_lacks_is_no_pass() {
        let finished = || End::Finished;
        let table: Vec<(Change, Change, Option<&str>)> = vec![
            (counted(finished(), true), counted(finished(), true), None),
            (
                counted(finished(), false),
                counted(finished(), false),
                Some("lockdep-base-2+count-1 and lockdep-ida-2+count-1 counted no find"),
            ),
            (
                counted(hang(), true),
                counted(finished(), true),
                Some(
                    "instructions were to be compared, and lockdep-base-2+count-1 did not do its \
                     plan: nothing for 30 s",
                ),
            ),
            (
                counted(died(), true),
                counted(finished(), true),
                Some("plan: QEMU was ended by signal 6"),
            ),
            (
                counted(no_boot(), true),
                counted(finished(), true),
                Some("plan: no hello"),
            ),
            (
                counted(finished(), false),
                counted(finished(), true),
                Some(
                    "instructions of lookup were to be compared, and lockdep-base-2+count-1 counted \
                     no find",
                ),
            ),
            (
                counted(finished(), true),
                counted(finished(), false),
                Some("and lockdep-ida-2+count-1 counted no find"),
            ),
            (weighed(finished()), weighed(finished()), None),
            (
                weighed(died()),
                weighed(finished()),
                Some("memory was to be compared, and lockdep-base-2 did not"),
            ),
        ];
        for (base, variant, reason) in table {
            let judged = Setup::new(vec![nothing(), base], vec![nothing(), variant]).judge();
            let Some(reason) = reason else {
                assert_eq!(judged.outcome, Outcome::Pass, "{:?}", judged.reasons);
                continue;
            };
            let said = judged.reasons.iter().any(|one| one.contains(reason));
            assert!(said, "{reason}: {:?}", judged.reasons);
            assert_eq!(judged.outcome, Outcome::Inconclusive, "{reason}");
        }
    }

    #[test]
    fn throughput_that_base_lacks_is_no_pass_where_it_is_judged() {
        let rules = Rules {
            margin: 0.05,
            looks: (1, 1),
            spread: None,
            layout: 0.0,
        };
        for (base, rules, outcome) in [
            (vec![ended(hang())], Some(rules), Outcome::Inconclusive),
            (vec![ended(hang())], None, Outcome::Pass),
            // One boot of base's tells.
            (vec![ended(hang()), nothing()], Some(rules), Outcome::Pass),
        ] {
            let mut setup = Setup::new(base, vec![nothing()]);
            setup.rules = rules;
            let judged = setup.judge();
            assert_eq!(judged.outcome, outcome, "{rules:?}: {:?}", judged.reasons);
        }
    }

    #[test]
    fn what_could_not_be_counted_is_no_pass() {
        let mut setup = Setup::new(vec![nothing()], vec![nothing()]);
        assert_eq!(setup.judge().outcome, Outcome::Pass);
        setup.uncounted = Some("QEMU 9 does not take ktwin's plugin");
        let judged = setup.judge();
        assert_eq!(judged.outcome, Outcome::Inconclusive);
        assert_eq!(
            judged.reasons,
            ["no instructions were counted: QEMU 9 does not take ktwin's plugin"]
        );
    }
}
