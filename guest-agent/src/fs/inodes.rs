//! The inodes that the kernel knows: O_PATH descriptors, opened beneath their
//! parent and never by a path that could be led astray.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fuser::{BackingId, INodeNo};
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::Mode,
};

use super::attr::{self, Key};

/// Nothing leaves the parent: no link is followed, no other mount is entered.
const BENEATH: ResolveFlag = ResolveFlag::RESOLVE_BENEATH
    .union(ResolveFlag::RESOLVE_NO_SYMLINKS)
    .union(ResolveFlag::RESOLVE_NO_MAGICLINKS)
    .union(ResolveFlag::RESOLVE_NO_XDEV);

/// One inode.
#[derive(Debug)]
pub(super) struct Inode {
    node: INodeNo,
    key: Key,
    path: OwnedFd,
    /// Its backing id and the number of opens that use it: all opens of an
    /// inode must name the same one.
    backing: Mutex<Option<(Arc<BackingId>, u64)>>,
}

impl Inode {
    /// The number that the kernel knows it by.
    pub(super) fn node(&self) -> INodeNo {
        self.node
    }

    /// Its O_PATH descriptor.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.path.as_fd()
    }

    /// A path that leads to this very inode, whatever its name is by now.
    pub(super) fn magic(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.path.as_raw_fd()))
    }

    /// One open more: its backing id, registered by the first.
    pub(super) fn lend(
        &self,
        register: impl FnOnce(File) -> io::Result<BackingId>,
    ) -> io::Result<Arc<BackingId>> {
        let mut backing = self.backing.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, opens) = match &mut *backing {
            Some(registered) => registered,
            none => none.insert((Arc::new(register(self.reopen()?)?), 0)),
        };
        *opens += 1;
        Ok(id.clone())
    }

    /// One open less; the last one removes the id.
    pub(super) fn give_back(&self) {
        let mut backing = self.backing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, opens)) = &mut *backing {
            *opens -= 1;
            if *opens == 0 {
                *backing = None;
            }
        }
    }

    /// Opens it for reading and, where possible, writing.
    pub(super) fn reopen(&self) -> io::Result<File> {
        let path = self.magic();
        File::options()
            .read(true)
            .write(true)
            .open(&path)
            .or_else(|_| File::open(&path))
    }
}

/// Opens a name in a folder, with nothing between the two.
pub(super) fn open_beneath(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    flags: OFlag,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .mode(mode)
        .resolve(BENEATH);
    openat2(parent, name, how)
}

#[derive(Debug, Default)]
struct Known {
    by_node: HashMap<u64, (Arc<Inode>, u64)>,
    by_key: HashMap<Key, u64>,
    last: u64,
}

/// All inodes.
#[derive(Debug)]
pub(super) struct Inodes(Mutex<Known>);

impl Inodes {
    /// Knows the root only.
    pub(super) fn new(root: &Path) -> io::Result<Inodes> {
        let path: OwnedFd = nix::fcntl::open(
            root,
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let inodes = Inodes(Mutex::default());
        // The kernel never forgets the root, so this count never falls to 0.
        inodes.know(path)?;
        Ok(inodes)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One inode, by the kernel's number.
    pub(super) fn get(&self, node: INodeNo) -> Result<Arc<Inode>, Errno> {
        self.known()
            .by_node
            .get(&node.0)
            .map(|(inode, _)| inode.clone())
            .ok_or(Errno::ESTALE)
    }

    /// Looks a name up, and counts that the kernel now knows it once more.
    pub(super) fn lookup(&self, parent: INodeNo, name: &OsStr) -> Result<Arc<Inode>, Errno> {
        let parent = self.get(parent)?;
        self.know(open_beneath(
            parent.fd(),
            name,
            OFlag::O_PATH,
            Mode::empty(),
        )?)
    }

    fn know(&self, path: OwnedFd) -> Result<Arc<Inode>, Errno> {
        let key = attr::key(path.as_fd())?;
        let mut known = self.known();
        if let Some(node) = known.by_key.get(&key).copied()
            && let Some((inode, count)) = known.by_node.get_mut(&node)
        {
            *count += 1;
            return Ok(inode.clone());
        }
        known.last += 1;
        let node = known.last;
        let inode = Arc::new(Inode {
            node: INodeNo(node),
            key,
            path,
            backing: Mutex::default(),
        });
        known.by_node.insert(node, (inode.clone(), 1));
        known.by_key.insert(key, node);
        Ok(inode)
    }

    /// The kernel has forgotten so many lookups.
    pub(super) fn forget(&self, node: INodeNo, lookups: u64) {
        let mut known = self.known();
        let Some((inode, count)) = known.by_node.get_mut(&node.0) else {
            return;
        };
        *count = count.saturating_sub(lookups);
        if *count == 0 {
            let key = inode.key;
            known.by_key.remove(&key);
            known.by_node.remove(&node.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn names_lead_to_what_lies_beneath_and_nowhere_else() {
        let root = std::env::temp_dir().join(format!("ktwin-inodes-{}", std::process::id()));
        fs::create_dir_all(root.join("folder")).unwrap();
        fs::write(root.join("folder/file"), "x").unwrap();
        symlink("/etc", root.join("out")).unwrap();
        let inodes = Inodes::new(&root).unwrap();
        let one = INodeNo(1);
        let look = |parent, name: &str| {
            inodes
                .lookup(parent, OsStr::new(name))
                .map(|inode| inode.node())
        };

        let folder = look(one, "folder").unwrap();
        let file = look(folder, "file").unwrap();
        assert_eq!(
            look(folder, "file"),
            Ok(file),
            "the same inode has one number"
        );
        assert_eq!(look(one, ".."), Err(Errno::EXDEV));
        assert_eq!(look(one, "out/passwd"), Err(Errno::ELOOP));
        assert_eq!(look(one, "none"), Err(Errno::ENOENT));

        inodes.forget(file, 1);
        assert!(inodes.get(file).is_ok());
        inodes.forget(file, 1);
        assert_eq!(
            inodes.get(file).map(|inode| inode.node()),
            Err(Errno::ESTALE)
        );
        fs::remove_dir_all(root).unwrap();
    }
}
