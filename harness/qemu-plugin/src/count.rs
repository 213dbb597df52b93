//! Counts the kernel's instructions between marks: in all, and by function; and the time between them.
//!
//! One thread runs all vCPUs when instructions are counted (QEMU's `-icount`), so nothing here races;
//! the words are atomic since the host may read them at any time.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use protocol::counts::{Counts, Mark, OPERATIONS, SAMPLES};

/// The kernel's half of the address space.
const KERNEL: u64 = 1 << 63;

/// The counting of one guest.
pub(crate) struct Counter {
    counts: Counts<'static>,
    /// The functions' starts, in order.
    functions: Vec<u64>,
    /// Instructions of the kernel that mark: address and mark.
    points: Vec<(u64, Mark)>,
    /// Instructions of the kernel so far.
    executed: AtomicU64,
    /// One bit for each operation that has begun.
    open: AtomicU64,
    /// What `executed` was when each began.
    begun: [AtomicU64; OPERATIONS],
    /// When each began, in nanoseconds since `created`.
    begun_ns: [AtomicU64; OPERATIONS],
    created: Instant,
}

/// Instructions that are executed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The function's place in the file, one above; 0 where none is known.
    function: u32,
    instructions: u32,
}

impl Stretch {
    /// As a callback's argument.
    pub(crate) fn pack(self) -> usize {
        (self.function as usize) << 32 | self.instructions as usize
    }

    fn unpack(packed: usize) -> Self {
        Self {
            function: (packed >> 32) as u32,
            instructions: packed as u32,
        }
    }
}

impl Counter {
    pub(crate) fn new(counts: Counts<'static>) -> Self {
        let points = counts.points().filter_map(|(address, code)| {
            Some((address.load(Relaxed), Mark::of(code.load(Relaxed))?))
        });
        let mut points: Vec<_> = points.collect();
        points.sort_unstable_by_key(|(address, _)| *address);
        Self {
            functions: counts
                .functions()
                .iter()
                .map(|start| start.load(Relaxed))
                .collect(),
            points,
            counts,
            executed: AtomicU64::new(0),
            open: AtomicU64::new(0),
            begun: [const { AtomicU64::new(0) }; OPERATIONS],
            begun_ns: [const { AtomicU64::new(0) }; OPERATIONS],
            created: Instant::now(),
        }
    }

    pub(crate) fn is_kernel(address: u64) -> bool {
        address >= KERNEL
    }

    /// Instructions from an address on.
    pub(crate) fn stretch(&self, address: u64, instructions: usize) -> Stretch {
        let function = self.functions.partition_point(|start| *start <= address);
        Stretch {
            function: function as u32,
            instructions: instructions as u32,
        }
    }

    /// The marks at an instruction of the kernel's.
    pub(crate) fn points_at(&self, address: u64) -> impl Iterator<Item = Mark> {
        let from = self.points.partition_point(|(at, _)| *at < address);
        let here = self.points[from..]
            .iter()
            .take_while(move |(at, _)| *at == address);
        here.map(|(_, mark)| *mark)
    }

    /// Whether any instruction from one address up to another marks.
    pub(crate) fn has_points(&self, from: u64, to: u64) -> bool {
        let first = self.points.partition_point(|(at, _)| *at < from);
        self.points.get(first).is_some_and(|(at, _)| *at <= to)
    }

    /// A stretch is executed.
    pub(crate) fn executes(&self, packed: usize) {
        let stretch = Stretch::unpack(packed);
        let instructions = u64::from(stretch.instructions);
        add(&self.executed, instructions);
        let Some(function) = (stretch.function as usize).checked_sub(1) else {
            return;
        };
        let mut open = self.open.load(Relaxed);
        while open != 0 {
            let operation = open.trailing_zeros() as usize;
            open &= open - 1;
            if let Some(sum) = self.counts.sums(operation).get(function) {
                add(sum, instructions);
            }
        }
    }

    /// An operation begins or ends. One that begins anew has not ended: it does not count.
    pub(crate) fn marks(&self, mark: Mark) {
        let Mark { operation, end } = mark;
        let (bit, executed) = (1 << operation, self.executed.load(Relaxed));
        let open = self.open.load(Relaxed);
        if !end {
            self.begun[operation].store(executed, Relaxed);
            self.open.store(open | bit, Relaxed);
            self.begun_ns[operation].store(self.now_ns(), Relaxed);
            return;
        }
        if open & bit == 0 {
            return;
        }
        let now_ns = self.now_ns();
        self.open.store(open & !bit, Relaxed);
        let taken = self.counts.taken(operation).fetch_add(1, Relaxed);
        let place = usize::try_from(taken).unwrap_or(SAMPLES);
        if let Some(sample) = self.counts.samples(operation).get(place) {
            let begun = self.begun[operation].load(Relaxed);
            sample.store(executed - begun, Relaxed);
            let begun_ns = self.begun_ns[operation].load(Relaxed);
            self.counts.times(operation)[place].store(now_ns - begun_ns, Relaxed);
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.created.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Only one thread adds.
fn add(word: &AtomicU64, value: u64) {
    word.store(word.load(Relaxed) + value, Relaxed);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::counts::{Header, MAGIC, words};

    use super::*;

    const BASE: u64 = 0xffff_ffff_8100_0000;

    fn counter() -> Counter {
        let memory: Vec<AtomicU64> = (0..words(2, 2)).map(|_| AtomicU64::new(0)).collect();
        let memory: &'static [AtomicU64] = memory.leak();
        memory[Header::Magic as usize].store(MAGIC, Relaxed);
        memory[Header::Functions as usize].store(2, Relaxed);
        memory[Header::Points as usize].store(2, Relaxed);
        let counts = Counts::over(memory).unwrap();
        for (word, start) in counts.functions().iter().zip([BASE, BASE + 0x100]) {
            word.store(start, Relaxed);
        }
        let marks = [(BASE + 0x120, true), (BASE + 0x100, false)];
        for ((address, code), (at, end)) in counts.points().zip(marks) {
            address.store(at, Relaxed);
            code.store(Mark { operation: 9, end }.code(), Relaxed);
        }
        Counter::new(counts)
    }

    fn begin(operation: usize) -> Mark {
        Mark {
            operation,
            end: false,
        }
    }

    fn end(operation: usize) -> Mark {
        Mark {
            operation,
            end: true,
        }
    }

    #[test]
    fn what_is_executed_between_marks_is_a_sample() {
        let counter = counter();
        let run = |address, count| counter.executes(counter.stretch(address, count).pack());
        run(BASE + 4, 100);
        counter.marks(begin(2));
        run(BASE + 4, 5);
        counter.marks(begin(3));
        run(BASE + 0x180, 7);
        counter.marks(end(3));
        counter.marks(end(2));
        run(BASE, 100);
        counter.marks(end(2));
        // Before the first function: counted, and nobody's.
        counter.marks(begin(2));
        run(BASE - 4, 1);
        counter.marks(end(2));
        let sample =
            |operation: usize, at: usize| counter.counts.samples(operation)[at].load(Relaxed);
        let sums = |operation: usize| -> Vec<u64> {
            counter
                .counts
                .sums(operation)
                .iter()
                .map(|sum| sum.load(Relaxed))
                .collect()
        };
        assert_eq!((sample(2, 0), sample(3, 0), sample(2, 1)), (12, 7, 1));
        assert_eq!(counter.counts.taken(2).load(Relaxed), 2);
        assert_eq!((sums(2), sums(3)), (vec![5, 7], vec![0, 7]));
    }

    #[test]
    fn what_passes_between_marks_is_a_samples_time() {
        const SLEPT: Duration = Duration::from_millis(3);
        let counter = counter();
        counter.marks(begin(2));
        counter.marks(begin(3));
        counter.marks(end(3));
        std::thread::sleep(SLEPT);
        counter.marks(end(2));
        let took = |operation: usize| {
            Duration::from_nanos(counter.counts.times(operation)[0].load(Relaxed))
        };
        assert!(took(2) >= SLEPT && took(2) - took(3) >= SLEPT);
    }

    #[test]
    fn samples_beyond_the_last_are_only_counted() {
        let counter = counter();
        for _ in 0..=SAMPLES {
            counter.marks(begin(0));
            counter.marks(end(0));
        }
        assert_eq!(counter.counts.taken(0).load(Relaxed), SAMPLES as u64 + 1);
    }

    #[test]
    fn points_are_found() {
        let counter = counter();
        let at = |address| counter.points_at(address).collect::<Vec<_>>();
        assert_eq!(at(BASE + 0x100), [begin(9)]);
        assert_eq!(at(BASE + 0x120), [end(9)]);
        assert_eq!(at(BASE + 0x121), []);
        assert!(counter.has_points(BASE + 0x110, BASE + 0x120));
        assert!(!counter.has_points(BASE + 0x121, BASE + 0x200));
        assert!(Counter::is_kernel(BASE) && !Counter::is_kernel(0x40_0000));
    }
}
