//! Which objects tasks took and dropped references to, so that a hold is known to have mattered.
//!
//! QEMU 7.2 shows a plugin neither registers nor memory, but the addresses of memory accesses: an
//! object is told from others by where its reference count lies, and a task by where its stack does.
//! Tasks must be told apart, as the timer that waited during a hold preempts the held one.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use crate::hold::Held;

/// vCPUs that are told apart; more share their neighbours' state.
const VCPUS: usize = 64;
/// Dropped references that are remembered: a hold's worth, and more.
const DROPS: usize = 4096;
/// Holds of one lookup that are remembered.
const HOLDS: usize = 16;
/// Tasks that are remembered; when there are more, all start anew.
const TASKS: usize = 4096;

/// What each task does.
pub(crate) struct Watch {
    vcpus: Vec<Mutex<Vcpu>>,
    tasks: Mutex<HashMap<u64, Task>>,
    drops: Mutex<VecDeque<Drop>>,
    /// A stack's address, without so many bits, tells whose it is.
    stack_bits: u32,
}

#[derive(Default)]
struct Vcpu {
    /// Whose stack it is on; 0 before the first switch.
    task: u64,
    /// The instruction whose memory access is to come.
    expected: Option<usize>,
}

#[derive(Default)]
struct Task {
    /// Within a watched function: its drops are its own doing.
    inside: bool,
    /// The reference count that the lookup at hand has read.
    got: Option<u64>,
    /// Holds of the lookup at hand, before it read the count.
    holds: Vec<(usize, Held)>,
}

/// A reference was dropped.
#[derive(Clone, Copy)]
struct Drop {
    vcpu: usize,
    address: u64,
    at: u64,
}

/// A hold during which another vCPU dropped a reference to the object that was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub(crate) point: usize,
    /// Before the lookup had read the object's count.
    pub(crate) early: bool,
}

impl Watch {
    pub(crate) fn new(stack_bits: u32) -> Self {
        Self {
            vcpus: (0..VCPUS).map(|_| Mutex::default()).collect(),
            tasks: Mutex::default(),
            drops: Mutex::default(),
            stack_bits: stack_bits.min(63),
        }
    }

    /// An instruction is about to access memory. QEMU 7.2 may report later code's accesses as an
    /// earlier instruction's: only the first one after this is its own.
    pub(crate) fn expect(&self, vcpu: u32, entry: usize) {
        if let Ok(mut state) = self.vcpus[index(vcpu)].lock() {
            state.expected = Some(entry);
        }
    }

    /// Another task's stack is taken up.
    pub(crate) fn switched(&self, vcpu: u32, entry: usize, address: u64) {
        if let Ok(mut state) = self.vcpus[index(vcpu)].lock()
            && state.expected.take() == Some(entry)
        {
            state.task = address >> self.stack_bits;
        }
    }

    /// A watched function begins.
    pub(crate) fn enter(&self, vcpu: u32) {
        self.with(vcpu, |task| {
            *task = Task {
                inside: true,
                ..Task::default()
            };
        });
    }

    /// A watched function ends.
    pub(crate) fn leave(&self, vcpu: u32) {
        self.with(vcpu, |task| *task = Task::default());
    }

    /// An object's count is read, to take a reference: gives the holds before it that mattered.
    pub(crate) fn got(&self, vcpu: u32, entry: usize, address: u64) -> Vec<Overlap> {
        if !self.is_expected(vcpu, entry) {
            return Vec::new();
        }
        let holds = self.with(vcpu, |task| {
            task.got = Some(address);
            std::mem::take(&mut task.holds)
        });
        let holds = holds.unwrap_or_default().into_iter();
        let mattered = holds.filter(|(_, held)| self.dropped(vcpu, address, *held));
        mattered
            .map(|(point, _)| Overlap { point, early: true })
            .collect()
    }

    /// A reference is dropped.
    pub(crate) fn put(&self, vcpu: u32, entry: usize, address: u64, now: u64) {
        let own =
            self.is_expected(vcpu, entry) && self.with(vcpu, |task| task.inside) == Some(true);
        if let Ok(mut drops) = self.drops.lock()
            && own
        {
            if drops.len() == DROPS {
                drops.pop_front();
            }
            drops.push_back(Drop {
                vcpu: index(vcpu),
                address,
                at: now,
            });
        }
    }

    /// A hold is over: gives it back if it mattered, or remembers it until that is known.
    pub(crate) fn held(&self, vcpu: u32, point: usize, held: Held) -> Option<Overlap> {
        let address = self.with(vcpu, |task| {
            if task.got.is_none() && task.holds.len() < HOLDS {
                task.holds.push((point, held));
            }
            task.got
        });
        let address = address.flatten()?;
        let early = false;
        self.dropped(vcpu, address, held)
            .then_some(Overlap { point, early })
    }

    fn is_expected(&self, vcpu: u32, entry: usize) -> bool {
        let state = self.vcpus[index(vcpu)].lock();
        state.is_ok_and(|mut state| state.expected.take() == Some(entry))
    }

    /// Whether another vCPU dropped a reference to an object during a hold.
    fn dropped(&self, vcpu: u32, address: u64, held: Held) -> bool {
        let Ok(drops) = self.drops.lock() else {
            return false;
        };
        let mut latest = drops.iter().rev().take_while(|drop| drop.at >= held.from);
        latest.any(|drop| drop.address == address && drop.at <= held.to && drop.vcpu != index(vcpu))
    }

    /// The task that a vCPU runs.
    fn with<T>(&self, vcpu: u32, then: impl FnOnce(&mut Task) -> T) -> Option<T> {
        let task = self.vcpus[index(vcpu)].lock().ok()?.task;
        let mut tasks = self.tasks.lock().ok()?;
        if tasks.len() > TASKS {
            tasks.clear();
        }
        // Before the first switch, a vCPU is all that is known of a task.
        let key = match task {
            0 => u64::from(vcpu),
            task => task,
        };
        Some(then(tasks.entry(key).or_default()))
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
    const SWITCH: usize = 9;
    const OBJECT: u64 = 0xffff_8880_0000_1008;
    const HELD: Held = Held { from: 100, to: 200 };

    fn drop_on(watch: &Watch, vcpu: u32, address: u64, now: u64) {
        watch.enter(vcpu);
        watch.expect(vcpu, PUT);
        watch.put(vcpu, PUT, address, now);
        watch.leave(vcpu);
    }

    fn get(watch: &Watch, vcpu: u32) -> Vec<Overlap> {
        watch.expect(vcpu, GET);
        watch.got(vcpu, GET, OBJECT)
    }

    fn look_up(watch: &Watch, vcpu: u32) -> Vec<Overlap> {
        watch.enter(vcpu);
        assert_eq!(watch.held(vcpu, 3, HELD), None, "not known yet");
        let overlaps = get(watch, vcpu);
        watch.leave(vcpu);
        overlaps
    }

    fn switch(watch: &Watch, vcpu: u32, stack: u64) {
        watch.expect(vcpu, SWITCH);
        watch.switched(vcpu, SWITCH, stack);
    }

    fn early() -> Vec<Overlap> {
        vec![Overlap {
            point: 3,
            early: true,
        }]
    }

    #[test]
    fn a_hold_matters_when_the_very_object_is_dropped_meanwhile_elsewhere() {
        for (vcpu, address, at, seen) in [
            (1, OBJECT, 150, early()),
            (1, OBJECT, 99, vec![]),
            (1, OBJECT, 201, vec![]),
            (1, OBJECT + 64, 150, vec![]),
            (0, OBJECT, 150, vec![]),
        ] {
            let watch = Watch::new(14);
            drop_on(&watch, vcpu, address, at);
            assert_eq!(look_up(&watch, 0), seen, "{vcpu} {address:x} {at}");
        }
    }

    #[test]
    fn a_hold_after_the_count_was_read_is_late() {
        let watch = Watch::new(14);
        watch.enter(0);
        assert_eq!(get(&watch, 0), []);
        drop_on(&watch, 1, OBJECT, 150);
        let late = Overlap {
            point: 4,
            early: false,
        };
        assert_eq!(watch.held(0, 4, HELD), Some(late));
        watch.leave(0);
        assert_eq!(watch.held(0, 4, HELD), None);
    }

    #[test]
    fn a_lookup_that_is_preempted_after_its_hold_is_still_known() {
        let watch = Watch::new(14);
        drop_on(&watch, 1, OBJECT, 150);
        switch(&watch, 0, 0xffff_c900_0000_3f00);
        watch.enter(0);
        assert_eq!(watch.held(0, 3, HELD), None);
        // Another task does the same kind of thing meanwhile.
        switch(&watch, 0, 0xffff_c900_0000_7f00);
        watch.enter(0);
        watch.leave(0);
        switch(&watch, 0, 0xffff_c900_0000_3e80);
        assert_eq!(get(&watch, 0), early());
    }

    #[test]
    fn drops_elsewhere_and_accesses_that_were_not_expected_do_not_count() {
        let watch = Watch::new(14);
        // Not within a watched function.
        watch.expect(1, PUT);
        watch.put(1, PUT, OBJECT, 150);
        // Later code's access, told as the instruction's.
        watch.enter(1);
        watch.put(1, PUT, OBJECT, 150);
        assert_eq!(look_up(&watch, 0), []);
    }
}
