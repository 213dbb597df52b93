//! Who was registered under which id, and when.
//!
//! Times are ticks of one shared counter: unlike clocks of several CPUs, ticks
//! are totally ordered and never run backwards, so an interval that is taken
//! around a call is certain to contain what the kernel did in that call. Every
//! interval is generous on both sides: a registration may have begun when its
//! ioctl was called, and may have lasted until the removing ioctl returned.
//! What is reported as wrong is therefore wrong; what is merely suspicious is
//! not reported.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Buckets; ids are handed out cyclically, so neighbours in a bucket are old.
const BUCKETS: usize = 4096;
/// Ended registrations that a bucket remembers.
const REMEMBERED: usize = 6;
/// Not yet.
const NEVER: u64 = u64::MAX;

/// One registration of an id.
#[derive(Clone, Copy, Debug)]
struct Registration {
    id: u32,
    stamp: u32,
    /// Before the registering ioctl was called.
    begun: u64,
    /// After it returned.
    recorded: u64,
    /// Before the first removing ioctl that may have met it was called.
    removing: u64,
    /// After a removing ioctl that must have met it returned.
    gone: u64,
}

#[derive(Debug, Default)]
struct Bucket {
    registrations: Vec<Registration>,
    /// Ids that removing ioctls are busy with at this moment.
    busy: Vec<u32>,
    /// When a removing ioctl last returned, whatever its id.
    last_removal: u64,
    /// Nothing that was gone before this tick is sure to be remembered.
    forgotten: u64,
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
    begun: u64,
}

/// The record of all registrations.
#[derive(Debug)]
pub(super) struct Ledger {
    ticks: AtomicU64,
    buckets: Box<[Mutex<Bucket>]>,
}

impl Ledger {
    /// An empty one.
    pub(super) fn new() -> Self {
        Ledger {
            ticks: AtomicU64::new(1),
            buckets: (0..BUCKETS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The next tick.
    pub(super) fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    fn bucket(&self, id: u32) -> MutexGuard<'_, Bucket> {
        self.buckets[id as usize % BUCKETS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that an ioctl called at `begun` registered the file with this
    /// stamp. False if the id was live already: handed out twice.
    pub(super) fn registered(&self, id: u32, stamp: u32, begun: u64) -> bool {
        let mut bucket = self.bucket(id);
        let recorded = self.tick();
        let busy = bucket.busy.contains(&id);
        let last_removal = bucket.last_removal;
        // Only if no removal at all can have come between the two: a removal
        // that was under way since before either began may have met either.
        let twice = !busy
            && bucket.registrations.iter().any(|other| {
                other.id == id && other.removing == NEVER && last_removal < other.begun.min(begun)
            });
        let removing = if busy || last_removal >= begun {
            begun
        } else {
            NEVER
        };
        bucket.remember(Registration {
            id,
            stamp,
            begun,
            recorded,
            removing,
            gone: NEVER,
        });
        !twice
    }

    /// A removing ioctl is about to be called.
    pub(super) fn removal_begins(&self, id: u32) -> Removal {
        let mut bucket = self.bucket(id);
        let begun = self.tick();
        bucket.busy.push(id);
        for registration in bucket.live(id) {
            registration.removing = registration.removing.min(begun);
        }
        Removal { id, begun }
    }

    /// A removing ioctl has returned, with whatever result: what was
    /// registered before it began is gone, by this call or by another.
    pub(super) fn removal_ends(&self, removal: Removal) {
        let Removal { id, begun } = removal;
        let mut bucket = self.bucket(id);
        let now = self.tick();
        bucket.last_removal = now;
        if let Some(at) = bucket.busy.iter().position(|&busy| busy == id) {
            bucket.busy.swap_remove(at);
        }
        for registration in bucket
            .live(id)
            .filter(|registration| registration.recorded < begun)
        {
            registration.gone = now;
        }
    }

    /// What it means that an open, answered with `id` at `from` and back at
    /// `to`, read `stamp`.
    pub(super) fn judge(&self, id: u32, stamp: Option<u32>, from: u64, to: u64) -> Judgement {
        let bucket = self.bucket(id);
        if stamp.is_some_and(|stamp| {
            bucket
                .within(id, from, to)
                .any(|registration| registration.stamp == stamp)
        }) {
            Judgement::Right
        } else if bucket.forgotten >= from {
            Judgement::Unknown
        } else {
            Judgement::Wrong
        }
    }

    /// Whether a removal of the id ran at some time from `from` to `to`.
    pub(super) fn overlapped(&self, id: u32, from: u64, to: u64) -> bool {
        self.bucket(id)
            .within(id, from, to)
            .any(|registration| registration.removing <= to)
    }

    /// Whether the id was certainly registered all the time from `from` to `to`.
    pub(super) fn live_throughout(&self, id: u32, from: u64, to: u64) -> bool {
        self.bucket(id).registrations.iter().any(|registration| {
            registration.id == id && registration.recorded < from && registration.removing > to
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
    /// from `from` to `to`.
    fn within(&self, id: u32, from: u64, to: u64) -> impl Iterator<Item = &Registration> {
        self.registrations.iter().filter(move |registration| {
            registration.id == id && registration.begun <= to && registration.gone >= from
        })
    }

    fn remember(&mut self, registration: Registration) {
        let ended = |registration: &Registration| registration.gone != NEVER;
        if self
            .registrations
            .iter()
            .filter(|registration| ended(registration))
            .count()
            >= REMEMBERED
        {
            let oldest = self
                .registrations
                .iter()
                .enumerate()
                .filter(|(_, registration)| ended(registration));
            if let Some((at, gone)) = oldest
                .map(|(at, old)| (at, old.gone))
                .min_by_key(|&(_, gone)| gone)
            {
                self.forgotten = self.forgotten.max(gone);
                self.registrations.swap_remove(at);
            }
        }
        self.registrations.push(registration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(ledger: &Ledger, id: u32, stamp: u32) -> bool {
        let begun = ledger.tick();
        ledger.registered(id, stamp, begun)
    }

    fn remove(ledger: &Ledger, id: u32) {
        let removal = ledger.removal_begins(id);
        ledger.removal_ends(removal);
    }

    #[test]
    fn a_stamp_is_right_only_while_its_registration_may_last() {
        let ledger = Ledger::new();
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
        let ledger = Ledger::new();
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
        let ledger = Ledger::new();
        assert!(register(&ledger, 7, 70));
        assert!(!register(&ledger, 7, 71));
        let ledger = Ledger::new();
        assert!(register(&ledger, 7, 70));
        remove(&ledger, 7);
        assert!(register(&ledger, 7, 71));
    }

    #[test]
    fn a_straggling_second_removal_excuses_the_next_registration() {
        let ledger = Ledger::new();
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
        let ledger = Ledger::new();
        let slow = ledger.removal_begins(7);
        let begun = ledger.tick();
        ledger.removal_ends(slow);
        assert!(register(&ledger, 7, 71));
        assert!(ledger.registered(7, 70, begun));
    }

    #[test]
    fn what_is_forgotten_is_not_judged() {
        let ledger = Ledger::new();
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
    }
}
