//! How ids have to be handed out: cyclically from 1, each again only once it is free.

use std::collections::BTreeSet;

/// The ids of one connection.
#[derive(Debug)]
pub(super) struct Cyclic {
    next: u32,
    last: u32,
    used: BTreeSet<u32>,
}

impl Cyclic {
    /// Ids up to `last`, the first of them `next`.
    pub(super) fn new(next: u32, last: u32) -> Self {
        let used = BTreeSet::new();
        Self { next, last, used }
    }

    /// The id that is next; none where all are in use.
    pub(super) fn expected(&self) -> Option<u32> {
        let mut ids = (self.next..=self.last).chain(1..self.next);
        ids.find(|id| !self.used.contains(id))
    }

    /// An id was handed out.
    pub(super) fn take(&mut self, id: u32) {
        self.used.insert(id);
        self.next = match id < self.last {
            true => id + 1,
            false => 1,
        };
    }

    /// An id was removed.
    pub(super) fn free(&mut self, id: u32) {
        self.used.remove(&id);
    }

    /// The ids in use.
    pub(super) fn used(&self) -> Vec<u32> {
        self.used.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(ids: &mut Cyclic) -> Option<u32> {
        let id = ids.expected()?;
        ids.take(id);
        Some(id)
    }

    #[test]
    fn ids_go_on_at_one_after_the_last() {
        let most = i32::MAX.cast_unsigned();
        let mut ids = Cyclic::new(most - 1, most);
        let got: Vec<Option<u32>> = (0..4).map(|_| next(&mut ids)).collect();
        assert_eq!(got, [Some(most - 1), Some(most), Some(1), Some(2)]);
    }

    #[test]
    fn a_full_range_has_none_until_one_is_free() {
        let mut ids = Cyclic::new(3, 4);
        assert_eq!((0..4).filter_map(|_| next(&mut ids)).count(), 4);
        assert_eq!(next(&mut ids), None);
        ids.free(2);
        assert_eq!(next(&mut ids), Some(2));
        assert_eq!(ids.used(), [1, 2, 3, 4]);
    }
}
