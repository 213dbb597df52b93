//! What a passthrough server does to the folder it serves, free of FUSE.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use nix::{
    fcntl::{AT_FDCWD, OFlag, renameat},
    sys::{
        stat::{Mode, UtimensatFlags, mkdirat, utimensat},
        statvfs::{Statvfs, fstatvfs},
        time::TimeSpec,
    },
    unistd::{Gid, Uid, UnlinkatFlags, chown, truncate, unlinkat},
};

use super::{
    attr,
    inodes::{Inode, Inodes, open_beneath},
};

/// One line of a folder's list.
pub(super) type Entry = (INodeNo, FileType, OsString);

/// The attributes that a request sets.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) atime: Option<TimeOrNow>,
    pub(super) mtime: Option<TimeOrNow>,
}

/// A served folder.
pub(super) struct Store {
    inodes: Inodes,
}

impl Store {
    /// Serves this one.
    pub(super) fn new(root: &Path) -> io::Result<Store> {
        Ok(Store {
            inodes: Inodes::new(root)?,
        })
    }

    /// One inode.
    pub(super) fn get(&self, node: INodeNo) -> io::Result<Arc<Inode>> {
        Ok(self.inodes.get(node)?)
    }

    /// Looks a name up; the kernel knows it once more now.
    pub(super) fn lookup(&self, parent: INodeNo, name: &OsStr) -> io::Result<FileAttr> {
        let inode = self.inodes.lookup(parent, name)?;
        Ok(attr::of(inode.fd(), inode.node())?)
    }

    /// The kernel has forgotten so many lookups.
    pub(super) fn forget(&self, node: INodeNo, lookups: u64) {
        self.inodes.forget(node, lookups);
    }

    /// An inode's attributes.
    pub(super) fn attr(&self, node: INodeNo) -> io::Result<FileAttr> {
        Ok(attr::of(self.get(node)?.fd(), node)?)
    }

    /// Sets attributes, and says what they are then.
    pub(super) fn change(&self, node: INodeNo, wanted: &Wanted) -> io::Result<FileAttr> {
        let inode = self.get(node)?;
        let path = inode.magic();
        if let Some(mode) = wanted.mode {
            fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777))?;
        }
        if wanted.uid.is_some() || wanted.gid.is_some() {
            chown(
                &path,
                wanted.uid.map(Uid::from_raw),
                wanted.gid.map(Gid::from_raw),
            )?;
        }
        if let Some(size) = wanted.size {
            truncate(&path, i64::try_from(size).map_err(io::Error::other)?)?;
        }
        if wanted.atime.is_some() || wanted.mtime.is_some() {
            let (atime, mtime) = (spec(wanted.atime), spec(wanted.mtime));
            utimensat(
                AT_FDCWD,
                &path,
                &atime,
                &mtime,
                UtimensatFlags::FollowSymlink,
            )?;
        }
        self.attr(node)
    }

    /// Makes a file, or finds it, as O_CREAT does.
    pub(super) fn create(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        flags: i32,
    ) -> io::Result<FileAttr> {
        let folder = self.get(parent)?;
        let exclusive = OFlag::from_bits_truncate(flags) & OFlag::O_EXCL;
        open_beneath(
            folder.fd(),
            name,
            OFlag::O_CREAT | OFlag::O_RDWR | exclusive,
            permissions(mode),
        )?;
        self.lookup(parent, name)
    }

    /// Makes a folder.
    pub(super) fn mkdir(&self, parent: INodeNo, name: &OsStr, mode: u32) -> io::Result<FileAttr> {
        mkdirat(self.get(parent)?.fd(), name, permissions(mode))?;
        self.lookup(parent, name)
    }

    /// Removes a name.
    pub(super) fn remove(
        &self,
        parent: INodeNo,
        name: &OsStr,
        what: UnlinkatFlags,
    ) -> io::Result<()> {
        Ok(unlinkat(self.get(parent)?.fd(), name, what)?)
    }

    /// Renames.
    pub(super) fn rename(&self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr)) -> io::Result<()> {
        let (old, new) = (self.get(from.0)?, self.get(to.0)?);
        Ok(renameat(old.fd(), from.1, new.fd(), to.1)?)
    }

    /// What a folder holds.
    pub(super) fn list(&self, node: INodeNo) -> io::Result<Vec<Entry>> {
        let dots = [".", ".."].map(|name| (node, FileType::Directory, name.into()));
        let mut entries = Vec::from(dots);
        for entry in fs::read_dir(self.get(node)?.magic())? {
            let entry = entry?;
            let kind = FileType::from_std(entry.file_type()?).unwrap_or(FileType::RegularFile);
            // Numbers in a list are for show: the kernel looks a name up before it uses it.
            entries.push((INodeNo(u64::from(u32::MAX)), kind, entry.file_name()));
        }
        Ok(entries)
    }

    /// Sizes of the filesystem that it lies on.
    pub(super) fn space(&self, node: INodeNo) -> io::Result<Statvfs> {
        Ok(fstatvfs(self.get(node)?.fd())?)
    }
}

fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o7777)
}

fn spec(time: Option<TimeOrNow>) -> TimeSpec {
    match time {
        None => TimeSpec::UTIME_OMIT,
        Some(TimeOrNow::Now) => TimeSpec::UTIME_NOW,
        Some(TimeOrNow::SpecificTime(time)) => TimeSpec::from_duration(
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: INodeNo = INodeNo(1);

    #[test]
    fn a_file_lives_through_create_change_rename_and_removal() {
        let root = std::env::temp_dir().join(format!("ktwin-store-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let store = Store::new(&root).unwrap();
        let name = OsStr::new;

        let folder = store.mkdir(ROOT, name("folder"), 0o755).unwrap();
        let made = store
            .create(ROOT, name("file"), 0o600, libc::O_EXCL)
            .unwrap();
        let again = store.create(ROOT, name("file"), 0o600, libc::O_EXCL);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);

        let wanted = Wanted {
            mode: Some(0o640),
            size: Some(4096),
            ..Wanted::default()
        };
        let changed = store.change(made.ino, &wanted).unwrap();
        assert_eq!((changed.perm, changed.size), (0o640, 4096));

        store
            .rename((ROOT, name("file")), (folder.ino, name("moved")))
            .unwrap();
        assert_eq!(
            store.lookup(folder.ino, name("moved")).unwrap().ino,
            made.ino
        );
        let names: Vec<_> = store
            .list(folder.ino)
            .unwrap()
            .into_iter()
            .map(|(_, _, name)| name)
            .collect();
        assert_eq!(names, [".", "..", "moved"]);

        store
            .remove(folder.ino, name("moved"), UnlinkatFlags::NoRemoveDir)
            .unwrap();
        assert_eq!(
            store.attr(made.ino).unwrap().nlink,
            0,
            "an inode outlives its name"
        );
        store
            .remove(ROOT, name("folder"), UnlinkatFlags::RemoveDir)
            .unwrap();
        fs::remove_dir_all(root).unwrap();
    }
}
