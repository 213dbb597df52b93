//! The frame that values stand in: lines across at the axis's marks, and marks below.

use super::{
    scale::{Scale, label},
    svg::{Hold, Svg, width},
};

/// A plot's width.
pub(super) const WIDE: f64 = 640.0;
/// What stays free beside it.
pub(super) const LEFT: f64 = 16.0;
pub(super) const RIGHT: f64 = 24.0;

/// Where values stand, in pixels.
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
    top: f64,
    up: Scale,
}

impl Frame {
    /// Draws a frame so high, with its marks to the left.
    pub(super) fn draw(svg: &mut Svg, up: Scale, top: f64, high: f64) -> Self {
        let marks = up.marks().into_iter().map(|value| (value, label(value)));
        let marks: Vec<(f64, String)> = marks.collect();
        let widest = marks.iter().map(|(_, text)| width(text));
        let frame = Self {
            left: LEFT + widest.fold(0.0, f64::max) + 8.0,
            right: WIDE - RIGHT,
            bottom: top + high,
            top,
            up,
        };
        let (left, right) = (frame.left, frame.right);
        for (value, text) in &marks {
            if let Some(y) = frame.y(*value) {
                svg.line("kt-grid", (left, y), (right, y));
                svg.text((left - 8.0, y + 4.0), Hold::End, text);
            }
        }
        svg.line("kt-axis", (left, frame.bottom), (right, frame.bottom));
        frame
    }

    /// How far down a value stands; none where it has no place.
    pub(super) fn y(&self, value: f64) -> Option<f64> {
        Some(self.bottom - self.up.place(value)? * (self.bottom - self.top))
    }
}

/// Draws the marks of an axis from left to right; they end 20 below it.
pub(super) fn marks_below(svg: &mut Svg, across: Scale, (left, right): (f64, f64), y: f64) {
    for value in across.marks() {
        if let Some(place) = across.place(value) {
            let x = left + place * (right - left);
            svg.line("kt-axis", (x, y), (x, y + 5.0));
            svg.text((x, y + 19.0), Hold::Middle, &label(value));
        }
    }
}
