//! The images that guests use beside their kernels, made once and kept in the cache.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};

use super::{
    agent,
    cpio::{self, Node},
    disk,
    libraries::Libraries,
    needs::Collector,
};
use crate::{
    Result,
    cache::{Cache, Entry, Kind},
    cancel::Cancel,
    error::Context,
    event::{Event, Step, Watcher},
    hash::hex_sha256,
};

/// Raised when images change their form.
const FORMAT: &str = "1";

/// Folders of the initramfs beside the agent; it makes what else it needs.
const FOLDERS: [&str; 6] = ["dev", "proc", "run", "sys", "tmp", "root"];

/// Devices that must be there before the agent has mounted anything.
const DEVICES: [(&str, u32, u32); 2] = [("dev/console", 5, 1), ("dev/null", 1, 3)];

/// A disk with programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// A read-only ext4 image: programs and all that they need, at their host's paths.
    pub image: PathBuf,
    /// The commands that it was made for, programs and files by their absolute paths.
    pub commands: Vec<Vec<String>>,
}

/// Makes images.
pub struct GuestImages<'a> {
    cache: &'a Cache,
    cancel: &'a Cancel,
    watcher: &'a dyn Watcher,
    /// Entries in use stay in the cache as long as this lives.
    held: Mutex<Vec<Entry>>,
}

impl<'a> GuestImages<'a> {
    /// Images in this cache.
    pub fn new(cache: &'a Cache, cancel: &'a Cancel, watcher: &'a dyn Watcher) -> Self {
        Self {
            cache,
            cancel,
            watcher,
            held: Mutex::default(),
        }
    }

    /// The initramfs with the agent, which is built if need be.
    ///
    /// # Errors
    /// The agent does not build, or the file system's.
    pub fn initramfs(&self) -> Result<PathBuf> {
        self.told(Step::Agent, "guest agent", || {
            let agent = agent::build(self.cancel)?;
            let agent = fs::read(&agent).host(|| format!("failed to read {}", agent.display()))?;
            let key = hex_sha256(&[FORMAT.as_bytes(), &agent]);
            self.kept(Kind::Initramfs, &key, "initramfs.cpio", |path| {
                pack(&agent, path)
            })
        })
    }

    /// A disk with these commands' programs and what they need. Besides: files that arguments name,
    /// the usual companions of a shell, the standard library of Python or Perl. Libraries that a
    /// program loads while it runs and files that it opens by itself are not known, and not there.
    ///
    /// # Errors
    /// Bad input: a program that is missing, is none, or lacks a library here.
    pub fn tools(&self, commands: &[Vec<String>]) -> Result<Tools> {
        let what = commands
            .iter()
            .filter_map(|c| c.first())
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        let mut collector = Collector::new(Libraries::read(self.cancel)?);
        let collected: Result<Vec<_>> = commands.iter().map(|c| collector.command(c)).collect();
        let commands = collected?;
        let image = self.told(Step::Tools, &what, || {
            let key = hex_sha256(&[FORMAT.as_bytes(), collector.tree.key()?.as_bytes()]);
            self.kept(Kind::Tools, &key, "tools.ext4", |path| {
                let temp = self.cache.temp()?;
                let size = collector.tree.copy_to(temp.path())?;
                disk::filled(path, temp.path(), size, self.cancel)
            })
        })?;
        Ok(Tools { image, commands })
    }

    /// Makes a blank scratch disk of `mib` MiB at `path`, which must not exist.
    ///
    /// # Errors
    /// mke2fs is missing or fails.
    pub fn scratch(&self, path: &Path, mib: u32) -> Result<()> {
        disk::scratch(path, mib, self.cancel)
    }

    fn kept(
        &self,
        kind: Kind,
        key: &str,
        name: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<(PathBuf, bool)> {
        let entry = self
            .cache
            .entry(kind, key, self.cancel, |dir| make(&dir.join(name)))?;
        let made = (entry.path.join(name), entry.fresh);
        if let Ok(mut held) = self.held.lock() {
            held.push(entry);
        }
        Ok(made)
    }

    fn told(
        &self,
        step: Step,
        what: &str,
        work: impl FnOnce() -> Result<(PathBuf, bool)>,
    ) -> Result<PathBuf> {
        let what = what.to_owned();
        self.watcher.event(&Event::Started {
            step,
            what: what.clone(),
        });
        let started = Instant::now();
        let result = work();
        let how = match &result {
            Ok((_, true)) => format!("{:.1} s", started.elapsed().as_secs_f64()),
            Ok((_, false)) => "cached".into(),
            Err(error) => format!("failed: {}", error.to_string().lines().next().unwrap_or("")),
        };
        self.watcher.event(&Event::Ended { step, what, how });
        result.map(|(path, _)| path)
    }
}

/// The initramfs, not compressed: unpacking costs a guest more than loading.
fn pack(agent: &[u8], path: &Path) -> Result<()> {
    let folders = FOLDERS.iter().map(|f| (*f, Node::Folder));
    let devices = DEVICES
        .iter()
        .map(|(name, major, minor)| (*name, Node::Device(*major, *minor)));
    let nodes: Vec<_> = folders
        .chain(devices)
        .chain([("init", Node::Program(agent))])
        .collect();
    let failed = || format!("failed to write {}", path.display());
    let mut out = BufWriter::new(File::create_new(path).host(failed)?);
    cpio::write(&mut out, &nodes)
        .and_then(|()| out.flush())
        .host(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Unwatched, host::Cmd};

    #[test]
    fn a_disk_holds_a_program_at_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let cancel = Cancel::new();
        let images = GuestImages::new(&cache, &cancel, &Unwatched);
        let commands = [vec!["true".to_owned()]];
        let tools = images.tools(&commands).unwrap();
        assert_eq!(images.tools(&commands).unwrap(), tools);
        let stat = |path: &str| {
            let cmd = Cmd::new("/usr/sbin/debugfs")
                .args(["-R", &format!("stat {path}")])
                .arg(&tools.image);
            cmd.run_ok(&cancel).unwrap().text()
        };
        let real = fs::canonicalize(&tools.commands[0][0]).unwrap();
        assert!(stat(real.to_str().unwrap()).contains("Type: regular"));
    }

    #[test]
    fn a_scratch_disk_has_its_room_and_is_sound() {
        use std::{fs::File, os::unix::fs::MetadataExt};

        use nix::fcntl::{FallocateFlags, fallocate};

        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let cancel = Cancel::new();
        let path = dir.path().join("scratch.ext4");
        GuestImages::new(&cache, &cancel, &Unwatched)
            .scratch(&path, 256)
            .unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!(meta.len(), 256 << 20);
        let probe = File::create(dir.path().join("probe")).unwrap();
        if fallocate(&probe, FallocateFlags::empty(), 0, 4096).is_ok() {
            assert!(meta.blocks() * 512 >= meta.len(), "{}", meta.blocks());
        }
        Cmd::new("/usr/sbin/e2fsck")
            .args(["-fn"])
            .arg(&path)
            .run_ok(&cancel)
            .unwrap();
    }

    #[test]
    fn the_same_agent_gives_the_same_archive() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        pack(b"agent", &one).unwrap();
        pack(b"agent", &two).unwrap();
        let bytes = fs::read(&one).unwrap();
        assert_eq!(bytes, fs::read(&two).unwrap());
        assert!(bytes.windows(4).any(|w| w == b"init"));
    }
}
