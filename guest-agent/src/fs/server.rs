//! The passthrough server: a folder, served again as it is, whose files the
//! kernel reads and writes by itself.

use std::{
    collections::HashMap,
    ffi::OsStr,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use nix::unistd::UnlinkatFlags;

use super::{
    TTL, mount,
    store::{Entry, Store, Wanted},
};

/// What reached the server.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Opens answered with passthrough.
    pub(crate) opens: AtomicU64,
    /// Reads, which the kernel should have done by itself.
    pub(crate) reads: AtomicU64,
    /// Writes, likewise.
    pub(crate) writes: AtomicU64,
}

/// The server.
pub(crate) struct Passthrough {
    store: Store,
    /// Lists of the folders that are open, by handle.
    lists: Mutex<HashMap<u64, Vec<Entry>>>,
    handles: AtomicU64,
    traffic: Arc<Traffic>,
}

impl Passthrough {
    /// Serves this folder.
    pub(crate) fn new(root: &Path, traffic: Arc<Traffic>) -> io::Result<Passthrough> {
        Ok(Passthrough {
            store: Store::new(root)?,
            lists: Mutex::default(),
            handles: AtomicU64::new(1),
            traffic,
        })
    }

    fn lists(&self) -> MutexGuard<'_, HashMap<u64, Vec<Entry>>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers with the result of a call that returns nothing.
fn answer(reply: ReplyEmpty, result: io::Result<()>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error.into()),
    }
}

fn answer_entry(reply: ReplyEntry, result: io::Result<FileAttr>) {
    match result {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(error) => reply.error(error.into()),
    }
}

fn answer_attr(reply: ReplyAttr, result: io::Result<FileAttr>) {
    match result {
        Ok(attr) => reply.attr(&TTL, &attr),
        Err(error) => reply.error(error.into()),
    }
}

impl Filesystem for Passthrough {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        mount::negotiate_passthrough(config)
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(reply, self.store.lookup(parent, name));
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.store.forget(ino, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        answer_attr(reply, self.store.attr(ino));
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        answer_attr(
            reply,
            self.store.change(
                ino,
                &Wanted {
                    mode,
                    uid,
                    gid,
                    size,
                    atime,
                    mtime,
                },
            ),
        );
    }

    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        answer_entry(reply, self.store.mkdir(parent, name, mode & !umask));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(
            reply,
            self.store.remove(parent, name, UnlinkatFlags::NoRemoveDir),
        );
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(
            reply,
            self.store.remove(parent, name, UnlinkatFlags::RemoveDir),
        );
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer(
            reply,
            self.store.rename((parent, name), (newparent, newname)),
        );
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self
            .store
            .create(parent, name, mode & !umask, flags)
            .and_then(|attr| {
                let backing = self
                    .store
                    .get(attr.ino)?
                    .lend(|file| reply.open_backing(file))?;
                Ok((attr, backing))
            });
        match made {
            Ok((attr, backing)) => {
                self.traffic.opens.fetch_add(1, Ordering::Relaxed);
                let (handle, flags) = (FileHandle(0), FopenFlags::empty());
                reply.created_passthrough(&TTL, &attr, Generation(0), handle, flags, &backing);
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self
            .store
            .get(ino)
            .and_then(|inode| inode.lend(|file| reply.open_backing(file)))
        {
            Ok(backing) => {
                self.traffic.opens.fetch_add(1, Ordering::Relaxed);
                reply.opened_passthrough(FileHandle(0), FopenFlags::empty(), &backing);
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.traffic.reads.fetch_add(1, Ordering::Relaxed);
        let mut data = vec![0; size as usize];
        let read = self
            .store
            .get(ino)
            .and_then(|inode| inode.reopen()?.read_at(&mut data, offset));
        match read {
            Ok(length) => reply.data(&data[..length]),
            Err(error) => reply.error(error.into()),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.traffic.writes.fetch_add(1, Ordering::Relaxed);
        match self
            .store
            .get(ino)
            .and_then(|inode| inode.reopen()?.write_at(data, offset))
        {
            Ok(length) => reply.written(length as u32),
            Err(error) => reply.error(error.into()),
        }
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.store.get(ino).map(|inode| inode.give_back()));
    }

    fn fsync(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let synced = self.store.get(ino).and_then(|inode| {
            let file = inode.reopen()?;
            if datasync {
                file.sync_data()
            } else {
                file.sync_all()
            }
        });
        answer(reply, synced);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.store.list(ino) {
            Ok(list) => {
                let handle = self.handles.fetch_add(1, Ordering::Relaxed);
                self.lists().insert(handle, list);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn readdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let lists = self.lists();
        let Some(list) = lists.get(&fh.0) else {
            return reply.error(Errno::EBADF);
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (node, kind, name)) in list.iter().enumerate().skip(from) {
            if reply.add(*node, at as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.lists().remove(&fh.0);
        reply.ok();
    }

    fn statfs(&self, _req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.store.space(ino) {
            Ok(space) => reply.statfs(
                space.blocks(),
                space.blocks_free(),
                space.blocks_available(),
                space.files(),
                space.files_free(),
                space.block_size() as u32,
                space.name_max() as u32,
                space.fragment_size() as u32,
            ),
            Err(error) => reply.error(error.into()),
        }
    }
}
