//! How long cells take: by what they took before, else by what they do (pure).

use protocol::Load;

use super::types::{Cell, Matrix};
use crate::scenario::{Profile, Scenario, judges_costs};

/// A boot besides its loads, emulated: kernel, agent, collecting. In seconds, as the others.
const BOOT_S: f64 = 28.0;
/// What a run takes besides its boots: reading kernels, making detectors speak, judging.
pub const RUN_S: f64 = 20.0;
/// A base kernel from nothing, on two processors.
pub(super) const BASE_BUILD_S: f64 = 480.0;
/// A patch's kernel on top of its base's build folder.
pub(super) const PATCH_BUILD_S: f64 = 35.0;
/// Loads that end when their work is done, and not by the clock.
const WORK_S: f64 = 30.0;
/// A boot of a plain kernel in which operations are counted.
const COUNTING_S: f64 = 15.0;

/// What cells took before.
pub trait Durations {
    /// How long a cell takes, in seconds, where that is known.
    fn seconds(&self, cell: &Cell) -> Option<f64>;
}

impl Durations for Matrix {
    fn seconds(&self, cell: &Cell) -> Option<f64> {
        let mut known = self.durations.iter();
        known
            .find(|(filter, _)| filter.holds(cell))
            .map(|(_, seconds)| *seconds)
    }
}

/// How long a cell takes that nobody ran yet, its kernels being there: in seconds.
pub(super) fn guess(scenario: &Scenario, profile: Profile, config: &str, alone: bool) -> f64 {
    let sides = if alone { 1.0 } else { 2.0 };
    let boots = f64::from(profile.boots(config).first);
    // What all loads of one boot take, and the boots that loads have to themselves.
    let (mut shared, mut own) = (None, 0.0);
    for phase in profile.phases(scenario) {
        let seconds = phase.seconds as f64;
        match phase.load {
            // Where costs are not judged, these are left out.
            Load::Operations(_) | Load::Memory(_) if !judges_costs(config) => {}
            Load::Operations(_) => own += COUNTING_S,
            Load::Memory(_) => own += COUNTING_S + WORK_S,
            Load::BackingRace(_) | Load::Fio(_) => *shared.get_or_insert(0.0) += seconds,
            // What stands there is their limit.
            _ => *shared.get_or_insert(0.0) += WORK_S.min(seconds),
        }
    }
    let shared = shared.map_or(0.0, |loads| boots * (BOOT_S + loads));
    RUN_S + sides * (shared + own)
}

/// What building the kernels of some cells takes, where none is there yet: every base once, every
/// patch on it once. In seconds.
pub fn builds<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> f64 {
    let (mut bases, mut patched) = (Vec::new(), Vec::new());
    for cell in cells {
        let base = cell.base();
        if !bases.contains(&base) {
            bases.push(base);
        }
        let own = (base, &cell.patch.name);
        if cell.patch.from != super::types::PatchFrom::None && !patched.contains(&own) {
            patched.push(own);
        }
    }
    BASE_BUILD_S * bases.len() as f64 + PATCH_BUILD_S * patched.len() as f64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario;

    #[test]
    fn a_guess_follows_what_is_booted() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        let guess = |name: &str, profile, config: &str, alone| {
            let scenario = scenario::find(name, &top).unwrap();
            guess(&scenario, profile, config, alone)
        };
        // A run of two boots with 30 s of loads each took 127 s.
        let quick = guess("race", Profile::Quick, "kcsan", false);
        assert!((110.0..160.0).contains(&quick), "{quick}");
        let counted = guess("operations", Profile::Quick, "plain", false);
        assert!(counted < quick, "{counted}");
        assert!(guess("race", Profile::Quick, "plain", false) > quick);
        assert!(guess("race", Profile::Quick, "kcsan", true) < quick);
        let full = guess("race", Profile::Full, "kcsan", false);
        assert!(full > 4.0 * quick, "{full}");
    }
}
