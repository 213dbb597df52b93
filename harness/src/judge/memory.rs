//! What a patch costs in memory, with few backing ids alive and with many (pure).
//!
//! One boot a side tells: the same things are allocated again and again, and the bytes of one more
//! are the difference between very many and many, in which what a boot leaves behind drowns.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Slab, SlabState, Slabs};

use super::verdict::{Finding, Judgement, Kind, Measure, Sample, Status};
use crate::{
    collect::record::{End, RunRecord},
    plan::Purpose,
    scenario::Acceptance,
};

/// Bytes of one more within so much of base's are no change.
const MARGIN: f64 = 0.05;
/// A cache belongs to what is alive where it gains an object for so many of them at least: an IDA's
/// bitmap serves 1,024 ids.
const SERVES: f64 = 2048.0;
/// Nothing is shared by connections: fewer objects than them are the boot's, which has buffers of
/// tens of KiB come and go.
const SHARED_BY: f64 = 1.0;
/// So many objects for each connection may be freed meanwhile that are none of theirs.
const FREED: f64 = 0.25;
/// What churning leaves behind is a leak from one object in so many removals.
const LEAKED_ONE_IN: u64 = 400;
/// Fewer objects than this are no leak, however few the removals were: they are what boots of one
/// kernel differ by.
const OF_A_BOOT: u64 = 16;
/// Removals of one churned id, as the agent makes them.
const CHURNS: u64 = 10;
/// Caches that an explanation names.
const NAMED: usize = 4;

/// What is weighed: its state, what one of it is called, and how many may share an object.
const WEIGHED: [(SlabState, &str, f64); 3] = [
    (SlabState::Connected, "connection", SHARED_BY),
    (SlabState::Dense, "id", SERVES),
    (SlabState::Sparse, "sparse id", SERVES),
];

/// Bytes by cache.
type Bytes<'a> = BTreeMap<&'a str, f64>;
/// By how many objects each cache grew, and the size of one.
type Grown<'a> = BTreeMap<&'a str, (f64, f64)>;

/// Both sides' memory, judged; and what is larger, or leaks on the variant alone.
pub(super) fn judge(
    base: &[RunRecord],
    variant: &[RunRecord],
    accepts: &dyn Fn(&str) -> Acceptance,
) -> (Vec<Measure>, Vec<Finding>) {
    let alone = base.is_empty();
    let (base, variant) = (Readings::of(base), Readings::of(variant));
    let (mut measures, mut findings) = (Vec::new(), Vec::new());
    for (state, one, shared_by) in WEIGHED {
        let each = [base, variant].map(|side| side.each(state, shared_by));
        if each.iter().all(Option::is_none) {
            continue;
        }
        let mut measure = judged(&format!("memory per {one}"), &each);
        if is_a_boots(&measure, base, variant, state) {
            measure.judgement = None;
        }
        if measure.judgement == Some(Judgement::Worse) {
            let [base, variant] = each.each_ref().map(|side| side.clone().unwrap_or_default());
            let why = format!(
                "{:.1} bytes where base takes {:.1}: {}",
                total(&variant),
                total(&base),
                larger(&base, &variant)
            );
            findings.push(finding(Kind::Memory, &measure.name, why, accepts));
        }
        measures.push(measure);
        measures.extend(parts(&format!("memory per {one}"), &each));
        if state != SlabState::Connected {
            measures.extend(at_numbers(base, variant, state, one, &each));
        }
    }
    measures.extend(open_times(base, variant));
    for (title, why) in leaks(base, variant, alone) {
        findings.push(finding(Kind::Leak, &title, why, accepts));
    }
    (measures, findings)
}

/// One side's readings, in the order in which they were made.
#[derive(Clone, Copy)]
struct Readings<'a>(&'a [Slabs]);

impl<'a> Readings<'a> {
    /// Those of the first boot that made them to its end.
    fn of(records: &'a [RunRecord]) -> Self {
        let whole = |record: &&RunRecord| {
            record.cell.purpose == Purpose::Weighed && record.end == End::Finished
        };
        Self(
            records
                .iter()
                .find(whole)
                .map_or(&[], |record| &record.slabs),
        )
    }

    fn at(self, state: SlabState, alive: u32) -> Option<&'a BTreeMap<String, Slab>> {
        let found = self.0.iter();
        let mut found = found.filter(|one| one.state == state && one.alive == alive);
        found.next().map(|one| &one.caches)
    }

    /// The numbers of what was alive, from the least.
    fn numbers(self, state: SlabState) -> BTreeSet<u32> {
        let numbers = self.0.iter().filter(|one| one.state == state);
        numbers.map(|one| one.alive).collect()
    }

    /// Between the two largest numbers: by how many objects each cache grew, with the size of one; and
    /// how many more were alive.
    fn grown(self, state: SlabState) -> Option<(Grown<'a>, f64)> {
        let mut numbers = self.numbers(state).into_iter().rev();
        let (most, fewer) = (numbers.next()?, numbers.next()?);
        let more = f64::from(most - fewer);
        let (fewer, most) = (self.at(state, fewer)?, self.at(state, most)?);
        let grown = most.iter().map(|(name, slab)| {
            let before = fewer.get(name).map_or(0, |slab| slab.objects);
            let objects = slab.objects as f64 - before as f64;
            (name.as_str(), (objects, slab.size as f64))
        });
        Some((grown.collect(), more))
    }

    /// What one more takes of each cache, of the caches that belong to it at all.
    fn each(self, state: SlabState, shared_by: f64) -> Option<Bytes<'a>> {
        let (grown, more) = self.grown(state)?;
        let grown = grown.into_iter().map(|(name, (objects, size))| {
            let each = match state {
                // Of what each connection has for itself it has a whole number. A few that the boot freed
                // meanwhile must not take the cache away, nor some that it made add to it.
                SlabState::Connected => (objects / more + FREED).floor(),
                _ => objects / more,
            };
            (name, each, size)
        });
        let its = grown.filter(|(_, objects, _)| *objects * shared_by >= 1.0);
        Some(
            its.map(|(name, objects, size)| (name, objects * size))
                .collect(),
        )
    }

    /// What so many take of these caches.
    fn of_caches(
        self,
        state: SlabState,
        alive: u32,
        caches: &BTreeSet<&'a str>,
    ) -> Option<Bytes<'a>> {
        let (none, many) = (self.at(state, 0)?, self.at(state, alive)?);
        let bytes = |caches: &BTreeMap<String, Slab>, name: &str| {
            let slab = caches.get(name).copied().unwrap_or_default();
            slab.objects as f64 * slab.size as f64
        };
        let grown = caches
            .iter()
            .map(|name| (*name, bytes(many, name) - bytes(none, name)));
        Some(grown.collect())
    }

    /// By how many objects each cache grew with removals at a constant number of ids, against as many
    /// ids that were never churned; and how many removals there were.
    fn churned(self) -> Option<(BTreeMap<&'a str, u64>, u64)> {
        let alive = self.numbers(SlabState::Churned).last().copied()?;
        let before = self.at(SlabState::Churned, 0)?;
        let churned = self.at(SlabState::Churned, alive)?;
        let none = self.at(SlabState::Dense, 0)?;
        let dense = self.at(SlabState::Dense, alive)?;
        let grew = |from: &BTreeMap<String, Slab>, to: &BTreeMap<String, Slab>, name: &str| {
            let objects =
                |caches: &BTreeMap<String, Slab>| caches.get(name).map_or(0, |slab| slab.objects);
            objects(to).saturating_sub(objects(from))
        };
        let left = churned.keys().map(|name| {
            let ought = grew(none, dense, name);
            (
                name.as_str(),
                grew(before, churned, name).saturating_sub(ought),
            )
        });
        Some((left.collect(), u64::from(alive) * CHURNS))
    }
}

/// Why memory that seems more is not judged.
pub(super) fn unsettled(base: &[RunRecord], variant: &[RunRecord]) -> Vec<String> {
    let (base, variant) = (Readings::of(base), Readings::of(variant));
    let more = WEIGHED.iter().filter_map(|(state, one, shared_by)| {
        let each = [base, variant].map(|side| side.each(*state, *shared_by));
        let measure = judged(&format!("memory per {one}"), &each);
        let worse = measure.judgement == Some(Judgement::Worse);
        (worse && is_a_boots(&measure, base, variant, *state)).then(|| {
            format!(
                "{} is {:.2} of base's, by no more objects than boots of one kernel differ by: larger \
                 numbers among the load's `ids` would tell",
                measure.name,
                measure.ratio.unwrap_or(f64::NAN)
            )
        })
    });
    more.collect()
}

/// Whether a difference may be what a boot does by itself, which is a large part of a few more.
fn is_a_boots(
    measure: &Measure,
    base: Readings<'_>,
    variant: Readings<'_>,
    state: SlabState,
) -> bool {
    measure.judgement != Some(Judgement::Equivalent) && !told(base, variant, state)
}

/// Whether sides that differ do so by more than boots of one kernel: some cache gained more or fewer
/// objects than that, or as many of another size. Of what connections have, whole numbers are taken.
fn told(base: Readings<'_>, variant: Readings<'_>, state: SlabState) -> bool {
    let (Some((base, _)), Some((variant, _))) = (base.grown(state), variant.grown(state)) else {
        return false;
    };
    let many = |objects: f64| objects.abs() > OF_A_BOOT as f64;
    let mut names = base.keys().chain(variant.keys());
    let differs = |name: &&str| {
        let of = |side: &Grown<'_>| side.get(name).copied().unwrap_or_default();
        let ((were, had), (are, have)) = (of(&base), of(&variant));
        many(are - were) || had != have && many(are)
    };
    state == SlabState::Connected || names.any(differs)
}

/// What churning leaves behind on the variant, far more than on base: a finding for each cache. Where base
/// was to be read and was not, nobody knows what the kernel itself leaves behind.
fn leaks(base: Readings<'_>, variant: Readings<'_>, alone: bool) -> Vec<(String, String)> {
    let Some((left, removals)) = variant.churned() else {
        return Vec::new();
    };
    let on_base = match base.churned() {
        Some((left, _)) => left,
        None if alone => BTreeMap::new(),
        None => return Vec::new(),
    };
    let of_base = |name: &str| on_base.get(name).copied().unwrap_or(0);
    let known = (removals / LEAKED_ONE_IN).max(OF_A_BOOT);
    let leaks = left
        .into_iter()
        .filter(|(name, left)| left.saturating_sub(of_base(name)) > known);
    leaks
        .map(|(name, left)| {
            (
                format!("objects of {name} pile up as ids come and go"),
                format!(
                    "{left} more after {removals} removals, {} on base",
                    of_base(name)
                ),
            )
        })
        .collect()
}

/// The totals at each number of ids, a connection of theirs included, and their parts.
fn at_numbers(
    base: Readings<'_>,
    variant: Readings<'_>,
    state: SlabState,
    one: &str,
    each: &[Option<Bytes<'_>>; 2],
) -> Vec<Measure> {
    let caches: BTreeSet<&str> = each
        .iter()
        .flatten()
        .flat_map(BTreeMap::keys)
        .copied()
        .collect();
    let numbers = base
        .numbers(state)
        .union(&variant.numbers(state))
        .copied()
        .collect::<Vec<_>>();
    let mut measures = Vec::new();
    for ids in numbers.into_iter().filter(|ids| *ids > 0) {
        let sides = [base, variant].map(|side| {
            let connection = side
                .each(SlabState::Connected, SHARED_BY)
                .unwrap_or_default();
            Some((side.of_caches(state, ids, &caches)?, total(&connection)))
        });
        let kind = one.strip_suffix("id").unwrap_or(one);
        let whole = sides.each_ref().map(|side| {
            let (bytes, connection) = side.as_ref()?;
            Some(total(bytes) + connection)
        });
        measures.push(shown(&format!("{kind}memory"), whole).at(ids));
        for cache in &caches {
            let bytes = sides
                .each_ref()
                .map(|side| side.as_ref()?.0.get(cache).copied());
            let mut part = shown(&format!("{kind}memory: {cache}"), bytes).at(ids);
            part.part = true;
            measures.push(part);
        }
    }
    measures
}

/// How long an open takes with so many ids, which no pair of boots can judge.
fn open_times(base: Readings<'_>, variant: Readings<'_>) -> Vec<Measure> {
    let numbers = base
        .numbers(SlabState::Dense)
        .into_iter()
        .filter(|ids| *ids > 0);
    let timed = |side: Readings<'_>, ids: u32| {
        let mut readings = side.0.iter();
        let found = readings.find(|one| one.state == SlabState::Dense && one.alive == ids)?;
        Some(found.open_ns? as f64 / 1000.0)
    };
    let all = numbers.filter_map(|ids| {
        let [base, variant] = [base, variant].map(|side| timed(side, ids));
        base.or(variant)?;
        let measure = Measure {
            unit: "us".into(),
            ..shown("time of open", [base, variant])
        };
        Some(measure.at(ids))
    });
    all.collect()
}

/// One more's bytes of each cache.
fn parts(name: &str, each: &[Option<Bytes<'_>>; 2]) -> Vec<Measure> {
    let caches: BTreeSet<&str> = each
        .iter()
        .flatten()
        .flat_map(BTreeMap::keys)
        .copied()
        .collect();
    let parts = caches.into_iter().map(|cache| {
        let bytes = each
            .each_ref()
            .map(|side| Some(side.as_ref()?.get(cache).copied().unwrap_or(0.0)));
        Measure {
            part: true,
            ..shown(&format!("{name}: {cache}"), bytes)
        }
    });
    parts.collect()
}

fn judged(name: &str, each: &[Option<Bytes<'_>>; 2]) -> Measure {
    let mut measure = shown(name, each.each_ref().map(|side| side.as_ref().map(total)));
    measure.margin = measure.ratio.map(|_| MARGIN);
    measure.judgement = measure.ratio.map(|ratio| match ratio {
        ratio if ratio > 1.0 + MARGIN => Judgement::Worse,
        ratio if ratio < 1.0 - MARGIN => Judgement::Better,
        _ => Judgement::Equivalent,
    });
    measure
}

fn shown(name: &str, [base, variant]: [Option<f64>; 2]) -> Measure {
    let sample = |value: Option<f64>| Sample {
        values: value.into_iter().collect(),
        median: value,
    };
    Measure::shown(name.to_owned(), "B", sample(base), sample(variant))
}

fn total(bytes: &Bytes<'_>) -> f64 {
    bytes.values().sum()
}

/// The caches whose part grew by the most.
fn larger(base: &Bytes<'_>, variant: &Bytes<'_>) -> String {
    let mut more: Vec<(f64, &str)> = variant
        .iter()
        .map(|(name, bytes)| (bytes - base.get(name).copied().unwrap_or_default(), *name))
        .filter(|(more, _)| *more >= 0.1)
        .collect();
    more.sort_by(|a, b| b.0.total_cmp(&a.0));
    let named = more.into_iter().take(NAMED);
    named
        .map(|(more, name)| format!("{name} +{more:.1}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn finding(kind: Kind, title: &str, why: String, accepts: &dyn Fn(&str) -> Acceptance) -> Finding {
    let acceptance = accepts(title);
    Finding {
        kind,
        class: "memory".into(),
        title: title.to_owned(),
        status: Status::New,
        count: 1,
        first_s: None,
        evidence: String::new(),
        why: why + &acceptance.expired,
        detail: String::new(),
        accepted: acceptance.current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::fixtures::good;

    /// So many bytes in one object for each id, an `xa_node` for each 64, and a background.
    fn reading(state: SlabState, alive: u32, size: u64, leaked: u64) -> Slabs {
        let slab = |objects, size| Slab { objects, size };
        let ids64 = u64::from(alive);
        let caches = [
            ("dentry", slab(1000, 192)),
            ("kmalloc", slab(50 + ids64 + leaked, size)),
            ("radix_tree_node", slab(30 + ids64.div_ceil(64), 576)),
        ];
        Slabs {
            alive,
            state,
            caches: caches.map(|(name, slab)| (name.to_owned(), slab)).into(),
            open_ns: None,
        }
    }

    fn boot(size: u64, leaked: u64) -> RunRecord {
        churning(64, size, leaked)
    }

    /// A boot in which so many ids were churned.
    fn churning(churned: u32, size: u64, leaked: u64) -> RunRecord {
        let mut boot = good("plain-base+memory-1");
        boot.cell.purpose = Purpose::Weighed;
        let numbers = [0, churned, 6400];
        boot.slabs = numbers
            .map(|ids| reading(SlabState::Dense, ids, size, 0))
            .to_vec();
        boot.slabs.extend([0, churned].map(|ids| {
            reading(
                SlabState::Churned,
                ids,
                size,
                if ids > 0 { leaked } else { 0 },
            )
        }));
        boot
    }

    fn judged(base: &RunRecord, variant: &RunRecord) -> (Vec<Measure>, Vec<Finding>) {
        let accepts = |_: &str| Acceptance::default();
        judge(
            std::slice::from_ref(base),
            std::slice::from_ref(variant),
            &accepts,
        )
    }

    fn named<'a>(measures: &'a [Measure], name: &str) -> &'a Measure {
        measures
            .iter()
            .find(|measure| measure.name == name)
            .unwrap()
    }

    #[test]
    fn an_ids_bytes_are_those_of_one_more() {
        let (measures, findings) = judged(&boot(64, 0), &boot(64, 0));
        assert_eq!(findings, []);
        let table = [
            ("memory per id", 64.0 + 9.0, false),
            ("memory per id: kmalloc", 64.0, true),
            ("memory per id: radix_tree_node", 9.0, true),
            ("memory at 64 ids", 64.0 * 64.0 + 576.0, false),
            ("memory: kmalloc at 64 ids", 64.0 * 64.0, true),
            ("memory at 6400 ids", 6400.0 * 73.0, false),
        ];
        for (name, bytes, part) in table {
            let measure = named(&measures, name);
            assert_eq!(
                (measure.base.median, measure.part),
                (Some(bytes), part),
                "{name}"
            );
        }
        assert!(
            measures
                .iter()
                .all(|measure| !measure.name.contains("dentry"))
        );
        let judgement = named(&measures, "memory per id").judgement;
        assert_eq!(judgement, Some(Judgement::Equivalent));
    }

    #[test]
    fn a_connection_is_weighed_and_part_of_what_its_ids_take() {
        let connected = |table: u64| {
            let mut boot = boot(64, 0);
            for alive in [0, 16] {
                let slab = |objects, size| Slab { objects, size };
                let caches = [
                    ("fuse_inode", slab(20 + alive, 1000)),
                    ("kmalloc-2k", slab(5 + alive * table, 2048)),
                    ("dentry", slab(100 + alive / 4, 192)),
                ];
                boot.slabs.push(Slabs {
                    alive: alive as u32,
                    state: SlabState::Connected,
                    caches: caches.map(|(name, slab)| (name.to_owned(), slab)).into(),
                    open_ns: None,
                });
            }
            boot
        };
        let (measures, findings) = judged(&connected(0), &connected(1));
        let each = named(&measures, "memory per connection");
        assert_eq!(
            (each.base.median, each.variant.median),
            (Some(1000.0), Some(3048.0))
        );
        assert_eq!(
            findings[0].why,
            "3048.0 bytes where base takes 1000.0: kmalloc-2k +2048.0"
        );
        let ids = named(&measures, "memory at 64 ids");
        assert_eq!(
            ids.variant.median.zip(ids.base.median).map(|(v, b)| v - b),
            Some(2048.0)
        );
    }

    #[test]
    fn more_bytes_for_an_id_are_a_finding() {
        let (measures, findings) = judged(&boot(64, 0), &boot(1024, 0));
        let judgement = named(&measures, "memory per id").judgement;
        assert_eq!(judgement, Some(Judgement::Worse));
        assert_eq!(
            (findings[0].kind, findings[0].title.as_str()),
            (Kind::Memory, "memory per id")
        );
        assert_eq!(
            findings[0].why,
            "1033.0 bytes where base takes 73.0: kmalloc +960.0"
        );
        let (measures, findings) = judged(&boot(1024, 0), &boot(64, 0));
        assert_eq!(
            (named(&measures, "memory per id").judgement, findings),
            (Some(Judgement::Better), vec![])
        );
    }

    #[test]
    fn what_boots_differ_by_is_no_larger_id() {
        let weighed = |numbers: [u32; 2], name: &str, objects: &dyn Fn(u32) -> u64, size| {
            let mut boot = boot(64, 0);
            boot.slabs = [0]
                .into_iter()
                .chain(numbers)
                .map(|alive| {
                    let objects = 50 + objects(alive);
                    let slab = Slab { objects, size };
                    let caches = [(name.to_owned(), slab)].into();
                    Slabs {
                        alive,
                        state: SlabState::Dense,
                        caches,
                        open_ns: None,
                    }
                })
                .collect();
            boot
        };
        let each = |alive: u32| u64::from(alive);
        let stray = |most: u32| move |alive: u32| u64::from(alive) + u64::from(alive == most) * 16;
        let base = |numbers| weighed(numbers, "kmalloc-64", &each, 64);
        let table = [
            // A few that the boot made meanwhile.
            (
                base([10, 100]),
                weighed([10, 100], "kmalloc-64", &stray(100), 64),
                None,
            ),
            (
                base([1, 10]),
                weighed([1, 10], "kmalloc-64", &stray(10), 64),
                None,
            ),
            (
                base([100, 1000]),
                weighed([100, 1000], "kmalloc-64", &stray(1000), 64),
                Some(Judgement::Equivalent),
            ),
            // Another cache, and larger objects of the same one.
            (
                base([10, 100]),
                weighed([10, 100], "kmalloc-96", &each, 96),
                Some(Judgement::Worse),
            ),
            (
                base([10, 100]),
                weighed([10, 100], "kmalloc-64", &each, 72),
                Some(Judgement::Worse),
            ),
        ];
        for (at, (base, variant, judgement)) in table.into_iter().enumerate() {
            let (measures, findings) = judged(&base, &variant);
            assert_eq!(
                named(&measures, "memory per id").judgement,
                judgement,
                "row {at}"
            );
            let worse = judgement == Some(Judgement::Worse);
            let reasons = unsettled(std::slice::from_ref(&base), std::slice::from_ref(&variant));
            let untold = reasons
                .iter()
                .filter(|one| one.starts_with("memory per id is "));
            assert_eq!(untold.count(), usize::from(judgement.is_none()), "row {at}");
            assert_eq!(findings.len(), usize::from(worse), "row {at}: {findings:?}");
        }
    }

    #[test]
    fn what_churning_leaves_behind_is_a_leak_of_the_variants() {
        let (_, findings) = judged(&boot(64, 0), &boot(64, 39));
        assert_eq!(findings[0].kind, Kind::Leak);
        assert!(findings[0].title.contains("kmalloc"));
        assert_eq!(findings[0].why, "39 more after 640 removals, 0 on base");
        assert_eq!(judged(&boot(64, 39), &boot(64, 39)).1, [], "base's own");
        assert_eq!(judged(&boot(64, 0), &boot(64, 0)).1, []);
        // A base that died says nothing of what the kernel leaves behind by itself.
        let mut died = boot(64, 0);
        died.end = End::Interrupted;
        assert_eq!(judged(&died, &boot(64, 39)).1, []);
        let accepts = |_: &str| Acceptance::default();
        let (_, findings) = judge(&[], &[boot(64, 39)], &accepts);
        assert_eq!(findings.len(), 1, "one kernel alone");
    }

    #[test]
    fn what_a_boot_frees_meanwhile_is_no_part_of_a_connection() {
        let connected = |each: u64, stray: i64| {
            let mut boot = boot(64, 0);
            for alive in [0, 16] {
                let own =
                    (20 + alive * each).saturating_add_signed(if alive > 0 { stray } else { 0 });
                let slab = Slab {
                    objects: own,
                    size: 4096,
                };
                boot.slabs.push(Slabs {
                    alive: alive as u32,
                    state: SlabState::Connected,
                    caches: [("kmalloc-4k".to_owned(), slab)].into(),
                    open_ns: None,
                });
            }
            boot
        };
        for (stray, each) in [(-4, 1), (-1, 1), (0, 1), (1, 1), (11, 1), (0, 2), (9, 2)] {
            let (measures, findings) = judged(&connected(1, 0), &connected(each, stray));
            let measure = named(&measures, "memory per connection");
            assert_eq!(
                measure.variant.median,
                Some(4096.0 * each as f64),
                "{stray}"
            );
            assert_eq!(findings.len(), usize::from(each > 1), "{findings:?}");
        }
    }

    #[test]
    fn a_few_objects_are_a_boots_and_no_leak() {
        // So many ids, each removed ten times; objects left behind; caches said to leak.
        for (ids, left, leaks) in [
            (10, 0, 0),
            (10, 3, 0),
            (10, 16, 0),
            (10, 17, 1),
            (10, 100, 1),
            (1000, 25, 0),
            (1000, 26, 1),
        ] {
            let (_, findings) = judged(&churning(ids, 64, 0), &churning(ids, 64, left));
            assert_eq!(
                findings.len(),
                leaks,
                "{left} after {ids} ids: {findings:?}"
            );
        }
    }
}
