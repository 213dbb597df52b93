//! When and how long a vCPU is held.

use std::{
    ops::Range,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use protocol::board::{Board, Entry, Header, MAX_HOLD_US, WHOLE};

/// vCPUs that are told apart; more share their neighbours' state.
const VCPUS: usize = 64;

/// Holds vCPUs at the board's stall points.
pub(crate) struct Holder {
    board: Board<'static>,
    points: Vec<Range<u64>>,
    vcpus: [Vcpu; VCPUS],
    started: Instant,
}

/// What is known of one vCPU. Only its own thread writes it.
#[derive(Default)]
#[repr(align(64))]
struct Vcpu {
    random: AtomicU64,
    /// When it first met a stall point that was active, in microseconds; 0 before.
    since_us: AtomicU64,
    held_us: AtomicU64,
}

impl Holder {
    pub(crate) fn new(board: Board<'static>) -> Self {
        Self {
            points: (0..board.points())
                .map(|at| {
                    let word = |word| board.entry(at, word).load(Relaxed);
                    word(Entry::Start)..word(Entry::End)
                })
                .collect(),
            vcpus: [const { Vcpu::new() }; VCPUS],
            started: Instant::now(),
            board,
        }
    }

    /// The stall points that an instruction belongs to.
    pub(crate) fn points_at(&self, address: u64) -> impl Iterator<Item = usize> {
        let all = self.points.iter().enumerate();
        all.filter_map(move |(at, point)| point.contains(&address).then_some(at))
    }

    /// A vCPU is at a stall point: counts it, and holds it if chance and the vCPU's
    /// share of time say so.
    pub(crate) fn hold(&self, vcpu: u32, point: usize) {
        if self.board.header(Header::Active).load(Acquire) == 0 {
            return;
        }
        let entry = |word| self.board.entry(point, word);
        entry(Entry::Hits).fetch_add(1, Relaxed);
        let state = &self.vcpus[vcpu as usize % VCPUS];
        let chance = entry(Entry::Chance).load(Relaxed);
        let seed = self.board.header(Header::Seed).load(Relaxed);
        if state.random(seed ^ u64::from(vcpu)) % WHOLE >= chance {
            return;
        }
        let now_us = micros(self.started.elapsed());
        if !state.may_hold(now_us, self.board.header(Header::Share).load(Relaxed)) {
            return;
        }
        let hold_us = entry(Entry::HoldUs).load(Relaxed).min(MAX_HOLD_US);
        thread::sleep(Duration::from_micros(hold_us));
        // What it took, not what was asked for: hosts oversleep.
        let held_us = micros(self.started.elapsed()).saturating_sub(now_us);
        state.held_us.fetch_add(held_us, Relaxed);
        entry(Entry::HeldUs).fetch_add(held_us, Relaxed);
        entry(Entry::Holds).fetch_add(1, Relaxed);
    }
}

impl Vcpu {
    const fn new() -> Self {
        Self {
            random: AtomicU64::new(0),
            since_us: AtomicU64::new(0),
            held_us: AtomicU64::new(0),
        }
    }

    /// The next random number (splitmix64).
    fn random(&self, seed: u64) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let n = self.random.fetch_add(1, Relaxed) + 1;
        let mut z = seed.wrapping_add(n.wrapping_mul(STEP));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether its holds so far leave room in its share of the time since the first.
    fn may_hold(&self, now_us: u64, share: u64) -> bool {
        let since = match self.since_us.load(Relaxed) {
            0 => {
                self.since_us.store(now_us.max(1), Relaxed);
                now_us
            }
            since => since,
        };
        let passed = u128::from(now_us.saturating_sub(since));
        let held = u128::from(self.held_us.load(Relaxed));
        held * u128::from(WHOLE) <= passed * u128::from(share)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
