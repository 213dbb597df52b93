//! Observations of both sides, grouped by what makes two of them the same finding: kind, title
//! and, for a KCSAN race, both accesses; for a report that is not whole and names no function (`WARNING
//! in corrupted`), the first one of its stack that is not plumbing.

use std::collections::{BTreeMap, BTreeSet};

use super::{frames::Access, observe::Observation, verdict::Kind};

/// What each side showed.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) base: Vec<Observation>,
    pub(super) variant: Vec<Observation>,
}

/// One finding's observations.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) base: Vec<&'a Observation>,
    pub(super) variant: Vec<&'a Observation>,
}

impl Group<'_> {
    /// Boots of a side that showed it.
    pub(super) fn hits(side: &[&Observation]) -> u32 {
        let boots: BTreeSet<usize> = side.iter().map(|seen| seen.boot).collect();
        u32::try_from(boots.len()).unwrap_or(u32::MAX)
    }

    /// Seen on both sides, is it the host's fault?
    pub(super) fn host_if_common(&self) -> bool {
        self.base
            .iter()
            .chain(&self.variant)
            .any(|seen| seen.host_if_common)
    }
}

/// The groups. A failed boot is one finding, whatever it died of.
pub(super) fn groups(seen: &Side) -> Vec<Group<'_>> {
    let mut by_title: BTreeMap<(Kind, &str), Group<'_>> = BTreeMap::new();
    let sides = [(&seen.variant, true), (&seen.base, false)];
    for (side, is_variant) in sides {
        for one in side {
            let key = match one.kind {
                Kind::BootFailed => "",
                _ => one.title.as_str(),
            };
            let group = by_title.entry((one.kind, key)).or_insert_with(|| Group {
                kind: one.kind,
                title: one.title.clone(),
                base: Vec::new(),
                variant: Vec::new(),
            });
            match is_variant {
                true => group.variant.push(one),
                false => group.base.push(one),
            }
        }
    }
    by_title.into_values().flat_map(by_particular).collect()
}

/// What tells observations of one title apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Particular<'a> {
    Race(&'a [Access]),
    Unnamed(&'a str),
}

fn particular(seen: &Observation) -> Option<Particular<'_>> {
    let unnamed = seen.unnamed.as_deref().map(Particular::Unnamed);
    seen.race.as_deref().map(Particular::Race).or(unnamed)
}

/// One title's observations by their particulars. One without, such as a race without symbols, may be
/// any of base's: where base has the title, it says nothing new.
fn by_particular(group: Group<'_>) -> Vec<Group<'_>> {
    let particulars: BTreeSet<Particular<'_>> = group
        .base
        .iter()
        .chain(&group.variant)
        .filter_map(|seen| particular(seen))
        .collect();
    if particulars.is_empty() {
        return vec![group];
    }
    let mut split: Vec<Group<'_>> = particulars
        .into_iter()
        .map(|own| Group {
            kind: group.kind,
            title: group.title.clone(),
            base: having(&group.base, own, true),
            variant: having(&group.variant, own, false),
        })
        .collect();
    let place = split
        .iter()
        .position(|one| !one.base.is_empty())
        .unwrap_or(0);
    let any = group.variant.iter();
    let any = any.filter(|seen| particular(seen).is_none());
    split[place].variant.extend(any);
    split
}

fn having<'a>(
    side: &[&'a Observation],
    own: Particular<'_>,
    and_those_without: bool,
) -> Vec<&'a Observation> {
    side.iter()
        .copied()
        .filter(|seen| particular(seen).map_or(and_those_without, |one| one == own))
        .collect()
}
