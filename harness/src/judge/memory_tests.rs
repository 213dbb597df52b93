//! What ids take in memory, from readings made up.

use protocol::{Slab, SlabState, Slabs};

use super::{
    fixtures::good,
    memory::{judge, unsettled},
    verdict::{Finding, Judgement, Kind, Measure},
};
use crate::{
    collect::record::{End, RunRecord},
    plan::Purpose,
    scenario::Acceptance,
};

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
            let own = (20 + alive * each).saturating_add_signed(if alive > 0 { stray } else { 0 });
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
