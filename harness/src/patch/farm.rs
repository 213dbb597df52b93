//! A tree of hard links: the patched kernel shares every untouched file with its base.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{Result, cancel::Cancel, error::Context};

/// Links everything under `base` into `target`, which is made if missing, but the files named in
/// `except` (relative paths). Contents, modes and times are the base's own.
pub(crate) fn link(
    base: &Path,
    target: &Path,
    except: &BTreeSet<PathBuf>,
    cancel: &Cancel,
) -> Result<()> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        cancel.check()?;
        let from = base.join(&folder);
        let to = target.join(&folder);
        fs::create_dir_all(&to).host(|| format!("failed to make {}", to.display()))?;
        for entry in fs::read_dir(&from).host(|| format!("failed to list {}", from.display()))? {
            let entry = entry.host(|| format!("failed to list {}", from.display()))?;
            let path = folder.join(entry.file_name());
            let kind = entry
                .file_type()
                .host(|| format!("failed to read {}", path.display()))?;
            if kind.is_dir() {
                folders.push(path);
            } else if !except.contains(&path) {
                let one = link_one(&entry.path(), &target.join(&path), kind.is_symlink());
                one.host(|| format!("failed to link {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Removes the folder that stands in a farm where a file is to be, of which nothing was linked.
pub(crate) fn make_way(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {
            fs::remove_dir_all(path).host(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn link_one(from: &Path, to: &Path, is_symlink: bool) -> io::Result<()> {
    if is_symlink {
        return symlink(fs::read_link(from)?, to);
    }
    match fs::hard_link(from, to) {
        // Another file system, a file with all the links that it may have, or a file system
        // without any (then EPERM): a copy with the same times serves.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::CrossesDevices
                    | io::ErrorKind::TooManyLinks
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            copy(from, to)
        }
        other => other,
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let times = fs::metadata(from)?.modified()?;
    fs::File::options()
        .append(true)
        .open(to)?
        .set_modified(times)
}
