//! The long ones: every config and both variants.

use std::env;

use harness::judge::verdict::Outcome;

use crate::ktwin::run;

#[test]
fn both_variants_pass_in_every_config() {
    if env::var_os("KTWIN_TEST_FULL").is_none() {
        // Said aloud: this is no pass.
        print_skip("both variants in all four configs: `cargo xtask test --full` runs it");
        return;
    }
    let run = run(&[
        "all",
        "--seed",
        "3",
        "--variant",
        "ida-hashtable",
        "--variant",
        "ida-rhashtable",
    ]);
    assert_eq!(run.verdict.comparisons.len(), 8);
    for comparison in &run.verdict.comparisons {
        assert_eq!(comparison.outcome, Outcome::Pass, "{comparison:#?}");
    }
    assert_eq!(run.code, 0);
}

#[expect(
    clippy::print_stdout,
    reason = "a skipped test says so where its result stands"
)]
fn print_skip(what: &str) {
    println!("NOT RUN: {what}");
}
