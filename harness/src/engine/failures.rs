//! What a failure of the host's, or the user's stop, leaves standing of a run.

use crate::{
    Error, Fault, Result,
    collect::record::{End, RunRecord},
    judge::verdict::{Comparison, Outcome},
    plan::Cell,
};

/// A boot that the host did not let happen, or that the user stopped before it began, as a record: what
/// the boots before it showed counts all the same.
pub(super) fn or_failed(cell: &Cell, made: Result<RunRecord>) -> Result<RunRecord> {
    made.or_else(|error| match error.fault() {
        Fault::Infrastructure => {
            let why = reason(&error);
            Ok(RunRecord::of(cell, End::Infrastructure { why }))
        }
        Fault::Interrupted => Ok(RunRecord::of(cell, End::Interrupted)),
        Fault::Input | Fault::Untestable => Err(error),
    })
}

/// What the user stopped ends there, without being an error: what there is by then is judged.
pub(super) fn or_stopped(done: Result<()>) -> Result<()> {
    done.or_else(|error| match error.fault() {
        Fault::Interrupted => Ok(()),
        Fault::Input | Fault::Untestable | Fault::Infrastructure => Err(error),
    })
}

/// A clean verdict needs the proof that the host did not let be made; any other stands without. One that
/// the user stopped is none, but says what was found.
pub(super) fn unproved(compared: &mut [Comparison], error: Error) -> Result<()> {
    match error.fault() {
        Fault::Infrastructure => {}
        Fault::Interrupted => {
            compared
                .iter_mut()
                .for_each(|one| one.outcome = Outcome::Interrupted);
            return Ok(());
        }
        Fault::Input | Fault::Untestable => return Err(error),
    }
    let clean = compared
        .iter_mut()
        .filter(|one| one.outcome == Outcome::Pass);
    for one in clean {
        one.outcome = Outcome::Infrastructure;
        one.reasons.push(reason(&error));
    }
    Ok(())
}

/// An error in one line, with what mends it.
pub(super) fn reason(error: &Error) -> String {
    match error.mending() {
        Some(mend) => format!("{}; mend: {mend}", error.chain()),
        None => error.chain(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{fixtures::good, unjudged};

    #[test]
    fn a_host_that_fails_leaves_what_was_seen_before() {
        let cell = good("kasan-base-2").cell;
        let full = || Error::infrastructure("no space").mend("make some");
        let record = or_failed(&cell, Err(full())).unwrap();
        let why = "no space; mend: make some".to_owned();
        assert_eq!(
            (record.end, record.cell),
            (End::Infrastructure { why }, cell.clone())
        );
        let stopped = or_failed(&cell, Err(Error::interrupted())).unwrap();
        assert_eq!(
            (stopped.end, stopped.cell),
            (End::Interrupted, cell.clone())
        );
        for fault in [Fault::Input, Fault::Untestable] {
            let error = or_failed(&cell, Err(Error::new(fault, "x"))).unwrap_err();
            assert_eq!(error.fault(), fault);
        }
        let of = |outcome| unjudged(outcome, "kasan", "race", "ida", "");
        let mut compared = [of(Outcome::Regression), of(Outcome::Pass)];
        unproved(&mut compared, full()).unwrap();
        let outcomes = compared.each_ref().map(|one| one.outcome);
        assert_eq!(outcomes, [Outcome::Regression, Outcome::Infrastructure]);
        assert_eq!(compared[1].reasons, ["no space; mend: make some"]);
        assert!(unproved(&mut compared, Error::input("x")).is_err());
    }

    #[test]
    fn the_users_stop_keeps_what_was_found() {
        let of = |outcome| unjudged(outcome, "kasan", "race", "ida", "found");
        let mut compared = [of(Outcome::Regression), of(Outcome::Pass)];
        let before = compared.clone();
        unproved(&mut compared, Error::interrupted()).unwrap();
        for (one, before) in compared.iter().zip(before) {
            let outcome = Outcome::Interrupted;
            assert_eq!(*one, Comparison { outcome, ..before });
        }
        assert!(or_stopped(Err(Error::interrupted())).is_ok());
        for fault in [Fault::Input, Fault::Untestable, Fault::Infrastructure] {
            assert!(or_stopped(Err(Error::new(fault, "x"))).is_err());
        }
    }
}
