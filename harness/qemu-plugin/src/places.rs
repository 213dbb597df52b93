//! Which of the board's entries an instruction belongs to.

use std::{collections::HashMap, sync::atomic::Ordering::Relaxed};

use protocol::board::{Board, Entry, Kind};

/// The board's entries by address.
pub(crate) struct Places {
    single: HashMap<u64, Vec<(usize, Kind)>>,
    /// Stretches of code, by their starts: start, end, entry. No two overlap.
    stretches: Vec<(u64, u64, usize)>,
}

impl Places {
    pub(crate) fn of(board: Board<'_>) -> Self {
        let mut places = Self {
            single: HashMap::new(),
            stretches: Vec::new(),
        };
        for at in 0..board.entries() {
            let word = |word| board.entry(at, word).load(Relaxed);
            match Kind::of(word(Entry::Kind)) {
                None => {}
                Some(Kind::Cover) => {
                    let stretch = (word(Entry::Start), word(Entry::End), at);
                    places.stretches.push(stretch);
                }
                Some(kind) => {
                    let here = places.single.entry(word(Entry::Start)).or_default();
                    here.push((at, kind));
                }
            }
        }
        // What an instruction tells comes before the hold: a lookup must have begun to be held.
        let holds = |kind: Kind| matches!(kind, Kind::Hold | Kind::Adapt);
        for here in places.single.values_mut() {
            here.sort_by_key(|(at, kind)| (holds(*kind), *at));
        }
        places.stretches.sort_unstable();
        places
    }

    /// The entries at an instruction, in the order in which they are served.
    pub(crate) fn at(&self, address: u64) -> impl Iterator<Item = (usize, Kind)> {
        self.single.get(&address).into_iter().flatten().copied()
    }

    /// The stretch that an instruction lies in.
    pub(crate) fn stretch_at(&self, address: u64) -> Option<usize> {
        let after = self
            .stretches
            .partition_point(|(start, ..)| *start <= address);
        let (_, end, entry) = self.stretches.get(after.checked_sub(1)?)?;
        (address < *end).then_some(*entry)
    }
}
