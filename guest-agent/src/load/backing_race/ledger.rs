//! Who was registered under which id, and when.
//!
//! Time is one shared counter, and only openers and servers advance it: each of
//! their moments is a tick of its own, and a churner's moment lies between two
//! of them. So every churner's moment is exactly before or after every opener's,
//! on all CPUs alike, and churners, who are by far the busier, only read what
//! the others write. What two churners do between the same two ticks is ordered
//! by their bucket's own count instead, or, where that cannot tell, left open.
//!
//! Every interval is generous on both sides: a registration may have begun when
//! its ioctl was called, and may have lasted until the removing ioctl returned.
//! What is reported as wrong is therefore wrong; what is merely suspicious is
//! not reported.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering, fence},
};

use smallvec::SmallVec;

use super::apart::Apart;

/// Buckets for each id that is live at a time. Ids are handed out cyclically,
/// so neighbours in a bucket are old.
const BUCKETS_AN_ID: u32 = 8;
/// Registrations that a bucket remembers, unless more of them are live. It is
/// small on purpose: an emulated CPU reaches few pages quickly, and churners
/// go round all buckets.
const REMEMBERED: usize = 4;
/// Not yet. A round is over long before so many ticks.
const NEVER: u32 = u32::MAX;

/// One registration of an id.
#[derive(Clone, Copy, Debug)]
struct Registration {
    id: u32,
    stamp: u32,
    /// Before the registering ioctl was called.
    begun: u32,
    /// After it returned.
    recorded: u32,
    /// The bucket's count of registrations, this one included.
    entry: u32,
    /// Before the first removing ioctl that met it, or may have, was called.
    removing: u32,
    /// After a removing ioctl that must have met it returned.
    gone: u32,
    /// Whether a removal that is not in `removing` may have met it as well.
    unsure: bool,
}

#[derive(Debug, Default)]
struct Bucket {
    registrations: SmallVec<[Registration; REMEMBERED]>,
    /// Registrations recorded so far.
    entries: u32,
    /// Removing ioctls, of whatever id, that have not returned.
    removals: u32,
    /// When the last of them returned, whatever its id.
    last_removal: u32,
    /// What was gone before this moment may be forgotten.
    forgotten: u32,
}

/// What an opener's read means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The stamp belongs to a registration of the id in that time.
    Right,
    /// It does not.
    Wrong,
    /// The ledger no longer remembers that time.
    Unknown,
}

/// A call that removes an id, between its begin and its end.
#[derive(Debug)]
#[must_use = "an unfinished removal excuses everything about its id"]
pub(super) struct Removal {
    id: u32,
    /// How many registrations the bucket had recorded before it.
    entries: u32,
}

/// The record of all registrations.
#[derive(Debug)]
pub(super) struct Ledger {
    ticks: Apart<AtomicU32>,
    buckets: Box<[Apart<Mutex<Bucket>>]>,
}

impl Ledger {
    /// An empty one, for so many ids at a time.
    pub(super) fn new(ids: u32) -> Self {
        let buckets = ids.saturating_mul(BUCKETS_AN_ID).max(1);
        Ledger {
            ticks: Apart(AtomicU32::new(1)),
            buckets: (0..buckets).map(|_| Apart::default()).collect(),
        }
    }

    /// A moment of an opener's or a server's: after every moment of anybody's
    /// that came before, and before every one that comes after.
    pub(super) fn tick(&self) -> u32 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// A moment of a churner's: after all ticks below it, before it and those above.
    pub(super) fn now(&self) -> u32 {
        // What the caller did before is done before the counter is read.
        fence(Ordering::SeqCst);
        self.ticks.load(Ordering::SeqCst)
    }

    fn bucket(&self, id: u32) -> MutexGuard<'_, Bucket> {
        self.buckets[id as usize % self.buckets.len()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that an ioctl called at `begun`, a churner's moment, registered
    /// the file with this stamp. False if the id was live already: handed out twice.
    pub(super) fn registered(&self, id: u32, stamp: u32, begun: u32) -> bool {
        let mut bucket = self.bucket(id);
        let recorded = self.now();
        // A removal that was under way at any time since then may have met what
        // was registered since then.
        let (removals, last_removal) = (bucket.removals, bucket.last_removal);
        let unmet_since = |moment: u32| removals == 0 && last_removal < moment;
        let twice = bucket.registrations.iter().any(|other| {
            other.id == id
                && other.removing == NEVER
                && !other.unsure
                && unmet_since(other.begun.min(begun))
        });
        bucket.entries += 1;
        let registration = Registration {
            id,
            stamp,
            begun,
            recorded,
            entry: bucket.entries,
            removing: NEVER,
            gone: NEVER,
            unsure: !unmet_since(begun),
        };
        bucket.remember(registration);
        !twice
    }

    /// A removing ioctl is about to be called.
    pub(super) fn removal_begins(&self, id: u32) -> Removal {
        let mut bucket = self.bucket(id);
        let begun = self.now();
        bucket.removals += 1;
        for registration in bucket.live(id) {
            registration.removing = registration.removing.min(begun);
        }
        Removal {
            id,
            entries: bucket.entries,
        }
    }

    /// A removing ioctl has returned, with whatever result: what was
    /// registered before it began is gone, by this call or by another.
    pub(super) fn removal_ends(&self, removal: Removal) {
        let Removal { id, entries } = removal;
        let mut bucket = self.bucket(id);
        let now = self.now();
        bucket.removals -= 1;
        bucket.last_removal = now;
        for registration in bucket.live(id) {
            if registration.entry <= entries {
                registration.gone = now;
            }
        }
    }

    /// What it means that an open, answered with `id` at `from` and back at
    /// `to`, read `stamp`; none is what no file of ours ever held, whoever was registered.
    pub(super) fn judge(&self, id: u32, stamp: Option<u32>, from: u32, to: u32) -> Judgement {
        let Some(stamp) = stamp else {
            return Judgement::Wrong;
        };
        let bucket = self.bucket(id);
        if bucket
            .within(id, from, to)
            .any(|registration| registration.stamp == stamp)
        {
            Judgement::Right
        } else if bucket.forgotten > from {
            Judgement::Unknown
        } else {
            Judgement::Wrong
        }
    }

    /// Whether a removal of the id ran at some time from `from` to `to`.
    pub(super) fn overlapped(&self, id: u32, from: u32, to: u32) -> bool {
        self.bucket(id)
            .within(id, from, to)
            .any(|registration| registration.removing <= to)
    }

    /// Whether the id was certainly registered all the time from `from` to `to`.
    pub(super) fn live_throughout(&self, id: u32, from: u32, to: u32) -> bool {
        self.bucket(id).registrations.iter().any(|registration| {
            registration.id == id
                && registration.recorded <= from
                && registration.removing > to
                && !registration.unsure
        })
    }
}

impl Bucket {
    /// Registrations of the id that may still be in the kernel's table.
    fn live(&mut self, id: u32) -> impl Iterator<Item = &mut Registration> {
        self.registrations
            .iter_mut()
            .filter(move |registration| registration.id == id && registration.gone == NEVER)
    }

    /// Registrations of the id that may have been in the table at some time
    /// from the tick `from` to the tick `to`.
    fn within(&self, id: u32, from: u32, to: u32) -> impl Iterator<Item = &Registration> {
        self.registrations.iter().filter(move |registration| {
            registration.id == id && registration.begun <= to && registration.gone > from
        })
    }

    /// Keeps it, in the place of the one that has been gone the longest.
    fn remember(&mut self, registration: Registration) {
        let full = self.registrations.len() >= REMEMBERED;
        match self.registrations.iter_mut().min_by_key(|old| old.gone) {
            Some(old) if full && old.gone != NEVER => {
                self.forgotten = self.forgotten.max(old.gone);
                *old = registration;
            }
            _ => self.registrations.push(registration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(ledger: &Ledger, id: u32, stamp: u32) -> bool {
        let begun = ledger.now();
        ledger.registered(id, stamp, begun)
    }

    fn remove(ledger: &Ledger, id: u32) {
        let removal = ledger.removal_begins(id);
        ledger.removal_ends(removal);
    }

    #[test]
    fn a_stamp_is_right_only_while_its_registration_may_last() {
        let ledger = Ledger::new(1);
        let before = ledger.tick();
        assert!(register(&ledger, 7, 70));
        let during = ledger.tick();
        remove(&ledger, 7);
        let after = ledger.tick();
        for (stamp, from, to, judgement) in [
            (Some(70), during, during, Judgement::Right),
            (Some(70), before, during, Judgement::Right),
            (Some(70), during, after, Judgement::Right),
            (Some(70), after, after, Judgement::Wrong),
            (Some(71), during, during, Judgement::Wrong),
            (None, during, during, Judgement::Wrong),
        ] {
            assert_eq!(
                ledger.judge(7, stamp, from, to),
                judgement,
                "{stamp:?} {from} {to}"
            );
        }
    }

    #[test]
    fn a_removal_under_way_leaves_both_answers_open() {
        let ledger = Ledger::new(1);
        assert!(register(&ledger, 7, 70));
        let from = ledger.tick();
        assert!(ledger.live_throughout(7, from, ledger.tick()));
        let removal = ledger.removal_begins(7);
        let to = ledger.tick();
        assert!(!ledger.live_throughout(7, from, to));
        assert!(ledger.overlapped(7, from, to));
        assert_eq!(ledger.judge(7, Some(70), to, to), Judgement::Right);
        ledger.removal_ends(removal);
        let after = ledger.tick();
        assert!(!ledger.overlapped(7, after, after));
    }

    #[test]
    fn an_id_handed_out_twice_is_seen_and_a_reused_one_is_not() {
        let ledger = Ledger::new(1);
        assert!(register(&ledger, 7, 70));
        assert!(!register(&ledger, 7, 71));
        let ledger = Ledger::new(1);
        assert!(register(&ledger, 7, 70));
        remove(&ledger, 7);
        assert!(register(&ledger, 7, 71));
    }

    #[test]
    fn a_straggling_second_removal_excuses_the_next_registration() {
        let ledger = Ledger::new(1);
        assert!(register(&ledger, 7, 70));
        // Two threads remove the same id; one of them is slow.
        let slow = ledger.removal_begins(7);
        remove(&ledger, 7);
        // The slow one meets this registration, or not: nobody can tell.
        assert!(register(&ledger, 7, 71));
        assert!(register(&ledger, 7, 72));
        ledger.removal_ends(slow);
        let now = ledger.tick();
        assert!(!ledger.live_throughout(7, now, now));
        assert_eq!(ledger.judge(7, Some(72), now, now), Judgement::Right);
        assert_eq!(ledger.judge(7, Some(70), now, now), Judgement::Wrong);
    }

    #[test]
    fn a_registration_that_was_removed_before_it_was_recorded_is_no_double() {
        let ledger = Ledger::new(1);
        let slow = ledger.removal_begins(7);
        let begun = ledger.now();
        ledger.removal_ends(slow);
        assert!(register(&ledger, 7, 71));
        assert!(ledger.registered(7, 70, begun));
    }

    #[test]
    fn what_is_forgotten_is_not_judged() {
        let ledger = Ledger::new(1);
        let long_ago = ledger.tick();
        for stamp in 0..2 * REMEMBERED as u32 {
            assert!(register(&ledger, 7, stamp));
            remove(&ledger, 7);
        }
        let now = ledger.tick();
        assert_eq!(
            ledger.judge(7, Some(999), long_ago, now),
            Judgement::Unknown
        );
        assert_eq!(ledger.judge(7, Some(999), now, now), Judgement::Wrong);
        // Nobody registered what is no stamp.
        assert_eq!(ledger.judge(7, None, long_ago, now), Judgement::Wrong);
    }
}
