//! What a program needs by its own ELF headers: interpreter, libraries, and where it wants them looked for.

use std::{fs, path::Path};

use object::{
    Endianness,
    elf::{
        DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_STRTAB, ELFCLASS64, EM_X86_64, FileHeader64,
        PT_INTERP, PT_LOAD,
    },
    read::elf::{Dyn, FileHeader, ProgramHeader},
};

/// A program's or library's needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The dynamic linker; none for a static program or a library.
    pub interpreter: Option<String>,
    /// Names of libraries.
    pub libraries: Vec<String>,
    /// `RUNPATH`, or else `RPATH`, as written.
    pub paths: Vec<String>,
}

/// What a file is, as far as running it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// An ELF file that an x86-64 guest can run.
    Elf(Needs),
    /// An ELF file for something else.
    Foreign,
    /// A script: the words of its first line.
    Script(Vec<String>),
    /// Anything else.
    Data,
}

/// Looks at a file.
pub(super) fn examine(path: &Path) -> std::io::Result<Kind> {
    let bytes = fs::read(path)?;
    Ok(if bytes.starts_with(b"\x7fELF") {
        if bytes.get(4) == Some(&ELFCLASS64.0) {
            needs(&bytes)
                .ok()
                .flatten()
                .map_or(Kind::Foreign, Kind::Elf)
        } else {
            Kind::Foreign
        }
    } else if let Some(line) = bytes.strip_prefix(b"#!") {
        let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        // The kernel takes everything behind the interpreter as one word; `env -S` splits it.
        Kind::Script(line.split_whitespace().map(str::to_owned).collect())
    } else {
        Kind::Data
    })
}

fn needs(bytes: &[u8]) -> object::Result<Option<Needs>> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    if header.e_machine(endian) != EM_X86_64 {
        return Ok(None);
    }
    let segments = header.program_headers(endian, bytes)?;
    let mut needs = Needs::default();
    let mut rpath = Vec::new();
    for segment in segments {
        if segment.p_type(endian) == PT_INTERP {
            needs.interpreter = segment.data(endian, bytes).ok().and_then(text);
        }
        let Some(entries) = segment.dynamic(endian, bytes)? else {
            continue;
        };
        let entries = || entries.iter().take_while(|e| e.tag(endian) != DT_NULL);
        let table = entries()
            .find(|e| e.tag(endian) == DT_STRTAB)
            .map(|e| e.val(endian));
        let Some(table) = table else { continue };
        // The table's address is one in memory; the segments say where that lies in the file.
        let string = |offset: u64| {
            let at = table.checked_add(offset)?;
            let loaded = segments.iter().filter(|s| s.p_type(endian) == PT_LOAD);
            let mut found = loaded.filter_map(|s| {
                let data = s.data(endian, bytes).ok()?;
                data.get(usize::try_from(at.checked_sub(s.p_vaddr(endian))?).ok()?..)
            });
            found.next().and_then(text)
        };
        for entry in entries() {
            let value = || string(entry.val(endian));
            match entry.tag(endian) {
                DT_NEEDED => needs.libraries.extend(value()),
                DT_RUNPATH => needs.paths.extend(value().iter().flat_map(|p| split(p))),
                DT_RPATH => rpath.extend(value().iter().flat_map(|p| split(p))),
                _ => {}
            }
        }
    }
    if needs.paths.is_empty() {
        needs.paths = rpath;
    }
    Ok(Some(needs))
}

fn split(paths: &str) -> Vec<String> {
    paths
        .split(':')
        .filter(|p| !p.is_empty())
        .map(str::to_owned)
        .collect()
}

fn text(bytes: &[u8]) -> Option<String> {
    let end = memchr::memchr(0, bytes)?;
    std::str::from_utf8(&bytes[..end]).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_needs_are_read() {
        let Kind::Elf(needs) = examine(&std::env::current_exe().unwrap()).unwrap() else {
            panic!("a test is an ELF program");
        };
        assert!(needs.interpreter.unwrap().contains("ld-linux-x86-64"));
        assert!(
            needs.libraries.iter().any(|l| l == "libc.so.6"),
            "{:?}",
            needs.libraries
        );
    }

    #[test]
    fn other_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        let script = |words: &[&str]| Kind::Script(words.iter().map(|w| (*w).into()).collect());
        let table: [(&[u8], Kind); 6] = [
            (b"#!/bin/sh\nexit", script(&["/bin/sh"])),
            (
                b"#! /usr/bin/env -S python3 -u\n",
                script(&["/usr/bin/env", "-S", "python3", "-u"]),
            ),
            (b"", Kind::Data),
            (b"\x7fELF\x01\x01\x01", Kind::Foreign),
            (b"\x7fELF\x02\x01\x01 cut off", Kind::Foreign),
            (b"\x7fELF", Kind::Foreign),
        ];
        for (bytes, expected) in table {
            fs::write(&file, bytes).unwrap();
            assert_eq!(examine(&file).unwrap(), expected, "{bytes:?}");
        }
    }
}
