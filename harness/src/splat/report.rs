//! From the collected lines of one report to its title, its stacks and its state.

use std::borrow::Cow;

use super::{
    formats::{self, Format},
    frame::Kind,
    guilty, pattern, stacks,
    text::{self, Entry},
    title,
    types::Splat,
};

/// Lines behind the head of a stack within which its first frame must come.
const FRAME_REACH: usize = 15;

/// Messages that come with a stack of their own and are no reports.
const FOREIGN: &[&str] = &[
    "vmalloc: allocation failure",
    "FAULT_INJECTION: forcing a failure",
    "FAULT_FLAG_ALLOW_RETRY missing",
];

/// Reads a report whose header is `lines[0]`. `told_apart` says that no other task's lines can be
/// among them.
pub(super) fn read(body: &[Entry], told_apart: bool) -> Splat {
    let foreign = |line: &Entry| FOREIGN.iter().any(|message| line.text.contains(message));
    let clear = if told_apart {
        None
    } else {
        body.iter().skip(1).position(foreign).map(|at| at + 1)
    };
    let clear = &body[..clear.unwrap_or(body.len())];
    let mut first: Option<(&'static Format, usize)> = None;
    for matched in formats::matching(&body[0].text) {
        let format = matched.format;
        if first.is_some() && formats::vague(format) {
            break;
        }
        let at = matched.captures.get(0).map_or(0, |m| m.start());
        let _ = first.get_or_insert((format, at));
        let capture = |name: &str| matched.captures.name(name).map(|m| m.as_str().to_owned());
        let Some(found) = follow(format.body, clear) else {
            continue;
        };
        let value = |name: &str| {
            found
                .iter()
                .rev()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
                .or_else(|| capture(name))
        };
        return fill(format, &value, clear, body);
    }
    // The header is known, but what must follow it is not there.
    let (format, at) = first.expect("only a line that matched a row begins a report");
    Splat {
        title: title::clean(body[0].text[at..].trim_end_matches([' ', ']'])),
        class: format.class.to_owned(),
        corrupted: Some("the header is not followed by the rest of the report".to_owned()),
        ..with_stacks(body)
    }
}

/// Finds the lines that must follow, one behind the other; gives their captures.
fn follow(patterns: &[&'static str], lines: &[Entry]) -> Option<Vec<(String, String)>> {
    let mut captured = Vec::new();
    let mut rest = &lines[1..];
    for pattern in patterns {
        let regex = pattern::cached(Cow::Borrowed(pattern));
        let (at, captures) = rest
            .iter()
            .enumerate()
            .find_map(|(at, line)| Some((at, regex.captures(&line.text)?)))?;
        for name in regex.capture_names().flatten() {
            if let Some(value) = captures.name(name) {
                captured.push((name.to_owned(), value.as_str().to_owned()));
            }
        }
        rest = &rest[at + 1..];
    }
    Some(captured)
}

fn fill(
    format: &'static Format,
    value: &dyn Fn(&str) -> Option<String>,
    clear: &[Entry],
    body: &[Entry],
) -> Splat {
    let mut corrupted = format.cut.map(str::to_owned);
    let mut functions = Vec::new();
    let mut names: Vec<String> = Vec::new();
    if let Some(guilty) = &format.guilty {
        match guilty::find(guilty, value("func").as_deref(), clear) {
            Some(found) => {
                functions.push(found.function.clone());
                names.push(found.function);
                names.extend(found.others);
            }
            None => {
                names.push("corrupted".to_owned());
                corrupted.get_or_insert_with(|| "no function to blame in its stacks".to_owned());
            }
        }
    } else if let Some(name) = value("func") {
        functions.push(name.clone());
        names.push(name);
    }
    let titled = |template: &str, function: Option<&String>| {
        title::fill(template, &|name| {
            if name == "func" {
                function.cloned()
            } else {
                value(name)
            }
        })
    };
    let title = titled(format.title, names.first());
    let mut alternatives = Vec::new();
    for name in &names {
        for template in std::iter::once(&format.title).chain(format.alternatives) {
            alternatives.push(titled(template, Some(name)));
        }
    }
    if let Some((head, left, right)) = race(&title) {
        functions = vec![left.to_owned(), right.to_owned()];
        functions.dedup();
        alternatives.push(format!("{head} in {right} / {left}"));
    }
    alternatives.sort();
    alternatives.dedup();
    alternatives.retain(|other| *other != title);
    if corrupted.is_none() {
        corrupted = torn(&body[0].text, format, body).map(str::to_owned);
    }
    Splat {
        title,
        alternatives,
        class: format.class.to_owned(),
        functions,
        corrupted,
        ..with_stacks(body)
    }
}

/// The two sides of `KCSAN: data-race in a / b`.
fn race(title: &str) -> Option<(&str, &str, &str)> {
    let (head, sides) = title
        .strip_prefix("KCSAN: ")
        .and(title.split_once(" in "))?;
    let (left, right) = sides.split_once(" / ")?;
    Some((head, left, right))
}

/// Why a report is not whole, as far as its lines show.
fn torn(header: &str, format: &Format, body: &[Entry]) -> Option<&'static str> {
    if pattern::cached(Cow::Borrowed(r"\[ *[0-9]+\.[0-9]+\]")).is_match(header) {
        return Some("another line runs into the header");
    }
    if !format.traced {
        return None;
    }
    let mut any = false;
    let mut seen = [false; text::STACK_STARTS.len()];
    for (at, line) in body.iter().enumerate() {
        let Some(sort) = text::stack_start(&line.text) else {
            continue;
        };
        if std::mem::replace(&mut seen[sort], true) {
            continue;
        }
        let rest = &body[at + 1..];
        if rest.len() < 2 {
            return Some("it ends where a stack begins");
        }
        let framed = rest
            .iter()
            .filter(|line| !matches!(&line.kind, Kind::Frame(frame) if frame.unreliable))
            .take(FRAME_REACH)
            .take_while(|line| !line.starts_stack())
            .any(|line| is_frame(line) || line.text.contains("(stack is not available)"));
        if !framed {
            return Some("a stack without frames");
        }
        any = true;
    }
    if any { None } else { Some("no stack") }
}

fn is_frame(line: &Entry) -> bool {
    match &line.kind {
        Kind::Frame(frame) => !frame.unreliable,
        Kind::Call(..) | Kind::Inlined(_) => true,
        Kind::Pc(_) | Kind::Text => false,
    }
}

fn with_stacks(body: &[Entry]) -> Splat {
    let stacks = stacks::read(body);
    Splat {
        stacks: stacks.fault,
        context: stacks.context,
        ..Splat::default()
    }
}
