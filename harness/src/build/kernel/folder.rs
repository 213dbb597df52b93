//! A variant's build folder: a copy of base's with the times of its files, so that make trusts what it finds.
//!
//! Never hard links: base's folder is read-only to variants, and compilers
//! write over what is there.

use std::{
    fs::{self, File, FileTimes},
    io,
    os::unix::fs::{MetadataExt, symlink},
    path::{Component, Path},
    time::SystemTime,
};

use crate::{Error, Result, cancel::Cancel, error::Context};

/// What every link makes anew; half of a folder's size.
const LINKED: [&str; 5] = [
    "vmlinux",
    "vmlinux.o",
    "vmlinux.unstripped",
    "vmlinux.boot",
    "System.map",
];
const LINKED_PREFIX: &str = ".tmp_vmlinux";

/// Where the programs lie that a build makes for itself.
const PROGRAMS: [&str; 2] = ["scripts", "tools"];

/// Copies base's folder to `to`, which is made.
pub(super) fn copy(from: &Path, to: &Path, cancel: &Cancel) -> Result<()> {
    copy_folder(from, to, &is_linked, &|_| false, cancel)
}

/// Copies what base's folder holds besides the kernel's own objects: what is configured and generated.
pub(super) fn copy_prepared(from: &Path, to: &Path, cancel: &Cancel) -> Result<()> {
    let is_object = |name: &str| name.ends_with(".o") || name.ends_with(".a");
    let skip = |name: &str| is_linked(name) || is_object(name);
    copy_folder(from, to, &skip, &is_object, cancel)
}

fn is_linked(name: &str) -> bool {
    LINKED.contains(&name) || name.starts_with(LINKED_PREFIX)
}

/// What to skip is asked at the top, and below it but for the build's own programs.
type Skip<'s> = &'s dyn Fn(&str) -> bool;

fn copy_folder(
    from: &Path,
    to: &Path,
    skip: Skip<'_>,
    below: Skip<'_>,
    cancel: &Cancel,
) -> Result<()> {
    cancel.check()?;
    let failed = || format!("failed to copy {} to {}", from.display(), to.display());
    fs::create_dir(to).host(failed)?;
    for entry in fs::read_dir(from).host(failed)? {
        let entry = entry.host(failed)?;
        let (name, kind) = (entry.file_name(), entry.file_type().host(failed)?);
        if name.to_str().is_some_and(skip) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if kind.is_dir() {
            let below = match name.to_str() {
                Some(name) if PROGRAMS.contains(&name) => &|_: &str| false,
                _ => below,
            };
            copy_folder(&source, &target, below, below, cancel)?;
        } else if kind.is_symlink() {
            let to = fs::read_link(&source).host(failed)?;
            symlink(to, &target).host(failed)?;
        } else if kind.is_file() {
            copy_file(&source, &target).host(failed)?;
        }
    }
    copy_times(from, to).host(failed)
}

/// The standard library's copy shares blocks where the file system can.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    copy_times(from, to)
}

fn copy_times(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    let times = FileTimes::new()
        .set_modified(meta.modified()?)
        .set_accessed(meta.accessed()?);
    File::open(to)?.set_times(times)
}

/// Makes patched files newer than every object of base's: a tree may have been patched before base
/// was built.
pub(super) fn touch(tree: &Path, files: &[&str]) -> Result<()> {
    let now = FileTimes::new().set_modified(SystemTime::now());
    for name in files {
        let plain = Path::new(name)
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if !plain {
            let message = format!("the patch's file {name:?} is not below the tree");
            return Err(Error::untestable(message));
        }
        let path = tree.join(name);
        // A file that the patch removes needs no time; make notices that it is gone. One that is
        // still a link to base's is base's.
        let own = |m: fs::Metadata| m.is_file() && m.nlink() == 1;
        if fs::symlink_metadata(&path).is_ok_and(own) {
            let touched = File::open(&path).and_then(|f| f.set_times(now));
            touched.host(|| format!("failed to touch {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_copy_keeps_times_and_leaves_out_what_links_make() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("base");
        fs::create_dir_all(from.join("fs/vmlinux")).unwrap();
        for name in ["vmlinux", ".tmp_vmlinux1", "fs/vmlinux/a.o", "fs/vmlinux.o"] {
            fs::write(from.join(name), name).unwrap();
        }
        symlink("/ktwin/src", from.join("source")).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000, 123_456_789);
        let object = File::options()
            .write(true)
            .open(from.join("fs/vmlinux/a.o"))
            .unwrap();
        object.set_modified(old).unwrap();
        let to = dir.path().join("variant");
        copy(&from, &to, &Cancel::new()).unwrap();
        let copied = fs::metadata(to.join("fs/vmlinux/a.o")).unwrap();
        assert_eq!(copied.modified().unwrap(), old);
        assert_eq!(
            fs::read_link(to.join("source")).unwrap(),
            Path::new("/ktwin/src")
        );
        assert!(to.join("fs/vmlinux.o").exists());
        assert!(!to.join("vmlinux").exists() && !to.join(".tmp_vmlinux1").exists());
        fs::write(to.join("fs/vmlinux/a.o"), "variant's").unwrap();
        assert_eq!(
            fs::read_to_string(from.join("fs/vmlinux/a.o")).unwrap(),
            "fs/vmlinux/a.o"
        );
    }

    #[test]
    fn what_is_prepared_has_the_builds_programs_and_no_objects_of_the_kernels() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("base");
        let files = [
            ("include/generated/bounds.h", true),
            ("scripts/basic/fixdep", true),
            ("scripts/kconfig/conf.o", true),
            (".config", true),
            ("fs/fuse/.dev.o.cmd", true),
            ("fs/fuse/dev.o", false),
            ("fs/built-in.a", false),
            ("vmlinux", false),
        ];
        for (name, _) in files {
            fs::create_dir_all(from.join(name).parent().unwrap()).unwrap();
            fs::write(from.join(name), name).unwrap();
        }
        let to = dir.path().join("prepared");
        copy_prepared(&from, &to, &Cancel::new()).unwrap();
        for (name, kept) in files {
            assert_eq!(to.join(name).exists(), kept, "{name}");
        }
    }

    #[test]
    fn patched_files_become_newer() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.c");
        fs::write(&file, "").unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(old)
            .unwrap();
        fs::hard_link(&file, dir.path().join("linked.c")).unwrap();
        touch(dir.path(), &["linked.c"]).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), old);
        fs::remove_file(dir.path().join("linked.c")).unwrap();
        touch(dir.path(), &["a.c", "removed.c"]).unwrap();
        assert!(fs::metadata(&file).unwrap().modified().unwrap() > old + Duration::from_secs(1000));
        assert!(touch(dir.path(), &["../a.c"]).is_err());
    }
}
