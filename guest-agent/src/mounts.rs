//! The guest's mounts, as a table.

use std::fs;

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
};

/// One line of the table.
struct Line {
    fstype: &'static str,
    target: &'static str,
    options: &'static str,
    flags: MsFlags,
    /// Whether the agent can work without it (a kernel built without it).
    optional: bool,
}

const PLAIN: MsFlags = MsFlags::MS_NOSUID
    .union(MsFlags::MS_NOEXEC)
    .union(MsFlags::MS_NODEV);
const PROGRAMS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
const DEVICES: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC);

/// What the agent needs to find its port and say hello; everything else waits.
#[rustfmt::skip]
const EARLY: &[Line] = &[
    Line { fstype: "proc",     target: "/proc", options: "",          flags: PLAIN,   optional: false },
    Line { fstype: "sysfs",    target: "/sys",  options: "",          flags: PLAIN,   optional: false },
    Line { fstype: "devtmpfs", target: "/dev",  options: "mode=0755", flags: DEVICES, optional: false },
];

/// What loads and commands need.
#[rustfmt::skip]
const LATE: &[Line] = &[
    Line { fstype: "debugfs", target: "/sys/kernel/debug", options: "",                    flags: PLAIN,    optional: true },
    Line { fstype: "tracefs", target: "/sys/kernel/tracing", options: "",                  flags: PLAIN,    optional: true },
    Line { fstype: "tmpfs",   target: "/tmp",              options: "mode=1777",           flags: PROGRAMS, optional: false },
    Line { fstype: "tmpfs",   target: "/run",              options: "mode=0755",           flags: PLAIN,    optional: false },
    Line { fstype: "tmpfs",   target: "/dev/shm",          options: "mode=1777",           flags: PLAIN,    optional: false },
    Line { fstype: "devpts",  target: "/dev/pts",          options: "mode=0620,ptmxmode=0666", flags: DEVICES, optional: true },
    Line { fstype: "mqueue",  target: "/dev/mqueue",       options: "",                    flags: PLAIN,    optional: true },
    Line { fstype: "fusectl", target: "/sys/fs/fuse/connections", options: "",             flags: PLAIN,    optional: true },
    Line { fstype: "cgroup2", target: "/sys/fs/cgroup",    options: "",                    flags: PLAIN,    optional: true },
];

/// Links in /dev that programs expect and devtmpfs does not make.
const LINKS: &[(&str, &str)] = &[
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// Mounts what the first message needs.
pub(crate) fn early() -> Result<()> {
    EARLY.iter().try_for_each(put)
}

/// Mounts the rest.
pub(crate) fn late() -> Result<()> {
    LATE.iter().try_for_each(put)?;
    for (to, at) in LINKS {
        // A link that is there already is as good.
        let _ = std::os::unix::fs::symlink(to, at);
    }
    Ok(())
}

fn put(line: &Line) -> Result<()> {
    let made = fs::create_dir_all(line.target);
    let done = match made {
        Ok(()) => mount(
            Some(line.fstype),
            line.target,
            Some(line.fstype),
            line.flags,
            Some(line.options),
        ),
        Err(_) if line.optional => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("make {}", line.target)),
    };
    match done {
        // EBUSY: the kernel mounted it before us.
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(_) if line.optional => Ok(()),
        Err(errno) => {
            Err(errno).with_context(|| format!("mount {} on {}", line.fstype, line.target))
        }
    }
}
