//! The structures of one object file that nothing has linked yet, and their sizes, in process.

use std::{borrow::Cow, collections::BTreeSet};

use gimli::{
    AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice, Relocate, RelocateReader,
    RunTimeEndian, SectionId, Unit,
};
use object::{Object, ObjectSection, RelocationMap};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, error::Context, splat::relative};

/// More debug information than any object file has, in bytes.
const MAX_SECTION: u64 = 256 << 20;
/// More structures than any object file knows.
const MOST: usize = 100_000;
/// The sections that types and the files they are defined in are read from.
const SECTIONS: [SectionId; 6] = [
    SectionId::DebugAbbrev,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// A structure, or a union.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Size {
    /// Its name, without `struct`.
    pub name: String,
    /// The file that defines it, from the tree's top where it lies there.
    pub file: String,
    /// What one takes, in bytes; an array without a length at its end counts nothing.
    pub bytes: u64,
}

/// A section's bytes, and what a linker would still put into them.
struct Section<'d> {
    data: Cow<'d, [u8]>,
    relocations: RelocationMap,
}

/// What a linker would put at an offset.
#[derive(Debug, Clone, Copy)]
struct Linked<'s>(&'s RelocationMap);

impl Relocate for Linked<'_> {
    fn relocate_address(&self, offset: usize, value: u64) -> gimli::Result<u64> {
        Ok(self.0.relocate(offset as u64, value))
    }

    fn relocate_offset(&self, offset: usize, value: usize) -> gimli::Result<usize> {
        let value = self.0.relocate(offset as u64, value as u64);
        <usize as gimli::ReaderOffset>::from_u64(value)
    }
}

type Reader<'s> = RelocateReader<EndianSlice<'s, RunTimeEndian>, Linked<'s>>;

/// Every structure with a name that the object file defines, each once. `prefixes` are the paths under
/// which it was compiled: files below them are named from there.
///
/// # Errors
/// It is no object file, or its debug information cannot be read.
pub fn sizes(object: &[u8], prefixes: &[&str]) -> Result<Vec<Size>> {
    let doing = || "failed to read the debug information of an object file".to_owned();
    let object = object::File::parse(object).host(doing)?;
    let endian = match object.is_little_endian() {
        true => RunTimeEndian::Little,
        false => RunTimeEndian::Big,
    };
    let sections = gimli::DwarfSections::load(|id| section(&object, id))?;
    let dwarf = sections.borrow(|section| {
        let data = EndianSlice::new(&section.data, endian);
        RelocateReader::new(data, Linked(&section.relocations))
    });
    let mut found = BTreeSet::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next().host(doing)? {
        let unit = dwarf.unit(header).host(doing)?;
        of_unit(&dwarf, &unit, prefixes, &mut found).host(doing)?;
    }
    Ok(found.into_iter().collect())
}

fn section<'d>(object: &object::File<'d>, id: SectionId) -> Result<Section<'d>> {
    let name = id.name();
    let doing = || format!("failed to read {name} of an object file");
    let wanted = object.section_by_name(name);
    let Some(section) = wanted.filter(|_| SECTIONS.contains(&id)) else {
        return Ok(Section {
            data: Cow::default(),
            relocations: RelocationMap::default(),
        });
    };
    if section.size() > MAX_SECTION {
        let error = Error::infrastructure("it is implausibly large");
        return Err(Error::infrastructure(doing()).because(error));
    }
    Ok(Section {
        data: section.uncompressed_data().host(doing)?,
        relocations: section.relocation_map().host(doing)?,
    })
}

fn of_unit(
    dwarf: &Dwarf<Reader<'_>>,
    unit: &Unit<Reader<'_>>,
    prefixes: &[&str],
    found: &mut BTreeSet<Size>,
) -> gimli::Result<()> {
    let mut entries = unit.entries();
    while let Some(entry) = entries.next_dfs()? {
        let is_structure = matches!(
            entry.tag(),
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type
        );
        if !is_structure || found.len() >= MOST {
            continue;
        }
        // What is only declared has no size, and what has no name is part of another.
        let bytes = entry.attr_value(gimli::DW_AT_byte_size);
        let (Some(bytes), Some(name)) = (
            bytes.and_then(|value| value.udata_value()),
            entry.attr_value(gimli::DW_AT_name),
        ) else {
            continue;
        };
        let name = dwarf.attr_string(unit, name)?;
        found.insert(Size {
            name: text(&name)?,
            file: file(dwarf, unit, entry, prefixes)?.unwrap_or_default(),
            bytes,
        });
    }
    Ok(())
}

/// The file that an entry is defined in.
fn file(
    dwarf: &Dwarf<Reader<'_>>,
    unit: &Unit<Reader<'_>>,
    entry: &DebuggingInformationEntry<Reader<'_>>,
    prefixes: &[&str],
) -> gimli::Result<Option<String>> {
    let Some(AttributeValue::FileIndex(index)) = entry.attr_value(gimli::DW_AT_decl_file) else {
        return Ok(None);
    };
    let Some(program) = &unit.line_program else {
        return Ok(None);
    };
    let Some(file) = program.header().file(index) else {
        return Ok(None);
    };
    let mut path = text(&dwarf.attr_string(unit, file.path_name())?)?;
    if let Some(folder) = file.directory(program.header())
        && !path.starts_with('/')
    {
        path = format!("{}/{path}", text(&dwarf.attr_string(unit, folder)?)?);
    }
    Ok(Some(relative(&path, prefixes)))
}

fn text(reader: &Reader<'_>) -> gimli::Result<String> {
    use gimli::Reader as _;
    Ok(reader.to_string_lossy()?.into_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    const SOURCE: &str = "
#include \"inner.h\"
struct first { char *a; int b; };
struct first value;
struct nested { struct inside { long x[3]; } in; union both { char c; long l; } u; };
struct tail { int n; char bytes[]; };
struct only_declared;
struct { int nameless; } nameless;
int f(void) { struct local { char c[5]; } l = {{0}}; return l.c[0]; }
";

    fn compiled(options: &[&str]) -> Vec<Size> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.c"), SOURCE).unwrap();
        fs::write(
            dir.path().join("inner.h"),
            "struct of_header { short s; };\n",
        )
        .unwrap();
        let done = Command::new("gcc")
            .current_dir(dir.path())
            .args(["-g2", "-fno-eliminate-unused-debug-types", "-c", "a.c"])
            .args(options)
            .status()
            .unwrap();
        assert!(done.success());
        let object = fs::read(dir.path().join("a.o")).unwrap();
        let prefix = dir.path().canonicalize().unwrap();
        sizes(&object, &[prefix.to_str().unwrap()]).unwrap()
    }

    #[test]
    fn every_structure_with_a_name_is_found_with_its_size_and_file() {
        for options in [&["-gdwarf-5"][..], &["-gdwarf-4"]] {
            let found = compiled(options);
            let brief: Vec<(&str, &str, u64)> = found
                .iter()
                .map(|one| (one.name.as_str(), one.file.as_str(), one.bytes))
                .collect();
            assert_eq!(
                brief,
                [
                    ("both", "a.c", 8),
                    ("first", "a.c", 16),
                    ("inside", "a.c", 24),
                    ("local", "a.c", 5),
                    ("nested", "a.c", 32),
                    ("of_header", "inner.h", 2),
                    ("tail", "a.c", 4),
                ],
                "{options:?}"
            );
        }
    }

    #[test]
    fn what_is_no_object_or_is_cut_off_is_refused_or_holds_less() {
        assert!(sizes(b"", &[]).is_err());
        assert!(sizes(b"\x7fELF", &[]).is_err());
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("a.c");
        fs::write(&source, "struct a { int b; } c;\n").unwrap();
        let object = dir.path().join("a.o");
        let mut gcc = Command::new("gcc");
        gcc.args(["-g2", "-c", "-o"]).arg(&object).arg(&source);
        assert!(gcc.status().unwrap().success());
        let whole = fs::read(object).unwrap();
        for length in 0..whole.len() {
            // However it ends, it ends.
            let _ = sizes(&whole[..length], &[]);
        }
    }
}
