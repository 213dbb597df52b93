//! What a patch costs in memory: slab caches with few backing ids alive and with many (pure).

use std::collections::BTreeMap;

use protocol::{Slab, SlabState, Slabs};

use super::verdict::{Finding, Judgement, Kind, Measure, Sample, Status};
use crate::{
    collect::record::{End, RunRecord},
    plan::Purpose,
    scenario::Acceptance,
};

/// Bytes of an id within so much of base's are no change.
const MARGIN: f64 = 0.05;
/// What churning leaves behind is a leak from one object in so many removals.
const LEAKED_ONE_IN: u64 = 2;
/// Removals of one churned id, as the agent makes them.
const CHURNS: u64 = 10;
/// Caches that an explanation names.
const NAMED: usize = 4;

/// How the states are called in a measure's name.
const STATES: [(SlabState, &str); 2] = [(SlabState::Dense, "id"), (SlabState::Sparse, "sparse id")];

/// Both sides' memory, judged; and what is larger, or leaks on the variant alone.
pub(super) fn judge(
    base: &[RunRecord],
    variant: &[RunRecord],
    accepts: &dyn Fn(&str) -> Acceptance,
) -> (Vec<Measure>, Vec<Finding>) {
    let (base, variant) = (readings(base), readings(variant));
    let (mut measures, mut findings) = (Vec::new(), Vec::new());
    for (state, name) in STATES {
        for ids in variant
            .iter()
            .chain(base)
            .filter(|r| r.state == state && r.ids > 0)
            .map(|r| r.ids)
            .collect::<std::collections::BTreeSet<_>>()
        {
            let sample = |side| sample(grown(side, state, ids).map(|caches| total(&caches)));
            measures.push(Measure::shown(
                format!("slab with {ids} {name}s"),
                "B",
                sample(base),
                sample(variant),
            ));
        }
        let sample = |side| sample(per_id(side, state));
        let title = format!("slab per {name}");
        let mut measure = Measure::shown(title, "B", sample(base), sample(variant));
        measure.margin = measure.ratio.map(|_| MARGIN);
        measure.judgement = measure.ratio.map(|ratio| match ratio {
            ratio if ratio > 1.0 + MARGIN => Judgement::Worse,
            ratio if ratio < 1.0 - MARGIN => Judgement::Better,
            _ => Judgement::Equivalent,
        });
        if measure.judgement == Some(Judgement::Worse) {
            let why = format!(
                "{:.1} bytes where base takes {:.1}: {}",
                measure.variant.median.unwrap_or_default(),
                measure.base.median.unwrap_or_default(),
                larger(base, variant, state)
            );
            findings.push(finding(Kind::Memory, &measure.name, why, accepts));
        }
        if measure.base.median.or(measure.variant.median).is_some() {
            measures.push(measure);
        }
    }
    for cache in leaks(variant) {
        if !leaks(base).contains(&cache) {
            let title = format!("objects of {cache} pile up as ids come and go");
            findings.push(finding(Kind::Leak, &title, String::new(), accepts));
        }
    }
    (measures, findings)
}

/// The readings of the first boot that made them to its end.
fn readings(records: &[RunRecord]) -> &[Slabs] {
    let whole = |record: &&RunRecord| {
        record.cell.purpose == Purpose::Weighed && record.end == End::Finished
    };
    records
        .iter()
        .find(whole)
        .map_or(&[], |record| &record.slabs)
}

fn at(readings: &[Slabs], state: SlabState, ids: u32) -> Option<&BTreeMap<String, Slab>> {
    let found = readings
        .iter()
        .find(|one| one.state == state && one.ids == ids);
    found.map(|one| &one.caches)
}

/// Bytes by which each cache grew from no ids to so many.
fn grown(readings: &[Slabs], state: SlabState, ids: u32) -> Option<BTreeMap<&str, f64>> {
    let (none, many) = (at(readings, state, 0)?, at(readings, state, ids)?);
    Some(growth(none, many))
}

fn growth<'a>(
    from: &'a BTreeMap<String, Slab>,
    to: &'a BTreeMap<String, Slab>,
) -> BTreeMap<&'a str, f64> {
    let bytes = |slab: &Slab| slab.objects as f64 * slab.size as f64;
    let mut grown: BTreeMap<&str, f64> = to
        .iter()
        .map(|(name, slab)| (name.as_str(), bytes(slab)))
        .collect();
    for (name, slab) in from {
        *grown.entry(name).or_default() -= bytes(slab);
    }
    grown
}

fn total(caches: &BTreeMap<&str, f64>) -> f64 {
    caches.values().sum()
}

/// The numbers of ids between which one more id's bytes are taken: the two largest.
fn span(readings: &[Slabs], state: SlabState) -> Option<(u32, u32)> {
    let mut ids: Vec<u32> = readings
        .iter()
        .filter(|r| r.state == state)
        .map(|r| r.ids)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let (most, fewer) = (ids.pop()?, ids.pop()?);
    Some((fewer, most))
}

/// What one more id takes, with very many alive.
fn per_id(readings: &[Slabs], state: SlabState) -> Option<f64> {
    let (fewer, most) = span(readings, state)?;
    let caches = growth(at(readings, state, fewer)?, at(readings, state, most)?);
    Some(total(&caches) / f64::from(most - fewer))
}

/// The caches whose part of an id's bytes grew by the most.
fn larger(base: &[Slabs], variant: &[Slabs], state: SlabState) -> String {
    let by_cache = |readings| {
        let (fewer, most) = span(readings, state)?;
        let caches = growth(at(readings, state, fewer)?, at(readings, state, most)?);
        let each = caches
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), bytes / f64::from(most - fewer)));
        Some(each.collect::<BTreeMap<String, f64>>())
    };
    let (base, variant) = (
        by_cache(base).unwrap_or_default(),
        by_cache(variant).unwrap_or_default(),
    );
    let mut more: Vec<(f64, &String)> = variant
        .iter()
        .map(|(name, bytes)| (bytes - base.get(name).copied().unwrap_or_default(), name))
        .filter(|(more, _)| *more >= 0.1)
        .collect();
    more.sort_by(|a, b| b.0.total_cmp(&a.0));
    let named = more.into_iter().take(NAMED);
    named
        .map(|(more, name)| format!("{name} +{more:.1}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Caches whose objects grew with removals at a constant number of ids, against as many that were
/// never churned.
fn leaks(readings: &[Slabs]) -> Vec<String> {
    let churned = readings
        .iter()
        .filter(|r| r.state == SlabState::Churned && r.ids > 0);
    let grown = churned.filter_map(|churned| {
        let before = at(readings, SlabState::Churned, 0)?;
        let dense = (
            at(readings, SlabState::Dense, 0)?,
            at(readings, SlabState::Dense, churned.ids)?,
        );
        let least = u64::from(churned.ids) * CHURNS / LEAKED_ONE_IN;
        let objects = |caches: &BTreeMap<String, Slab>, name: &str| {
            caches.get(name).map_or(0, |slab| slab.objects)
        };
        let names = churned.caches.keys().filter(move |name| {
            let grew = objects(&churned.caches, name).saturating_sub(objects(before, name));
            let ought = objects(dense.1, name).saturating_sub(objects(dense.0, name));
            grew.saturating_sub(ought) >= least
        });
        Some(names.cloned().collect::<Vec<String>>())
    });
    grown.flatten().collect()
}

fn sample(value: Option<f64>) -> Sample {
    Sample {
        values: value.into_iter().collect(),
        median: value,
    }
}

fn finding(kind: Kind, title: &str, why: String, accepts: &dyn Fn(&str) -> Acceptance) -> Finding {
    let acceptance = accepts(title);
    Finding {
        kind,
        class: "slab".into(),
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
    fn reading(state: SlabState, ids: u32, size: u64, leaked: u64) -> Slabs {
        let slab = |objects, size| Slab { objects, size };
        let ids64 = u64::from(ids);
        let caches = [
            ("dentry", slab(1000, 192)),
            ("kmalloc", slab(50 + ids64 + leaked, size)),
            ("radix_tree_node", slab(30 + ids64.div_ceil(64), 576)),
        ];
        Slabs {
            ids,
            state,
            caches: caches.map(|(name, slab)| (name.to_owned(), slab)).into(),
        }
    }

    fn boot(size: u64, leaked: u64) -> RunRecord {
        let mut boot = good("plain-base+memory-1");
        boot.cell.purpose = Purpose::Weighed;
        let numbers = [0, 64, 6400];
        boot.slabs = numbers
            .map(|ids| reading(SlabState::Dense, ids, size, 0))
            .to_vec();
        boot.slabs.extend([0, 64].map(|ids| {
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

    #[test]
    fn an_ids_bytes_are_those_of_one_more() {
        let (measures, findings) = judged(&boot(64, 0), &boot(64, 0));
        assert_eq!(findings, []);
        let names: Vec<&str> = measures.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(
            names,
            ["slab with 64 ids", "slab with 6400 ids", "slab per id"]
        );
        assert_eq!(measures[0].base.median, Some(64.0 * 64.0 + 576.0));
        assert_eq!(measures[2].base.median, Some(64.0 + 9.0));
        assert_eq!(measures[2].judgement, Some(Judgement::Equivalent));
    }

    #[test]
    fn more_bytes_for_an_id_are_a_finding() {
        let (measures, findings) = judged(&boot(64, 0), &boot(1024, 0));
        assert_eq!(measures[2].judgement, Some(Judgement::Worse));
        assert_eq!(
            (findings[0].kind, findings[0].title.as_str()),
            (Kind::Memory, "slab per id")
        );
        assert_eq!(
            findings[0].why,
            "1033.0 bytes where base takes 73.0: kmalloc +960.0"
        );
        let (measures, findings) = judged(&boot(1024, 0), &boot(64, 0));
        assert_eq!(
            (measures[2].judgement, findings),
            (Some(Judgement::Better), vec![])
        );
    }

    #[test]
    fn what_churning_leaves_behind_is_a_leak_of_the_variants() {
        let (_, findings) = judged(&boot(64, 0), &boot(64, 640));
        assert_eq!(findings[0].kind, Kind::Leak);
        assert!(findings[0].title.contains("kmalloc"));
        assert_eq!(judged(&boot(64, 640), &boot(64, 640)).1, [], "base's own");
        assert_eq!(
            judged(&boot(64, 0), &boot(64, 100)).1,
            [],
            "a few may linger"
        );
    }
}
