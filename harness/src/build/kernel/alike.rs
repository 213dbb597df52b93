//! Whether two kernels are the same: all that is loaded of them, code and data.

use std::{fs::File, path::Path};

use object::{
    Object, ObjectSection, ReadCache, SectionFlags,
    elf::{SHF_ALLOC, SHT_NOBITS, SHT_NOTE},
};

use crate::{Result, build::KernelImage, error::Context};

/// Line numbers of warnings, which move with what stands above them.
const LINES: &str = "__bug_table";

/// Do both hold the same code and data? Builds are reproducible, so a patch that the compiler makes
/// nothing of leaves the kernel as it was. A sanitizer's own line numbers may differ all the same
/// (KASAN has one for each global variable): then the answer is no.
///
/// # Errors
/// One of them cannot be read.
pub fn same_code(one: &KernelImage, other: &KernelImage) -> Result<bool> {
    same(&one.boot, &other.boot)
}

fn same(one: &Path, other: &Path) -> Result<bool> {
    let doing = || {
        format!(
            "failed to read the sections of {} and {}",
            one.display(),
            other.display()
        )
    };
    let one = ReadCache::new(File::open(one).host(doing)?);
    let other = ReadCache::new(File::open(other).host(doing)?);
    let one = object::File::parse(&one).host(doing)?;
    let other = object::File::parse(&other).host(doing)?;
    let mut others = other.sections().filter(is_loaded);
    for section in one.sections().filter(is_loaded) {
        let Some(twin) = others.next() else {
            return Ok(false);
        };
        let alike = section.name().host(doing)? == twin.name().host(doing)?
            && section.address() == twin.address()
            && section.data().host(doing)? == twin.data().host(doing)?;
        if !alike {
            return Ok(false);
        }
    }
    Ok(others.next().is_none())
}

fn is_loaded<'data>(section: &impl ObjectSection<'data>) -> bool {
    let SectionFlags::Elf { sh_type, sh_flags } = section.flags() else {
        return false;
    };
    // Notes hold the build's own id, made from debug information as well.
    sh_flags.0 & SHF_ALLOC.0 != 0
        && ![SHT_NOBITS, SHT_NOTE].contains(&sh_type)
        && section.name() != Ok(LINES)
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
        let base = built(
            dir.path(),
            "base",
            "int a = 1; int _start(void) { return a; }",
        );
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
            let other = built(dir.path(), name, source);
            assert_eq!(super::same(&base, &other).unwrap(), same, "{name}");
        }
        std::fs::write(dir.path().join("none"), "no kernel").unwrap();
        assert!(super::same(&base, &dir.path().join("none")).is_err());
    }
}
