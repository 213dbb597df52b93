//! Every raw system call and every unsafe line of the agent.

use std::{
    ffi::CStr,
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    os::unix::process::CommandExt,
    process::Command,
};

use fuser::{FileHandle, FopenFlags, ReplyOpen};
use nix::errno::Errno;
use protocol::counts::{NOP, START, displacement};

/// <linux/fuse.h>: the ioctls' letter and their numbers.
const FUSE_DEV_IOC_MAGIC: u8 = 229;
const FUSE_DEV_IOC_BACKING_OPEN: u8 = 1;
const FUSE_DEV_IOC_BACKING_CLOSE: u8 = 2;

/// `struct fuse_backing_map`.
#[repr(C)]
pub(crate) struct BackingMap {
    fd: i32,
    flags: u32,
    padding: u64,
}

nix::ioctl_write_ptr!(
    fuse_dev_ioc_backing_open,
    FUSE_DEV_IOC_MAGIC,
    FUSE_DEV_IOC_BACKING_OPEN,
    BackingMap
);

nix::ioctl_write_ptr!(
    fuse_dev_ioc_backing_close,
    FUSE_DEV_IOC_MAGIC,
    FUSE_DEV_IOC_BACKING_CLOSE,
    u32
);

/// Registers an open file and gets its backing id.
pub(crate) fn backing_open(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<u32, Errno> {
    backing_open_with(device, file.as_raw_fd(), 0)
}

/// Asks for the same with any number for a file, and any flags.
pub(crate) fn backing_open_with(
    device: BorrowedFd<'_>,
    fd: RawFd,
    flags: u32,
) -> Result<u32, Errno> {
    let map = BackingMap {
        fd,
        flags,
        padding: 0,
    };
    // SAFETY: the ioctl reads a structure from a pointer to a live one.
    let id = unsafe { fuse_dev_ioc_backing_open(device.as_raw_fd(), &raw const map) }?;
    Ok(id.cast_unsigned())
}

/// Removes a backing id.
pub(crate) fn backing_close(device: BorrowedFd<'_>, id: u32) -> Result<(), Errno> {
    // SAFETY: the ioctl reads four bytes from a pointer to a live u32.
    unsafe { fuse_dev_ioc_backing_close(device.as_raw_fd(), &raw const id) }.map(drop)
}

/// Answers an open with a backing id that this process registered by itself.
pub(crate) fn answer_open(reply: ReplyOpen, handle: FileHandle, flags: FopenFlags, id: u32) {
    // SAFETY: the wrapper is only a carrier for the number. `into_raw` below
    // takes the id out again, so nothing is closed on drop; that the id may
    // already be gone is what the kernel has to cope with here.
    let backing = unsafe { reply.wrap_backing(id) };
    reply.opened_passthrough(handle, flags, &backing);
    let _ = backing.into_raw();
}

/// Makes the calling thread, and those that it starts from now on, wait for the CPU to be given up
/// when they are woken, instead of taking it from whoever runs.
pub(crate) fn wait_for_cpu() -> Result<(), Errno> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads a structure from a pointer to a live one.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
    Errno::result(done).map(drop)
}

/// The attributes of what a descriptor refers to, O_PATH ones included.
pub(crate) fn statx(fd: BorrowedFd<'_>) -> Result<libc::statx, Errno> {
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_STATX_SYNC_AS_STAT;
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME | libc::STATX_MNT_ID;
    // SAFETY: the path is an empty C string and the buffer has the right type and size.
    let done = unsafe {
        libc::statx(
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            mask,
            found.as_mut_ptr(),
        )
    };
    Errno::result(done)?;
    // SAFETY: it was zeroed, which is a valid statx, and the kernel filled it in.
    Ok(unsafe { found.assume_init() })
}

/// Brings a network interface up.
pub(crate) fn interface_up(name: &CStr) -> io::Result<()> {
    // SAFETY: plain system call; the result is checked before it is owned.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    Errno::result(socket)?;
    // SAFETY: a fresh descriptor that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1]
        .iter_mut()
        .zip(name.to_bytes())
    {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, and this is one.
    let done = unsafe {
        libc::ioctl(
            socket.as_fd().as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &raw const request,
        )
    };
    Errno::result(done)?;
    Ok(())
}

/// The whole of the kernel's log buffer, without consuming it.
pub(crate) fn kernel_log() -> Vec<u8> {
    const READ_ALL: libc::c_int = 3;
    const SIZE: libc::c_int = 10;
    // SAFETY: SIZE takes no buffer.
    let size = unsafe { libc::klogctl(SIZE, std::ptr::null_mut(), 0) };
    let mut log = vec![0_u8; usize::try_from(size).unwrap_or(0)];
    // SAFETY: the buffer is as long as the length says.
    let got = unsafe { libc::klogctl(READ_ALL, log.as_mut_ptr().cast(), size.max(0)) };
    log.truncate(usize::try_from(got).unwrap_or(0));
    log
}

/// Makes the command the leader of a new session, so that all it starts can be
/// told apart and ended together.
pub(crate) fn in_own_session(command: &mut Command) -> &mut Command {
    // SAFETY: setsid is async-signal-safe, and the closure does nothing else.
    unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from)) }
}

/// Sleeps until a child has ended; its end stays there to be taken.
pub(crate) fn wait_for_an_end() -> Result<(), Errno> {
    ends(libc::WEXITED | libc::WNOWAIT)
}

/// Whether there is any child, alive or not.
pub(crate) fn has_children() -> bool {
    ends(libc::WEXITED | libc::WNOWAIT | libc::WNOHANG) != Err(Errno::ECHILD)
}

/// Waits as the flags say, for any child.
fn ends(flags: libc::c_int) -> Result<(), Errno> {
    let mut told = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the kernel writes a structure to a pointer to one.
    let done = unsafe { libc::waitid(libc::P_ALL, 0, told.as_mut_ptr(), flags) };
    Errno::result(done).map(drop)
}

/// Takes the end of a child that has ended, if there is one: its number, and its wait status.
pub(crate) fn take_an_end() -> Result<Option<(libc::pid_t, libc::c_int)>, Errno> {
    let mut status = 0;
    // SAFETY: the kernel writes an int to a pointer to one.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    Errno::result(pid).map(|pid| (pid != 0).then_some((pid, status)))
}

/// A no-operation that tells whoever counts instructions where an operation begins or ends.
macro_rules! mark {
    ($operation:expr, $end:expr) => {
        // SAFETY: an instruction that touches neither memory nor registers nor flags.
        unsafe {
            std::arch::asm!(
                ".byte {a}, {b}, {c}, {d}",
                ".long {at}",
                a = const NOP[0],
                b = const NOP[1],
                c = const NOP[2],
                d = const NOP[3],
                at = const displacement($operation, $end),
                options(nostack, preserves_flags)
            );
        }
    };
}

/// Does an operation between its marks; its number is its place in [`protocol::counts::MARKED`].
pub(crate) fn marked<const NUMBER: u8, T>(operation: impl FnOnce() -> T) -> T {
    mark!(NUMBER, false);
    let done = operation();
    mark!(NUMBER, true);
    done
}

/// Asks whoever counts instructions to begin.
pub(crate) fn start_counting() {
    mark!(START, false);
}

/// Lets the other threads of this process have more of the CPUs: the calling
/// thread's nice value, from 0, the usual one, to 19.
pub(crate) fn be_nice(value: libc::c_int) -> Result<(), Errno> {
    // SAFETY: plain system call; 0 names the calling thread.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) };
    Errno::result(done).map(drop)
}

/// The errno in an I/O error; EIO where it holds none.
pub(crate) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statx_sees_through_a_path_descriptor() {
        let dir = nix::fcntl::open(
            "/",
            nix::fcntl::OFlag::O_PATH,
            nix::sys::stat::Mode::empty(),
        )
        .unwrap();
        let found = statx(dir.as_fd()).unwrap();
        assert_eq!(u32::from(found.stx_mode) & libc::S_IFMT, libc::S_IFDIR);
    }
}
