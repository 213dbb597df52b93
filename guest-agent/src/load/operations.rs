//! Single operations on a passthrough mount, one after the other, each marked for whoever counts the
//! kernel's instructions between the marks.

use std::{
    fs::File,
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
use protocol::{Counters, Operations};

use super::{
    one_file::{BLOCK, NAME, OneFile},
    run::{Context, Ended},
};
use crate::{heartbeat::Progress, sys};

/// Where it is mounted.
const AT: &str = "/mnt/operations";
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

/// How many turns were made.
#[derive(Default)]
struct Turns(AtomicU64);

impl Progress for Turns {
    fn counters(&self) -> Counters {
        let turns = self.0.load(Ordering::Relaxed);
        Counters::from([("turns".to_owned(), turns)])
    }
}

/// Runs every operation so many times.
pub(crate) fn run(load: &Context<'_>, wanted: &Operations) -> Result<Ended> {
    let turns = Arc::new(Turns::default());
    load.heart.watch(load.phase, turns.clone());
    // The server is woken by what needs no answer too, such as a close: whether it then runs at once,
    // and is counted, must not hang on how long each of the two has run before.
    sys::wait_for_cpu().context("give up preempting others")?;
    let mount = OneFile::mount(Path::new(AT))?;
    let OneFile {
        device,
        backing: one,
        id,
        ..
    } = &mount;
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
            true => once::<false>(device.as_fd(), one, id, answer)?,
            false => once::<true>(device.as_fd(), one, id, answer)?,
        }
        turns.0.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Ended {
        progress: turns,
        stuck: mount.end(),
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
