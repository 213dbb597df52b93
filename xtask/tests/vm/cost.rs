//! What a patch costs: instructions and memory, counted exactly.

use harness::judge::verdict::{Kind, Outcome, Status, Structure};

use crate::ktwin::{planted, run};

/// A kernel with another comment takes what base takes, with whatever seed; one that turns 64 times
/// more in a lookup does not, and the function is named; nor does one that waits in reads and writes.
#[test]
fn instructions_are_counted_exactly() {
    let patches = ["comment-only", "lookup-turns", "slower"].map(planted);
    let variants = patches.iter().flat_map(|patch| ["--variant", patch]);
    let variants: Vec<&str> = variants.collect();
    let counted = |seed: &str| {
        let args = ["plain", "--scenario", "operations", "--seed", seed];
        run(&[&args[..], &variants].concat())
    };
    let (one, other) = (counted("1"), counted("2"));
    for run in [&one, &other] {
        run.ended("comment-only", Outcome::Pass);
        let same = run.of("comment-only");
        assert!(same.measures.len() >= 7, "{same:?}");
        for measure in &same.measures {
            let sides = [&measure.base, &measure.variant];
            assert!(alike(sides.map(|side| side.median)), "{measure:?}");
        }
        run.ended("lookup-turns", Outcome::Regression);
        let title = "instructions of lookup";
        let found = run.found(
            "lookup-turns",
            Kind::Slower,
            "instructions",
            title,
            Status::New,
        );
        assert!(found.why.contains("fuse_backing_lookup +"), "{}", found.why);
        for title in ["instructions of read", "instructions of write"] {
            run.found("slower", Kind::Slower, "instructions", title, Status::New);
        }
    }
    let pairs = one
        .of("comment-only")
        .measures
        .iter()
        .zip(&other.of("comment-only").measures);
    for (a, b) in pairs {
        let seeds = [&a.base, &b.base];
        let seeds = seeds.map(|side| side.median);
        assert!(alike(seeds), "with other seeds: {a:?} {b:?}");
    }
}

/// Within a thousandth of each other. What never runs has no ratio and must never run on either side.
fn alike(medians: [Option<f64>; 2]) -> bool {
    let [a, b] = medians.map(Option::unwrap);
    (a - b).abs() <= 0.001 * b
}

/// A larger structure is found by its bytes and by its definition, what is never freed by churning, and
/// neither in a kernel with another comment.
#[test]
fn memory_is_weighed() {
    let patches = ["comment-only", "heavier", "leak"].map(planted);
    let variants = patches.iter().flat_map(|patch| ["--variant", patch]);
    let variants: Vec<&str> = variants.collect();
    let run = run(&[&["plain", "--scenario", "memory"][..], &variants].concat());
    run.ended("comment-only", Outcome::Pass);
    let same = run.of("comment-only");
    assert_eq!(same.structures, [], "no structure is touched");
    for name in [
        "memory per connection",
        "memory per id",
        "memory per sparse id",
    ] {
        let measure = same.measures.iter().find(|m| m.name == name).unwrap();
        let ratio = measure.ratio.unwrap();
        assert!((ratio - 1.0).abs() <= 0.02, "{measure:?}");
    }
    // As the kernel's own structures say: 64 slots to a node.
    let name = "memory: radix_tree_node at 4096 ids";
    let nodes = same.measures.iter().find(|m| m.name == name).unwrap();
    let nodes = nodes.base.median.unwrap() / 584.0;
    assert!((66.0..=70.0).contains(&nodes), "{nodes}");
    let found = run.found(
        "heavier",
        Kind::Memory,
        "memory",
        "memory per id",
        Status::New,
    );
    assert!(found.why.contains("kmalloc-1k"), "{}", found.why);
    let heavier = &run.of("heavier").structures;
    let slabs = |one: &Structure| {
        let sides = [&one.base, &one.variant].map(|side| side.as_ref().unwrap());
        let grew = sides[1].bytes - sides[0].bytes;
        (
            one.name.clone(),
            grew,
            sides.map(|shape| shape.slab.clone()),
        )
    };
    let expected = ["kmalloc-64", "kmalloc-1k"].map(str::to_owned);
    let heavier: Vec<_> = heavier.iter().map(slabs).collect();
    assert_eq!(heavier, [("fuse_backing".to_owned(), 960, expected)]);
    let title = "objects of kmalloc-64 pile up as ids come and go";
    run.found("leak", Kind::Leak, "memory", title, Status::New);
}
