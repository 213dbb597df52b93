//! Counting guest instructions: how the agent marks its operations, and the memory in which the plugin
//! inside QEMU counts them for the host.
//!
//! The file's words have 64 bits in the machine's own order: a header; the starts of the kernel's
//! functions, in order; points, instructions of the kernel that mark as the agent's own do; for each
//! operation the number of its samples, the samples, and how long each took; for each operation and function
//! the sum of instructions executed in it. The host writes functions and points before QEMU starts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The first word: the file holds counts, of this layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ktwcnt02");
/// Operations that can be told apart.
pub const OPERATIONS: usize = 16;
/// Samples of an operation that are kept; later ones are only summed up.
pub const SAMPLES: usize = 4096;
/// Functions, at most.
pub const MAX_FUNCTIONS: usize = 1 << 20;
/// Points, at most.
pub const MAX_POINTS: usize = 4096;

/// The operations that the agent marks itself, by their numbers.
pub const MARKED: [&str; 6] = ["register", "remove", "open", "close", "read", "write"];

/// Functions that can be counted by themselves, beside those.
pub const NAMED: usize = START as usize - MARKED.len();

/// The number that is no operation's: where it begins, counting begins. Until then it costs nothing,
/// so that a guest boots quickly.
pub const START: u8 = OPERATIONS as u8 - 1;

/// A no-operation of eight bytes, as far as it is the same for every mark: the displacement follows.
pub const NOP: [u8; 4] = [0x0f, 0x1f, 0x84, 0x00];
/// The upper half of a mark's displacement.
const DISPLACEMENT: u32 = 0x6b74_0000;

/// The displacement of a mark: where an operation begins, or ends.
pub const fn displacement(operation: u8, end: bool) -> u32 {
    DISPLACEMENT | (operation as u32) << 1 | end as u32
}

/// The operation that an instruction marks, and whether it ends there; none if it marks nothing.
pub fn mark(instruction: &[u8]) -> Option<Mark> {
    let displacement = instruction.strip_prefix(&NOP)?.try_into().ok()?;
    let word = u32::from_le_bytes(displacement);
    let code = word & 0xffff;
    (word & !0xffff == DISPLACEMENT)
        .then(|| Mark::of(code.into()))
        .flatten()
}

/// A mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which operation: below [`OPERATIONS`].
    pub operation: usize,
    /// It ends here; otherwise it begins.
    pub end: bool,
}

impl Mark {
    /// As a point's word has it.
    pub fn code(self) -> u64 {
        (self.operation as u64) << 1 | u64::from(self.end)
    }

    /// From a point's word.
    pub fn of(code: u64) -> Option<Self> {
        let operation = usize::try_from(code >> 1).ok()?;
        (operation < OPERATIONS).then_some(Self {
            operation,
            end: code & 1 == 1,
        })
    }
}

/// Words of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// [`MAGIC`].
    Magic = 0,
    /// How many functions there are. The host's.
    Functions = 1,
    /// How many points. The host's.
    Points = 2,
    /// The interface's version that the plugin speaks with QEMU, once it is loaded. The plugin's.
    Loaded = 3,
}

const HEADER: usize = 4;
const POINT: usize = 2;

/// The words of a file for so many functions and points.
pub const fn words(functions: usize, points: usize) -> usize {
    HEADER + functions + points * POINT + OPERATIONS * (1 + 2 * SAMPLES + functions)
}

/// A file's words.
#[derive(Debug, Clone, Copy)]
pub struct Counts<'a> {
    words: &'a [AtomicU64],
    functions: usize,
    points: usize,
}

impl<'a> Counts<'a> {
    /// Over memory of [`words`]; none where it is too small for what its header promises, or is no
    /// such file.
    pub fn over(words: &'a [AtomicU64]) -> Option<Self> {
        let header = |word: Header| words.get(word as usize).map(|word| word.load(Relaxed));
        if header(Header::Magic)? != MAGIC {
            return None;
        }
        let functions = usize::try_from(header(Header::Functions)?).ok()?;
        let points = usize::try_from(header(Header::Points)?).ok()?;
        let sane = functions <= MAX_FUNCTIONS && points <= MAX_POINTS;
        (sane && words.len() >= self::words(functions, points)).then_some(Self {
            words,
            functions,
            points,
        })
    }

    /// A header's word.
    pub fn header(&self, word: Header) -> &'a AtomicU64 {
        &self.words[word as usize]
    }

    /// The functions' starts.
    pub fn functions(&self) -> &'a [AtomicU64] {
        &self.words[HEADER..][..self.functions]
    }

    /// The points: an address and a [`Mark`]'s code each.
    pub fn points(&self) -> impl Iterator<Item = (&'a AtomicU64, &'a AtomicU64)> + use<'a> {
        let words = &self.words[HEADER + self.functions..][..self.points * POINT];
        words
            .chunks_exact(POINT)
            .map(|point| (&point[0], &point[1]))
    }

    /// How many samples an operation has, kept or not. Panics where there is no such operation.
    pub fn taken(&self, operation: usize) -> &'a AtomicU64 {
        &self.operation(operation)[0]
    }

    /// Its samples: instructions of the kernel's between its marks.
    pub fn samples(&self, operation: usize) -> &'a [AtomicU64] {
        &self.operation(operation)[1..][..SAMPLES]
    }

    /// How long the samples took, in nanoseconds of the host's clock: what emulating them takes, and
    /// counting them.
    pub fn times(&self, operation: usize) -> &'a [AtomicU64] {
        &self.operation(operation)[1 + SAMPLES..][..SAMPLES]
    }

    /// Its sums by function, in the functions' order.
    pub fn sums(&self, operation: usize) -> &'a [AtomicU64] {
        &self.operation(operation)[1 + 2 * SAMPLES..]
    }

    fn operation(&self, operation: usize) -> &'a [AtomicU64] {
        assert!(operation < OPERATIONS, "no operation {operation}");
        let size = 1 + 2 * SAMPLES + self.functions;
        let from = HEADER + self.functions + self.points * POINT;
        &self.words[from + operation * size..][..size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_other_instructions() {
        let mut nop = NOP.to_vec();
        nop.extend(displacement(5, true).to_le_bytes());
        let marked = Mark {
            operation: 5,
            end: true,
        };
        assert_eq!(mark(&nop), Some(marked));
        assert_eq!(Mark::of(marked.code()), Some(marked));
        assert_eq!(mark(&nop[..7]), None);
        nop[7] ^= 1;
        assert_eq!(mark(&nop), None, "another displacement");
        assert_eq!(mark(&[NOP, [0; 4]].concat()), None, "the assembler's own");
        let beyond = displacement(OPERATIONS as u8, false).to_le_bytes();
        assert_eq!(mark(&[NOP, beyond].concat()), None);
        assert!(MARKED.len() < usize::from(START));
    }

    #[test]
    fn every_word_has_one_meaning() {
        let count = words(3, 2);
        let memory: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        assert!(Counts::over(&memory).is_none(), "no counts");
        memory[0].store(MAGIC, Relaxed);
        memory[1].store(3, Relaxed);
        memory[2].store(2, Relaxed);
        assert!(Counts::over(&memory[..count - 1]).is_none(), "too short");
        let counts = Counts::over(&memory).unwrap();
        let mut all: Vec<*const AtomicU64> =
            counts.functions().iter().map(std::ptr::from_ref).collect();
        for (address, code) in counts.points() {
            all.extend([std::ptr::from_ref(address), std::ptr::from_ref(code)]);
        }
        for operation in 0..OPERATIONS {
            all.push(counts.taken(operation));
            all.extend(counts.samples(operation).iter().map(std::ptr::from_ref));
            all.extend(counts.times(operation).iter().map(std::ptr::from_ref));
            all.extend(counts.sums(operation).iter().map(std::ptr::from_ref));
        }
        let words = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!((all.len(), words), (count - HEADER, count - HEADER));
    }
}
