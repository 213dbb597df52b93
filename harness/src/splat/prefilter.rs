//! The fast look for lines that may begin a report: fixed strings, searched with vector
//! instructions, so that a clean log costs no more than reading it.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, packed};

use super::{formats, phase};

/// Where the next needle stands in `bytes`.
pub(super) fn find(bytes: &[u8]) -> Option<usize> {
    static SEARCH: LazyLock<Search> = LazyLock::new(|| Search::new(&needles()));
    match &*SEARCH {
        Search::Packed(search) => search.find(bytes).map(|m| m.start()),
        Search::Automaton(search) => search.find(bytes).map(|m| m.start()),
    }
}

/// The fixed strings that a log is searched for: every line that may begin a report holds one.
pub fn needles() -> Vec<&'static str> {
    let mut all = formats::needles();
    all.push(phase::MARK);
    all
}

#[derive(Debug)]
enum Search {
    Packed(packed::Searcher),
    /// For CPUs without the vector instructions.
    Automaton(AhoCorasick),
}

impl Search {
    fn new(needles: &[&str]) -> Self {
        let packed = packed::Config::new().builder().extend(needles).build();
        packed.map_or_else(
            || Self::Automaton(AhoCorasick::new(needles).expect("the needles fit an automaton")),
            Self::Packed,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_headers_and_marks() {
        for needle in needles() {
            let log = format!("[ 1.0] nothing here\n[ 2.0] {needle} x\n");
            let at = find(log.as_bytes()).expect(needle);
            assert!(log[at..].starts_with(needle), "{needle}");
        }
        assert_eq!(
            find(b"[    1.000000] usb 1-1: new high-speed device\n"),
            None
        );
    }
}
