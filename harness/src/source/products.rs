//! What a build left behind in an unpacked tree: what the tree's own `.gitignore` files name, and
//! what every kernel's build leaves.
//!
//! Two kinds of lines in them are not believed. Debian's source packages end theirs with `/*`, as
//! the package's own repository holds no kernel; and `.*` would take the `.gitignore` files
//! themselves away, which patches may touch.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::unread::unreadable;
use crate::{Error, Result, error::Context};

/// Lines that would ignore everything, or everything hidden.
const CATCH_ALL: [&str; 6] = ["*", "/*", "/*/", "**", ".*", "/.*"];

/// What kbuild leaves, also where the tree's own lists do not say so.
const KBUILD: &str = "
*.a
*.cmd
*.ko
*.mod
*.mod.c
*.o
.*.d
.cache.mk
.config
.config.old
.missing-syscalls.d
.tmp_*
.version
.vmlinux*
/Module.symvers
/System.map
/arch/*/include/generated/
/include/config/
/include/generated/
/vmlinux
/vmlinux.*
modules.order
!/arch/*/kernel/vmlinux.lds.S
";

/// Walks a tree, handing each file and link that is no build product to `each`, as a path relative
/// to the top.
///
/// # Errors
/// A folder cannot be read, and whatever `each` gives.
pub(super) fn sources(
    tree: &Path,
    each: &mut dyn FnMut(PathBuf, fs::FileType) -> Result<()>,
) -> Result<()> {
    let mut walk = Walk {
        tree,
        kbuild: lists(tree, KBUILD)?,
        lists: Vec::new(),
    };
    walk.folder(Path::new(""), each)
}

struct Walk<'a> {
    tree: &'a Path,
    kbuild: Gitignore,
    /// The `.gitignore` files from the top down to where we are.
    lists: Vec<Gitignore>,
}

impl Walk<'_> {
    fn folder(
        &mut self,
        folder: &Path,
        each: &mut dyn FnMut(PathBuf, fs::FileType) -> Result<()>,
    ) -> Result<()> {
        let path = self.tree.join(folder);
        let failed = || format!("failed to read {}", path.display());
        // Not UTF-8, or not there: no list.
        let text = fs::read_to_string(path.join(".gitignore")).unwrap_or_default();
        self.lists.push(lists(&path, &text)?);
        let listed = fs::read_dir(&path).map_err(|error| unreadable(&path, error))?;
        for entry in listed {
            let entry = entry.input(failed)?;
            let kind = entry.file_type().input(failed)?;
            if entry.file_name() == ".git" || self.is_product(&entry.path(), kind.is_dir()) {
                continue;
            }
            let inner = folder.join(entry.file_name());
            if kind.is_dir() {
                self.folder(&inner, each)?;
            } else {
                each(inner, kind)?;
            }
        }
        self.lists.pop();
        Ok(())
    }

    /// The deepest list that says something decides, as in git.
    fn is_product(&self, path: &Path, is_dir: bool) -> bool {
        let said = self.lists.iter().rev().map(|l| l.matched(path, is_dir));
        self.kbuild.matched(path, is_dir).is_ignore()
            || said
                .into_iter()
                .find(|m| !m.is_none())
                .is_some_and(|m| m.is_ignore())
    }
}

fn lists(folder: &Path, text: &str) -> Result<Gitignore> {
    let mut builder = GitignoreBuilder::new(folder);
    for line in text.lines().filter(|l| !CATCH_ALL.contains(&l.trim_end())) {
        // A line that is no pattern is passed over, as git does.
        let _ = builder.add_line(None, line);
    }
    builder.build().map_err(|e| {
        let message = format!(
            "failed to understand {}",
            folder.join(".gitignore").display()
        );
        Error::input(message).because(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_told_from_sources() {
        let dir = tempfile::tempdir().unwrap();
        let lists = [
            (".gitignore", "*.o\n.*\n*.lex.c\n/*\n!/debian/\n"),
            ("scripts/.gitignore", "/sorttable\n*.tmp\n!keep.tmp\n"),
        ];
        let sources = [
            ".clang-format",
            ".gitignore",
            "Makefile",
            "arch/x86/kernel/vmlinux.lds.S",
            "scripts/.gitignore",
            "scripts/keep.tmp",
            "scripts/sub/sorttable",
            "scripts/version",
            "tools/vmlinux.h",
        ];
        let products = [
            ".config",
            ".git/config",
            ".tmp_vmlinux.1",
            ".vmlinux.export.c",
            "System.map",
            "arch/x86/include/generated/asm/x.h",
            "drivers/x/.git/HEAD",
            "fs/.inode.o.cmd",
            "fs/inode.o",
            "include/config/auto.conf",
            "scripts/kconfig/lexer.lex.c",
            "scripts/lost.tmp",
            "scripts/sorttable",
            "vmlinux",
            "vmlinux.o",
        ];
        for path in sources.iter().chain(&products) {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        for (path, text) in lists {
            fs::write(dir.path().join(path), text).unwrap();
        }
        let mut found = Vec::new();
        super::sources(dir.path(), &mut |path, _| {
            found.push(path.to_str().unwrap().to_owned());
            Ok(())
        })
        .unwrap();
        found.sort();
        assert_eq!(found, sources);
    }
}
