//! Curves over a number that grows by factors.

use super::{
    axes::{Frame, LEFT, RIGHT, WIDE, marks_below},
    chart::Lines,
    scale::Scale,
    svg::{Hold, Svg},
};

/// The curves' own height.
const HIGH: f64 = 240.0;

pub(super) fn draw(title: &str, lines: &Lines) -> String {
    let mut svg = Svg::new(title);
    svg.head((LEFT, 22.0), title);
    let names: Vec<&str> = lines.series.iter().map(|(name, _)| name.as_str()).collect();
    let legend = svg.legend((LEFT, 44.0), WIDE - LEFT - RIGHT, &names);
    let all = lines.series.iter().flat_map(|(_, points)| points);
    let (xs, ys): (Vec<f64>, Vec<f64>) = all.copied().unzip();
    let frame = Frame::draw(&mut svg, Scale::of(&ys), legend + 18.0, HIGH);
    let across = Scale::factors(&xs);
    let (left, right, bottom) = (frame.left, frame.right, frame.bottom);
    marks_below(&mut svg, across, (left, right), bottom);
    let middle = f64::midpoint(left, right);
    svg.text((middle, bottom + 39.0), Hold::Middle, &lines.across);
    let x = |value: f64| Some(left + across.place(value)? * (right - left));
    for (series, (_, points)) in lines.series.iter().enumerate() {
        let placed = points
            .iter()
            .filter_map(|(a, b)| Some((x(*a)?, frame.y(*b)?)));
        let placed: Vec<(f64, f64)> = placed.collect();
        svg.curve(series, &placed);
        placed.into_iter().for_each(|at| svg.mark(series, at));
    }
    svg.file(WIDE, bottom + 52.0)
}
