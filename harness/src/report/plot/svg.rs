//! The elements of an SVG file, and its colours, for light and dark pages alike.

use std::fmt::Write as _;

use super::super::escape::{terminal_line, xml};

/// A character's width, about, at the size that texts have.
const CHARACTER: f64 = 6.8;
/// Names are cut to so many characters.
const LONGEST_NAME: usize = 24;
/// And headings to so many.
const LONGEST_HEAD: usize = 76;

/// The classes begin with `kt-`, so that a page that takes the file in keeps its own. Base is grey, the
/// variants have colours that most people can tell from each other.
const STYLE: &str = "\
.kt-page{fill:#fff}.kt-text{fill:#24292f;font:12px sans-serif}.kt-head{font-weight:bold}\
.kt-grid{stroke:#d8dee4}.kt-axis{stroke:#6e7781}.kt-band{fill:#d8dee4;opacity:.6}\
.kt-line{stroke-width:2}\
.kt-0{stroke:#6e7781;fill:#6e7781}.kt-1{stroke:#0072b2;fill:#0072b2}\
.kt-2{stroke:#d55e00;fill:#d55e00}.kt-3{stroke:#009e73;fill:#009e73}\
.kt-4{stroke:#cc79a7;fill:#cc79a7}.kt-5{stroke:#b8860b;fill:#b8860b}\
@media(prefers-color-scheme:dark){.kt-page{fill:#0d1117}.kt-text{fill:#e6edf3}\
.kt-grid{stroke:#30363d}.kt-axis{stroke:#8b949e}.kt-band{fill:#30363d}\
.kt-0{stroke:#9da7b1;fill:#9da7b1}.kt-1{stroke:#56b4e9;fill:#56b4e9}}";
/// Colours that there are.
const COLOURS: usize = 6;

/// Where a text is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Start,
    Middle,
    End,
}

/// A drawing: from the upper left corner, in pixels.
pub(super) struct Svg {
    title: String,
    body: String,
}

impl Svg {
    pub(super) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            body: String::new(),
        }
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    pub(super) fn area(&mut self, class: &str, (x, y): (f64, f64), (wide, high): (f64, f64)) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\"/>"
        ));
    }

    /// A series' curve.
    pub(super) fn curve(&mut self, series: usize, points: &[(f64, f64)]) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        self.add(format_args!(
            "<polyline class=\"kt-{} kt-line\" style=\"fill:none\" points=\"{}\"/>",
            colour(series),
            points.join(" ")
        ));
    }

    /// A series' mark: each has a shape of its own, too.
    pub(super) fn mark(&mut self, series: usize, (x, y): (f64, f64)) {
        let corners: &[(f64, f64)] = match series % 4 {
            0 => &[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
            1 => {
                let class = colour(series);
                self.add(format_args!(
                    "<circle class=\"kt-{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"
                ));
                return;
            }
            2 => &[(0.0, -4.5), (4.5, 0.0), (0.0, 4.5), (-4.5, 0.0)],
            _ => &[(0.0, -4.5), (4.5, 3.5), (-4.5, 3.5)],
        };
        let at: Vec<String> = corners
            .iter()
            .map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy))
            .collect();
        self.add(format_args!(
            "<polygon class=\"kt-{}\" points=\"{}\"/>",
            colour(series),
            at.join(" ")
        ));
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), hold: Hold, text: &str) {
        self.words("kt-text", (x, y), hold, text);
    }

    pub(super) fn head(&mut self, (x, y): (f64, f64), text: &str) {
        self.words(
            "kt-text kt-head",
            (x, y),
            Hold::Start,
            &cut(text, LONGEST_HEAD),
        );
    }

    /// The series' names with their marks, from here to the right and on further lines; gives where the
    /// last line is.
    pub(super) fn legend(&mut self, (x, y): (f64, f64), wide: f64, names: &[&str]) -> f64 {
        const MARK: f64 = 14.0;
        const BETWEEN: f64 = 22.0;
        const LINE: f64 = 18.0;
        let (mut at_x, mut at_y) = (x, y);
        for (series, name) in names.iter().enumerate() {
            let name = short(name);
            let takes = MARK + width(&name) + BETWEEN;
            if at_x > x && at_x + takes > x + wide {
                (at_x, at_y) = (x, at_y + LINE);
            }
            self.mark(series, (at_x + 4.0, at_y - 4.0));
            self.text((at_x + MARK, at_y), Hold::Start, &name);
            at_x += takes;
        }
        at_y
    }

    /// The file.
    pub(super) fn file(self, wide: f64, high: f64) -> String {
        let title = xml(&self.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide:.0} {high:.0}\" \
             width=\"{wide:.0}\" height=\"{high:.0}\" role=\"img\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"kt-page\" width=\"{wide:.0}\" height=\"{high:.0}\"/>\n{}</svg>\n",
            self.body
        )
    }

    fn words(&mut self, class: &str, (x, y): (f64, f64), hold: Hold, text: &str) {
        let anchor = match hold {
            Hold::Start => "start",
            Hold::Middle => "middle",
            Hold::End => "end",
        };
        let text = xml(text);
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// The class of a series' colour, without its `kt-`.
pub(super) fn colour(series: usize) -> usize {
    match series {
        0 => 0,
        // Base's grey is nobody else's.
        other => (other - 1) % (COLOURS - 1) + 1,
    }
}

/// A name that is not too long to stand beside others; nothing in it acts.
pub(super) fn short(name: &str) -> String {
    cut(name, LONGEST_NAME)
}

fn cut(text: &str, longest: usize) -> String {
    let text = terminal_line(text);
    match text.chars().count() > longest {
        true => text.chars().take(longest - 1).chain(['…']).collect(),
        false => text,
    }
}

/// How wide a text is, about.
pub(super) fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}
