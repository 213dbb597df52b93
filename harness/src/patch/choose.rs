//! Which of an input's diffs are meant: one series, or a choice that somebody must make.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{candidate::Candidate, series::Patch};
use crate::{Error, Result};

/// One series that an input may be meant to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// In a few words: `v2, 3 patches`.
    pub label: String,
    /// The subjects of its patches.
    pub patches: Vec<String>,
}

/// An input holds several versions or unrelated diffs, and nobody said which one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ambiguous {
    /// The file or folder.
    pub input: String,
    /// What it holds.
    pub choices: Vec<Choice>,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label, self.patches.join("; "))
    }
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, choice) in self.choices.iter().enumerate() {
            write!(f, "{}({}) {choice}", if n == 0 { "" } else { ", " }, n + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for Ambiguous {}

/// Asked when an input is ambiguous; gives the index of the choice that is meant.
pub type Chooser<'a> = dyn FnMut(&Ambiguous) -> Option<usize> + 'a;

/// Asks once for each input, however often it is read.
pub fn remembering(choose: &mut Chooser<'_>) -> impl FnMut(&Ambiguous) -> Option<usize> {
    let mut answers = BTreeMap::new();
    move |ambiguous| {
        let known = answers
            .entry((ambiguous.input.clone(), ambiguous.to_string()))
            .or_insert(None);
        *known = known.or_else(|| choose(ambiguous));
        *known
    }
}

/// How an input's diffs belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathered {
    /// One file: what is not numbered as one series is several things.
    File,
    /// A folder: one series in the order of its files, unless they name several versions.
    Folder,
    /// A quilt series: one series as its list says.
    Listed,
}

/// The one series of an input, asking where there are several.
///
/// # Errors
/// There are several and nobody chose, a part is missing, or a patch cannot be read.
pub(super) fn pick(
    input: &str,
    candidates: Vec<Candidate>,
    gathered: Gathered,
    choose: &mut Chooser<'_>,
) -> Result<Vec<Patch>> {
    let mut groups = group(without_doubles(candidates), gathered);
    let chosen = if groups.len() > 1 {
        let choices = groups.iter().map(|g| describe(g)).collect();
        let ambiguous = Ambiguous {
            input: input.to_owned(),
            choices,
        };
        match choose(&ambiguous).filter(|&n| n < groups.len()) {
            Some(n) => groups.swap_remove(n),
            None => {
                let message = format!("{input} holds {} different patches", groups.len());
                let mend =
                    "save the one that is meant to a file of its own; on a terminal ktwin asks";
                return Err(Error::input(message).mend(mend).because(ambiguous));
            }
        }
    } else {
        groups.pop().unwrap_or_default()
    };
    if gathered == Gathered::File {
        complete(input, &chosen)?;
    }
    chosen.iter().map(Candidate::patch).collect()
}

/// Lists send a mail more than once.
fn without_doubles(candidates: Vec<Candidate>) -> Vec<Candidate> {
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let seen = |k: &Candidate| k.subject == candidate.subject && k.same_change(&candidate);
        if !kept.iter().any(seen) {
            kept.push(candidate);
        }
    }
    kept
}

fn group(candidates: Vec<Candidate>, gathered: Gathered) -> Vec<Vec<Candidate>> {
    let mut groups: Vec<Vec<Candidate>> = Vec::new();
    for candidate in candidates {
        let home = groups
            .iter_mut()
            .find(|group| belongs(group, &candidate, gathered));
        match home {
            Some(group) => group.push(candidate),
            None => groups.push(vec![candidate]),
        }
    }
    for group in &mut groups {
        if gathered != Gathered::Listed && is_one_series(group) {
            group.sort_by_key(|c| c.subject.number);
        }
    }
    groups
}

/// Whether the numbers are those of one series: a folder may hold several, one after the other, and only
/// its files' names say in which order.
fn is_one_series(group: &[Candidate]) -> bool {
    let numbers = group.iter().map(|c| c.subject.number);
    let Some(numbers) = numbers.collect::<Option<Vec<(u32, u32)>>>() else {
        return false;
    };
    let distinct: BTreeSet<u32> = numbers.iter().map(|(n, _)| *n).collect();
    let same_total = numbers.windows(2).all(|two| two[0].1 == two[1].1);
    same_total && distinct.len() == numbers.len()
}

fn belongs(group: &[Candidate], candidate: &Candidate, gathered: Gathered) -> bool {
    let version = |c: &Candidate| c.subject.version.unwrap_or(1);
    let same_version = version(&group[0]) == version(candidate);
    match gathered {
        Gathered::Listed => true,
        // A plain diff beside mails says nothing about versions.
        Gathered::Folder => {
            same_version
                || group[0].subject.version.is_none() && candidate.subject.version.is_none()
        }
        Gathered::File => {
            let fits = match (group[0].subject.number, candidate.subject.number) {
                (Some((_, of)), Some((n, m))) => {
                    let taken = group.iter().any(|c| c.subject.number == Some((n, m)));
                    of == m && !taken
                }
                (None, None) => group[0].ordered && candidate.ordered,
                _ => false,
            };
            fits && same_version && !group[0].subject.reply && !candidate.subject.reply
        }
    }
}

fn describe(group: &[Candidate]) -> Choice {
    let first = &group[0].subject;
    let kind = if first.reply { "in a reply" } else { "" };
    let version = first.version.map_or(String::new(), |v| format!("v{v}"));
    let count = if group.len() == 1 {
        "one patch".into()
    } else {
        format!("{} patches", group.len())
    };
    let words = [version.as_str(), kind, count.as_str()];
    Choice {
        label: words
            .into_iter()
            .filter(|w| !w.is_empty())
            .collect::<Vec<_>>()
            .join(", "),
        patches: group
            .iter()
            .map(|c| c.title().escape_debug().to_string())
            .collect(),
    }
}

/// Several mails of one numbered series must be all of it; a single one was meant alone.
fn complete(input: &str, group: &[Candidate]) -> Result<()> {
    let [first, _, ..] = group else { return Ok(()) };
    let Some((_, of)) = first.subject.number else {
        return Ok(());
    };
    let has = |n: u32| {
        group
            .iter()
            .any(|c| c.subject.number.is_some_and(|(k, _)| k == n))
    };
    let missing: Vec<String> = (1..=of)
        .filter(|n| !has(*n))
        .take(10)
        .map(|n| format!("{n}/{of}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("{input} lacks {} of its series", missing.join(", "));
    Err(Error::input(message)
        .mend("save the whole thread, or name the wanted patches one by one with --patch"))
}
