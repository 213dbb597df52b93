//! The claims against what the runs showed (pure).

use super::{
    findings::{counted_in_part, none_new},
    look::{self, Seen},
    types::{Check, Checked, Claim, Claimed, Claims, Expect, Figure, Outcome, Runs, Side, What},
};
use crate::{
    boot::settings::Accel,
    judge::{
        is_throughput,
        verdict::{self, Comparison, Judgement, Measure},
    },
    report::figure,
};

/// What came of each claim.
pub fn judge(claims: &Claims, runs: &Runs) -> Vec<Claimed> {
    let judged = claims.claims.iter();
    judged
        .map(|one| claim(one, &claims.variant, runs))
        .collect()
}

fn claim(claim: &Claim, own: &str, runs: &Runs) -> Claimed {
    let checks: Vec<Checked> = claim
        .checks
        .iter()
        .map(|one| check(one, own, runs))
        .collect();
    let worst = checks.iter().map(|check| check.judgement).max();
    let join = |texts: Vec<&str>| texts.join("; ");
    let side = |of: fn(&Checked) -> Option<&str>| {
        let shown: Vec<&str> = checks.iter().filter_map(of).collect();
        (!shown.is_empty()).then(|| join(shown))
    };
    let mut files: Vec<String> = claim
        .checks
        .iter()
        .filter_map(|check| Some(runs.get(&check.figure.run)?.1.display().to_string()))
        .collect();
    files.dedup();
    Claimed {
        id: claim.id.clone(),
        text: claim.text.clone(),
        expected: checks
            .iter()
            .map(|check| format!("{} {}", check.what, check.expected))
            .collect::<Vec<_>>()
            .join("; "),
        base: side(|check| check.base.as_deref()),
        variant: side(|check| check.variant.as_deref()),
        judgement: worst.unwrap_or(Outcome::CannotTell),
        evidence: files.join(" "),
        checks,
    }
}

fn check(check: &Check, own: &str, runs: &Runs) -> Checked {
    let mut seen = Seen::default();
    let (judgement, measured) = match look::comparison(runs, &check.figure, own) {
        Err(why) => (Outcome::CannotTell, why),
        Ok(comparison) => {
            if let Ok(figures) = look::figure(comparison, &check.figure) {
                seen = figures;
            }
            let accel = runs.get(&check.figure.run);
            let accel = accel.map_or("", |(verdict, _)| verdict.host.accel.as_str());
            weigh(comparison, check, accel).unwrap_or_else(|why| (Outcome::CannotTell, why))
        }
    };
    Checked {
        what: words(&check.figure),
        expected: expected(&check.expect),
        base: seen.base.map(figure),
        variant: seen.variant.map(figure),
        measured,
        judgement,
        why: check.why.clone(),
    }
}

/// What follows, and the figure that it follows from.
fn weigh(comparison: &Comparison, check: &Check, accel: &str) -> Result<(Outcome, String), String> {
    let holds = |holds: bool| match holds {
        true => Outcome::Holds,
        false => Outcome::DoesNotHold,
    };
    match (&check.expect, &check.figure.what) {
        (Expect::NoneNew, What::Findings(among)) => Ok(none_new(comparison, among)),
        (Expect::Says(wanted), what) => {
            let (said, measure) = look::judgement(comparison, what)?;
            // Instructions are the same everywhere; speed is not.
            let emulated = is_throughput(measure) && accel == Accel::Tcg.name();
            let text = match emulated {
                true => format!("{}, under emulation", judged(said)),
                false => judged(said).to_owned(),
            };
            Ok((says(comparison, measure, said, wanted), text))
        }
        (expect, _) => {
            let seen = look::figure(comparison, &check.figure)?;
            let value = seen.value.unwrap_or(f64::NAN);
            let counted = matches!(check.figure.what, What::Count(_));
            // More can only be more, of one side.
            let one_sided = matches!(check.figure.side, Side::Base | Side::Variant);
            let bound = one_sided && matches!(expect, Expect::AtLeast(_));
            if counted
                && !bound
                && let Some(why) = counted_in_part(comparison)
            {
                return Err(format!("{}, in part: {why}", figure(value)));
            }
            let fits = match expect {
                Expect::About(about, within) => {
                    // Figures are sums of whole bytes and instructions: no more than rounding is lost.
                    (value - about).abs() <= about.abs() * (within / 100.0 + 1e-9)
                }
                Expect::AtLeast(least) => value >= *least,
                Expect::AtMost(most) => value <= *most,
                Expect::Between(least, most) => (*least..=*most).contains(&value),
                Expect::Below(what, side) => value < look::at(comparison, what, *side)?,
                Expect::Says(_) | Expect::NoneNew => {
                    return Err("nothing can be expected of it".into());
                }
            };
            Ok((holds(fits), figure(value)))
        }
    }
}

/// What a judgement says about those that are wanted. Unclear is no answer: where it is wanted, it takes
/// boots enough for an interval to be one.
fn says(
    comparison: &Comparison,
    measure: &Measure,
    said: Judgement,
    wanted: &[Judgement],
) -> Outcome {
    use verdict::Outcome::{Infrastructure, Interrupted};
    let listed = wanted.contains(&said);
    match said {
        _ if matches!(comparison.outcome, Infrastructure | Interrupted) => Outcome::CannotTell,
        Judgement::Unclear if !listed || measure.ci95.is_none() => Outcome::CannotTell,
        _ if listed => Outcome::Holds,
        _ => Outcome::DoesNotHold,
    }
}

/// The figure in words.
fn words(wanted: &Figure) -> String {
    let named = |what: &What, side: Side| {
        let name = look::name(what);
        match (what, side) {
            (What::Findings(_), _) => name,
            (_, Side::Base) => format!("{name}, base"),
            (_, Side::Variant) => name,
            (_, Side::Ratio) => format!("{name}, ratio"),
            (_, Side::Difference) => format!("{name}, difference"),
        }
    };
    let mut text = named(&wanted.what, wanted.side);
    if let Some((what, side)) = &wanted.over {
        text = format!("{text} over {}", named(what, *side));
    }
    if let Some(variant) = &wanted.variant {
        text = format!("{variant}: {text}");
    }
    text
}

fn expected(expect: &Expect) -> String {
    match expect {
        Expect::About(about, 0.0) => exact(*about),
        Expect::About(about, within) => format!("{} ± {} %", exact(*about), exact(*within)),
        Expect::AtLeast(least) => format!("≥ {}", exact(*least)),
        Expect::AtMost(most) => format!("≤ {}", exact(*most)),
        Expect::Between(least, most) => format!("{} to {}", exact(*least), exact(*most)),
        Expect::Below(what, _) => format!("below that of {}", look::name(what)),
        Expect::Says(wanted) => wanted
            .iter()
            .map(|one| judged(*one))
            .collect::<Vec<_>>()
            .join(" or "),
        Expect::NoneNew => "none that base does not have".into(),
    }
}

/// What is expected as it was written: a figure's three digits may not be all of it.
fn exact(n: f64) -> String {
    let short = figure(n);
    match short.replace(',', "").parse() {
        Ok(same) if n.total_cmp(&same).is_eq() => short,
        _ => n.to_string(),
    }
}

fn judged(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Equivalent => "equivalent",
        Judgement::Worse => "worse",
        Judgement::Better => "better",
        Judgement::Unclear => "unclear",
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use protocol::DetectorState;

    use super::*;
    use crate::{
        claims::types::Among,
        judge::verdict::{Kind, Status, Verdict},
        report::fixtures::{costs, sample},
    };

    const IOPS: &str = "fio read iops";

    /// One check of a run whose verdict is the reports' sample.
    fn checked(what: What, side: Side, expect: Expect) -> Checked {
        checked_in(sample(), what, side, expect)
    }

    fn checked_in(verdict: Verdict, what: What, side: Side, expect: Expect) -> Checked {
        let figure = Figure {
            run: "fio".into(),
            variant: None,
            what,
            side,
            over: None,
        };
        let check = Check {
            figure,
            expect,
            why: "it was said".into(),
        };
        let runs = BTreeMap::from([("fio".to_owned(), (verdict, PathBuf::from("runs/1")))]);
        super::check(&check, "ida-hashtable", &runs)
    }

    fn measure(name: &str) -> What {
        What::Measure(name.into())
    }

    #[test]
    fn figures_are_compared_with_what_is_expected() {
        use Outcome::{CannotTell, DoesNotHold, Holds};
        let table = [
            (Side::Base, Expect::About(5000.0, 0.0), Holds, "5,000"),
            (Side::Variant, Expect::About(5000.0, 5.0), Holds, "5,250"),
            (
                Side::Variant,
                Expect::About(5000.0, 4.9),
                DoesNotHold,
                "5,250",
            ),
            (Side::Ratio, Expect::AtMost(1.05), Holds, "1.05"),
            (Side::Ratio, Expect::AtLeast(1.06), DoesNotHold, "1.05"),
            (
                Side::Difference,
                Expect::Between(249.0, 250.0),
                Holds,
                "250",
            ),
            (
                Side::Base,
                Expect::Below(measure(IOPS), Side::Variant),
                Holds,
                "5,000",
            ),
            (
                Side::Base,
                Expect::Says(vec![Judgement::Equivalent]),
                CannotTell,
                "fio read iops was not judged",
            ),
        ];
        for (side, expect, judgement, measured) in table {
            let checked = checked(measure(IOPS), side, expect.clone());
            assert_eq!(
                (checked.judgement, checked.measured.as_str()),
                (judgement, measured),
                "{side:?} {expect:?}"
            );
            assert_eq!(checked.base.as_deref(), Some("5,000"));
        }
    }

    #[test]
    fn what_is_expected_loses_no_digit() {
        for (expect, text) in [
            (Expect::AtLeast(1.005), "≥ 1.005"),
            (Expect::About(0.125, 10.0), "0.125 ± 10.0 %"),
            (Expect::AtMost(3300.0), "≤ 3,300"),
            (Expect::About(37960.5, 0.0), "37960.5"),
        ] {
            assert_eq!(expected(&expect), text);
        }
    }

    #[test]
    fn what_is_missing_cannot_be_told() {
        let missing = checked(measure("fio"), Side::Base, Expect::AtLeast(0.0));
        assert_eq!(missing.judgement, Outcome::CannotTell);
        assert_eq!(missing.measured, "there is no measure \"fio\"");
        let one_side = checked(
            measure("fio read latency p99"),
            Side::Ratio,
            Expect::AtMost(2.0),
        );
        assert_eq!(one_side.judgement, Outcome::CannotTell);
        assert_eq!(
            one_side.measured,
            "fio read latency p99 is not known of base"
        );
        let count = checked(
            What::Count("lookups".into()),
            Side::Variant,
            Expect::AtLeast(1.0),
        );
        assert_eq!(count.judgement, Outcome::Holds);
    }

    #[test]
    fn structures_are_looked_up_by_name() {
        use Outcome::{CannotTell, DoesNotHold, Holds};
        let size = |name: &str| What::Size(name.into());
        let slab = |name: &str| What::Slab(name.into());
        let (new, whole) = ("fuse_backing_table", Side::Difference);
        let table = [
            (size("fuse_backing"), whole, 16.0, Holds, "16.0"),
            (size("fuse_backing"), whole, 24.0, DoesNotHold, "16.0"),
            (slab("fuse_backing"), Side::Variant, 64.0, Holds, "64.0"),
            (size(new), Side::Variant, 2048.0, Holds, "2,048"),
            (
                size(new),
                whole,
                2048.0,
                CannotTell,
                "size of struct fuse_backing_table is not known of base",
            ),
            (
                size("inode"),
                Side::Base,
                1.0,
                CannotTell,
                "struct inode was not measured: the patch changes none of that name, or its files did not \
                 compile again with types",
            ),
        ];
        for (what, side, is, judgement, measured) in table {
            let checked = checked_in(costs(), what, side, Expect::About(is, 0.0));
            let got = (checked.judgement, checked.measured.as_str());
            assert_eq!(got, (judgement, measured), "{}", checked.what);
        }
    }

    #[test]
    fn throughput_under_emulation_is_called_that() {
        let expect = Expect::Says(vec![Judgement::Equivalent]);
        let checked = checked_in(costs(), measure("fio iops"), Side::Variant, expect);
        assert_eq!(
            (checked.judgement, checked.measured.as_str()),
            (Outcome::Holds, "equivalent, under emulation")
        );
    }

    #[test]
    fn an_unclear_judgement_is_an_answer_only_where_it_is_wanted_and_boots_were_made() {
        use Judgement::{Equivalent, Unclear, Worse};
        use Outcome::{CannotTell, DoesNotHold, Holds};
        use verdict::Outcome::{Infrastructure, Pass};
        let interval = Some([0.9, 1.1]);
        let table = [
            (Pass, Equivalent, interval, vec![Equivalent], Holds),
            (Pass, Worse, interval, vec![Equivalent], DoesNotHold),
            (Pass, Unclear, interval, vec![Equivalent], CannotTell),
            (Pass, Unclear, interval, vec![Equivalent, Unclear], Holds),
            (Pass, Unclear, None, vec![Equivalent, Unclear], CannotTell),
            (
                Infrastructure,
                Equivalent,
                interval,
                vec![Equivalent],
                CannotTell,
            ),
        ];
        for (outcome, said, ci95, wanted, judgement) in table {
            let mut verdict = costs();
            let comparison = &mut verdict.comparisons[0];
            comparison.outcome = outcome;
            let mut measures = comparison.measures.iter_mut();
            let measure = measures.find(|one| one.name == "fio iops").unwrap();
            (measure.judgement, measure.ci95) = (Some(said), ci95);
            let expect = Expect::Says(wanted.clone());
            let checked = checked_in(
                verdict,
                What::Measure("fio iops".into()),
                Side::Variant,
                expect,
            );
            assert_eq!(
                checked.judgement, judgement,
                "{outcome:?} {said:?} {wanted:?}"
            );
        }
    }

    #[test]
    fn what_is_new_does_not_hold() {
        let of = |class: &str| {
            let what = What::Findings(Among {
                classes: vec![class.into()],
                ..Among::default()
            });
            let mut verdict = sample();
            // Whatever else was missing would leave it open.
            verdict.comparisons[0].reasons.clear();
            let watched = ("kcsan".to_owned(), DetectorState::On);
            verdict.comparisons[0].detectors.extend([watched]);
            checked_in(verdict, what, Side::Variant, Expect::NoneNew)
        };
        assert_eq!(of("kasan").judgement, Outcome::DoesNotHold);
        assert!(of("kasan").measured.starts_with("KASAN: "));
        // What is common, fixed or accepted is not held against it.
        assert_eq!(of("kcsan").judgement, Outcome::Holds);
    }

    #[test]
    fn counts_of_a_run_that_was_cut_short_are_lower_bounds() {
        use Outcome::{CannotTell, Holds};
        use verdict::Outcome::{Inconclusive, Infrastructure, Interrupted, Regression};
        let none = Expect::AtMost(12_345.0);
        let some = Expect::AtLeast(12_345.0);
        let splat = |status| Some((Kind::Splat, status));
        for (outcome, found, expect, judgement) in [
            (Inconclusive, None, &none, Holds),
            (Interrupted, None, &none, CannotTell),
            (Interrupted, None, &some, Holds),
            (Infrastructure, None, &none, CannotTell),
            (Regression, splat(Status::New), &none, CannotTell),
            (Regression, splat(Status::New), &some, Holds),
            (Inconclusive, splat(Status::Common), &none, Holds),
            // Base's own hang cuts base's counts short.
            (
                Inconclusive,
                Some((Kind::Hang, Status::Fixed)),
                &none,
                CannotTell,
            ),
        ] {
            let mut verdict = sample();
            let comparison = &mut verdict.comparisons[0];
            comparison.outcome = outcome;
            comparison.findings.truncate(usize::from(found.is_some()));
            if let Some((kind, status)) = found {
                let finding = &mut comparison.findings[0];
                (finding.kind, finding.status) = (kind, status);
            }
            let what = What::Count("lookups".into());
            let checked = checked_in(verdict, what, Side::Variant, expect.clone());
            assert_eq!(checked.judgement, judgement, "{outcome:?} {expect:?}");
        }
    }

    #[test]
    fn a_claim_is_as_good_as_its_worst_check() {
        let text =
            "variant: ida-hashtable\nruns:\n  fio: {config: plain, scenario: fio}\nclaims:\n";
        let claim = |id: &str, checks: &[&str]| {
            let checks: String = checks
                .iter()
                .map(|check| format!("    - {{run: fio, measure: {IOPS}, {check}, why: said}}\n"))
                .collect();
            format!("  - id: {id}\n    text: as quick\n    checks:\n{checks}")
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("claims.yaml");
        let all = [
            claim("C1", &["of: ratio, at_least: 1", "of: ratio, at_most: 2"]),
            claim("C2", &["of: ratio, at_least: 1", "says: [worse]"]),
            claim("C3", &["says: [worse]", "of: ratio, at_least: 2"]),
        ];
        std::fs::write(&file, text.to_owned() + &all.concat()).unwrap();
        let claims = crate::claims::load(&file).unwrap();
        let runs = BTreeMap::from([("fio".to_owned(), (sample(), PathBuf::from("runs/1")))]);
        let judged = judge(&claims, &runs);
        let outcomes: Vec<Outcome> = judged.iter().map(|claim| claim.judgement).collect();
        assert_eq!(
            outcomes,
            [Outcome::Holds, Outcome::CannotTell, Outcome::DoesNotHold]
        );
        assert_eq!(
            judged[0].expected,
            "fio read iops, ratio ≥ 1.00; fio read iops, ratio ≤ 2.00"
        );
        assert_eq!(judged[0].evidence, "runs/1");
    }
}
