//! Code that a series moves: lines that it takes out in one place and puts in, the same, in another.

use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

/// Fewer lines in a row are the same by chance: braces, returns, labels.
const LEAST: usize = 3;
/// Of several pieces that changed places each pass finds those that kept their order.
const PASSES: usize = 4;
/// A hostile patch may make it slow: what is not found by then counts as written anew.
const LIMIT: Duration = Duration::from_secs(5);

/// Where a line stands: its file, and its number from 1.
type Place = (String, u32);

/// A line's text, and where it stands.
pub(super) type Line = (String, Place);

/// The lines of code that a series removes and adds, file by file.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub(super) removed: Vec<Line>,
    pub(super) added: Vec<Line>,
}

impl Moves {
    /// Each line that was moved: where it stood, and where it is.
    pub(super) fn found(mut self) -> Vec<(Place, Place)> {
        let deadline = Instant::now() + LIMIT;
        let mut found = Vec::new();
        for _ in 0..PASSES {
            let old: Vec<&str> = self.removed.iter().map(|(text, _)| text.as_str()).collect();
            let new: Vec<&str> = self.added.iter().map(|(text, _)| text.as_str()).collect();
            let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(deadline));
            // From the end, so that what is taken out moves nothing that is still to be.
            let mut any = false;
            for op in ops.iter().rev() {
                let DiffOp::Equal {
                    old_index,
                    new_index,
                    len,
                } = *op
                else {
                    continue;
                };
                if len < LEAST {
                    continue;
                }
                any = true;
                let from = self.removed.drain(old_index..old_index + len);
                let to = self.added.drain(new_index..new_index + len);
                found.extend(from.zip(to).map(|((_, from), (_, to))| (from, to)));
            }
            if !any {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, first: u32, text: &str) -> Vec<Line> {
        let numbered = text.split(' ').zip(first..);
        numbered
            .map(|(text, line)| (text.to_owned(), (file.to_owned(), line)))
            .collect()
    }

    #[test]
    fn pieces_that_change_places_are_found() {
        let removed = [
            lines("a.c", 1, "a b c d"),
            lines("a.c", 9, "x y z"),
            lines("b.c", 5, "{ }"),
        ];
        let added = [
            lines("c.c", 20, "x y z new a b c d"),
            lines("d.c", 1, "{ }"),
        ];
        let moves = Moves {
            removed: removed.concat(),
            added: added.concat(),
        };
        let mut found = moves.found();
        found.sort();
        let place = |file: &str, line| (file.to_owned(), line);
        let mut expected: Vec<(Place, Place)> = (0..4)
            .map(|n| (place("a.c", 1 + n), place("c.c", 24 + n)))
            .collect();
        expected.extend((0..3).map(|n| (place("a.c", 9 + n), place("c.c", 20 + n))));
        assert_eq!(found, expected);
        assert_eq!(Moves::default().found(), []);
    }
}
