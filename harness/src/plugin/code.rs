//! A kernel's instructions, read from its `vmlinux`.

use std::{fs::File, ops::Range, path::Path};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};
use object::{Object, ObjectSection, ReadCache, SectionKind};

use crate::{Error, Result, error::Context};

const BITS: u32 = 64;
/// More code than any kernel has.
const MAX_TEXT: u64 = 1 << 30;

/// Whether an instruction ends its function: it returns, or jumps elsewhere.
pub(super) fn leaves(instruction: &Instruction, range: &Range<u64>) -> bool {
    match instruction.flow_control() {
        FlowControl::Return => true,
        FlowControl::UnconditionalBranch => !range.contains(&instruction.near_branch_target()),
        _ => false,
    }
}

/// The code of one kernel.
#[derive(Debug)]
pub struct Code {
    /// By their addresses.
    sections: Vec<(u64, Vec<u8>)>,
}

impl Code {
    /// Reads the sections that hold code.
    ///
    /// # Errors
    /// It cannot be read, or is no x86-64 kernel.
    pub fn load(vmlinux: &Path) -> Result<Self> {
        let doing = || format!("failed to read the code of {}", vmlinux.display());
        let cache = ReadCache::new(File::open(vmlinux).host(doing)?);
        let object = object::File::parse(&cache).host(doing)?;
        if object.architecture() != object::Architecture::X86_64 {
            return Err(Error::infrastructure(doing())
                .because(Error::infrastructure("its instructions are not x86-64's")));
        }
        let mut sections = Vec::new();
        let text = object.sections().filter(|s| s.kind() == SectionKind::Text);
        for section in text.filter(|s| s.address() != 0 && s.size() < MAX_TEXT) {
            let bytes = section.uncompressed_data().host(doing)?;
            sections.push((section.address(), bytes.into_owned()));
        }
        Ok(Self { sections })
    }

    /// The instructions of a stretch, in order; those of none where it is no code. What cannot be
    /// decoded is left out.
    pub fn instructions(&self, range: &Range<u64>) -> Vec<Instruction> {
        let bytes = self.bytes(range).unwrap_or_default();
        let decoder = Decoder::with_ip(BITS, bytes, range.start, DecoderOptions::NONE);
        decoder.into_iter().filter(|i| !i.is_invalid()).collect()
    }

    fn bytes(&self, range: &Range<u64>) -> Option<&[u8]> {
        self.sections.iter().find_map(|(at, bytes)| {
            let from = usize::try_from(range.start.checked_sub(*at)?).ok()?;
            let to = usize::try_from(range.end.checked_sub(*at)?).ok()?;
            bytes.get(from..to)
        })
    }

    /// Code at an address, for tests.
    #[cfg(test)]
    pub(super) fn of(at: u64, bytes: &[u8]) -> Self {
        Self {
            sections: vec![(at, bytes.to_vec())],
        }
    }
}
