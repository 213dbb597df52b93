//! The long ones: every config and both variants, and the older kernel that the patches are for.

use harness::judge::verdict::Outcome;

use crate::ktwin::{Run, full, run, run_on};

const BOTH: [&str; 4] = ["--variant", "ida-hashtable", "--variant", "ida-rhashtable"];

#[test]
fn both_variants_pass_in_every_config() {
    if full("both variants in all four configs") {
        passes(&run(&[&["all", "--seed", "3"], &BOTH[..]].concat()), 8);
    }
}

#[test]
fn both_variants_pass_on_the_older_kernel() {
    if full("both variants on 7.2") {
        let args = [&["kasan", "--seed", "4"], &BOTH[..]].concat();
        passes(&run_on(&["--kernel", "linux-source-7.2"], &args), 2);
    }
}

fn passes(run: &Run, comparisons: usize) {
    assert_eq!(run.verdict.comparisons.len(), comparisons);
    for comparison in &run.verdict.comparisons {
        assert_eq!(comparison.outcome, Outcome::Pass, "{comparison:#?}");
    }
    assert_eq!(run.code, 0);
}
