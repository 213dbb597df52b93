//! Whether two kernels are the same: all that is loaded of them, code and data.

use std::{collections::BTreeMap, fs::File, path::Path};

use object::{
    Object, ObjectSection, ReadCache, SectionFlags,
    elf::{SHF_ALLOC, SHT_NOBITS, SHT_NOTE},
};

use crate::{Result, build::KernelImage, error::Context, hash::hex_sha256};

/// Line numbers of warnings, which move with what stands above them.
const LINES: &str = "__bug_table";

/// Do both hold the same code and data? Builds are reproducible, so a patch that the compiler makes
/// nothing of leaves the kernel as it was. A sanitizer's own line numbers may differ all the same
/// (KASAN has one for each global variable): then the answer is no.
///
/// # Errors
/// One of them cannot be read.
pub fn same_code(one: &KernelImage, other: &KernelImage) -> Result<bool> {
    Ok(loaded(&one.boot)? == loaded(&other.boot)?)
}

/// SHA-256 of each section that is loaded, in hex, by name and address.
fn loaded(image: &Path) -> Result<BTreeMap<(String, u64), String>> {
    let doing = || format!("failed to read the sections of {}", image.display());
    let cache = ReadCache::new(File::open(image).host(doing)?);
    let object = object::File::parse(&cache).host(doing)?;
    let mut sections = BTreeMap::new();
    for section in object.sections() {
        let SectionFlags::Elf { sh_type, sh_flags } = section.flags() else {
            continue;
        };
        let name = section.name().host(doing)?;
        // Notes hold the build's own id, made from debug information as well.
        let is_loaded = sh_flags.0 & SHF_ALLOC.0 != 0 && ![SHT_NOBITS, SHT_NOTE].contains(&sh_type);
        if !is_loaded || name == LINES {
            continue;
        }
        let hash = hex_sha256(&[section.data().host(doing)?]);
        sections.insert((name.to_owned(), section.address()), hash);
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, process::Command};

    use super::*;

    /// A program as an image: its sections are all that is looked at.
    fn built(folder: &Path, name: &str, source: &str) -> PathBuf {
        let (text, image) = (folder.join(format!("{name}.c")), folder.join(name));
        std::fs::write(&text, source).unwrap();
        let mut gcc = Command::new("gcc");
        gcc.args(["-g1", "-nostdlib", "-static", "-Wl,--build-id", "-o"]);
        assert!(gcc.arg(&image).arg(&text).status().unwrap().success());
        image
    }

    #[test]
    fn code_and_data_count_and_no_line_or_word() {
        let dir = tempfile::tempdir().unwrap();
        let base = loaded(&built(
            dir.path(),
            "base",
            "int a = 1; int _start(void) { return a; }",
        ))
        .unwrap();
        for (name, source, same) in [
            (
                "words",
                "// more\n\nint a = 1; int _start(void) { return a; }",
                true,
            ),
            (
                "off",
                "int a = 1; int _start(void) {\n#ifdef OFF\na++;\n#endif\nreturn a; }",
                true,
            ),
            (
                "code",
                "int a = 1; int _start(void) { return a + 1; }",
                false,
            ),
            ("data", "int a = 2; int _start(void) { return a; }", false),
        ] {
            let other = loaded(&built(dir.path(), name, source)).unwrap();
            assert_eq!(base == other, same, "{name}");
        }
        std::fs::write(dir.path().join("none"), "no kernel").unwrap();
        assert!(loaded(&dir.path().join("none")).is_err());
    }
}
