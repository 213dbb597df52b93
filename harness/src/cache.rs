//! The cache: folders keyed by content, filled aside and renamed into place when whole.
//!
//! `$KTWIN_CACHE`, else `$XDG_CACHE_HOME/ktwin`, else `~/.cache/ktwin`. Two runs
//! at once share it: whoever fills an entry holds its lock, the other waits and
//! then finds it. A folder that was cut off while being filled never gets its
//! final name, so it is never used; [`Cache::sweep`] removes it later.

use std::{
    collections::HashSet,
    env, fs,
    fs::File,
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use nix::fcntl::{Flock, FlockArg};

use crate::{Error, Result, cancel::Cancel, error::Context};

/// A temporary folder of the cache's, removed when dropped. While it lives no [`Cache::sweep`] takes it.
#[derive(Debug)]
pub struct Temp {
    dir: tempfile::TempDir,
    _lock: Flock<File>,
}

impl Temp {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// What an entry holds; each kind has a folder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// apt's own state and downloaded packages.
    Deb,
    /// An unpacked or exported kernel tree.
    Source,
    /// A kernel tree with a series applied, hard-linked to its source.
    Tree,
    /// A kernel's build folder.
    BuildDir,
    /// Objects of kernels, as ccache keeps them.
    Objects,
    /// A built kernel.
    Kernel,
    /// The sizes of a kernel's structures.
    Structures,
    /// The guest agent's initramfs.
    Initramfs,
    /// A disk image with programs.
    Tools,
    /// What is known about this host.
    Host,
    /// What the boots of a base kernel showed.
    Seen,
}

/// Folder names, and how many entries are kept: large, easily rebuilt things go first.
const KINDS: [(Kind, &str, usize); 11] = [
    (Kind::BuildDir, "build", 8),
    (Kind::Objects, "objects", 4),
    (Kind::Tree, "tree", 16),
    (Kind::Initramfs, "initramfs", 8),
    (Kind::Tools, "tools", 8),
    (Kind::Source, "source", 6),
    (Kind::Deb, "deb", 4),
    (Kind::Kernel, "kernel", 60),
    (Kind::Structures, "structures", 200),
    (Kind::Host, "host", 16),
    (Kind::Seen, "seen", 100),
];

impl Kind {
    /// The kind's folder.
    pub fn folder(self) -> &'static str {
        KINDS
            .iter()
            .find(|(kind, ..)| *kind == self)
            .map_or("other", |(_, folder, _)| folder)
    }

    /// Every kind, in the order in which the cache is cleared.
    pub fn all() -> impl Iterator<Item = Kind> {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    fn kept(self) -> usize {
        KINDS
            .iter()
            .find(|(kind, ..)| *kind == self)
            .map_or(usize::MAX, |(.., kept)| *kept)
    }
}

/// How often a lock that another run holds is asked for.
const WAIT: Duration = Duration::from_millis(100);

/// The cache's folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// A whole entry.
#[derive(Debug)]
pub struct Entry {
    /// Its folder.
    pub path: PathBuf,
    /// Was it filled just now?
    pub fresh: bool,
    // Held shared, so that nobody clears the entry while it is in use.
    _lock: Flock<File>,
}

/// A line of `cache list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it holds.
    pub kind: Kind,
    /// Its key.
    pub key: String,
    /// Its size on disk, in bytes. What several entries share by hard links counts in one of them: a
    /// source, where it is one's.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
}

impl Cache {
    /// Opens the cache, making its folder.
    ///
    /// # Errors
    /// No home directory is known, or the folder cannot be made.
    pub fn open() -> Result<Self> {
        let set = |key: &str| {
            env::var_os(key)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let root = set("KTWIN_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|d| d.join("ktwin")))
            .or_else(|| set("HOME").map(|d| d.join(".cache/ktwin")))
            .ok_or_else(|| {
                Error::infrastructure("no folder for the cache").mend("set KTWIN_CACHE to a folder")
            })?;
        Self::at(&root)
    }

    /// The cache in a folder of the caller's.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn at(root: &Path) -> Result<Self> {
        let failed = || format!("failed to make the cache's folder {}", root.display());
        for folder in KINDS
            .iter()
            .map(|(_, folder, _)| *folder)
            .chain(["tmp", "lock"])
        {
            fs::create_dir_all(root.join(folder)).host(failed)?;
        }
        // Compilers and makefiles name folders without links on the way, and so do we.
        Ok(Self {
            root: root.canonicalize().host(failed)?,
        })
    }

    /// The cache's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a kind, for state that is kept in place (apt's own).
    pub fn folder(&self, kind: Kind) -> PathBuf {
        self.root.join(kind.folder())
    }

    /// A temporary folder on the cache's file system, removed when dropped.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn temp(&self) -> Result<Temp> {
        let root = self.root.display();
        let failed = || format!("failed to make a temporary folder in {root}");
        let made = tempfile::Builder::new()
            .prefix("t-")
            .tempdir_in(self.root.join("tmp"));
        let dir = made.host(failed)?;
        let file = File::open(dir.path()).host(failed)?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(lock) => Ok(Temp { dir, _lock: lock }),
            Err((_, errno)) => Err(Error::infrastructure(failed()).because(io::Error::from(errno))),
        }
    }

    /// The entry, if it is whole; one that another run is filling is waited for.
    ///
    /// # Errors
    /// Its lock cannot be had, or an interruption while waiting.
    pub fn get(&self, kind: Kind, key: &str, cancel: &Cancel) -> Result<Option<Entry>> {
        let path = self.place(kind, key)?;
        let lock = self.lock_shared(kind, key, cancel)?;
        Ok(whole(path, lock))
    }

    /// The entry, filled by `fill` where it is missing.
    ///
    /// # Errors
    /// `fill`'s own, an interruption while waiting for another run, or the file system's.
    pub fn entry(
        &self,
        kind: Kind,
        key: &str,
        cancel: &Cancel,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Entry> {
        let path = self.place(kind, key)?;
        // Whoever filled it keeps it, shared, for as long as its run takes: to wait for the lock alone
        // would be to wait for that run's end.
        let lock = loop {
            cancel.check()?;
            if let Some(entry) = self.get_unless_busy(kind, key)? {
                return Ok(entry);
            }
            if let Some(lock) = self.try_lock(kind, key, FlockArg::LockExclusiveNonblock)? {
                break lock;
            }
            thread::sleep(WAIT);
        };
        let fresh = !path.is_dir();
        if fresh {
            let temp = self.temp()?;
            let whole = temp.path().join("entry");
            let failed = || format!("failed to put {} into the cache", path.display());
            fs::create_dir(&whole).host(failed)?;
            fill(&whole)?;
            fs::rename(&whole, &path).host(failed)?;
        }
        touch(&path);
        // Converting may let another waiter in between; it only finds the entry whole.
        lock.relock(FlockArg::LockShared)
            .host(|| "failed to share a lock".into())?;
        Ok(Entry {
            path,
            fresh,
            _lock: lock,
        })
    }

    /// Removes an entry, unless it is in use; says whether it is gone.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove(&self, kind: Kind, key: &str) -> Result<bool> {
        let path = self.place(kind, key)?;
        let Some(_lock) = self.try_lock(kind, key, FlockArg::LockExclusiveNonblock)? else {
            return Ok(false);
        };
        if path.exists() {
            let temp = self.temp()?;
            let aside = temp.path().join("removed");
            fs::rename(&path, &aside).host(|| format!("failed to remove {}", path.display()))?;
        }
        Ok(true)
    }

    /// What lies in the cache, newest first within each kind.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut all = Vec::new();
        for kind in Kind::all() {
            let keys = self.keys(kind)?.into_iter();
            all.extend(keys.map(|(used, key)| Listed {
                kind,
                key,
                bytes: 0,
                used,
            }));
        }
        let mut counted = HashSet::new();
        for sources in [true, false] {
            let kinds = all
                .iter_mut()
                .filter(|one| (one.kind == Kind::Source) == sources);
            for one in kinds {
                let path = self.folder(one.kind).join(&one.key);
                one.bytes = size_on_disk(&path, &mut counted);
            }
        }
        Ok(all)
    }

    /// Removes what is past each kind's number of entries, oldest first, and folders that were cut
    /// off while being filled.
    ///
    /// # Errors
    /// The file system's.
    pub fn sweep(&self) -> Result<()> {
        for kind in Kind::all() {
            for (_, key) in self.keys(kind)?.into_iter().skip(kind.kept()) {
                self.remove(kind, &key)?;
            }
        }
        // A build may fill a folder for hours; a day is past any.
        let old = SystemTime::now() - Duration::from_secs(24 * 3600);
        for temp in read_dir(&self.root.join("tmp"))? {
            if modified(&temp).is_some_and(|t| t < old) && !is_held(&temp) {
                // Somebody else's, perhaps: what cannot be removed stays.
                let _ = fs::remove_dir_all(&temp);
            }
        }
        Ok(())
    }

    fn keys(&self, kind: Kind) -> Result<Vec<(SystemTime, String)>> {
        let mut keys: Vec<_> = read_dir(&self.folder(kind))?
            .into_iter()
            .filter_map(|p| Some((modified(&p)?, p.file_name()?.to_str()?.to_owned())))
            .collect();
        keys.sort_by(|a, b| b.cmp(a));
        Ok(keys)
    }

    fn place(&self, kind: Kind, key: &str) -> Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+~".contains(c);
        if key.is_empty() || key.starts_with('.') || key.len() > 200 || !key.chars().all(plain) {
            return Err(Error::infrastructure(format!(
                "{key:?} cannot be a key of the cache"
            )));
        }
        Ok(self.folder(kind).join(key))
    }

    fn get_unless_busy(&self, kind: Kind, key: &str) -> Result<Option<Entry>> {
        let path = self.place(kind, key)?;
        let lock = self.try_lock(kind, key, FlockArg::LockSharedNonblock)?;
        Ok(lock.and_then(|lock| whole(path, lock)))
    }

    fn try_lock(&self, kind: Kind, key: &str, how: FlockArg) -> Result<Option<Flock<File>>> {
        let path = self
            .root
            .join("lock")
            .join(format!("{}-{key}", kind.folder()));
        let failed = || format!("failed to lock {}", path.display());
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .host(failed)?;
        match Flock::lock(file, how) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(Error::infrastructure(failed()).because(io::Error::from(errno))),
        }
    }

    /// Waits for a lock in small steps, so that the user can stop it.
    fn lock_shared(&self, kind: Kind, key: &str, cancel: &Cancel) -> Result<Flock<File>> {
        loop {
            cancel.check()?;
            if let Some(lock) = self.try_lock(kind, key, FlockArg::LockSharedNonblock)? {
                return Ok(lock);
            }
            thread::sleep(WAIT);
        }
    }
}

/// Whether whoever made a temporary folder still lives: some need theirs for days.
fn is_held(temp: &Path) -> bool {
    let lock = |file| Flock::lock(file, FlockArg::LockExclusiveNonblock);
    File::open(temp).is_ok_and(|file| lock(file).is_err())
}

/// An entry that is there, and so whole.
fn whole(path: PathBuf, lock: Flock<File>) -> Option<Entry> {
    if !path.is_dir() {
        return None;
    }
    touch(&path);
    Some(Entry {
        path,
        fresh: false,
        _lock: lock,
    })
}

/// Marks an entry as used now; a cache on a read-only file system still serves.
fn touch(path: &Path) {
    if let Ok(folder) = File::open(path) {
        let _ = folder.set_modified(SystemTime::now());
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.symlink_metadata().and_then(|m| m.modified()).ok()
}

fn read_dir(path: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(path).and_then(|d| d.map(|e| e.map(|e| e.path())).collect());
    read.host(|| format!("failed to list {}", path.display()))
}

/// What a file or a folder takes, without those that were counted before, by device and inode.
fn size_on_disk(path: &Path, counted: &mut HashSet<(u64, u64)>) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = path.symlink_metadata() else {
        return 0;
    };
    let own = meta.blocks() * 512;
    if !meta.is_dir() {
        let is_new = meta.nlink() == 1 || counted.insert((meta.dev(), meta.ino()));
        return if is_new { own } else { 0 };
    }
    own + read_dir(path)
        .unwrap_or_default()
        .iter()
        .map(|p| size_on_disk(p, counted))
        .sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        (dir, cache)
    }

    #[test]
    fn an_entry_is_filled_once() {
        let (_dir, cache) = cache();
        let fill = |dir: &Path| fs::write(dir.join("x"), "1").host(|| "write".into());
        assert!(
            cache
                .entry(Kind::Kernel, "k", &Cancel::new(), fill)
                .unwrap()
                .fresh
        );
        let again = cache
            .entry(Kind::Kernel, "k", &Cancel::new(), |_| {
                panic!("filled twice")
            })
            .unwrap();
        assert!(!again.fresh);
        assert_eq!(fs::read(again.path.join("x")).unwrap(), b"1");
    }

    #[test]
    fn who_waits_for_a_filling_run_need_not_wait_for_its_end() {
        let (_dir, cache) = cache();
        let (began, begun) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let filling = cache.clone();
        let first = thread::spawn(move || {
            let entry = filling.entry(Kind::Kernel, "k", &Cancel::new(), |_| {
                began.send(()).unwrap();
                // Long enough for the other one to wait.
                thread::sleep(3 * WAIT);
                Ok(())
            });
            // The run goes on, and holds its entry.
            ended.recv().unwrap();
            entry.unwrap().fresh
        });
        begun.recv().unwrap();
        let cancel = Cancel::new();
        let impatient = cancel.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(20));
            impatient.cancel();
        });
        let second = cache.entry(Kind::Kernel, "k", &cancel, |_| panic!("filled twice"));
        assert!(!second.unwrap().fresh);
        end.send(()).unwrap();
        assert!(first.join().unwrap());
    }

    #[test]
    fn a_cut_off_entry_is_never_used() {
        let (_dir, cache) = cache();
        let cut = cache.entry(Kind::Kernel, "k", &Cancel::new(), |dir| {
            fs::write(dir.join("half"), "").unwrap();
            Err(Error::interrupted())
        });
        assert!(cut.is_err());
        assert!(
            cache
                .get(Kind::Kernel, "k", &Cancel::new())
                .unwrap()
                .is_none()
        );
        assert!(
            cache
                .entry(Kind::Kernel, "k", &Cancel::new(), |_| Ok(()))
                .unwrap()
                .fresh
        );
    }

    #[test]
    fn an_entry_in_use_stays() {
        let (_dir, cache) = cache();
        let entry = cache
            .entry(Kind::Tree, "t", &Cancel::new(), |_| Ok(()))
            .unwrap();
        assert!(!cache.remove(Kind::Tree, "t").unwrap());
        drop(entry);
        assert!(cache.remove(Kind::Tree, "t").unwrap());
        assert!(
            cache
                .get(Kind::Tree, "t", &Cancel::new())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_oldest_go_first() {
        let (_dir, cache) = cache();
        for n in 0..Kind::BuildDir.kept() + 2 {
            let entry = cache
                .entry(Kind::BuildDir, &format!("b{n}"), &Cancel::new(), |_| Ok(()))
                .unwrap();
            let age = SystemTime::now() - Duration::from_secs(1000 - n as u64);
            File::open(&entry.path).unwrap().set_modified(age).unwrap();
        }
        cache.sweep().unwrap();
        let keys: Vec<String> = cache.list().unwrap().into_iter().map(|l| l.key).collect();
        assert_eq!(keys.len(), Kind::BuildDir.kept());
        assert!(!keys.contains(&"b0".to_owned()) && !keys.contains(&"b1".to_owned()));
    }

    #[test]
    fn what_a_dead_run_left_goes_and_a_living_ones_stays() {
        let (_dir, cache) = cache();
        let (dead, alive) = (cache.root().join("tmp/t-dead"), cache.temp().unwrap());
        fs::create_dir(&dead).unwrap();
        let age = |path: &Path, days: u64| {
            let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
            File::open(path).unwrap().set_modified(then).unwrap();
        };
        age(alive.path(), 2);
        for (days, stays) in [(0, true), (2, false)] {
            age(&dead, days);
            cache.sweep().unwrap();
            assert_eq!(dead.exists(), stays, "{days}");
            assert!(alive.path().exists(), "{days}");
        }
    }

    #[test]
    fn keys_cannot_leave_the_cache() {
        let (_dir, cache) = cache();
        for key in ["", "..", "a/b", ".x", "a\0b"] {
            assert!(
                cache.get(Kind::Tree, key, &Cancel::new()).is_err(),
                "{key:?}"
            );
        }
    }

    #[test]
    fn what_is_shared_counts_once() {
        let (_dir, cache) = cache();
        let fill = |kind, key: &str, from: Option<&Path>| {
            let made = cache.entry(kind, key, &Cancel::new(), |dir| {
                let file = dir.join("file");
                match from {
                    Some(from) => fs::hard_link(from, file),
                    None => fs::write(file, [7; 100 << 10]),
                }
                .host(String::new)
            });
            made.unwrap().path.join("file")
        };
        let source = fill(Kind::Source, "s", None);
        for key in ["a", "b"] {
            fill(Kind::Tree, key, Some(&source));
        }
        let listed = cache.list().unwrap();
        let large = listed.iter().filter(|one| one.bytes >= 100 << 10);
        let large: Vec<Kind> = large.map(|one| one.kind).collect();
        assert_eq!((large, listed.len()), (vec![Kind::Source], 3));
    }
}
