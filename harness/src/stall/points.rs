//! From a spec to the instructions of one kernel.

use std::ops::Range;

use protocol::board::{MAX_POINTS, WHOLE};

use super::spec::{Place, Spec};
use crate::splat::Symbolizer;

/// A vCPU is held before one in so many of a function's instructions: the window may be anywhere in
/// it.
const ONE_IN: u64 = 16;

/// Instructions at which vCPUs are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Which spec they come from, by its position.
    pub spec: usize,
    /// The first one's address.
    pub start: u64,
    /// The address behind the last one.
    pub end: u64,
    /// For how long, in microseconds.
    pub hold_us: u64,
    /// How often, out of [`WHOLE`].
    pub chance: u64,
}

/// The points of all specs in a kernel. A spec whose place it does not have gives none.
pub fn points(specs: &[Spec], kernel: &Symbolizer) -> Vec<Point> {
    let mut all: Vec<Point> = specs
        .iter()
        .enumerate()
        .flat_map(|(spec, one)| {
            let point = |range: Range<u64>, chance| Point {
                spec,
                start: range.start,
                end: range.end,
                hold_us: one.hold_us,
                chance,
            };
            // The byte at which it begins is no other instruction's.
            let instruction = |at: u64| point(at..at.saturating_add(1), WHOLE);
            let points: Vec<Point> = match &one.place {
                Place::Function(name) => {
                    let ranges = kernel.ranges_of(name).into_iter();
                    ranges.map(|range| point(range, WHOLE / ONE_IN)).collect()
                }
                Place::Instruction(name, offset) => {
                    let symbols = kernel.symbol_ranges(name).into_iter();
                    let inside = symbols.filter_map(|range| {
                        let at = range.start.checked_add(*offset)?;
                        range.contains(&at).then_some(at)
                    });
                    inside.map(instruction).collect()
                }
                Place::Line(file, line) => {
                    let starts = kernel.addresses_of(file, *line).into_iter();
                    starts.map(instruction).collect()
                }
            };
            points
        })
        .collect();
    all.truncate(MAX_POINTS);
    all
}
