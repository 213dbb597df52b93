//! Churners: remove the id of a slot, register the next.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use fastrand::Rng;
use nix::errno::Errno;
use protocol::FindingKind;

use super::{
    apart::Apart,
    ledger::Ledger,
    slots::{Slot, Slots},
    tally::{Count, Tally},
};
use crate::{findings::Findings, stop::Stop, sys};

/// One removal in so many is offered to another churner too: two removals of
/// one id, and one of them gets ENOENT.
const CONTEST_ONE_IN: u32 = 64;

/// The title of the finding that an id was handed out while it was live.
const TWICE: &str = "live backing id handed out twice";

/// What all churners share.
pub(super) struct Churn {
    pub(super) slots: Arc<Slots>,
    pub(super) ledger: Ledger,
    pub(super) tally: Arc<Tally>,
    pub(super) findings: Findings,
    pub(super) stop: Stop,
    /// Turns that churners have begun; it wraps.
    turns: Apart<AtomicU32>,
    /// The connection's device, once it is mounted.
    device: OnceLock<OwnedFd>,
    /// An id that two are to remove; 0 if there is none.
    contested: Apart<AtomicU32>,
    /// For each churner the moment before the registering ioctl that it is in;
    /// 0 if it is in none.
    registering: Box<[Apart<AtomicU32>]>,
}

impl Churn {
    /// For so many churners.
    pub(super) fn new(
        slots: Arc<Slots>,
        tally: Arc<Tally>,
        findings: Findings,
        churners: u32,
    ) -> Churn {
        Churn {
            ledger: Ledger::new(slots.len() as u32),
            slots,
            tally,
            findings,
            stop: Stop::default(),
            turns: Apart::default(),
            device: OnceLock::new(),
            contested: Apart::default(),
            registering: (0..churners).map(|_| Apart::default()).collect(),
        }
    }

    /// The connection is there: from now on ids can be had.
    pub(super) fn connect(&self, device: OwnedFd) {
        let _ = self.device.set(device);
    }

    /// One churner's life.
    pub(super) fn work(&self, who: usize, mut rng: Rng) {
        while !self.stop.is_set() {
            // Read first: a line that is only read stays with every CPU.
            if self.contested.load(Ordering::Acquire) != 0 {
                let contested = self.contested.swap(0, Ordering::AcqRel);
                if contested != 0 {
                    self.remove(contested);
                }
            }
            let turn = self.turns.fetch_add(1, Ordering::Relaxed);
            let due = self.slots.due(turn);
            let index = due.unwrap_or_else(|| rng.usize(..self.slots.len()));
            let slot = self.slots.at(index);
            if slot.aimed.load(Ordering::Relaxed) {
                continue;
            }
            // Somebody else at work on it: take another.
            let Ok(mut turn) = slot.turn.try_lock() else {
                continue;
            };
            self.renew(who, index, slot, &mut turn, rng.u32(..CONTEST_ONE_IN) == 0);
        }
    }

    /// The turn that the next churner begins.
    pub(super) fn turn(&self) -> u32 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Removes the id that a server has just answered with, while the opener
    /// is on its way to look it up. A churner fills the slot again.
    pub(super) fn pull(&self, index: usize, id: u32) {
        let slot = self.slots.at(index);
        let Ok(_turn) = slot.turn.try_lock() else {
            return;
        };
        if slot.current.load(Ordering::Acquire) == id {
            self.remove(id);
            slot.previous.store(id, Ordering::Release);
            slot.current.store(0, Ordering::Release);
        }
    }

    fn renew(&self, who: usize, index: usize, slot: &Slot, turn: &mut u32, contest: bool) {
        let old = slot.current.load(Ordering::Acquire);
        if old != 0 {
            if contest {
                self.contested.store(old, Ordering::Release);
            }
            self.remove(old);
            slot.previous.store(old, Ordering::Release);
        }
        let new = self.register(who, index, *turn);
        *turn = turn.wrapping_add(1);
        slot.current.store(new.unwrap_or(0), Ordering::Release);
    }

    fn device(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.device.get().map(AsFd::as_fd).ok_or(Errno::ENODEV)
    }

    /// Registers the slot's next file; none if the kernel refused.
    fn register(&self, who: usize, index: usize, turn: u32) -> Option<u32> {
        let (stamp, file) = self.slots.file(index, turn);
        let begun = self.ledger.now();
        self.registering[who].store(begun, Ordering::Release);
        let result = self
            .device()
            .and_then(|device| sys::backing_open(device, file.as_fd()));
        if let Ok(id) = result {
            self.tally.add(Count::Registers);
            if !self.ledger.registered(id, stamp, begun) {
                self.findings.report(FindingKind::WrongData, TWICE, || {
                    format!("BACKING_OPEN returned {id}, and nobody had begun to remove the {id} handed out before")
                });
            }
        }
        self.registering[who].store(0, Ordering::Release);
        result
            .map_err(|errno| self.unexpected("BACKING_OPEN", errno))
            .ok()
    }

    fn remove(&self, id: u32) {
        let removal = self.ledger.removal_begins(id);
        let result = self
            .device()
            .and_then(|device| sys::backing_close(device, id));
        self.ledger.removal_ends(removal);
        match result {
            Ok(()) => self.tally.add(Count::Removes),
            Err(Errno::ENOENT) => self.tally.add(Count::Enoents),
            Err(errno) => self.unexpected("BACKING_CLOSE", errno),
        }
    }

    fn unexpected(&self, call: &str, errno: Errno) {
        self.tally.add(Count::Errors);
        self.findings.report(
            FindingKind::WrongData,
            &format!("{call} failed with {errno:?}"),
            || errno.to_string(),
        );
    }

    /// Whether every registering ioctl that was called up to this tick has
    /// been recorded.
    pub(super) fn recorded_up_to(&self, tick: u32) -> bool {
        self.registering.iter().all(|begun| {
            let begun = begun.load(Ordering::Acquire);
            begun == 0 || begun > tick
        })
    }
}
