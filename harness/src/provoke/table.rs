//! What makes each detector speak: wrong things that a kernel is made to do, as data.
//!
//! Each is a handful of calls of the kernel's own functions, with nothing changed in the image: what
//! they do is as wrong as a driver that did it would be.

use std::collections::BTreeSet;

/// A value in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// As it is.
    Number(u64),
    /// A symbol's address.
    Symbol(&'static str),
    /// What was kept under this name.
    Kept(&'static str),
}

/// A step of a provocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Calls a function: the first of these names that the kernel has.
    Call(&'static [&'static str], &'static [Value]),
    /// Keeps what the last call returned.
    Keep(&'static str),
    /// Writes a number into a variable of the kernel's.
    Set(&'static str, u64),
    /// Does so many times what follows, up to the end.
    Again(u32, &'static [Step]),
}

/// How a detector is made to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provocation {
    /// The detector, in words.
    pub detector: &'static str,
    /// The Kconfig symbol that builds it in.
    pub symbol: &'static str,
    /// The splat's class, or the agent's kind of finding.
    pub class: &'static str,
    /// What the title holds.
    pub title: &'static str,
    /// What to do.
    pub steps: &'static [Step],
}

use Step::{Again, Call, Keep, Set};
use Value::{Kept, Number, Symbol};

/// `GFP_KERNEL`.
const GFP_KERNEL: Value = Number(0xcc0);
const ALLOCATE: &[&str] = &["__kmalloc_noprof", "__kmalloc"];
const LOCK: &[&str] = &["mutex_lock_nested", "mutex_lock"];
const UNLOCK: &[&str] = &["mutex_unlock"];
/// Two of the kernel's own locks that nothing takes together.
const ONE: Value = Symbol("clocksource_mutex");
const OTHER: Value = Symbol("misc_mtx");
/// An instrumented function that reads and writes the 16 bytes that it is given.
const TOUCH: &str = "prandom_u32_state";
/// What `local_bh_disable()` adds to the preemption count.
const BH: Value = Number(0x200);

/// Every provocation, in the order in which they are made: lockdep stops at its first report, and
/// KASAN's stop lockdep.
pub const PROVOCATIONS: &[Provocation] = &[
    Provocation {
        detector: "kmemleak",
        symbol: "DEBUG_KMEMLEAK",
        class: "leak",
        title: "",
        // Many: the allocator's per-CPU arrays keep stale copies of what they gave out last.
        steps: &[Again(96, &[Call(ALLOCATE, &[Number(1000), GFP_KERNEL])])],
    },
    Provocation {
        detector: "RCU's checks",
        symbol: "PROVE_RCU",
        class: "rcu-usage",
        title: "suspicious RCU usage",
        steps: &[Call(&["find_task_by_vpid"], &[Number(1)])],
    },
    Provocation {
        detector: "the check for sleeping in atomic context",
        symbol: "DEBUG_ATOMIC_SLEEP",
        class: "atomic-sleep",
        title: "sleeping function called from invalid context",
        steps: &[
            Call(&["__local_bh_disable_ip"], &[Symbol("ksys_write"), BH]),
            Call(LOCK, &[ONE, Number(0)]),
            Call(UNLOCK, &[ONE]),
            Call(&["__local_bh_enable_ip"], &[Symbol("ksys_write"), BH]),
        ],
    },
    Provocation {
        detector: "lockdep",
        symbol: "PROVE_LOCKING",
        class: "lockdep",
        title: "possible deadlock",
        steps: &[
            Call(LOCK, &[ONE, Number(0)]),
            Call(LOCK, &[OTHER, Number(0)]),
            Call(UNLOCK, &[OTHER]),
            Call(UNLOCK, &[ONE]),
            Call(LOCK, &[OTHER, Number(0)]),
            Call(LOCK, &[ONE, Number(0)]),
            Call(UNLOCK, &[ONE]),
            Call(UNLOCK, &[OTHER]),
        ],
    },
    Provocation {
        detector: "KCSAN",
        symbol: "KCSAN",
        class: "kcsan",
        title: "data-race in prandom_u32_state",
        // All CPUs touch the same bytes at once, and every access is watched meanwhile.
        steps: &[
            Call(ALLOCATE, &[Number(64), GFP_KERNEL]),
            Keep("bytes"),
            Set("kcsan_skip_watch", 1),
            Again(
                16,
                &[Call(
                    &["on_each_cpu_cond_mask"],
                    &[
                        Number(0),
                        Symbol(TOUCH),
                        Kept("bytes"),
                        Number(1),
                        Symbol("__cpu_online_mask"),
                    ],
                )],
            ),
            Set("kcsan_skip_watch", 4000),
            Call(&["kfree"], &[Kept("bytes")]),
        ],
    },
    Provocation {
        detector: "KASAN",
        symbol: "KASAN",
        class: "kasan",
        title: "use-after-free",
        steps: &[
            Call(ALLOCATE, &[Number(64), GFP_KERNEL]),
            Keep("bytes"),
            Call(&["kfree"], &[Kept("bytes")]),
            Call(&[TOUCH], &[Kept("bytes")]),
        ],
    },
];

/// The symbols that steps need: of each of these, one.
pub(super) fn needs(steps: &[Step]) -> Box<dyn Iterator<Item = Vec<&'static str>> + '_> {
    Box::new(steps.iter().flat_map(|step| match step {
        Call(names, values) => {
            let symbols = values.iter().filter_map(|value| match value {
                Symbol(name) => Some(vec![*name]),
                Number(_) | Kept(_) => None,
            });
            std::iter::once(names.to_vec()).chain(symbols).collect()
        }
        Set(name, _) => vec![vec![*name]],
        Again(_, steps) => needs(steps).collect(),
        Keep(_) => Vec::new(),
    }))
}

/// Every symbol that any provocation needs.
pub(super) fn symbols() -> BTreeSet<&'static str> {
    let steps = PROVOCATIONS.iter().map(|p| p.steps);
    steps.flat_map(needs).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_was_kept_before() {
        fn check(steps: &[Step], kept: &mut Vec<&str>) {
            for step in steps {
                match step {
                    Keep(name) => kept.push(name),
                    Call(_, values) => {
                        assert!(values.len() <= 6, "no more fit into registers");
                        for value in *values {
                            if let Kept(name) = value {
                                assert!(kept.contains(name), "{name}");
                            }
                        }
                    }
                    Again(_, steps) => check(steps, kept),
                    Set(..) => {}
                }
            }
        }
        for provocation in PROVOCATIONS {
            check(provocation.steps, &mut Vec::new());
        }
    }

    #[test]
    fn symbols_within_repetitions_are_found() {
        let all = symbols();
        for name in ["__kmalloc", "__cpu_online_mask", "kcsan_skip_watch", TOUCH] {
            assert!(all.contains(name), "{name}");
        }
    }
}
