//! Single operations on a passthrough mount, one after the other, each marked for whoever counts the
//! kernel's instructions between the marks.

use std::{
    fs::{File, OpenOptions},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, OpenFlags, ReplyAttr, ReplyEntry, ReplyOpen, Request,
};
use protocol::{Counters, Operations};

use super::run::{Context, Ended};
use crate::{
    fs::{
        TTL, attr,
        mount::{self, Mounted},
    },
    heartbeat::Progress,
    sys,
};

/// Where it is mounted.
const AT: &str = "/mnt/operations";
/// The backing files' folder, in memory.
const STORE: &str = "/tmp";
/// What is read and written at once.
const BLOCK: usize = 4096;
/// Turns before the first that is marked: caches fill, and counting begins.
const WARM_UP: u32 = 64;
/// How often the CPU is left to the server and the kernel's own threads after an operation, so that
/// what it leaves behind is not taken for the next one's. Nobody sleeps: an idle CPU's timers would
/// take some instructions more at one time than at another.
const YIELDS: u32 = 16;
/// From an id that an open is answered with to the next one's, among those that live: all parts of a
/// table are met alike, in an order that no seed changes.
const STRIDE: usize = 61_803;
/// How long QEMU has to begin counting.
const BEGINS: Duration = Duration::from_millis(20);
/// How long the mount may take to go.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(30);
/// The one file's name and inode number.
const NAME: &str = "file";
const FILE: INodeNo = INodeNo(2);

/// How many turns were made.
#[derive(Default)]
struct Turns(AtomicU64);

impl Progress for Turns {
    fn counters(&self) -> Counters {
        let turns = self.0.load(Ordering::Relaxed);
        Counters::from([("turns".to_owned(), turns)])
    }
}

/// Answers opens with the id of the moment.
struct Server {
    id: Arc<AtomicU32>,
}

/// Runs every operation so many times.
pub(crate) fn run(load: &Context<'_>, wanted: &Operations) -> Result<Ended> {
    let turns = Arc::new(Turns::default());
    load.heart.watch(load.phase, turns.clone());
    let id = Arc::new(AtomicU32::new(0));
    let mounted = Mounted::new(Server { id: id.clone() }, Path::new(AT), 1)?;
    let device = mount::share(&mounted)?;
    let one = backing_file()?;
    // One file may have many ids.
    let mut others = Vec::new();
    for _ in 0..wanted.ids {
        if load.stop.is_set() {
            break;
        }
        let other = sys::backing_open(device.as_fd(), one.as_fd());
        others.push(other.context("register a backing id")?);
    }
    sys::start_counting();
    thread::sleep(BEGINS);
    for turn in 0..WARM_UP.saturating_add(wanted.times) {
        if load.stop.is_set() {
            break;
        }
        let answer = others.get(turn as usize * STRIDE % others.len().max(1));
        let answer = answer.copied();
        match turn < WARM_UP {
            true => once::<false>(device.as_fd(), &one, &id, answer)?,
            false => once::<true>(device.as_fd(), &one, &id, answer)?,
        }
        turns.0.fetch_add(1, Ordering::Relaxed);
    }
    drop(device);
    Ok(Ended {
        progress: turns,
        stuck: mounted.end(COMES_BACK_WITHIN),
    })
}

/// One turn: every operation once, by the numbers of [`protocol::counts::MARKED`]. The open is answered
/// with the new id, or another.
fn once<const MARKED: bool>(
    device: BorrowedFd<'_>,
    backing: &File,
    id: &AtomicU32,
    answer: Option<u32>,
) -> Result<()> {
    let path = Path::new(AT).join(NAME);
    let path = nix::NixPath::with_nix_path(path.as_path(), std::ffi::CStr::to_owned)?;
    let flags = nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_CLOEXEC;
    let mut block = [7; BLOCK];

    let new = step::<MARKED, 0, _>(|| sys::backing_open(device, backing.as_fd()));
    let new = new.context("register a backing id")?;
    id.store(answer.unwrap_or(new), Ordering::Release);
    let opened: nix::Result<OwnedFd> = step::<MARKED, 2, _>(|| {
        nix::fcntl::open(path.as_c_str(), flags, nix::sys::stat::Mode::empty())
    });
    let file = File::from(opened.context("open over the mount")?);
    step::<MARKED, 4, _>(|| file.read_exact_at(&mut block, 0)).context("read over the mount")?;
    step::<MARKED, 5, _>(|| file.write_all_at(&block, 0)).context("write over the mount")?;
    step::<MARKED, 3, _>(|| drop(file));
    step::<MARKED, 1, _>(|| sys::backing_close(device, new)).context("remove a backing id")
}

/// An operation, with its marks if they are wanted, and time for what it leaves behind.
fn step<const MARKED: bool, const NUMBER: u8, T>(operation: impl FnOnce() -> T) -> T {
    let done = match MARKED {
        true => sys::marked::<NUMBER, T>(operation),
        false => operation(),
    };
    (0..YIELDS).for_each(|_| thread::yield_now());
    done
}

fn backing_file() -> Result<File> {
    let path = Path::new(STORE).join("operations");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path);
    let file = file.with_context(|| format!("make {}", path.display()))?;
    file.write_all_at(&[0; BLOCK], 0)
        .context("fill a backing file")?;
    Ok(file)
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
