//! What a kernel tree says of itself.

use std::{collections::BTreeSet, fs, path::Path};

use ignore::WalkBuilder;

use crate::{Error, Result, error::Context};

/// What every kernel tree has.
const PARTS: [&str; 5] = ["Makefile", "Kconfig", "arch/x86", "kernel", "fs"];

/// Refuses what is no kernel tree.
pub(super) fn check(tree: &Path) -> Result<()> {
    check_as(tree, &tree.display().to_string())
}

/// The same of what was made of a source, which whoever reads the error knows by another name.
pub(super) fn check_as(tree: &Path, what: &str) -> Result<()> {
    if !tree.is_dir() {
        let error = Error::input(format!("no folder {what}"));
        return Err(error.mend("give the top of a kernel tree, or a tarball of one"));
    }
    let missing: Vec<_> = PARTS
        .into_iter()
        .filter(|p| !tree.join(p).exists())
        .collect();
    if missing.is_empty() {
        return version(tree).map(drop);
    }
    let message = format!(
        "{what} is not a kernel tree: it has no {}",
        missing.join(", no ")
    );
    Err(Error::input(message).mend("give the folder that holds the kernel's top Makefile"))
}

/// VERSION and PATCHLEVEL of a kernel's top Makefile: `(6, 12)`.
pub type Version = (u32, u32);

/// What a tree's top Makefile says that it is. What is between two releases has the elder's version until the
/// newer's first candidate.
///
/// # Errors
/// Bad input: no Makefile, or none of a kernel's.
pub fn release(tree: &Path) -> Result<Version> {
    read(tree, numbers_in)
}

/// `make kernelversion`, read from the top Makefile without running it.
pub(super) fn version(tree: &Path) -> Result<String> {
    read(tree, version_in)
}

fn read<T>(tree: &Path, find: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    let path = tree.join("Makefile");
    let text = fs::read_to_string(&path).input(|| format!("failed to read {}", path.display()))?;
    find(&text).ok_or_else(|| {
        let message = format!("{} names no kernel version", path.display());
        Error::input(message)
            .mend("the kernel's top Makefile begins with VERSION = and PATCHLEVEL =")
    })
}

fn value<'m>(makefile: &'m str, name: &str) -> Option<&'m str> {
    let line = makefile
        .lines()
        .take(40)
        .find(|l| l.split('=').next().is_some_and(|n| n.trim() == name))?;
    Some(line.split_once('=')?.1.trim())
}

fn numbers_in(makefile: &str) -> Option<Version> {
    let number = |name: &str| value(makefile, name)?.parse().ok();
    Some((number("VERSION")?, number("PATCHLEVEL")?))
}

fn version_in(makefile: &str) -> Option<String> {
    let (major, minor) = numbers_in(makefile)?;
    let sub = value(makefile, "SUBLEVEL")
        .filter(|s| !s.is_empty())
        .map(|s| format!(".{s}"))
        .unwrap_or_default();
    let extra = value(makefile, "EXTRAVERSION").unwrap_or_default();
    Some(format!("{major}.{minor}{sub}{extra}"))
}

/// Which of these Kconfig symbols (without `CONFIG_`) the tree does not define.
///
/// # Errors
/// The tree cannot be read.
pub fn missing_symbols(tree: &Path, wanted: &[String]) -> Result<Vec<String>> {
    let mut missing: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    for entry in WalkBuilder::new(tree).standard_filters(false).build() {
        if missing.is_empty() {
            break;
        }
        let entry = entry.host(|| format!("failed to read {}", tree.display()))?;
        let kconfig = entry.file_name().to_string_lossy().starts_with("Kconfig");
        if !kconfig || !entry.file_type().is_some_and(|t| t.is_file()) {
            continue;
        }
        // A Kconfig file that is not UTF-8 still defines its symbols.
        let bytes =
            fs::read(entry.path()).host(|| format!("failed to read {}", entry.path().display()))?;
        for line in String::from_utf8_lossy(&bytes).lines() {
            let mut words = line.split_whitespace();
            if let (Some("config" | "menuconfig"), Some(symbol)) = (words.next(), words.next()) {
                missing.remove(symbol);
            }
        }
    }
    Ok(missing.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let top = |lines: &[&str]| lines.join("\n");
        for (makefile, expected) in [
            (
                top(&[
                    "VERSION = 7",
                    "PATCHLEVEL = 3",
                    "SUBLEVEL = 4",
                    "EXTRAVERSION =",
                ]),
                Some(("7.3.4", (7, 3))),
            ),
            (
                top(&[
                    "VERSION = 7",
                    "PATCHLEVEL = 4",
                    "SUBLEVEL = 0",
                    "EXTRAVERSION = -rc2",
                ]),
                Some(("7.4.0-rc2", (7, 4))),
            ),
            (top(&["VERSION = x", "PATCHLEVEL = 4"]), None),
            (top(&["all:", "\techo VERSION"]), None),
        ] {
            let version = version_in(&makefile);
            let both = version.as_deref().zip(numbers_in(&makefile));
            assert_eq!(both, expected, "{makefile}");
        }
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Makefile"), "all:\n").unwrap();
        let error = check(dir.path()).unwrap_err();
        assert_eq!(error.fault(), crate::Fault::Input);
        assert!(error.chain().contains("no Kconfig"), "{error:?}");
    }

    #[test]
    fn symbols_are_looked_up() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("fs")).unwrap();
        fs::write(
            dir.path().join("fs/Kconfig"),
            "menuconfig FUSE_FS\n\tbool \"x\"\nconfig EXT4_FS\n",
        )
        .unwrap();
        let wanted = ["FUSE_FS", "EXT4_FS", "FUSE_PASSTHROUGH"].map(str::to_owned);
        assert_eq!(
            missing_symbols(dir.path(), &wanted).unwrap(),
            ["FUSE_PASSTHROUGH"]
        );
    }
}
