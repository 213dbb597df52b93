//! Which objects vCPUs took and dropped references to, so that a hold is known to have mattered.
//!
//! QEMU 7.2 shows a plugin neither registers nor memory, but the addresses of memory accesses: an
//! object is told from others by where its reference count lies. Tasks that are preempted in the
//! middle of a lookup confuse this for a moment, and are rare enough to be left alone.

use std::{collections::VecDeque, sync::Mutex};

use crate::hold::Held;

/// vCPUs that are told apart; more share their neighbours' state.
const VCPUS: usize = 64;
/// Dropped references that are remembered for each vCPU.
const DROPS: usize = 512;
/// Holds of one lookup that are remembered.
const HOLDS: usize = 16;

/// What each vCPU does.
pub(crate) struct Watch {
    vcpus: Vec<Mutex<Vcpu>>,
}

#[derive(Default)]
struct Vcpu {
    /// The instruction whose memory access is to come.
    expected: Option<usize>,
    /// Within a watched function: its drops are its own doing.
    inside: bool,
    /// The reference count that the lookup at hand has taken a reference of.
    got: Option<u64>,
    /// Holds of the lookup at hand, before it took its reference.
    holds: Vec<(usize, Held)>,
    /// Where and when references were dropped.
    drops: VecDeque<(u64, u64)>,
}

/// A hold during which another vCPU dropped a reference to the object that was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub(crate) point: usize,
    /// Before the lookup took its own reference.
    pub(crate) early: bool,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            vcpus: (0..VCPUS).map(|_| Mutex::default()).collect(),
        }
    }

    /// A watched function begins.
    pub(crate) fn enter(&self, vcpu: u32) {
        self.with(vcpu, |state| {
            state.inside = true;
            state.forget();
        });
    }

    /// A watched function ends.
    pub(crate) fn leave(&self, vcpu: u32) {
        self.with(vcpu, |state| {
            state.inside = false;
            state.forget();
        });
    }

    /// An instruction is about to access memory. QEMU 7.2 may report later code's accesses as an
    /// earlier instruction's: only the first one after this is its own.
    pub(crate) fn expect(&self, vcpu: u32, entry: usize) {
        self.with(vcpu, |state| state.expected = Some(entry));
    }

    /// A reference is taken: gives the holds before it that mattered.
    pub(crate) fn got(&self, vcpu: u32, entry: usize, address: u64) -> Vec<Overlap> {
        let holds = self.with(vcpu, |state| {
            if state.expected.take() != Some(entry) {
                return Vec::new();
            }
            state.got = Some(address);
            std::mem::take(&mut state.holds)
        });
        let holds = holds.unwrap_or_default().into_iter();
        let mattered = holds.filter(|(_, held)| self.dropped(vcpu, address, *held));
        mattered
            .map(|(point, _)| Overlap { point, early: true })
            .collect()
    }

    /// A reference is dropped.
    pub(crate) fn put(&self, vcpu: u32, entry: usize, address: u64, now: u64) {
        self.with(vcpu, |state| {
            if state.expected.take() != Some(entry) || !state.inside {
                return;
            }
            if state.drops.len() == DROPS {
                state.drops.pop_front();
            }
            state.drops.push_back((address, now));
        });
    }

    /// A hold is over: gives it back if it mattered, or remembers it until that is known.
    pub(crate) fn held(&self, vcpu: u32, point: usize, held: Held) -> Option<Overlap> {
        let address = self.with(vcpu, |state| {
            if state.got.is_none() && state.holds.len() < HOLDS {
                state.holds.push((point, held));
            }
            state.got
        });
        let address = address.flatten()?;
        let early = false;
        self.dropped(vcpu, address, held)
            .then_some(Overlap { point, early })
    }

    /// Whether another vCPU dropped a reference to an object during a hold.
    fn dropped(&self, vcpu: u32, address: u64, held: Held) -> bool {
        let others = self.vcpus.iter().enumerate();
        let mut others = others.filter(|(at, _)| *at != index(vcpu));
        others.any(|(_, other)| {
            other.lock().is_ok_and(|other| {
                let mut latest = other.drops.iter().rev();
                latest
                    .by_ref()
                    .take_while(|(_, at)| *at >= held.from)
                    .any(|(dropped, at)| *dropped == address && *at <= held.to)
            })
        })
    }

    fn with<T>(&self, vcpu: u32, then: impl FnOnce(&mut Vcpu) -> T) -> Option<T> {
        self.vcpus[index(vcpu)]
            .lock()
            .ok()
            .map(|mut state| then(&mut state))
    }
}

impl Vcpu {
    /// The lookup at hand is over, or another begins.
    fn forget(&mut self) {
        self.got = None;
        self.holds.clear();
    }
}

fn index(vcpu: u32) -> usize {
    vcpu as usize % VCPUS
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: usize = 7;
    const PUT: usize = 8;
    const OBJECT: u64 = 0xffff_8880_0000_1008;

    fn drop_on(watch: &Watch, vcpu: u32, address: u64, now: u64) {
        watch.enter(vcpu);
        watch.expect(vcpu, PUT);
        watch.put(vcpu, PUT, address, now);
        watch.leave(vcpu);
    }

    fn look_up(watch: &Watch, vcpu: u32, held: Held) -> Vec<Overlap> {
        watch.enter(vcpu);
        assert_eq!(watch.held(vcpu, 3, held), None, "not known yet");
        watch.expect(vcpu, GET);
        let overlaps = watch.got(vcpu, GET, OBJECT);
        watch.leave(vcpu);
        overlaps
    }

    #[test]
    fn a_hold_matters_when_the_very_object_is_dropped_meanwhile_elsewhere() {
        let held = Held { from: 100, to: 200 };
        let early = vec![Overlap {
            point: 3,
            early: true,
        }];
        for (vcpu, address, at, seen) in [
            (1, OBJECT, 150, early.clone()),
            (1, OBJECT, 99, vec![]),
            (1, OBJECT, 201, vec![]),
            (1, OBJECT + 64, 150, vec![]),
            (0, OBJECT, 150, vec![]),
        ] {
            let watch = Watch::new();
            drop_on(&watch, vcpu, address, at);
            assert_eq!(look_up(&watch, 0, held), seen, "{vcpu} {address:x} {at}");
        }
    }

    #[test]
    fn a_hold_after_the_reference_was_taken_is_late() {
        let watch = Watch::new();
        watch.enter(0);
        watch.expect(0, GET);
        assert_eq!(watch.got(0, GET, OBJECT), []);
        drop_on(&watch, 1, OBJECT, 150);
        let late = Overlap {
            point: 4,
            early: false,
        };
        assert_eq!(watch.held(0, 4, Held { from: 100, to: 200 }), Some(late));
        watch.leave(0);
        assert_eq!(watch.held(0, 4, Held { from: 100, to: 200 }), None);
    }

    #[test]
    fn drops_elsewhere_and_accesses_that_were_not_expected_do_not_count() {
        let watch = Watch::new();
        // Not within a watched function.
        watch.expect(1, PUT);
        watch.put(1, PUT, OBJECT, 150);
        // Later code's access, told as the instruction's.
        watch.enter(1);
        watch.put(1, PUT, OBJECT, 150);
        assert_eq!(look_up(&watch, 0, Held { from: 100, to: 200 }), []);
    }
}
