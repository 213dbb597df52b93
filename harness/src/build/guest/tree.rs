//! A tree of host files at their own paths, links included, to be copied onto a disk image.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::OsString,
    fs, io,
    os::unix::fs::{MetadataExt, symlink},
    path::{Component, Path, PathBuf},
};

use crate::{Result, error::Context, hash::hex_sha256};

/// Links that are followed for one path, as the kernel does.
const MOST_LINKS: u32 = 40;

/// What is taken along.
#[derive(Debug, Default)]
pub(super) struct Tree {
    folders: BTreeSet<PathBuf>,
    links: BTreeMap<PathBuf, PathBuf>,
    files: BTreeSet<PathBuf>,
}

/// What a tree takes on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub bytes: u64,
    pub entries: u64,
}

impl Tree {
    /// Takes a file or folder along (a folder without what is in it), with every folder and link on
    /// the way to it. Gives its path without links, and whether it is new.
    pub(super) fn add(&mut self, path: &Path) -> io::Result<(PathBuf, bool)> {
        let mut rest: VecDeque<OsString> = words(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        let mut new = false;
        while let Some(word) = rest.pop_front() {
            if word == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&word);
            let meta = fs::symlink_metadata(&next)?;
            if meta.is_symlink() {
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::from_raw_os_error(nix::libc::ELOOP));
                }
                let target = fs::read_link(&next)?;
                for word in words(&target).into_iter().rev() {
                    rest.push_front(word);
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                self.links.insert(next, target);
                continue;
            }
            new = if meta.is_dir() {
                self.folders.insert(next.clone())
            } else if meta.is_file() {
                self.files.insert(next.clone())
            } else {
                return Err(io::Error::other("neither a file nor a folder"));
            };
            at = next;
        }
        Ok((at, new))
    }

    /// What it is made of: paths, sizes and times, which change with what files hold.
    pub(super) fn key(&self) -> Result<String> {
        let mut lines = Vec::new();
        for file in &self.files {
            let meta =
                fs::metadata(file).host(|| format!("failed to look at {}", file.display()))?;
            lines.push(format!(
                "{file:?} {} {} {} {} {}",
                meta.ino(),
                meta.len(),
                meta.mode(),
                meta.ctime(),
                meta.ctime_nsec()
            ));
        }
        lines.extend(
            self.links
                .iter()
                .map(|(at, to)| format!("{at:?} -> {to:?}")),
        );
        lines.extend(self.folders.iter().map(|f| format!("{f:?}/")));
        Ok(hex_sha256(
            &lines.iter().map(String::as_bytes).collect::<Vec<_>>(),
        ))
    }

    /// Copies everything below `root`, an empty folder.
    pub(super) fn copy_to(&self, root: &Path) -> Result<Size> {
        let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        let mut size = Size {
            bytes: 0,
            entries: (self.folders.len() + self.links.len() + self.files.len()) as u64,
        };
        // In order: a folder comes before what is in it.
        for folder in &self.folders {
            let made = fs::create_dir(below(folder));
            made.host(|| format!("failed to make {} for a disk image", folder.display()))?;
        }
        for (at, to) in &self.links {
            symlink(to, below(at)).host(|| format!("failed to copy the link {}", at.display()))?;
        }
        for file in &self.files {
            let copied = fs::copy(file, below(file));
            size.bytes += copied.host(|| format!("failed to copy {}", file.display()))?;
        }
        Ok(size)
    }
}

fn words(path: &Path) -> VecDeque<OsString> {
    let word = |c: Component<'_>| match c {
        Component::Normal(word) => Some(word.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_taken_with_what_they_lead_to() {
        let host = tempfile::tempdir().unwrap();
        let host = host.path().canonicalize().unwrap();
        fs::create_dir_all(host.join("usr/lib")).unwrap();
        fs::write(host.join("usr/lib/libz.so.1.2"), "z").unwrap();
        symlink("usr/lib", host.join("lib")).unwrap();
        symlink("libz.so.1.2", host.join("usr/lib/libz.so.1")).unwrap();
        symlink("loop", host.join("loop")).unwrap();
        let mut tree = Tree::default();
        let real = host.join("usr/lib/libz.so.1.2");
        assert_eq!(
            tree.add(&host.join("lib/libz.so.1")).unwrap(),
            (real.clone(), true)
        );
        assert_eq!(
            tree.add(&host.join("usr/../lib/libz.so.1.2")).unwrap(),
            (real.clone(), false)
        );
        assert!(tree.add(&host.join("loop")).is_err());
        assert!(tree.add(&host.join("missing")).is_err());

        let copy = tempfile::tempdir().unwrap();
        let size = tree.copy_to(copy.path()).unwrap();
        assert_eq!(size.bytes, 1);
        let below = |p: &Path| copy.path().join(p.strip_prefix("/").unwrap());
        assert_eq!(
            fs::read_link(below(&host.join("lib"))).unwrap(),
            Path::new("usr/lib")
        );
        assert_eq!(fs::read(below(&host.join("lib/libz.so.1"))).unwrap(), b"z");

        let before = tree.key().unwrap();
        assert_eq!(tree.key().unwrap(), before);
        fs::write(&real, "changed").unwrap();
        assert_ne!(tree.key().unwrap(), before);
    }
}
