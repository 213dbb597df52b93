//! Asks which of several series a file is meant to hold; elsewhere than on a terminal, nobody is asked.

use std::io::{self, IsTerminal};

use harness::{patch::Ambiguous, report::escape};

use super::{ask, say};

/// The index of the choice that the user means.
pub(crate) fn choose(ambiguous: &Ambiguous) -> Option<usize> {
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
