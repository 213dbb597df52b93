//! A passthrough mount of one file, whose opens are answered with the id of the moment.

use std::{
    fs::{File, OpenOptions},
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, OpenFlags, ReplyAttr, ReplyEntry, ReplyOpen, Request,
};

use crate::{
    fs::{
        TTL, attr,
        mount::{self, Mounted},
    },
    sys,
};

/// The file's size.
pub(super) const BLOCK: usize = 4096;
/// The backing file, in memory.
const BACKING: &str = "/tmp/one-file";
/// How long the mount may take to go.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(30);
/// The file's name and inode number.
pub(super) const NAME: &str = "file";
const FILE: INodeNo = INodeNo(2);

/// The mount.
pub(super) struct OneFile {
    mounted: Mounted,
    /// The connection's device.
    pub(super) device: OwnedFd,
    /// What is registered: one file may have many ids.
    pub(super) backing: File,
    /// What the next open is answered with.
    pub(super) id: Arc<AtomicU32>,
}

impl OneFile {
    pub(super) fn mount(at: &Path) -> Result<Self> {
        let id = Arc::new(AtomicU32::new(0));
        let mounted = Mounted::new(Server { id: id.clone() }, at, 1)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(BACKING);
        let backing = file.with_context(|| format!("make {BACKING}"))?;
        backing
            .write_all_at(&[0; BLOCK], 0)
            .context("fill a backing file")?;
        Ok(Self {
            device: mount::share(&mounted)?,
            mounted,
            backing,
            id,
        })
    }

    /// Unmounts; gives who did not come back.
    pub(super) fn end(self) -> Vec<String> {
        drop(self.device);
        self.mounted.end(COMES_BACK_WITHIN)
    }
}

/// Answers opens.
struct Server {
    id: Arc<AtomicU32>,
}

impl Server {
    fn attr(ino: INodeNo) -> FileAttr {
        let (kind, perm) = match ino {
            FILE => (FileType::RegularFile, 0o644),
            _ => (FileType::Directory, 0o755),
        };
        attr::made_up(ino, kind, perm, BLOCK as u64)
    }
}

impl Filesystem for Server {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        mount::negotiate_passthrough(config)
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &std::ffi::OsStr, reply: ReplyEntry) {
        match name == NAME {
            true => reply.entry(&TTL, &Self::attr(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &Self::attr(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let id = self.id.load(Ordering::Acquire);
        sys::answer_open(reply, FileHandle(0), FopenFlags::FOPEN_NOFLUSH, id);
    }
}
