//! When two splats are the same bug.

use serde::{Deserialize, Serialize};

use super::types::{Place, Splat};

/// What makes a finding the same finding, run after run and kernel after kernel.
///
/// Two races may go by one title: only the lines of both accesses tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The title, and behind it the other titles of the same bug.
    pub titles: Vec<String>,
    /// KCSAN: the innermost (inlined) function and line of each access, in a fixed order.
    pub sides: Vec<Place>,
}

/// Titles that merge what a reader of crashes may call one bug, too wide for a verdict: a
/// use-after-free and a fault in one function are not the same finding.
const WIDE: &[&str] = &[
    "bad-access in ",
    "invalid-free in ",
    "stall in ",
    "hang in ",
    "stack-overflow in ",
];

impl Key {
    /// The key of a splat; `map` takes a place to where it is in the tree that both sides are
    /// compared in.
    pub fn new(splat: &Splat, map: &dyn Fn(&Place) -> Place) -> Self {
        let others = splat
            .alternatives
            .iter()
            .filter(|title| !WIDE.iter().any(|wide| title.starts_with(wide)));
        let titles = std::iter::once(&splat.title)
            .chain(others)
            .cloned()
            .collect();
        let mut sides: Vec<Place> = match splat.class.as_str() {
            "kcsan" => splat
                .stacks
                .iter()
                .take(2)
                .filter_map(|stack| innermost(stack.first()?, map))
                .collect(),
            _ => Vec::new(),
        };
        sides.sort_by(|a, b| (&a.file, a.line, &a.function).cmp(&(&b.file, b.line, &b.function)));
        Self { titles, sides }
    }

    /// The title.
    pub fn title(&self) -> &str {
        self.titles.first().map_or("", String::as_str)
    }

    /// Whether both are the same bug: the title of one is among those of the other, and the
    /// accesses are the same.
    pub fn matches(&self, other: &Self) -> bool {
        let named = |a: &Self, b: &Self| b.titles.iter().any(|title| title == a.title());
        (named(self, other) || named(other, self)) && self.sides == other.sides
    }
}

/// Where a frame is: the innermost inlined function, else its symbol.
fn innermost(frame: &super::types::Frame, map: &dyn Fn(&Place) -> Place) -> Option<Place> {
    Some(match frame.places.first() {
        Some(place) => map(place),
        None => Place {
            function: frame.function.clone(),
            ..Place::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splat::Frame;

    fn race(title: &str, alternatives: &[&str], lines: [(&str, u32); 2]) -> Splat {
        let stack = |(function, line): (&str, u32)| {
            let place = Place {
                function: function.into(),
                file: "fs/f.c".into(),
                line,
            };
            vec![Frame {
                function: function.into(),
                places: vec![place],
                ..Frame::default()
            }]
        };
        Splat {
            title: title.into(),
            class: "kcsan".into(),
            alternatives: alternatives.iter().map(|s| (*s).to_owned()).collect(),
            stacks: lines.map(stack).to_vec(),
            ..Splat::default()
        }
    }

    #[test]
    fn races_match_by_both_lines_whichever_comes_first() {
        let same = |place: &Place| place.clone();
        let moved = |place: &Place| Place {
            line: place.line - 3,
            ..place.clone()
        };
        let a = race(
            "KCSAN: data-race in f / g",
            &["KCSAN: data-race in g / f"],
            [("f", 1), ("g", 2)],
        );
        let swapped = race(
            "KCSAN: data-race in g / f",
            &["KCSAN: data-race in f / g"],
            [("g", 2), ("f", 1)],
        );
        let elsewhere = race("KCSAN: data-race in f / g", &[], [("f", 9), ("g", 2)]);
        let shifted = race("KCSAN: data-race in f / g", &[], [("f", 4), ("g", 5)]);
        let key = Key::new(&a, &same);
        assert!(key.matches(&Key::new(&swapped, &same)));
        assert!(
            !key.matches(&Key::new(&elsewhere, &same)),
            "another line, another race"
        );
        assert!(
            key.matches(&Key::new(&shifted, &moved)),
            "the patch only moved it"
        );
    }

    #[test]
    fn a_wide_name_in_common_is_not_enough() {
        let splat = |title: &str| Splat {
            title: title.into(),
            alternatives: vec!["bad-access in f".into()],
            ..Splat::default()
        };
        let same = |place: &Place| place.clone();
        let fault = Key::new(&splat("general protection fault in f"), &same);
        let kasan = Key::new(&splat("KASAN: slab-use-after-free Read in f"), &same);
        assert!(!fault.matches(&kasan));
        assert!(fault.matches(&fault));
    }
}
