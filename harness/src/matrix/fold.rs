//! A cell's attempts as one state (pure): what comes next, and what it says in the end.

use super::{
    attempt::{Attempt, Ended, How, Seen},
    plan::Plan,
    summary::{CellSummary, Expected, FindingSummary, MeasureSummary, State},
    told::{self, Told},
    types::{Budget, Cell, Expectation},
};
use crate::{
    exit,
    judge::{
        is_by_chance,
        verdict::{Outcome, Verdict},
    },
};

/// What a cell's attempts ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another attempt.
    Run,
    /// Nothing: it has ended.
    Ended,
}

/// A cell that was cut off so often in a row is given up: what ends its process may be the cell, and those
/// behind it would never have their turn.
pub(super) const MOST_CUT_OFF: usize = 5;

/// How many attempts were cut off since one ended otherwise; the last may not be known to have ended.
pub(super) fn cut_off_in_a_row(attempts: &[Attempt]) -> usize {
    let cut = |ended: &Ended| ended.how == How::CutOff;
    let last = attempts.iter().rev();
    last.take_while(|attempt| attempt.ended.as_ref().is_none_or(cut))
        .count()
}

/// What comes next. A run that was cut off or interrupted says nothing, and is run again. One that ended
/// for infrastructure's sake is run again within the budget, and so is one that did not pass where the
/// budget confirms: its outcome stays.
pub(super) fn next(attempts: &[Attempt], budget: &Budget) -> Next {
    let tally = Tally::of(attempts);
    let again = |yes: bool| if yes { Next::Run } else { Next::Ended };
    match tally.worst() {
        None => again(tally.infrastructure < budget.attempts && !tally.for_good),
        Some(Outcome::Regression | Outcome::Inconclusive) => again(
            tally.conclusive.len() <= budget.confirm as usize
                && tally.infrastructure < budget.attempts
                && !tally.for_good,
        ),
        Some(_) => Next::Ended,
    }
}

/// The number of the attempt whose outcome is the cell's; none while that may still get a better one.
pub(super) fn telling(attempts: &[Attempt], budget: &Budget) -> Option<u32> {
    let tally = Tally::of(attempts);
    let settled = !tally.conclusive.is_empty() || next(attempts, budget) == Next::Ended;
    let telling = tally.telling().filter(|_| settled);
    telling.map(|(attempt, _)| attempt.number)
}

/// What a cell's attempts come to.
#[derive(Debug, Default)]
struct Tally<'a> {
    /// Attempts that say something about the patch.
    conclusive: Vec<(&'a Attempt, Outcome)>,
    infrastructure: u32,
    cut_off: u32,
    for_good: bool,
    /// The last that ended, whatever it says.
    last: Option<&'a Attempt>,
}

impl<'a> Tally<'a> {
    fn of(attempts: &'a [Attempt]) -> Self {
        let mut tally = Self::default();
        for attempt in attempts {
            let Some(Ended { how, for_good, .. }) = &attempt.ended else {
                continue;
            };
            match how {
                How::CutOff | How::Outcome(Outcome::Interrupted) => {
                    tally.cut_off += 1;
                    continue;
                }
                How::Outcome(Outcome::Infrastructure) => tally.infrastructure += 1,
                How::Outcome(outcome) => tally.conclusive.push((attempt, *outcome)),
            }
            tally.last = Some(attempt);
            tally.for_good |= for_good;
        }
        tally
    }

    /// The worst of what says something about the patch.
    fn worst(&self) -> Option<Outcome> {
        let outcomes = self.conclusive.iter().map(|(_, outcome)| *outcome);
        (!self.conclusive.is_empty()).then(|| exit::combine(outcomes))
    }

    /// The attempt that the cell's outcome is of.
    fn telling(&self) -> Option<(&'a Attempt, Outcome)> {
        let worst = self.worst();
        let first = self
            .conclusive
            .iter()
            .find(|(_, outcome)| Some(*outcome) == worst);
        first
            .copied()
            .or_else(|| Some((self.last?, Outcome::Infrastructure)))
    }

    /// The attempts that did not pass, but for this one.
    fn failed_besides(&self, telling: &Attempt) -> impl Iterator<Item = (&'a Attempt, Outcome)> {
        let besides = self.conclusive.iter().copied();
        besides.filter(move |(attempt, outcome)| {
            *outcome != Outcome::Pass && attempt.number != telling.number
        })
    }

    fn flaky(&self) -> bool {
        let passed = |pass: bool| {
            let mut all = self.conclusive.iter();
            all.any(move |(_, outcome)| (*outcome == Outcome::Pass) == pass)
        };
        passed(true) && passed(false)
    }
}

/// A cell in the summary. `verdict` reads an attempt's, by its number.
pub(super) fn summarize(
    plan: &Plan,
    cell: &Cell,
    seen: &Seen,
    today: &str,
    verdict: &dyn Fn(u32) -> Option<Verdict>,
) -> CellSummary {
    let tally = Tally::of(&seen.attempts);
    let ended = next(&seen.attempts, &plan.budget) == Next::Ended && !tally.open(&seen.attempts);
    let state = match (seen.held, ended) {
        (true, _) => State::Running,
        (false, true) => State::Done,
        (false, false) => State::Planned,
    };
    // While it may still be confirmed, or run again, what is known is shown.
    let telling = tally
        .telling()
        .filter(|_| state == State::Done || !tally.conclusive.is_empty());
    let besides = telling.map(|(attempt, _)| tally.failed_besides(attempt));
    let told: Vec<Told<'_>> = telling
        .into_iter()
        .chain(besides.into_iter().flatten())
        .map(|one| Told::read(one, verdict))
        .collect();
    let mut reasons: Vec<String> = Vec::new();
    for one in &told {
        for reason in one.reasons() {
            if !reasons.contains(reason) {
                reasons.push(reason.clone());
            }
        }
    }
    let expected = match excuse(plan, cell, &told, today) {
        Excuse::Holds(expected) => Some(expected),
        Excuse::RanOut(Expected { reason, until }) => {
            reasons.push(format!("it was expected until {until}: {reason}"));
            None
        }
        Excuse::None => None,
    };
    let first = told.first();
    let own = first.and_then(|first| first.verdict.as_ref());
    let recorded = telling.and_then(|(attempt, _)| attempt.ended.as_ref());
    let left_open = seen
        .attempts
        .last()
        .is_some_and(|last| last.ended.is_none())
        && !seen.held;
    let [kernel, patch, config, scenario, profile] = cell.parts().map(str::to_owned);
    CellSummary {
        id: cell.id.clone(),
        kernel,
        patch,
        config,
        scenario,
        profile,
        state,
        outcome: telling.map(|(_, outcome)| outcome),
        attempts: seen.attempts.len() as u32,
        infrastructure: tally.infrastructure,
        cut_off: tally.cut_off + u32::from(left_open),
        flaky: tally.flaky(),
        expected,
        duration_s: recorded.map(|ended| ended.seconds),
        run: first.and_then(|first| first.run(cell)),
        kernel_version: own.map(|verdict| verdict.kernel.version.clone()),
        measures: own.map(MeasureSummary::of).unwrap_or_default(),
        findings: told::findings(cell, &told),
        reasons,
    }
}

impl Tally<'_> {
    /// Whether the last attempt has not ended: it runs, or was cut off.
    fn open(&self, attempts: &[Attempt]) -> bool {
        attempts.last().is_some_and(|last| last.ended.is_none())
    }
}

/// What is known of an outcome: why it does not count, or why it does by now.
enum Excuse {
    Holds(Expected),
    RanOut(Expected),
    None,
}

/// The excuse of all attempts together: nothing excuses a cell one of whose attempts has none, and the first
/// that ran out tells why it counts by now.
fn excuse(plan: &Plan, cell: &Cell, told: &[Told<'_>], today: &str) -> Excuse {
    let each = told.iter().map(|one| excuse_of(plan, cell, one, today));
    let all = each.reduce(|all, one| match (all, one) {
        (Excuse::None, _) | (_, Excuse::None) => Excuse::None,
        (Excuse::Holds(_), Excuse::RanOut(one)) => Excuse::RanOut(one),
        (all, _) => all,
    });
    all.unwrap_or(Excuse::None)
}

fn excuse_of(plan: &Plan, cell: &Cell, told: &Told<'_>, today: &str) -> Excuse {
    let counted = || told.findings.iter().filter(|finding| finding.counts());
    // What failed without any finding did not fail for these.
    let shows = counted().next().is_some();
    // Nor did it for these alone where something else keeps it from a verdict.
    let for_these = |titles: &[String]| {
        let is_of_these = |reason| titles.iter().any(|title| is_by_chance(reason, title));
        told.outcome != Outcome::Inconclusive || told.reasons().all(|reason| is_of_these(reason))
    };
    let fits = |one: &&Expectation| {
        let known = |finding: &FindingSummary| one.titles.contains(&finding.title);
        let shown = || shows && counted().all(known) && for_these(&one.titles);
        one.outcome == told.outcome && one.filter.holds(cell) && (one.titles.is_empty() || shown())
    };
    let fitting = || plan.expected.iter().filter(fits);
    let expected = |one: &Expectation| Expected {
        reason: one.reason.clone(),
        until: one.until.clone(),
    };
    let mut current = fitting().filter(|one| one.until.as_str() >= today);
    match (current.next(), fitting().next_back()) {
        (Some(one), _) => Excuse::Holds(expected(one)),
        (None, Some(one)) => Excuse::RanOut(expected(one)),
        (None, None) => Excuse::None,
    }
}

/// The outcome over those cells that have ended, as they count; none while none has, and no pass
/// before all have.
pub(super) fn overall(cells: &[CellSummary]) -> Option<Outcome> {
    let outcomes: Vec<Outcome> = cells.iter().filter_map(CellSummary::counting).collect();
    let outcome = (!outcomes.is_empty()).then(|| exit::combine(outcomes.iter().copied()));
    outcome.filter(|outcome| *outcome != Outcome::Pass || outcomes.len() == cells.len())
}

#[cfg(test)]
mod tests {
    use Outcome::*;

    use super::*;
    use crate::{
        judge::verdict::{Kind, Status},
        matrix::plan::tests::of,
        report::fixtures::sample,
    };

    const TEXT: &str = "\
name: m
kernels: [locked]
patches: [a]
configs: [kasan]
scenarios: [race]
budget: {attempts: 2, confirm: 1}
expected:
  - {outcome: regression, reason: being mended, until: 2026-06-30, titles: [KNOWN]}
  - {outcome: inconclusive, reason: its own races, until: 2026-06-30}
";

    /// Attempts by how they ended; none for one that has not.
    fn attempts(how: &[Option<How>]) -> Vec<Attempt> {
        let numbered = how.iter().zip(1..);
        numbered
            .map(|(how, number)| Attempt {
                number,
                started: "2026-01-01T00:00:00Z".into(),
                host: "h".into(),
                seed: 1,
                ended: how.map(|how| Ended {
                    at: "2026-01-01T00:01:00Z".into(),
                    how,
                    seconds: 60.0,
                    reasons: Vec::new(),
                    for_good: false,
                }),
            })
            .collect()
    }

    fn outcomes(list: &[Outcome]) -> Vec<Attempt> {
        let how: Vec<_> = list
            .iter()
            .map(|outcome| Some(How::Outcome(*outcome)))
            .collect();
        attempts(&how)
    }

    #[test]
    fn what_comes_next() {
        let budget = |attempts, confirm| Budget {
            attempts,
            confirm,
            ..Budget::default()
        };
        let table: &[(&[Outcome], u32, u32, Next)] = &[
            (&[], 1, 0, Next::Run),
            (&[Pass], 3, 1, Next::Ended),
            // Infrastructure is bounded.
            (&[Infrastructure], 3, 0, Next::Run),
            (&[Infrastructure, Infrastructure], 3, 0, Next::Run),
            (
                &[Infrastructure, Infrastructure, Infrastructure],
                3,
                0,
                Next::Ended,
            ),
            (&[Infrastructure, Pass], 3, 0, Next::Ended),
            // A failure is not rolled again, but where it is to be confirmed.
            (&[Regression], 3, 0, Next::Ended),
            (&[Regression], 3, 1, Next::Run),
            (&[Regression, Pass], 3, 1, Next::Ended),
            (&[Inconclusive], 3, 2, Next::Run),
            (
                &[Inconclusive, Infrastructure, Infrastructure, Infrastructure],
                3,
                2,
                Next::Ended,
            ),
            (&[Untestable], 3, 2, Next::Ended),
            // The user's own stop says nothing.
            (&[Interrupted, Interrupted, Interrupted], 1, 0, Next::Run),
        ];
        for (list, most, confirm, expected) in table {
            assert_eq!(
                next(&outcomes(list), &budget(*most, *confirm)),
                *expected,
                "{list:?}"
            );
        }
        let cut = attempts(&[Some(How::CutOff), Some(How::CutOff), None]);
        assert_eq!(next(&cut, &budget(1, 0)), Next::Run);
        let mut for_good = outcomes(&[Infrastructure]);
        for_good[0].ended.as_mut().unwrap().for_good = true;
        assert_eq!(next(&for_good, &budget(3, 0)), Next::Ended);
    }

    #[test]
    fn attempts_that_were_cut_off_in_a_row() {
        let cut = Some(How::CutOff);
        let stopped = Some(How::Outcome(Interrupted));
        let table: [(&[Option<How>], usize); 5] = [
            (&[], 0),
            (&[cut, cut, None], 3),
            (&[cut, cut, stopped], 0),
            (&[cut, stopped, cut], 1),
            (&[Some(How::Outcome(Regression)), cut, cut], 2),
        ];
        for (how, expected) in table {
            assert_eq!(cut_off_in_a_row(&attempts(how)), expected, "{how:?}");
        }
    }

    fn cell(attempts: Vec<Attempt>, held: bool, title: &str, today: &str) -> CellSummary {
        let plan = of(TEXT).unwrap();
        let seen = Seen { attempts, held };
        summarize(&plan, &plan.cells[0].cell, &seen, today, &|number| {
            let mut verdict = sample();
            verdict.comparisons.truncate(1);
            let finding = &mut verdict.comparisons[0].findings[0];
            finding.title = title.to_owned();
            finding.status = Status::New;
            finding.accepted = None;
            finding.kind = Kind::Splat;
            verdict.comparisons[0].findings.truncate(1);
            (number < 9).then_some(verdict)
        })
    }

    #[test]
    fn a_pass_after_a_failure_is_flaky_and_no_pass() {
        for list in [
            &[Regression, Pass][..],
            &[Pass, Regression],
            &[Infrastructure, Regression, Pass],
        ] {
            let cell = cell(outcomes(list), false, "T", "2026-01-01");
            assert_eq!(
                (cell.outcome, cell.flaky),
                (Some(Regression), true),
                "{list:?}"
            );
            assert_eq!(cell.state, State::Done);
            let failed = list
                .iter()
                .position(|outcome| *outcome == Regression)
                .unwrap();
            assert_eq!(
                cell.run.unwrap(),
                format!("cells/locked+a+kasan+race+quick/{}", failed + 1)
            );
        }
        let cell = cell(outcomes(&[Infrastructure, Pass]), false, "T", "2026-01-01");
        assert_eq!(
            (cell.outcome, cell.flaky, cell.infrastructure),
            (Some(Pass), false, 1)
        );
    }

    #[test]
    fn how_far_a_cell_is() {
        let cut = Some(How::CutOff);
        type Case<'c> = (&'c [Option<How>], bool, State, Option<Outcome>, u32);
        let table: [Case<'_>; 6] = [
            (&[], false, State::Planned, None, 0),
            (&[None], true, State::Running, None, 0),
            (&[None], false, State::Planned, None, 1),
            (&[cut, None], true, State::Running, None, 1),
            (
                &[cut, Some(How::Outcome(Pass))],
                false,
                State::Done,
                Some(Pass),
                1,
            ),
            (
                &[Some(How::Outcome(Infrastructure)); 2],
                false,
                State::Done,
                Some(Infrastructure),
                0,
            ),
        ];
        for (how, held, state, outcome, cut_off) in table {
            let cell = cell(attempts(how), held, "T", "2026-01-01");
            assert_eq!(
                (cell.state, cell.outcome, cell.cut_off),
                (state, outcome, cut_off),
                "{how:?}"
            );
            assert_eq!(cell.attempts as usize, how.len());
        }
    }

    #[test]
    fn titles_excuse_what_shows_them_and_nothing_else() {
        let text = TEXT.replace(", titles: [KNOWN]", "").replace(
            "reason: its own races, until: 2026-06-30",
            "reason: its own races, until: 2026-06-30, titles: [KNOWN]",
        );
        let plan = of(&text).unwrap();
        let chance = "on the variant only, and it may be chance: KNOWN (in 1 of 3 boots)";
        let other = chance.replace("KNOWN", "OTHER");
        let (dumb, spent) = ("no line of the patch ran", "stopped after the 7 s");
        // How many findings, why the run has no verdict, and why its record says so.
        let table: [(usize, &[&str], &[&str], bool); 7] = [
            (1, &[], &[], true),
            (1, &[chance], &[], true),
            (0, &[], &[], false),
            (0, &[dumb], &[], false),
            (1, &[chance, dumb], &[], false),
            (1, &[chance, &other], &[], false),
            (1, &[chance], &[spent], false),
        ];
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        for (findings, reasons, recorded, excused) in table {
            let mut attempts = outcomes(&[Inconclusive, Inconclusive]);
            attempts[1].ended.as_mut().unwrap().reasons = owned(recorded);
            let seen = Seen {
                attempts,
                held: false,
            };
            let cell = summarize(&plan, &plan.cells[0].cell, &seen, "2026-01-01", &|_| {
                let mut verdict = sample();
                verdict.comparisons.truncate(1);
                let shown = &mut verdict.comparisons[0].findings;
                shown[0].title = "KNOWN".to_owned();
                shown[0].status = Status::Unconfirmed;
                shown[0].accepted = None;
                shown.truncate(findings);
                verdict.comparisons[0].reasons = owned(reasons);
                Some(verdict)
            });
            assert_eq!(
                cell.expected.is_some(),
                excused,
                "{findings} {reasons:?} {recorded:?}"
            );
        }
    }

    #[test]
    fn every_attempt_that_did_not_pass_is_shown_and_must_be_excused() {
        const OTHER: &str = "KASAN: slab-use-after-free Read in f";
        let plan = of(&TEXT.replace("titles: [KNOWN]", "titles: [KNOWN, ALSO]")).unwrap();
        // How each attempt ended, with which findings; what is excused; what is shown of which run.
        type Case<'c> = (&'c [(Outcome, &'c [&'c str])], bool, &'c [(&'c str, u32)]);
        let table: [Case<'_>; 8] = [
            (
                &[(Regression, &["KNOWN"]), (Regression, &[OTHER])],
                false,
                &[("KNOWN", 1), (OTHER, 2)],
            ),
            (
                &[(Regression, &["KNOWN"]), (Regression, &["KNOWN", "ALSO"])],
                true,
                &[("KNOWN", 1), ("ALSO", 2)],
            ),
            (
                &[(Regression, &["KNOWN"]), (Regression, &["KNOWN"])],
                true,
                &[("KNOWN", 1)],
            ),
            (
                &[(Regression, &["KNOWN"]), (Pass, &[])],
                true,
                &[("KNOWN", 1)],
            ),
            // Another outcome wants an expectation of its own.
            (
                &[(Regression, &["KNOWN"]), (Inconclusive, &[OTHER])],
                true,
                &[("KNOWN", 1), (OTHER, 2)],
            ),
            (
                &[(Inconclusive, &[]), (Regression, &[OTHER])],
                false,
                &[(OTHER, 2)],
            ),
            // The worst one is shown first.
            (
                &[(Inconclusive, &[OTHER]), (Regression, &["KNOWN"])],
                true,
                &[("KNOWN", 2), (OTHER, 1)],
            ),
            (
                &[(Regression, &["KNOWN"]), (Untestable, &[])],
                false,
                &[("KNOWN", 1)],
            ),
        ];
        for (ends, excused, shown) in table {
            let list: Vec<Outcome> = ends.iter().map(|(outcome, _)| *outcome).collect();
            let seen = Seen {
                attempts: outcomes(&list),
                held: false,
            };
            let own = &plan.cells[0].cell;
            let cell = summarize(&plan, own, &seen, "2026-01-01", &|number| {
                let mut verdict = sample();
                verdict.comparisons.truncate(1);
                let mut finding = verdict.comparisons[0].findings.remove(0);
                finding.status = Status::New;
                finding.accepted = None;
                let titles = ends[number as usize - 1].1.iter();
                verdict.comparisons[0].findings = titles
                    .map(|title| crate::judge::verdict::Finding {
                        title: (*title).to_owned(),
                        ..finding.clone()
                    })
                    .collect();
                Some(verdict)
            });
            assert_eq!(cell.expected.is_some(), excused, "{ends:?}");
            let runs = cell.findings.iter().map(|finding| {
                let run = finding.run.as_ref().or(cell.run.as_ref()).unwrap();
                (finding.title.as_str(), run.clone())
            });
            let expected = shown
                .iter()
                .map(|(title, number)| (*title, format!("cells/{}/{number}", own.id)));
            assert_eq!(
                runs.collect::<Vec<_>>(),
                expected.collect::<Vec<_>>(),
                "{ends:?}"
            );
        }
    }

    #[test]
    fn no_pass_before_all_have_ended() {
        let ended = |outcome| cell(outcomes(&[outcome, outcome]), false, "T", "2026-01-01");
        let open = || cell(Vec::new(), false, "T", "2026-01-01");
        for (cells, all) in [
            (vec![ended(Pass), ended(Pass)], Some(Pass)),
            (vec![ended(Pass), open()], None),
            (vec![ended(Untestable), open()], Some(Untestable)),
            (vec![open()], None),
        ] {
            assert_eq!(overall(&cells), all);
        }
    }

    #[test]
    fn what_is_expected_does_not_count_until_its_date() {
        let regression = || outcomes(&[Regression, Regression]);
        let table = [
            ("KNOWN", "2026-06-30", true),
            ("KNOWN", "2026-07-01", false),
            ("another", "2026-06-30", false),
        ];
        for (title, today, excused) in table {
            let cell = cell(regression(), false, title, today);
            assert_eq!(cell.outcome, Some(Regression));
            assert_eq!(cell.expected.is_some(), excused, "{title} {today}");
            let ran_out = cell
                .reasons
                .iter()
                .any(|r| r.contains("expected until 2026-06-30"));
            assert_eq!(ran_out, title == "KNOWN" && !excused, "{cell:?}");
            let all = overall(&[cell]);
            assert_eq!(all, Some(if excused { Pass } else { Regression }));
        }
        // Another outcome than the expected one counts.
        let cell = cell(outcomes(&[Untestable]), false, "KNOWN", "2026-01-01");
        assert!(cell.expected.is_none());
        assert_eq!(overall(&[]), None);
    }
}
