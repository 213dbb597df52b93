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
        files: Vec::new(),
        accepted: acceptance.current,
    }
}
