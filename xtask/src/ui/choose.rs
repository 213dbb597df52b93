//! Asks which of several series a file is meant to hold; elsewhere than on a terminal, nobody is asked.

use std::io::{self, IsTerminal};

use harness::{cancel::Cancel, patch::Ambiguous, report::escape};

use super::{ask, say};

/// Gives the index of the choice that the user means; none after Ctrl-C, which leaves a prompt waiting for
/// its line: what is said then is no answer.
pub(crate) fn chooser(cancel: &Cancel) -> impl FnMut(&Ambiguous) -> Option<usize> {
    let cancel = cancel.clone();
    move |ambiguous| {
        let goes_on = || !cancel.is_cancelled();
        goes_on()
            .then(|| choose(ambiguous))
            .flatten()
            .filter(|_| goes_on())
    }
}

fn choose(ambiguous: &Ambiguous) -> Option<usize> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    say(&format!(
        "{} holds more than one series:",
        escape::terminal(&ambiguous.input)
    ));
    for (n, choice) in (1..).zip(&ambiguous.choices) {
        say(&format!("  {n}. {}", escape::terminal(&choice.to_string())));
    }
    ask(&format!("which one? [1-{}] ", ambiguous.choices.len())).ok()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).ok()?;
    let n: usize = answer.trim().parse().ok()?;
    n.checked_sub(1).filter(|at| *at < ambiguous.choices.len())
}
