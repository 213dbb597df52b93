//! Where functions take and drop references: an object is told from others by its count's address.
//!
//! "Take one unless the count is zero" is how an object is looked up that may be going away; GCC
//! makes it a read and a locked `cmpxchg`, and the read alone where the count is zero already.
//! Dropping one is a locked `xadd` of a negative number, `sub` or `dec`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use protocol::board::Kind;

use super::{
    board::Watched,
    code::{Code, leaves},
};
use crate::splat::{Ranges, Symbolizer};

/// The function that switches stacks.
const SWITCH: &str = "__switch_to_asm";
/// The functions that read a count.
const READS: [&str; 3] = ["arch_atomic_read", "raw_atomic_read", "atomic_read"];

/// How far before an `xadd` its number may have been loaded.
const LOADED_WITHIN: usize = 12;

/// What to watch in a kernel to see references of some functions' objects taken and dropped:
/// `files` are those that the functions stand in, `ranges` has their code.
pub fn references(
    functions: &BTreeSet<String>,
    files: &dyn Fn(&str) -> bool,
    ranges: &Ranges,
    kernel: &Symbolizer,
    code: &Code,
) -> Vec<Watched> {
    let symbols: BTreeMap<&str, Vec<Range<u64>>> = functions
        .iter()
        .map(|name| (name.as_str(), kernel.symbol_ranges(name)))
        .collect();
    let mut watched: BTreeSet<Watched> = BTreeSet::new();
    let mut owners: BTreeSet<String> = BTreeSet::new();
    for range in stretches_of(functions, ranges) {
        let instructions = code.instructions(range);
        let mut sites = sites(&instructions);
        if sites.iter().any(|(_, kind)| *kind == Kind::Get) {
            let reads = instructions.iter().filter(|i| reads_count(i, kernel));
            sites.extend(reads.map(|i| (i.ip(), Kind::Get)));
        }
        for (address, kind) in sites {
            watched.insert(Watched::at(kind, address));
            // The helper that counts is nobody's doing of its own.
            let places = kernel.places_at(address).into_iter();
            let own = places
                .filter(|place| files(&place.file))
                .map(|p| p.function);
            owners.extend(own.take(1));
        }
    }
    if watched.is_empty() {
        return Vec::new();
    }
    let called = called(&symbols, code);
    for (name, ranges) in &symbols {
        if owners.contains(*name) || called.contains(*name) {
            continue;
        }
        for range in ranges {
            watched.insert(Watched::at(Kind::Enter, range.start));
            let instructions = code.instructions(range);
            let ends = instructions.iter().filter(|i| leaves(i, range));
            watched.extend(ends.map(|i| Watched::at(Kind::Leave, i.ip())));
        }
    }
    watched.extend(switch(kernel, code));
    watched.into_iter().collect()
}

/// The stretches in which an object was found and its count is still to be read: from a function's
/// begin to where it reads the count, and in its callers from the call before. Holds matter there.
pub fn likely(
    functions: &BTreeSet<String>,
    watched: &[Watched],
    ranges: &Ranges,
    code: &Code,
) -> Vec<Range<u64>> {
    let gets = || watched.iter().filter_map(|one| one.address_of(Kind::Get));
    let mut stretches = Vec::new();
    for range in stretches_of(functions, ranges) {
        if let Some(first) = gets().filter(|at| range.contains(at)).min() {
            stretches.push(range.start..first + 1);
        }
    }
    let readers: BTreeSet<u64> = stretches.iter().map(|stretch| stretch.start).collect();
    for range in stretches_of(functions, ranges) {
        let mut after = range.start;
        for call in code.instructions(range).iter().filter(|i| i.is_call_near()) {
            if readers.contains(&call.near_branch_target()) {
                stretches.push(after..call.next_ip());
            }
            after = call.next_ip();
        }
    }
    stretches
}

fn stretches_of<'r>(
    functions: &'r BTreeSet<String>,
    ranges: &'r Ranges,
) -> impl Iterator<Item = &'r Range<u64>> {
    let known = functions.iter().filter_map(|name| ranges.get(name));
    known.flatten()
}

/// Where the scheduler takes up another task's stack: the first value that it pops from there.
fn switch(kernel: &Symbolizer, code: &Code) -> Option<Watched> {
    let ranges = kernel.symbol_ranges(SWITCH);
    let instructions = ranges.iter().flat_map(|range| code.instructions(range));
    let pops = |i: &Instruction| i.mnemonic() == Mnemonic::Pop;
    let first = instructions.into_iter().find(pops)?;
    Some(Watched::at(Kind::Switch, first.ip()))
}

/// Functions among them that others of them call: those begin nothing of their own.
fn called<'n>(symbols: &BTreeMap<&'n str, Vec<Range<u64>>>, code: &Code) -> BTreeSet<&'n str> {
    let mut called = BTreeSet::new();
    for (caller, ranges) in symbols {
        for range in ranges {
            let instructions = code.instructions(range);
            let targets = instructions
                .iter()
                .filter(|i| i.is_call_near() || leaves(i, range))
                .map(Instruction::near_branch_target);
            for target in targets {
                let hit = symbols
                    .iter()
                    .find(|(_, ranges)| ranges.iter().any(|range| range.start == target));
                called.extend(hit.map(|(name, _)| *name).filter(|name| name != caller));
            }
        }
    }
    called
}

/// Whether an instruction is a count's read, as the function that it was inlined from tells.
fn reads_count(instruction: &Instruction, kernel: &Symbolizer) -> bool {
    let loads = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Memory;
    loads
        && kernel
            .places_at(instruction.ip())
            .iter()
            .any(|place| READS.contains(&place.function.as_str()))
}

/// The instructions that take and drop references.
fn sites(instructions: &[Instruction]) -> Vec<(u64, Kind)> {
    let mut sites = Vec::new();
    for (at, instruction) in instructions.iter().enumerate() {
        if !instruction.has_lock_prefix() || instruction.op0_kind() != OpKind::Memory {
            continue;
        }
        let kind = match instruction.mnemonic() {
            Mnemonic::Cmpxchg => Kind::Get,
            Mnemonic::Sub | Mnemonic::Dec => Kind::Put,
            Mnemonic::Xadd => {
                let before = &instructions[at.saturating_sub(LOADED_WITHIN)..at];
                match loaded(before, instruction.op1_register()) {
                    Some(number) if number < 0 => Kind::Put,
                    _ => continue,
                }
            }
            _ => continue,
        };
        sites.push((instruction.ip(), kind));
    }
    sites
}

/// The number that was loaded into a register last.
fn loaded(instructions: &[Instruction], register: Register) -> Option<i32> {
    let full = register.full_register();
    let load = instructions.iter().rev().find(|i| {
        i.op_count() > 0
            && i.op0_kind() == OpKind::Register
            && i.op0_register().full_register() == full
    })?;
    let constant = load.mnemonic() == Mnemonic::Mov
        && matches!(
            load.op1_kind(),
            OpKind::Immediate32 | OpKind::Immediate32to64
        );
    // A count has 32 bits: what is above them does not matter.
    constant.then_some(load.immediate32() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_and_dropping_are_told_apart() {
        let bytes = [
            0xf0, 0x0f, 0xb1, 0x0f, // 0: lock cmpxchg [rdi],ecx
            0xb8, 0xff, 0xff, 0xff, 0xff, // 4: mov eax,-1
            0x90, // 9: nop
            0xf0, 0x0f, 0xc1, 0x07, // 10: lock xadd [rdi],eax
            0xb8, 0x01, 0x00, 0x00, 0x00, // 14: mov eax,1
            0xf0, 0x0f, 0xc1, 0x07, // 19: lock xadd [rdi],eax
            0xf0, 0x0f, 0xc1, 0x17, // 23: lock xadd [rdi],edx
            0xf0, 0xff, 0x0f, // 27: lock dec dword [rdi]
            0x0f, 0xb1, 0x0f, // 30: cmpxchg [rdi],ecx
            0xf0, 0x83, 0x07, 0x01, // 33: lock add dword [rdi],1
        ];
        let code = Code::of(0, &bytes);
        let found = sites(&code.instructions(&(0..bytes.len() as u64)));
        assert_eq!(found, [(0, Kind::Get), (10, Kind::Put), (27, Kind::Put)]);
    }

    #[test]
    fn a_function_ends_where_it_returns_or_jumps_elsewhere() {
        // 0: jmp 2; 2: jmp +0x100; 7: ret
        let bytes = [0xeb, 0x00, 0xe9, 0x00, 0x01, 0, 0, 0xc3];
        let code = Code::of(0, &bytes);
        let range = 0..bytes.len() as u64;
        let ends: Vec<u64> = code
            .instructions(&range)
            .iter()
            .filter(|i| leaves(i, &range))
            .map(Instruction::ip)
            .collect();
        assert_eq!(ends, [2, 7]);
    }
}
