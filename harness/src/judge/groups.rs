//! Observations of both sides, grouped by what makes two of them the same finding: kind, title
//! and, for a KCSAN race, both accesses.

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
    by_title.into_values().flat_map(by_race).collect()
}

/// One title's observations by their accesses. A report without symbols may be any of base's:
/// where base has the title, it says nothing new.
fn by_race(group: Group<'_>) -> Vec<Group<'_>> {
    let races: BTreeSet<&Vec<Access>> = group
        .base
        .iter()
        .chain(&group.variant)
        .filter_map(|seen| seen.race.as_ref())
        .collect();
    if races.is_empty() {
        return vec![group];
    }
    let mut split: Vec<Group<'_>> = races
        .into_iter()
        .map(|race| Group {
            kind: group.kind,
            title: group.title.clone(),
            base: of_race(&group.base, race, true),
            variant: of_race(&group.variant, race, false),
        })
        .collect();
    let place = split
        .iter()
        .position(|one| !one.base.is_empty())
        .unwrap_or(0);
    let unsymbolized = group.variant.iter().filter(|seen| seen.race.is_none());
    split[place].variant.extend(unsymbolized);
    split
}

fn of_race<'a>(
    side: &[&'a Observation],
    race: &Vec<Access>,
    and_unsymbolized: bool,
) -> Vec<&'a Observation> {
    side.iter()
        .copied()
        .filter(|seen| match &seen.race {
            Some(own) => own == race,
            None => and_unsymbolized,
        })
        .collect()
}
