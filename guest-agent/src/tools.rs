//! Programs of the host's, from the read-only tools disk.
//!
//! The layout that the host builds: an ext4 image whose root is a file system
//! tree. Every program lies at the path that it has on the host, and so do its
//! interpreter and libraries, a script's interpreter, and files of the user's
//! own. The agent makes each absolute path of that tree valid in the guest:
//!
//! * a top-level link (`/lib` → `usr/lib`) is made again;
//! * a top-level folder of the system's ([`SYSTEM`]) is bound into place, read-only;
//! * everything else (`/home`, `/root`, `/tmp`, ...) is copied, so that a
//!   program may write beside its own files;
//! * the guest's own folders ([`RESERVED`]) are left alone.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use protocol::TOOLS_DISK;

use crate::disks;

/// Where the disk itself is mounted.
const AT: &str = "/tools";
/// Folders of the system's: bound, not copied.
const SYSTEM: &[&str] = &[
    "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix", "gnu",
];
/// Names that are the guest's.
const RESERVED: &[&str] = &[
    "dev",
    "proc",
    "sys",
    "tools",
    "scratch",
    "mnt",
    "init",
    "lost+found",
];

/// Lays out the tools disk, if there is one.
pub(crate) fn lay_out() -> Result<()> {
    let Some(disk) = disks::by_serial(TOOLS_DISK) else {
        return Ok(());
    };
    fs::create_dir_all(AT).context("make /tools")?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
    mount(Some(&disk), AT, Some("ext4"), flags, None::<&str>)
        .with_context(|| format!("mount the tools disk {}", disk.display()))?;
    for entry in fs::read_dir(AT).context("read the tools disk")? {
        let from = entry.context("read the tools disk")?.path();
        place(&from).with_context(|| format!("lay out {}", from.display()))?;
    }
    Ok(())
}

fn place(from: &Path) -> Result<()> {
    let Some(name) = from.file_name() else {
        return Ok(());
    };
    let to = PathBuf::from("/").join(name);
    let named = |list: &[&str]| list.iter().any(|listed| name == *listed);
    let kind = fs::symlink_metadata(from)?.file_type();
    if named(RESERVED) {
        Ok(())
    } else if kind.is_dir() && named(SYSTEM) {
        fs::create_dir_all(&to)?;
        mount(
            Some(from),
            &to,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )?;
        Ok(())
    } else {
        copy(from, &to)
    }
}

/// Copies a file, link or tree; a folder that is there already stays as it is. Devices, sockets and pipes
/// are left out.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let found = fs::symlink_metadata(from)?;
    if found.is_symlink() {
        if fs::symlink_metadata(to).is_err() {
            symlink(fs::read_link(from)?, to)?;
        }
    } else if found.is_dir() {
        let is_new = !to.is_dir();
        if is_new {
            fs::create_dir(to)?;
        }
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        // Last, so that a read-only folder can be filled. `/tmp` is the guest's own, for all to write to.
        if is_new {
            fs::set_permissions(to, found.permissions())?;
        }
    } else if found.is_file() {
        fs::copy(from, to)?;
    }
    Ok(())
}

/// Whether a path lies in a folder of the system's.
pub(crate) fn is_system(path: &Path) -> bool {
    let mut parts = path.components().skip(1);
    parts
        .next()
        .is_some_and(|first| SYSTEM.iter().any(|name| first.as_os_str() == *name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_systems_own_folders_are_told_from_the_users() {
        for (path, system) in [
            ("/usr/bin/fio", true),
            ("/lib64/ld.so", true),
            ("/home/u/repro", false),
            ("/usrx/a", false),
        ] {
            assert_eq!(is_system(Path::new(path)), system, "{path}");
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_folder_that_is_there_keeps_its_mode() {
        let root = std::env::temp_dir().join(format!("ktwin-modes-{}", std::process::id()));
        let (from, to) = (root.join("from"), root.join("to"));
        for (folder, bits) in [
            (from.join("new"), 0o750),
            (from.clone(), 0o755),
            (to.clone(), 0o1777),
        ] {
            fs::create_dir_all(&folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(bits)).unwrap();
        }
        copy(&from, &to).unwrap();
        assert_eq!((mode(&to), mode(&to.join("new"))), (0o1777, 0o750));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_tree_is_copied_with_its_links_and_modes() {
        let root = std::env::temp_dir().join(format!("ktwin-tools-{}", std::process::id()));
        let (from, to) = (root.join("from"), root.join("to"));
        fs::create_dir_all(from.join("a")).unwrap();
        fs::write(from.join("a/run"), "x").unwrap();
        fs::set_permissions(from.join("a/run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("a/run", from.join("link")).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("a/run"));
        assert_eq!(mode(&to.join("a/run")), 0o755);
        fs::remove_dir_all(root).unwrap();
    }
}
