//! Which source files a build folder's objects were made from, headers included.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::Path,
};

use crate::splat::normal;

/// The largest `.cmd` file that is read, in bytes; the kernel's largest is a tenth of it.
const LARGEST: u64 = 4 << 20;

/// Reads kbuild's `.cmd` files below `build`; gives the sources below `source` (the path that the
/// compiler saw) that `tree` still has, relative to it.
pub(super) fn compiled(build: &Path, source: &Path, tree: &Path) -> Vec<String> {
    let mut found = BTreeSet::new();
    let prefix = format!("{}/", source.display());
    folder(build, &prefix, &mut found);
    found.retain(|file| tree.join(file).is_file());
    found.into_iter().collect()
}

fn folder(path: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let name = entry.file_name();
        let is_command = name
            .to_str()
            .is_some_and(|n| n.starts_with('.') && n.ends_with(".o.cmd"));
        if kind.is_dir() {
            folder(&entry.path(), prefix, found);
        } else if kind.is_file() && is_command {
            let mut text = Vec::new();
            let read =
                File::open(entry.path()).and_then(|f| f.take(LARGEST).read_to_end(&mut text));
            if read.is_ok() {
                sources(&String::from_utf8_lossy(&text), prefix, found);
            }
        }
    }
}

/// `source_X := path` and the lines below `deps_X := \`.
fn sources(text: &str, prefix: &str, found: &mut BTreeSet<String>) {
    for line in text.lines() {
        let path = match line.strip_prefix("source_") {
            Some(rest) => rest.split_once(" := ").map(|(_, path)| path),
            None => line.strip_prefix("  "),
        };
        let Some(path) = path.map(|p| p.trim_end_matches('\\').trim()) else {
            continue;
        };
        // Thousands of objects name the same headers: most are known already.
        let known = |file: &str| found.contains(file);
        if path.strip_prefix(prefix).is_some_and(known) {
            continue;
        }
        // Makefiles name what lies elsewhere by way of `..`, as that of arch/x86/kvm does virt/kvm.
        found.extend(normal(path).strip_prefix(prefix).map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_headers_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, build) = (dir.path().join("tree"), dir.path().join("build"));
        fs::create_dir_all(tree.join("fs/fuse")).unwrap();
        fs::create_dir_all(build.join("fs/fuse")).unwrap();
        fs::create_dir_all(tree.join("virt/kvm")).unwrap();
        for file in [
            "fs/fuse/dev.c",
            "fs/fuse/fuse_i.h",
            "fs/fuse/other.c",
            "virt/kvm/kvm_main.c",
        ] {
            fs::write(tree.join(file), "").unwrap();
        }
        fs::write(dir.path().join("outside.c"), "").unwrap();
        let cmd = "savedcmd_fs/fuse/dev.o := gcc -c /src/fs/fuse/other.c\n\n\
                   source_fs/fuse/dev.o := /src/fs/fuse/dev.c\n\n\
                   deps_fs/fuse/dev.o := \\\n    $(wildcard include/config/X) \\\n  /src/fs/fuse/./fuse_i.h \\\n  \
                   /src/fs/fuse/gone.h \\\n  /usr/include/x.h\n";
        fs::write(build.join("fs/fuse/.dev.o.cmd"), cmd).unwrap();
        fs::write(
            build.join("fs/fuse/dev.cmd"),
            "source_x := /src/fs/fuse/other.c",
        )
        .unwrap();
        // By way of `..`: from one folder of the tree to another, and out of the tree.
        let source = "/src/arch/x86/kvm/../../../virt/kvm/kvm_main.c";
        let cmd = format!("source_kvm_main.o := {source}\n\ndeps_x := \\\n  /src/../outside.c\n");
        fs::write(build.join(".kvm_main.o.cmd"), cmd).unwrap();
        let found = compiled(&build, Path::new("/src"), &tree);
        assert_eq!(
            found,
            ["fs/fuse/dev.c", "fs/fuse/fuse_i.h", "virt/kvm/kvm_main.c"]
        );
    }
}
