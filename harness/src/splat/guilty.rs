//! Finds the function that a report is about, as an experienced reader would.

use std::borrow::Cow;

use super::{
    anchor,
    frame::Kind,
    names::{base_name, spellings},
    pattern, skip,
    text::Entry,
};

/// How to find the guilty function in one kind of report.
#[derive(Debug)]
pub(super) struct Guilty {
    /// Taken one after the other from the header on; each begins where the last one ended.
    pub(super) steps: &'static [Step],
    /// Taken instead, one after the other, when those before yield nothing.
    pub(super) otherwise: &'static [&'static [Step]],
    /// Functions to pass over beside the common ones.
    pub(super) skip: &'static [&'static str],
    /// Which of the functions found is the guilty one.
    pub(super) pick: Pick,
}

/// A place to look for functions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The function that the header names.
    Named,
    /// The next line that names the program counter.
    Pc,
    /// The same, if no stack begins before it: behind one it may be another task's.
    OwnPc,
    /// The next line where this pattern matches, and the `{F}` that it may hold.
    Find(&'static str),
    /// The frames from here to the start of the next stack.
    Frames,
}

/// The next `Call Trace:`.
pub(super) const TRACE: Step = Step::Find(r"Call [Tt]race:|Backtrace:");

/// Which of the functions found is the guilty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// The first.
    First,
    /// The one that was called by a dispatcher (see [`anchor::is_anchor`]).
    Anchor,
    /// The one that a sleeping task waits for.
    Hung,
}

/// A function, and the other names that the same bug may go under.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) function: String,
    pub(super) others: Vec<String>,
}

/// Looks for the guilty function from `lines[0]`, the header, on.
pub(super) fn find(guilty: &Guilty, named: Option<&str>, lines: &[Entry]) -> Option<Found> {
    let extra =
        (!guilty.skip.is_empty()).then(|| pattern::cached(Cow::Owned(guilty.skip.join("|"))));
    let skipped = |f: &str| skip::is_plumbing(f) || extra.as_ref().is_some_and(|re| re.is_match(f));
    std::iter::once(guilty.steps)
        .chain(guilty.otherwise.iter().copied())
        .find_map(|steps| choose(guilty.pick, &walk(steps, named, lines, &skipped)))
}

/// The functions that the steps meet, without those that are passed over.
fn walk(
    steps: &[Step],
    named: Option<&str>,
    lines: &[Entry],
    skipped: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |function: &str| {
        let function = base_name(function);
        if found.last() != Some(&function) && !skipped(&function) {
            found.push(function);
        }
    };
    let mut rest = lines;
    for step in steps {
        match step {
            Step::Named => {
                if let Some(name) = named {
                    add(name);
                }
            }
            Step::Pc | Step::OwnPc => {
                let own = matches!(step, Step::OwnPc);
                let ends = |line: &Entry| torn(line) || (own && line.starts_stack());
                let at = rest
                    .iter()
                    .position(|line| ends(line) || matches!(line.kind, Kind::Pc(_)));
                let Some(at) = at.filter(|&at| !ends(&rest[at])) else {
                    return found;
                };
                if let Kind::Pc(Some(frame)) = &rest[at].kind {
                    add(&frame.symbol);
                }
                rest = &rest[at + 1..];
            }
            Step::Find(pattern) => {
                let re = pattern::cached(Cow::Borrowed(pattern));
                let at = rest
                    .iter()
                    .position(|line| torn(line) || re.is_match(&line.text));
                let Some(at) = at.filter(|&at| !torn(&rest[at])) else {
                    return found;
                };
                if let Some(name) = re.captures(&rest[at].text).and_then(|c| c.name("func")) {
                    add(name.as_str());
                }
                rest = &rest[at + 1..];
            }
            Step::Frames => {
                let end = rest
                    .iter()
                    .position(|line| line.starts_stack())
                    .unwrap_or(rest.len());
                for line in &rest[..end] {
                    if torn(line) {
                        return found;
                    }
                    match &line.kind {
                        Kind::Frame(frame) if !frame.unreliable => add(&frame.symbol),
                        Kind::Call(callee, caller) => {
                            add(&callee.symbol);
                            add(&caller.symbol);
                        }
                        Kind::Inlined(place) => add(&place.function),
                        _ => {}
                    }
                }
                rest = &rest[(end + 1).min(rest.len())..];
            }
        }
    }
    found
}

/// Fault injection prints its own stack, often right into another report.
fn torn(line: &Entry) -> bool {
    matches!(&line.kind, Kind::Frame(f) if f.function == "should_fail" || f.function == "should_failslab")
}

fn choose(pick: Pick, functions: &[String]) -> Option<Found> {
    let first = functions.first()?;
    let found = |function: &str| {
        let mut names = spellings(function);
        let function = names.remove(0);
        Found {
            function,
            others: names,
        }
    };
    match pick {
        Pick::First => Some(found(first)),
        Pick::Anchor => {
            let at = functions
                .iter()
                .position(|f| spellings(f).iter().any(|name| anchor::is_anchor(name)))?;
            if functions[at].contains("smp_call_function") {
                // Its variants are many, and what it calls is elsewhere.
                return Some(under("smp_call_function", &functions[at]));
            }
            Some(found(&functions[at.saturating_sub(1)]))
        }
        Pick::Hung => {
            for function in functions {
                if let Some((_, name)) = anchor::COMMON_HANGS
                    .iter()
                    .find(|(part, _)| function.contains(part))
                {
                    return Some(under(
                        if name.is_empty() { function } else { name },
                        function,
                    ));
                }
            }
            functions
                .iter()
                .find(|f| !anchor::SLEEPING.iter().any(|part| f.contains(part)))
                .map(|f| found(f))
        }
    }
}

fn under(name: &str, function: &str) -> Found {
    let others = if name == function {
        Vec::new()
    } else {
        vec![function.to_owned()]
    };
    Found {
        function: name.to_owned(),
        others,
    }
}
