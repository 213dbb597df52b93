//! Looks for the note by which QEMU starts a `vmlinux`.

use std::{fs, path::Path};

use object::{
    Endianness,
    elf::{FileHeader64, NoteType, PT_NOTE},
    read::elf::{FileHeader, ProgramHeader},
};

use crate::{Result, error::Context};

/// `XEN_ELFNOTE_PHYS32_ENTRY`, under the name `Xen`.
const PHYS32_ENTRY: NoteType = NoteType(18);

/// Can QEMU start it?
pub(crate) fn bootable(image: &Path) -> Result<bool> {
    let bytes = fs::read(image).host(|| format!("failed to read {}", image.display()))?;
    Ok(has_note(&bytes).unwrap_or(false))
}

fn has_note(bytes: &[u8]) -> object::Result<bool> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, bytes)? {
        if segment.p_type(endian) != PT_NOTE {
            continue;
        }
        let Some(mut notes) = segment.notes(endian, bytes)? else {
            continue;
        };
        while let Some(note) = notes.next()? {
            if note.name() == b"Xen" && note.n_type(endian) == PHYS32_ENTRY {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_not_bootable() {
        let own = std::env::current_exe().unwrap();
        assert!(!bootable(&own).unwrap());
        assert!(has_note(b"\x7fELF\x02\x01\x01").is_err());
        assert!(has_note(b"").is_err());
    }
}
