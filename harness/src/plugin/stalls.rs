//! Stall points: the instructions at which vCPUs are held.

use std::{collections::BTreeSet, ops::Range};

use iced_x86::{FlowControl, Instruction, OpKind, Register};
use protocol::board::Kind;
use serde::{Deserialize, Serialize};

use super::{
    code::Code,
    spec::{Place, Spec},
};
use crate::splat::{Ranges, Symbolizer};

/// How long vCPUs are held at points that nobody chose, in microseconds: the shortest that a host
/// sleeps well, and what leaves another vCPU time for a whole remove.
const HOLDS_US: (u64, u64) = (200, 30_000);

/// What is stalled in a run, and what for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stalled {
    /// Places that the user chose.
    pub specs: Vec<Spec>,
    /// Functions that the patch touches, or that handle the same structures.
    pub functions: BTreeSet<String>,
}

/// Instructions of one kernel at which vCPUs are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Which of the [`Stalled`]'s groups it belongs to: the specs, then the functions, in order.
    pub group: usize,
    /// The instruction's address.
    pub address: u64,
    /// For how long, in microseconds: at least and at most.
    pub hold_us: (u64, u64),
    /// [`Kind::Hold`] or [`Kind::Adapt`].
    pub kind: Kind,
    /// Between the finding of an object and the reading of its count: a hold is likely to matter.
    pub likely: bool,
}

/// What came of one group of stall points in one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// As the user wrote it, or the function's name.
    pub spec: String,
    /// Whether it follows from the patch, and nobody asked for it.
    #[serde(default)]
    pub derived: bool,
    /// How many places of the kernel it stands for.
    pub places: u64,
    /// How often they were executed.
    pub hits: u64,
    /// How often a vCPU was held there.
    pub holds: u64,
    /// For how long in all, in microseconds.
    pub held_us: u64,
    /// Holds during which another vCPU dropped a reference to the object that the held one had
    /// looked up.
    #[serde(default)]
    pub overlaps: u64,
}

impl Stalled {
    /// Whether nothing is stalled.
    pub fn is_empty(&self) -> bool {
        self.specs.is_empty() && self.functions.is_empty()
    }

    /// The functions that are stalled, chosen ones too.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        let chosen = self.specs.iter().filter_map(|spec| match &spec.place {
            Place::Function(name) => Some(name),
            Place::Instruction(..) | Place::Line(..) => None,
        });
        chosen.chain(&self.functions)
    }

    /// A count of nothing yet for each group.
    pub(super) fn counts(&self) -> Vec<Count> {
        let specs = self.specs.iter().map(|spec| (spec.to_string(), false));
        let functions = self.functions.iter().map(|name| (name.clone(), true));
        let counts = specs.chain(functions).map(|(spec, derived)| Count {
            spec,
            derived,
            ..Count::default()
        });
        counts.collect()
    }
}

/// The stall points of a kernel; `ranges` has those of [`Stalled::names`]. A place that the
/// kernel does not have gives none.
pub fn stalls(stalled: &Stalled, ranges: &Ranges, kernel: &Symbolizer, code: &Code) -> Vec<Point> {
    let mut points = Vec::new();
    for (group, spec) in stalled.specs.iter().enumerate() {
        let hold_us = (spec.hold_us, spec.hold_us);
        let (addresses, kind) = match &spec.place {
            Place::Function(name) => (inside(name, ranges, code), Kind::Adapt),
            Place::Instruction(name, offset) => (instruction(name, *offset, kernel), Kind::Hold),
            Place::Line(file, line) => (kernel.addresses_of(file, *line), Kind::Hold),
        };
        points.extend(addresses.into_iter().map(|address| Point {
            group,
            address,
            hold_us,
            kind,
            likely: false,
        }));
    }
    for (at, name) in stalled.functions.iter().enumerate() {
        let addresses = inside(name, ranges, code).into_iter();
        points.extend(addresses.map(|address| Point {
            group: stalled.specs.len() + at,
            address,
            hold_us: HOLDS_US,
            kind: Kind::Adapt,
            likely: false,
        }));
    }
    points
}

/// A function's places worth a hold, copies inlined elsewhere included.
fn inside(name: &str, ranges: &Ranges, code: &Code) -> Vec<u64> {
    let mut all: Vec<u64> = ranges
        .get(name)
        .into_iter()
        .flatten()
        .flat_map(|range| worth(&code.instructions(range), range))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Where another CPU's doing may make a difference: after calls, and before memory is accessed
/// that is not the function's own stack.
fn worth(instructions: &[Instruction], range: &Range<u64>) -> Vec<u64> {
    let mut all = Vec::new();
    for instruction in instructions {
        let calls = matches!(
            instruction.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall
        );
        if calls && range.contains(&instruction.next_ip()) {
            all.push(instruction.next_ip());
        } else if accesses_memory(instruction) {
            all.push(instruction.ip());
        }
    }
    all
}

fn accesses_memory(instruction: &Instruction) -> bool {
    let has = (0..instruction.op_count()).any(|at| instruction.op_kind(at) == OpKind::Memory);
    let own = matches!(instruction.memory_base(), Register::RSP | Register::RBP);
    // `lea` and long `nop`s have a memory operand that they do not access.
    let accesses = !matches!(
        instruction.mnemonic(),
        iced_x86::Mnemonic::Lea | iced_x86::Mnemonic::Nop
    );
    has && !own && accesses
}

fn instruction(name: &str, offset: u64, kernel: &Symbolizer) -> Vec<u64> {
    let symbols = kernel.symbol_ranges(name).into_iter();
    let inside = symbols.filter_map(|range| {
        let at = range.start.checked_add(offset)?;
        range.contains(&at).then_some(at)
    });
    inside.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_return_and_memory_is_accessed() {
        // call +0; mov rax,[rdi]; mov rax,[rsp+8]; lea rax,[rdi+8]; nop [rax]; lock cmpxchg
        // [rdi],ecx; ret
        let bytes = [
            0xe8, 0, 0, 0, 0, // 0
            0x48, 0x8b, 0x07, // 5
            0x48, 0x8b, 0x44, 0x24, 0x08, // 8
            0x48, 0x8d, 0x47, 0x08, // 13
            0x0f, 0x1f, 0x00, // 17
            0xf0, 0x0f, 0xb1, 0x0f, // 20
            0xc3, // 24
        ];
        let code = Code::of(0x1000, &bytes);
        let range = 0x1000..0x1000 + bytes.len() as u64;
        let offsets: Vec<u64> = worth(&code.instructions(&range), &range)
            .into_iter()
            .map(|at| at - 0x1000)
            .collect();
        assert_eq!(offsets, [5, 5, 20]);
        // Only what follows within the function.
        let call = 0x1000..0x1005;
        assert!(worth(&code.instructions(&call), &call).is_empty());
        assert_eq!(code.instructions(&(0..4)), [], "no code");
    }
}
