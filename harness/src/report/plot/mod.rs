//! Small plots: what to draw, and drawn as SVG that needs nothing beside it.
//!
//! | file | job |
//! |---|---|
//! | `chart.rs` | what a plot is made of |
//! | `scale.rs` | values to places on an axis, and its marks |
//! | `axes.rs` | the frame that values stand in |
//! | `lines.rs` | curves over a number |
//! | `strip.rs` | a dot for each boot, and intervals of ratios |
//! | `svg.rs` | the elements of an SVG file, and its colours |

mod axes;
pub(super) mod chart;
mod lines;
mod scale;
mod strip;
mod svg;

use chart::{Chart, Drawn};

/// The chart as an SVG file; the same chart gives the same bytes.
pub(super) fn svg(chart: &Chart) -> String {
    match &chart.drawn {
        Drawn::Lines(drawn) => lines::draw(&chart.title, drawn),
        Drawn::Strip(drawn) => strip::draw(&chart.title, drawn),
    }
}

#[cfg(test)]
mod tests;
