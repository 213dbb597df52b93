//! How long cells take: by what they took before, else by what they do (pure).

use protocol::Load;

use super::types::{Cell, Matrix};
use crate::scenario::{Profile, Scenario};

/// A boot besides its loads, emulated: kernel, agent, collecting. In seconds, as the others.
const BOOT_S: f64 = 28.0;
/// What a run takes besides its boots: reading kernels, making detectors speak, judging.
const RUN_S: f64 = 20.0;
/// A base kernel from nothing, on two processors.
pub(super) const BASE_BUILD_S: f64 = 480.0;
/// A patch's kernel on top of its base's build folder.
pub(super) const PATCH_BUILD_S: f64 = 35.0;
/// Loads that end when their work is done, and not by the clock.
const WORK_S: f64 = 30.0;

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
    let loads: f64 = profile
        .phases(scenario)
        .iter()
        .map(|phase| match phase.load {
            Load::BackingRace(_) | Load::Fio(_) => phase.seconds as f64,
            // What stands there is their limit.
            _ => WORK_S.min(phase.seconds as f64),
        })
        .sum();
    RUN_S + sides * boots * (BOOT_S + loads)
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
