//! A dot for each boot, kernel by kernel, and below them what is said of the ratios to base.

use super::{
    super::words::figure,
    axes::{Frame, LEFT, RIGHT, WIDE, marks_below},
    chart::{Boots, Ratio, Strip},
    scale::Scale,
    svg::{Hold, Svg, colour, short, width},
};

/// The dots' own height.
const HIGH: f64 = 200.0;
/// What one ratio takes.
const ROW: f64 = 24.0;
/// From the dots' names to the ratios' heading.
const BETWEEN: f64 = 34.0;

pub(super) fn draw(title: &str, strip: &Strip) -> String {
    let mut svg = Svg::new(title);
    svg.head((LEFT, 22.0), title);
    let bottom = boots(&mut svg, strip, 44.0);
    let end = match strip.ratios.is_empty() {
        true => bottom + 36.0,
        false => ratios(&mut svg, strip, bottom + 20.0 + BETWEEN),
    };
    svg.file(WIDE, end)
}

/// Gives where the dots end.
fn boots(svg: &mut Svg, strip: &Strip, top: f64) -> f64 {
    let all = strip.series.iter().flat_map(|boots| &boots.values);
    let values: Vec<f64> = all.copied().collect();
    let frame = Frame::draw(svg, Scale::around(&values), top, HIGH);
    let (left, right, bottom) = (frame.left, frame.right, frame.bottom);
    let room = (right - left) / strip.series.len().max(1) as f64;
    for (series, Boots { of, values, median }) in strip.series.iter().enumerate() {
        let from = left + series as f64 * room;
        let middle = from + room / 2.0;
        // Boots stand beside each other in their order, so that none hides another.
        let apart = (room * 0.6 / values.len().max(1) as f64).min(24.0);
        let first = middle - apart * (values.len().saturating_sub(1)) as f64 / 2.0;
        for (boot, value) in values.iter().enumerate() {
            if let Some(y) = frame.y(*value) {
                svg.mark(series, (first + boot as f64 * apart, y));
            }
        }
        if let Some(y) = median.and_then(|value| frame.y(value)) {
            let class = format!("kt-{} kt-line", colour(series));
            svg.line(&class, (middle - room * 0.35, y), (middle + room * 0.35, y));
        }
        let fits = (room / width("x")) as usize;
        let name: String = short(of).chars().take(fits.max(4)).collect();
        svg.text((middle, bottom + 19.0), Hold::Middle, &name);
    }
    bottom
}

/// Gives where they end.
fn ratios(svg: &mut Svg, strip: &Strip, top: f64) -> f64 {
    svg.head(
        (LEFT, top),
        "ratio to base, its 95 % interval, and what is no change",
    );
    let known = strip.ratios.iter();
    let known: Vec<&Ratio> = known
        .filter(|one| one.ratio.is_finite() && one.margin.is_finite())
        .collect();
    let texts: Vec<String> = known.iter().map(|one| said(one)).collect();
    let widest = |texts: &mut dyn Iterator<Item = String>| {
        texts.map(|text| width(&text)).fold(0.0, f64::max)
    };
    let names = widest(&mut known.iter().map(|one| short(&one.of)));
    let left = LEFT + names + 16.0;
    let right = WIDE - RIGHT - widest(&mut texts.iter().cloned()) - 16.0;
    let ends = known.iter().flat_map(|one| {
        let margin = [1.0 - one.margin, 1.0 + one.margin];
        let interval = one.interval.unwrap_or([one.ratio; 2]);
        [margin, interval].concat().into_iter().chain([one.ratio])
    });
    let across = Scale::around(&ends.collect::<Vec<f64>>());
    let x = |value: f64| Some(left + across.place(value)? * (right - left));
    let (first, bottom) = (top + 12.0, top + 12.0 + ROW * known.len() as f64);
    for (row, (one, text)) in known.iter().zip(&texts).enumerate() {
        let (begin, middle) = (first + row as f64 * ROW, first + (row as f64 + 0.5) * ROW);
        let margin = x(1.0 - one.margin).zip(x(1.0 + one.margin));
        if let Some((low, high)) = margin {
            svg.area("kt-band", (low, begin), (high - low, ROW));
        }
        let series = strip.series.iter().position(|boots| boots.of == one.of);
        let series = series.unwrap_or(0);
        let interval = one.interval.and_then(|[low, high]| x(low).zip(x(high)));
        if let Some((low, high)) = interval {
            let class = format!("kt-{} kt-line", colour(series));
            svg.line(&class, (low, middle), (high, middle));
            for end in [low, high] {
                svg.line(&class, (end, middle - 5.0), (end, middle + 5.0));
            }
        }
        if let Some(x) = x(one.ratio) {
            svg.mark(series, (x, middle));
        }
        svg.text((left - 16.0, middle + 4.0), Hold::End, &short(&one.of));
        svg.text((right + 16.0, middle + 4.0), Hold::Start, text);
    }
    if let Some(x) = x(1.0) {
        svg.line("kt-axis", (x, first), (x, bottom));
    }
    svg.line("kt-axis", (left, bottom), (right, bottom));
    marks_below(svg, across, (left, right), bottom);
    bottom + 32.0
}

fn said(one: &Ratio) -> String {
    format!("{}, {}", figure(one.ratio), one.says)
}
