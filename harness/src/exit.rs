//! Exit codes: documented constants, and the one place that maps outcomes to them.

use crate::{error::Fault, judge::verdict::Outcome};

/// Every comparison passed.
pub const PASS: u8 = 0;
/// A new splat, wrong data, leak, hang, slower or larger.
pub const REGRESSION: u8 = 1;
/// Wrong usage or bad input.
pub const USAGE: u8 = 2;
/// No verdict either way.
pub const INCONCLUSIVE: u8 = 3;
/// The host's or the harness's fault.
pub const INFRASTRUCTURE: u8 = 4;
/// The variant cannot be tested: patch, build or boot failed.
pub const UNTESTABLE: u8 = 5;
/// `git bisect run`'s "skip this commit".
pub const BISECT_SKIP: u8 = 125;
/// What `git bisect run` stops at: smaller codes call the commit bad, whatever they mean to others.
pub const BISECT_STOP: u8 = 128;
/// Stopped by the user.
pub const INTERRUPTED: u8 = 130;

/// An outcome's code.
pub fn of_outcome(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Pass => PASS,
        Outcome::Regression => REGRESSION,
        Outcome::Inconclusive => INCONCLUSIVE,
        Outcome::Infrastructure => INFRASTRUCTURE,
        Outcome::Untestable => UNTESTABLE,
        Outcome::Interrupted => INTERRUPTED,
    }
}

/// An error's code.
pub fn of_fault(fault: Fault) -> u8 {
    match fault {
        Fault::Input => USAGE,
        Fault::Infrastructure => INFRASTRUCTURE,
        Fault::Untestable => UNTESTABLE,
        Fault::Interrupted => INTERRUPTED,
    }
}

/// Over several comparisons: the first of these that occurs.
pub const PRECEDENCE: [Outcome; 6] = [
    Outcome::Interrupted,
    Outcome::Regression,
    Outcome::Untestable,
    Outcome::Infrastructure,
    Outcome::Inconclusive,
    Outcome::Pass,
];

/// The outcome of several comparisons; of none, infrastructure (nothing ran, nothing passed).
pub fn combine(outcomes: impl IntoIterator<Item = Outcome> + Clone) -> Outcome {
    PRECEDENCE
        .into_iter()
        .find(|wanted| outcomes.clone().into_iter().any(|o| o == *wanted))
        .unwrap_or(Outcome::Infrastructure)
}

/// What `--bisect-exit` makes of a code.
pub fn for_bisect(code: u8) -> u8 {
    match code {
        UNTESTABLE | INFRASTRUCTURE | INCONCLUSIVE => BISECT_SKIP,
        USAGE => BISECT_STOP,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_precedence() {
        use Outcome::*;
        let table: &[(&[Outcome], Outcome)] = &[
            (&[], Infrastructure),
            (&[Pass, Pass], Pass),
            (&[Pass, Inconclusive], Inconclusive),
            (&[Inconclusive, Infrastructure], Infrastructure),
            (&[Infrastructure, Untestable], Untestable),
            (&[Untestable, Regression, Pass], Regression),
            (&[Regression, Interrupted], Interrupted),
        ];
        for (outcomes, expected) in table {
            assert_eq!(combine(outcomes.iter().copied()), *expected, "{outcomes:?}");
        }
    }

    #[test]
    fn bisect_skips_what_says_nothing_and_stops_at_mistakes() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 130].map(for_bisect),
            [0, 1, 128, 125, 125, 125, 130]
        );
    }
}
