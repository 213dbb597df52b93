//! Running a matrix's cells, one after the other, each to its end.

use std::time::{Duration, Instant, SystemTime};

use super::{
    attempt::{Attempt, Claim, Ended, How},
    fold::{MOST_CUT_OFF, Next, cut_off_in_a_row, next},
    folder::Folder,
    hears::Hears,
    limit::Limit,
    runner::Runner,
    types::Cell,
};
use crate::{
    Error, Fault, Result,
    cancel::Cancel,
    engine::date::rfc3339,
    event::{Event, Watcher},
    exit,
    judge::verdict::{Comparison, Kind, Outcome, Status, Verdict},
};

/// What one command does in a matrix's folder.
pub struct Work<'a> {
    /// The folder.
    pub folder: &'a Folder,
    /// The cells, by their places in the plan, in the order in which they run, but that those which were cut
    /// off come last.
    pub wanted: &'a [usize],
    /// Run those that have ended once more; what they said before stays.
    pub again: bool,
    /// The user's wish to stop.
    pub cancel: &'a Cancel,
    /// Who watches.
    pub watcher: &'a dyn Watcher,
}

/// Why a command stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every cell has ended.
    Ended,
    /// The budget of one command is spent; the same command goes on.
    Budget,
    /// The user stopped it; the same command goes on.
    Interrupted,
}

/// Runs the cells that have not ended.
///
/// # Errors
/// The host's; what ends a single cell is in its record.
pub fn run(work: &Work<'_>, runner: &mut dyn Runner, hears: &mut dyn Hears) -> Result<Stopped> {
    let began = Instant::now();
    let total = work.folder.plan().budget.total_s.map(Duration::from_secs);
    let is_spent = || total.is_some_and(|total| began.elapsed() >= total);
    let mut held = Vec::new();
    let mut wanted = Vec::new();
    for at in work.wanted {
        let attempts = work.folder.attempts(&work.folder.plan().cells[*at].cell)?;
        wanted.push((cut_off_in_a_row(&attempts), *at));
    }
    wanted.sort_by_key(|(cut_off, _)| *cut_off);
    for (number, (_, at)) in wanted.iter().enumerate() {
        if work.cancel.is_cancelled() {
            return Ok(Stopped::Interrupted);
        }
        let cell = &work.folder.plan().cells[*at].cell;
        let Some(mut claim) = work.folder.try_take(cell)? else {
            held.push((*at, concluded(&work.folder.attempts(cell)?)));
            continue;
        };
        if !work.again && next(claim.attempts(), &work.folder.plan().budget) == Next::Ended {
            work.leave(cell, &claim, hears);
            continue;
        }
        if is_spent() {
            work.note("the budget of one command is spent: the same command goes on".to_owned());
            return Ok(Stopped::Budget);
        }
        work.note(format!(
            "cell {} of {}: {}",
            number + 1,
            work.wanted.len(),
            cell.id
        ));
        let stopped = work.cell(cell, &mut claim, runner, hears)?;
        work.leave(cell, &claim, hears);
        if stopped == Stopped::Interrupted {
            return Ok(stopped);
        }
    }
    // What somebody else had when its turn came: it was run, was cut off, or was only looked at.
    for (at, before) in held {
        let cell = &work.folder.plan().cells[at].cell;
        work.note(format!("waiting for {}, which somebody else runs", cell.id));
        let mut claim = match work.folder.take(cell, work.cancel) {
            Ok(claim) => claim,
            Err(error) if error.fault() == Fault::Interrupted => return Ok(Stopped::Interrupted),
            Err(error) => return Err(error),
        };
        if is_spent() {
            return Ok(Stopped::Budget);
        }
        let once_more = work.again && concluded(claim.attempts()) == before;
        let stopped = match next(claim.attempts(), &work.folder.plan().budget) {
            Next::Ended if !once_more => Stopped::Ended,
            Next::Ended | Next::Run => work.cell(cell, &mut claim, runner, hears)?,
        };
        work.leave(cell, &claim, hears);
        if stopped == Stopped::Interrupted {
            return Ok(stopped);
        }
    }
    Ok(Stopped::Ended)
}

/// How many attempts came to an end of their own, which nobody stopped.
fn concluded(attempts: &[Attempt]) -> usize {
    let ends = attempts.iter().filter_map(|attempt| attempt.ended.as_ref());
    ends.filter(|ended| !matches!(ended.how, How::CutOff | How::Outcome(Outcome::Interrupted)))
        .count()
}

impl Work<'_> {
    fn note(&self, text: String) {
        self.watcher.event(&Event::Note(text));
    }

    /// Says what came of a cell.
    fn leave(&self, cell: &Cell, claim: &Claim, hears: &mut dyn Hears) {
        let left = self.folder.left_of(cell, claim.attempts());
        hears.left(cell, &left);
    }

    /// Tells how an attempt ended.
    fn tell(&self, cell: &Cell, ended: &Ended) {
        if let How::Outcome(outcome) = ended.how {
            self.watcher.event(&Event::Judged {
                what: cell.id.clone(),
                outcome,
            });
        }
        for reason in &ended.reasons {
            self.watcher
                .event(&Event::Warning(format!("{}: {reason}", cell.id)));
        }
    }

    /// Attempts of one cell until it has ended.
    fn cell(
        &self,
        cell: &Cell,
        claim: &mut Claim,
        runner: &mut dyn Runner,
        hears: &mut dyn Hears,
    ) -> Result<Stopped> {
        let budget = &self.folder.plan().budget;
        let mut once_more = self.again;
        while once_more || next(claim.attempts(), budget) == Next::Run {
            let cut_off = cut_off_in_a_row(claim.attempts());
            if !once_more && cut_off >= MOST_CUT_OFF {
                let reason = format!(
                    "it was cut off {cut_off} times in a row: it may be what ends its process or its machine"
                );
                let ended = given_up(&reason);
                self.tell(cell, &ended);
                end_at_once(self.folder, cell, claim, ended)?;
                self.folder.keep(&self.folder.summary()?)?;
                continue;
            }
            once_more = false;
            let dir = claim.begin(&|number| self.folder.seed(cell, number))?;
            let seed = claim.attempts().last().map_or(0, |attempt| attempt.seed);
            let limit = Limit::new(self.cancel, Duration::from_secs(budget.cell_s));
            let began = Instant::now();
            let ran = runner.run(cell, seed, &dir, limit.cancel());
            let seconds = began.elapsed().as_secs_f64();
            let spent = limit.ran_out().then_some(budget.cell_s);
            let ended = ended(ran, seconds, spent, self.cancel.is_cancelled());
            drop(limit);
            let How::Outcome(outcome) = ended.how else {
                continue;
            };
            self.tell(cell, &ended);
            claim.end(ended)?;
            if !matches!(outcome, Outcome::Interrupted | Outcome::Infrastructure) {
                hears.took(cell, seconds);
            }
            self.folder.keep(&self.folder.summary()?)?;
            if outcome == Outcome::Interrupted {
                return Ok(Stopped::Interrupted);
            }
        }
        Ok(Stopped::Ended)
    }
}

/// Ends a cell that cannot be run, for infrastructure's sake and for good, unless it has ended.
///
/// # Errors
/// The host's, or an interruption.
pub fn give_up(folder: &Folder, at: usize, reason: &str, cancel: &Cancel) -> Result<()> {
    let cell = &folder.plan().cells[at].cell;
    let mut claim = folder.take(cell, cancel)?;
    if next(claim.attempts(), &folder.plan().budget) == Next::Ended {
        return Ok(());
    }
    end_at_once(folder, cell, &mut claim, given_up(reason))
}

/// How an attempt at a cell ends that cannot be run: no other would do better.
fn given_up(reason: &str) -> Ended {
    Ended {
        at: rfc3339(SystemTime::now()),
        how: How::Outcome(Outcome::Infrastructure),
        seconds: 0.0,
        reasons: vec![reason.to_owned()],
        for_good: true,
    }
}

/// Records an attempt in which nothing was run.
fn end_at_once(folder: &Folder, cell: &Cell, claim: &mut Claim, ended: Ended) -> Result<()> {
    claim.begin(&|number| folder.seed(cell, number))?;
    claim.end(ended)
}

/// How an attempt ended; `limit` is its budget in seconds, where it was stopped for it, and `stopped` whether
/// the user wishes to stop.
fn ended(ran: Result<Verdict>, seconds: f64, limit: Option<u64>, stopped: bool) -> Ended {
    let spent = |seconds| format!("stopped after the {seconds} s that its budget allows");
    let (outcome, reasons, for_good) = match (ran, limit) {
        (Ok(verdict), None) => (verdict.outcome, Vec::new(), false),
        (Ok(verdict), Some(limit)) => {
            let judged = verdict.comparisons.iter().flat_map(by_then);
            let all: Vec<Outcome> = judged.chain([Outcome::Inconclusive]).collect();
            let outcome = exit::combine(all.iter().copied());
            (outcome, vec![spent(limit)], true)
        }
        (Err(error), Some(limit)) if error.fault() == Fault::Interrupted => {
            (Outcome::Inconclusive, vec![spent(limit)], true)
        }
        (Err(error), _) => of_error(&error),
    };
    let (outcome, reasons) = match outcome {
        // Elsewhere somebody did, which is no wish of this command's user.
        Outcome::Interrupted if !stopped => {
            let reason = "the runner was stopped".to_owned();
            (Outcome::Infrastructure, vec![reason])
        }
        outcome => (outcome, reasons),
    };
    Ended {
        at: rfc3339(SystemTime::now()),
        how: How::Outcome(outcome),
        seconds,
        reasons,
        for_good,
    }
}

/// What a comparison came to by the time at which its run was stopped. What had been judged stands, and
/// what had been found: the boots that were not made could have found more, and would take nothing back.
fn by_then(comparison: &Comparison) -> Vec<Outcome> {
    if comparison.outcome != Outcome::Interrupted {
        return vec![comparison.outcome];
    }
    let findings = comparison.findings.iter();
    let new = findings.filter(|one| one.status == Status::New && one.accepted.is_none());
    new.map(|one| match one.kind {
        Kind::BootFailed | Kind::BuildFailed | Kind::PatchRejected => Outcome::Untestable,
        _ => Outcome::Regression,
    })
    .collect()
}

/// Whose fault it was, in words, and whether another attempt would end the same.
fn of_error(error: &Error) -> (Outcome, Vec<String>, bool) {
    let mend = error.mending().map(|mend| format!("; mend: {mend}"));
    let reason = error.chain() + &mend.unwrap_or_default();
    match error.fault() {
        Fault::Interrupted => (Outcome::Interrupted, Vec::new(), false),
        Fault::Untestable => (Outcome::Untestable, vec![reason], true),
        Fault::Infrastructure => (Outcome::Infrastructure, vec![reason], false),
        // Nothing says anything about the patch; the next attempt would be refused as well.
        Fault::Input => (Outcome::Infrastructure, vec![reason], true),
    }
}

/// Where a command's budget, or the user, stopped it: the code of what had ended, unless that is a pass.
pub fn exit_code(stopped: Stopped, outcomes: &[Option<Outcome>]) -> u8 {
    let ended = outcomes.iter().flatten().copied();
    let missing = outcomes
        .iter()
        .any(Option::is_none)
        .then_some(Outcome::Inconclusive);
    let stopped = (stopped == Stopped::Interrupted).then_some(Outcome::Interrupted);
    let all: Vec<Outcome> = ended.chain(missing).chain(stopped).collect();
    exit::of_outcome(exit::combine(all.iter().copied()))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path, sync::mpsc, thread};

    use super::*;
    use crate::{
        event::Unwatched,
        matrix::{hears::Unheard, plan::tests::of, summary::State},
        report::{self, fixtures::sample},
    };

    const TEXT: &str = "\
name: m
kernels: [locked]
patches: [a, b, c]
configs: [kasan]
scenarios: [race]
budget: {cell: 1s, attempts: 2, confirm: 1}
";

    /// Ends each patch's cells as it is told, the last for ever.
    #[derive(Default)]
    struct Script {
        ends: BTreeMap<String, Vec<Result<Outcome, Fault>>>,
        ran: Vec<(String, u64)>,
        cancels: Option<&'static str>,
    }

    impl Runner for Script {
        fn run(&mut self, cell: &Cell, seed: u64, dir: &Path, cancel: &Cancel) -> Result<Verdict> {
            assert!(!dir.exists());
            self.ran.push((cell.patch.name.clone(), seed));
            if self.cancels == Some(cell.patch.name.as_str()) {
                while !cancel.is_cancelled() {
                    thread::sleep(Duration::from_millis(5));
                }
                cancel.check()?;
            }
            let ends = self.ends.entry(cell.patch.name.clone()).or_default();
            let end = match ends.len() {
                0 => Ok(Outcome::Pass),
                1 => ends[0],
                _ => ends.remove(0),
            };
            let outcome = end.map_err(|fault| Error::new(fault, "no luck"))?;
            let verdict = Verdict {
                outcome,
                ..sample()
            };
            std::fs::create_dir_all(dir).unwrap();
            report::write(&verdict, dir)?;
            Ok(verdict)
        }
    }

    fn go(folder: &Folder, script: &mut Script, again: bool, cancel: &Cancel) -> Stopped {
        let work = Work {
            folder,
            wanted: &[0, 1, 2],
            again,
            cancel,
            watcher: &Unwatched,
        };
        run(&work, script, &mut Unheard).unwrap()
    }

    fn folder(dir: &Path, text: &str) -> Folder {
        let out = dir.join("m");
        Folder::to_run(of(text).unwrap(), Some(&out), dir, &[0, 1, 2], false).unwrap()
    }

    #[test]
    fn infrastructure_is_tried_again_and_failures_are_not_rolled_into_passes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), TEXT);
        let mut script = Script::default();
        script.ends.insert(
            "a".into(),
            vec![Err(Fault::Infrastructure), Ok(Outcome::Pass)],
        );
        script
            .ends
            .insert("b".into(), vec![Ok(Outcome::Regression), Ok(Outcome::Pass)]);
        script.ends.insert("c".into(), vec![Err(Fault::Input)]);
        assert_eq!(
            go(&folder, &mut script, false, &Cancel::new()),
            Stopped::Ended
        );
        let summary = folder.summary().unwrap();
        let brief: Vec<_> = summary
            .cells
            .iter()
            .map(|c| (c.outcome.unwrap(), c.attempts, c.infrastructure, c.flaky))
            .collect();
        assert_eq!(
            brief,
            [
                (Outcome::Pass, 2, 1, false),
                (Outcome::Regression, 2, 0, true),
                // Bad input is not tried again.
                (Outcome::Infrastructure, 1, 1, false),
            ]
        );
        assert!(summary.cells[2].reasons[0].contains("no luck"));
        assert!(summary.ended.is_some());
        let seeds: std::collections::BTreeSet<u64> = script.ran.iter().map(|r| r.1).collect();
        assert_eq!(seeds.len(), 5, "{:?}", script.ran);
        // What has ended is not run again, unless that is asked for; what it said stays.
        go(&folder, &mut script, false, &Cancel::new());
        assert_eq!(script.ran.len(), 5);
        go(&folder, &mut script, true, &Cancel::new());
        assert_eq!(script.ran.len(), 8);
        let summary = folder.summary().unwrap();
        assert_eq!(summary.cells[1].outcome, Some(Outcome::Regression));
        assert_eq!(summary.cells[1].attempts, 3);
    }

    #[test]
    fn a_cell_is_stopped_after_its_budget_and_a_command_by_its_user() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), TEXT);
        let mut script = Script {
            cancels: Some("b"),
            ..Script::default()
        };
        assert_eq!(
            go(&folder, &mut script, false, &Cancel::new()),
            Stopped::Ended
        );
        let summary = folder.summary().unwrap();
        assert_eq!(summary.cells[1].outcome, Some(Outcome::Inconclusive));
        assert!(
            summary.cells[1].reasons[0].contains("budget"),
            "{summary:?}"
        );
        // Once is enough, though its budget would confirm.
        assert_eq!(summary.cells[1].attempts, 1);

        let dir = tempfile::tempdir().unwrap();
        let folder = self::folder(dir.path(), &TEXT.replace("cell: 1s", "cell: 1h"));
        let cancel = Cancel::new();
        let user = cancel.clone();
        let stop = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            user.cancel();
        });
        assert_eq!(
            go(&folder, &mut script, false, &cancel),
            Stopped::Interrupted
        );
        stop.join().unwrap();
        let states: Vec<State> = folder
            .summary()
            .unwrap()
            .cells
            .iter()
            .map(|c| c.state)
            .collect();
        assert_eq!(states, [State::Done, State::Planned, State::Planned]);
        script.cancels = None;
        assert_eq!(
            go(&folder, &mut script, false, &Cancel::new()),
            Stopped::Ended
        );
        let summary = folder.summary().unwrap();
        assert_eq!(summary.outcome, Some(Outcome::Pass));
        assert_eq!(
            (summary.cells[1].attempts, summary.cells[1].cut_off),
            (2, 1)
        );
    }

    #[test]
    fn a_runner_that_was_stopped_stops_nothing_else() {
        for end in [Ok(Outcome::Interrupted), Err(Fault::Interrupted)] {
            let dir = tempfile::tempdir().unwrap();
            let folder = folder(dir.path(), TEXT);
            let mut script = Script::default();
            script.ends.insert("a".into(), vec![end, end, end]);
            let stopped = go(&folder, &mut script, false, &Cancel::new());
            assert_eq!(stopped, Stopped::Ended);
            let summary = folder.summary().unwrap();
            let own = &summary.cells[0];
            assert_eq!(
                (own.outcome, own.attempts, own.infrastructure),
                (Some(Outcome::Infrastructure), 2, 2)
            );
            let said = own
                .reasons
                .iter()
                .any(|one| one == "the runner was stopped");
            assert!(said, "{own:?}");
            assert_eq!(script.ran.len(), 4);
        }
    }

    #[test]
    fn what_was_found_before_a_budget_ran_out_stands() {
        use Outcome::*;
        let accepted = Some("known".to_owned());
        let table = [
            (Interrupted, Kind::Splat, Status::New, None, Regression),
            (Interrupted, Kind::BootFailed, Status::New, None, Untestable),
            (
                Interrupted,
                Kind::Splat,
                Status::New,
                accepted,
                Inconclusive,
            ),
            (
                Interrupted,
                Kind::Splat,
                Status::Unconfirmed,
                None,
                Inconclusive,
            ),
            (Interrupted, Kind::Splat, Status::Common, None, Inconclusive),
            (Pass, Kind::Splat, Status::Common, None, Inconclusive),
            (Regression, Kind::Splat, Status::Common, None, Regression),
        ];
        for (outcome, kind, status, accepted, expected) in table {
            let mut verdict = sample();
            verdict.comparisons.truncate(1);
            let comparison = &mut verdict.comparisons[0];
            comparison.outcome = outcome;
            comparison.findings.truncate(1);
            let finding = &mut comparison.findings[0];
            (finding.kind, finding.status, finding.accepted) = (kind, status, accepted);
            let ended = ended(Ok(verdict), 7.0, Some(7), false);
            assert_eq!(ended.how, How::Outcome(expected), "{outcome:?} {status:?}");
            assert!(ended.for_good && ended.reasons[0].contains("its budget"));
        }
    }

    #[test]
    fn a_spent_budget_leaves_the_rest_for_the_same_command() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), &TEXT.replace("cell: 1s", "cell: 3s, total: 1s"));
        let mut script = Script {
            cancels: Some("a"),
            ..Script::default()
        };
        // The first takes its three seconds, and the command's one is over.
        assert_eq!(
            go(&folder, &mut script, false, &Cancel::new()),
            Stopped::Budget
        );
        assert_eq!(script.ran.len(), 1);
        assert_eq!(
            go(&folder, &mut script, false, &Cancel::new()),
            Stopped::Ended
        );
        assert_eq!(script.ran.len(), 3);
    }

    #[test]
    fn what_somebody_else_runs_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), TEXT);
        let cell = &folder.plan().cells[1].cell;
        let claim = folder.try_take(cell).unwrap().unwrap();
        let release = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            drop(claim);
        });
        let mut script = Script::default();
        assert_eq!(
            go(&folder, &mut script, false, &Cancel::new()),
            Stopped::Ended
        );
        release.join().unwrap();
        let order: Vec<&str> = script.ran.iter().map(|(patch, _)| patch.as_str()).collect();
        assert_eq!(order, ["a", "c", "b"]);
    }

    struct TellsOfWaiting(mpsc::Sender<()>);

    impl Watcher for TellsOfWaiting {
        fn event(&self, event: &Event) {
            if matches!(event, Event::Note(text) if text.starts_with("waiting for")) {
                self.0.send(()).unwrap();
            }
        }
    }

    /// Whoever only looks at a cell holds its lock for an instant, too.
    #[test]
    fn what_is_to_run_again_does_so_unless_somebody_else_just_ran_it() {
        for (theirs, runs) in [
            (None, 1),
            (Some(How::CutOff), 1),
            (Some(How::Outcome(Outcome::Interrupted)), 1),
            (Some(How::Outcome(Outcome::Pass)), 0),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let folder = folder(dir.path(), TEXT);
            let mut script = Script::default();
            go(&folder, &mut script, false, &Cancel::new());
            let cell = &folder.plan().cells[1].cell;
            let mut claim = folder.try_take(cell).unwrap().unwrap();
            let (tell, waits) = mpsc::channel();
            let release = thread::spawn(move || {
                waits.recv().unwrap();
                if let Some(how) = theirs {
                    claim.begin(&u64::from).unwrap();
                    let ended = Ended {
                        at: rfc3339(SystemTime::now()),
                        how,
                        seconds: 0.0,
                        reasons: Vec::new(),
                        for_good: false,
                    };
                    claim.end(ended).unwrap();
                }
            });
            script.ran.clear();
            let work = Work {
                folder: &folder,
                wanted: &[0, 1, 2],
                again: true,
                cancel: &Cancel::new(),
                watcher: &TellsOfWaiting(tell),
            };
            run(&work, &mut script, &mut Unheard).unwrap();
            release.join().unwrap();
            let own = script.ran.iter().filter(|(patch, _)| patch == "b");
            assert_eq!(own.count(), runs, "{theirs:?}");
        }
    }

    #[test]
    fn a_cell_that_is_given_up_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), TEXT);
        let cancel = Cancel::new();
        for _ in 0..2 {
            give_up(&folder, 0, "it ends its nodes", &cancel).unwrap();
        }
        let mut script = Script::default();
        go(&folder, &mut script, false, &cancel);
        assert_eq!(script.ran.len(), 2, "{:?}", script.ran);
        let summary = folder.summary().unwrap();
        let cell = &summary.cells[0];
        assert_eq!(
            (cell.outcome, cell.attempts),
            (Some(Outcome::Infrastructure), 1)
        );
        assert_eq!(cell.reasons, ["it ends its nodes"]);
    }

    /// As a cell does that takes its process down, night after night.
    #[test]
    fn what_is_always_cut_off_lets_others_go_first_and_is_given_up() {
        for (times, order) in [(4, &["b", "c", "a"][..]), (5, &["b", "c"])] {
            let dir = tempfile::tempdir().unwrap();
            let folder = folder(dir.path(), TEXT);
            let cell = &folder.plan().cells[0].cell;
            for _ in 0..times {
                let mut claim = folder.try_take(cell).unwrap().unwrap();
                claim.begin(&u64::from).unwrap();
            }
            let mut script = Script::default();
            let ran = |script: &Script| -> Vec<String> {
                let ran = script.ran.iter();
                ran.map(|(patch, _)| patch.clone()).collect()
            };
            for _ in 0..2 {
                go(&folder, &mut script, false, &Cancel::new());
                assert_eq!(ran(&script), order);
            }
            let own = folder.summary().unwrap().cells.remove(0);
            let (expected, all) = match times {
                4 => (Outcome::Pass, 5),
                _ => (Outcome::Infrastructure, 6),
            };
            assert_eq!(
                (own.outcome, own.state, own.cut_off, own.attempts),
                (Some(expected), State::Done, times, all)
            );
            let said = own
                .reasons
                .iter()
                .any(|one| one.contains("cut off 5 times"));
            assert_eq!(said, times == 5, "{own:?}");
            // Who asks for it by hand has it run.
            go(&folder, &mut script, true, &Cancel::new());
            assert_eq!(ran(&script).len(), order.len() + 3);
        }
    }

    #[test]
    fn codes() {
        use Outcome::*;
        let table: [(Stopped, &[Option<Outcome>], u8); 6] = [
            (Stopped::Ended, &[Some(Pass), Some(Pass)], 0),
            (Stopped::Ended, &[Some(Pass), Some(Regression)], 1),
            (Stopped::Budget, &[Some(Pass), None], 3),
            (Stopped::Budget, &[Some(Regression), None], 1),
            (Stopped::Interrupted, &[Some(Pass), None], 130),
            (Stopped::Budget, &[], 4),
        ];
        for (stopped, outcomes, code) in table {
            assert_eq!(exit_code(stopped, outcomes), code, "{outcomes:?}");
        }
    }
}
