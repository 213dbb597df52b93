//! Which executions of a stall point hold the vCPU, and for how long.
//!
//! One vCPU is held at a time, as a race needs the others to go on, and only for the board's share
//! of the time. Most of that goes to the functions in which holds were seen to matter: where,
//! meanwhile, another vCPU dropped a reference to the object that the held lookup found. The rest
//! goes to all functions alike, so that none is given up for good.

use std::{
    sync::{
        Mutex,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread,
    time::{Duration, Instant},
};

use protocol::board::{Board, Entry, Header, Kind, MAX_ENTRIES, MAX_HOLD_US, WHOLE};

use crate::steer::Steer;

/// One in so many microseconds of holding goes to all functions alike.
const EXPLORING: u64 = 8;
/// One in so many executions is held when exploring: else the point that comes first after a hold
/// would get them all.
const EXPLORED: u64 = 16;
/// The same at points that are worth it: what follows the first of them in a function gets its part.
const FAVOURED: u64 = 2;

/// Holds vCPUs at the board's stall points.
pub(crate) struct Holder {
    board: Board<'static>,
    steer: Steer,
    budget: Mutex<Budget>,
    /// A vCPU is held.
    held: AtomicBool,
    random: AtomicU64,
    started: Instant,
}

/// What was spent, in microseconds.
#[derive(Default)]
struct Budget {
    /// When the load began to meet stall points; none before.
    since: Option<u64>,
    exploited: u64,
    explored: u64,
}

/// A hold that is over, in microseconds since the plugin was loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Holder {
    pub(crate) fn new(board: Board<'static>) -> Self {
        // Stall points come first on a board.
        let points = (0..board.entries()).take_while(|at| {
            let kind = Kind::of(board.entry(*at, Entry::Kind).load(Relaxed));
            matches!(kind, Some(Kind::Hold | Kind::Adapt))
        });
        let likely = |at| board.entry(at, Entry::Likely).load(Relaxed) != 0;
        let points: Vec<_> = points
            .map(|at| (function_of(board, at), likely(at)))
            .collect();
        Self {
            board,
            steer: Steer::new(&points),
            budget: Mutex::default(),
            held: AtomicBool::new(false),
            random: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// The time since the plugin was loaded, in microseconds.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A vCPU is at a stall point: counts it, and holds it if its turn has come.
    pub(crate) fn hold(&self, point: usize, kind: Kind) -> Option<Held> {
        if self.board.header(Header::Active).load(Acquire) == 0 {
            return None;
        }
        self.entry(point, Entry::Hits).fetch_add(1, Relaxed);
        if self.held.load(Relaxed) {
            return None;
        }
        let random = self.random();
        let exploring = random.is_multiple_of(EXPLORED) && self.steer.is_due(point);
        let favoured = random.is_multiple_of(FAVOURED) && self.steer.favours(point);
        let matters = kind == Kind::Hold || favoured;
        if !matters && !exploring {
            return None;
        }
        let from = self.now();
        if !self.affords(from, matters) || self.held.swap(true, Acquire) {
            return None;
        }
        let wanted = self.length(point, random);
        thread::sleep(Duration::from_micros(wanted));
        // What it took, not what was asked for: hosts oversleep.
        let to = self.now();
        self.held.store(false, Release);
        self.spend(to - from, matters);
        self.entry(point, Entry::HeldUs)
            .fetch_add(to - from, Relaxed);
        self.entry(point, Entry::Holds).fetch_add(1, Relaxed);
        self.steer.held(point);
        Some(Held { from, to })
    }

    fn entry(&self, point: usize, word: Entry) -> &AtomicU64 {
        self.board.entry(point, word)
    }

    /// A hold is known to have mattered.
    pub(crate) fn mattered(&self, point: usize) {
        self.steer.mattered(point);
    }

    /// Whether the share of the time leaves room for a hold.
    fn affords(&self, now: u64, matters: bool) -> bool {
        let share = self.board.header(Header::Share).load(Relaxed);
        let Ok(mut budget) = self.budget.lock() else {
            return false;
        };
        let since = *budget.since.get_or_insert(now);
        let whole = u128::from(now.saturating_sub(since)) * u128::from(share) / u128::from(WHOLE);
        let exploring = whole / u128::from(EXPLORING);
        let (spent, room) = match matters {
            true => (budget.exploited, whole - exploring),
            false => (budget.explored, exploring),
        };
        u128::from(spent) <= room
    }

    fn spend(&self, us: u64, matters: bool) {
        let Ok(mut budget) = self.budget.lock() else {
            return;
        };
        match matters {
            true => budget.exploited += us,
            false => budget.explored += us,
        }
    }

    /// How long to hold: anything between the bounds is as likely.
    fn length(&self, point: usize, random: u64) -> u64 {
        let bound = |word| self.entry(point, word).load(Relaxed).clamp(1, MAX_HOLD_US);
        let (min, max) = (bound(Entry::MinUs), bound(Entry::MaxUs));
        match max.checked_sub(min) {
            None | Some(0) => min,
            Some(more) => min + (random >> 32) % more,
        }
    }

    /// The next random number (splitmix64).
    fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let seed = self.board.header(Header::Seed).load(Relaxed);
        let n = self.random.fetch_add(1, Relaxed) + 1;
        let mut z = seed.wrapping_add(n.wrapping_mul(STEP));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn function_of(board: Board<'_>, entry: usize) -> usize {
    let function = board.entry(entry, Entry::Function).load(Relaxed);
    usize::try_from(function).map_or(0, |function| function.min(MAX_ENTRIES))
}
