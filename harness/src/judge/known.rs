//! What base is known to show: in this run's boots, and in earlier ones of the same kernel.
//!
//! A kernel's own races come and go from boot to boot. One that the variant shows and this run's
//! base does not is still base's if base ever showed it, or showed it under another name: the same
//! two accesses racing, one of them made by the same function, the other by another caller. That is
//! the same unprotected field, met by one more pair. Where the patch touches a caller, both sides
//! must be known: the call may be the patch's.
//!
//! A function that sets field after field of one word races with whoever reads it, at another line
//! in each boot. That the patch touches such a function, and be it on the line before, does not make the
//! race its own: unless the patch wrote a racing line itself, boots must tell.
//!
//! A function that the patch renames races at the lines at which it did.

use std::collections::BTreeSet;

use super::{
    frames::{Access, Spot, race, sides, spots},
    groups::Group,
    observe::{Observation, kind_of},
    touched::Touched,
    verdict::Kind,
};
use crate::splat::Splat;

/// One side of a race: whose it is, its own access and the other one.
pub(super) type RaceSide = (String, Access, Access);

/// A race's title, one of its accesses, and the file and function of the other.
type Half = (String, Access, (String, String));

/// What base is known to show.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// In earlier boots only: this run's are compared in full.
    earlier: BTreeSet<(Kind, String, Option<Vec<Access>>)>,
    /// In any boot.
    sides: BTreeSet<RaceSide>,
    /// In any boot.
    halves: BTreeSet<Half>,
    /// In any boot.
    spots: BTreeSet<Vec<Spot>>,
}

impl Known {
    /// From this run's boots of base and what earlier ones showed; lines through the patch.
    pub(super) fn new(base: &[Observation], earlier: &[Splat], patch: Option<&Touched>) -> Self {
        let spots_of_earlier = earlier.iter().filter_map(|splat| spots(splat, patch));
        let spots_of_base = base.iter().filter_map(|seen| seen.spots.clone());
        let spots = spots_of_base.chain(spots_of_earlier).collect();
        let of_earlier = earlier.iter().flat_map(|splat| sides(splat, patch));
        let of_base = base.iter().flat_map(|seen| seen.sides.iter().cloned());
        let earlier: BTreeSet<_> = earlier
            .iter()
            .map(|splat| (kind_of(splat), splat.title.clone(), race(splat, patch)))
            .collect();
        let races = earlier.iter().map(|(_, title, race)| (title, race));
        let races = races.chain(base.iter().map(|seen| (&seen.title, &seen.race)));
        Self {
            halves: races
                .filter_map(|(title, race)| Some(halves(title, race.as_ref()?)))
                .flatten()
                .collect(),
            sides: of_base.chain(of_earlier).collect(),
            spots,
            earlier,
        }
    }

    /// Does base show one of the race's accesses racing with the other's function, at another line,
    /// and did the patch write neither line?
    pub(super) fn akin(&self, seen: &Observation) -> bool {
        let race = seen.race.iter();
        let mut halves = race.flat_map(|race| halves(&seen.title, race));
        !seen.wrote && halves.any(|half| self.halves.contains(&half))
    }

    /// Why a finding that this run's base did not show is base's all the same.
    pub(super) fn explains(&self, group: &Group<'_>) -> Option<&'static str> {
        let all = |is_known: &dyn Fn(&Observation) -> bool| {
            !group.variant.is_empty() && group.variant.iter().all(|seen| is_known(seen))
        };
        let in_earlier = |seen: &Observation| {
            let key = (group.kind, group.title.clone(), seen.race.clone());
            self.earlier.contains(&key)
        };
        let renamed = |seen: &Observation| {
            let mut sides = seen.sides.iter();
            let is_known = |side| self.sides.contains(side);
            match &seen.touched {
                None => sides.any(is_known),
                Some(_) => !seen.sides.is_empty() && sides.all(is_known),
            }
        };
        let same_lines = |seen: &Observation| {
            let spots = seen.spots.as_ref();
            !seen.wrote && spots.is_some_and(|spots| self.spots.contains(spots))
        };
        if all(&in_earlier) {
            Some("base showed it in an earlier boot")
        } else if all(&renamed) {
            Some("base showed these two accesses racing, one of them from another caller")
        } else if all(&same_lines) {
            Some("base showed these two lines racing, in functions of other names")
        } else {
            None
        }
    }
}

fn halves(title: &str, race: &[Access]) -> Vec<Half> {
    let [a, b] = race else { return Vec::new() };
    let half = |own: &Access, other: &Access| {
        let (file, function) = other.function();
        let other = (file.to_owned(), function.to_owned());
        (title.to_owned(), own.clone(), other)
    };
    vec![half(a, b), half(b, a)]
}
