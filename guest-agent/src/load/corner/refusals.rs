//! Calls and answers that have to be refused: on connections that never got as far as passthrough, and
//! with arguments that no connection takes.

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
};

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use super::trial::{COMES_BACK_WITHIN, Seen, Trial, register};
use crate::{
    fs::{
        mount::UNMOUNT,
        raw::{self, Connection, Files, Served},
        wire::{Offer, PASSTHROUGH, WRITEBACK_CACHE},
    },
    sys,
};

const AT: &str = "/mnt/refusals";

/// Answers to INIT that must leave passthrough off.
const WITHOUT: [(&str, Offer); 5] = [
    ("without passthrough", offer(0, 0)),
    ("without passthrough, with a stack depth", offer(0, 1)),
    ("with a stack depth of 0", offer(PASSTHROUGH, 0)),
    ("with too large a stack depth", offer(PASSTHROUGH, 3)),
    (
        "with a writeback cache",
        offer(PASSTHROUGH | WRITEBACK_CACHE, 1),
    ),
];

/// Ids that a server may name in an answer though it has none.
const NONE: [u32; 3] = [1, i32::MAX.cast_unsigned(), u32::MAX];

const fn offer(flags: u64, max_stack_depth: u32) -> Offer {
    Offer {
        flags,
        max_stack_depth,
    }
}

/// Tries them all.
pub(super) fn run(trial: &Trial<'_>) -> Result<Vec<String>> {
    ioctls_refused(trial, "before the mount", raw::unmounted()?.as_fd())?;
    let mut stuck = unanswered(trial)?;
    for (how, offer) in WITHOUT {
        if !stuck.is_empty() || trial.is_over() {
            return Ok(stuck);
        }
        stuck = without(trial, how, offer)?;
    }
    match stuck.is_empty() {
        true => with(trial),
        false => Ok(stuck),
    }
}

/// Neither call gets past a connection without passthrough.
fn ioctls_refused(trial: &Trial<'_>, how: &str, device: BorrowedFd<'_>) -> Result<()> {
    let opened = register(device, &trial.backing(0)?);
    let call = format!("BACKING_OPEN {how}");
    trial.log.refused(&call, Errno::EPERM, opened);
    let call = format!("BACKING_CLOSE {how}");
    let closed = sys::backing_close(device, 1);
    trial.log.refused(&call, Errno::EPERM, closed);
    Ok(())
}

/// A connection whose INIT is never answered, torn down.
fn unanswered(trial: &Trial<'_>) -> Result<Vec<String>> {
    let connection = Connection::mount(Path::new(AT))?;
    connection.asked()?;
    ioctls_refused(trial, "before INIT is answered", connection.device())?;
    trial.log.add("mounts");
    Ok(match connection.end(COMES_BACK_WITHIN) {
        true => Vec::new(),
        false => vec![UNMOUNT.into()],
    })
}

/// A connection without passthrough: it goes on, and refuses what needs a table.
fn without(trial: &Trial<'_>, how: &str, offer: Offer) -> Result<Vec<String>> {
    let served = Served::mount(Path::new(AT), offer, Files::new(1), 1)?;
    let reader = trial.reader();
    ioctls_refused(trial, how, served.device())?;
    for id in NONE {
        let what = format!("an open with passthrough {how}");
        reader.refuse(&served, &what, id);
    }
    let what = format!("an open of the server's {how}");
    reader.open(&served, &what, None, Seen::Served);
    trial.log.add("mounts");
    Ok(served.end(COMES_BACK_WITHIN))
}

/// A connection with passthrough, and what it does not take.
fn with(trial: &Trial<'_>) -> Result<Vec<String>> {
    let served = Served::mount(Path::new(AT), Offer::PASSTHROUGH, Files::new(1), 1)?;
    let (log, reader) = (&trial.log, trial.reader());
    let device = served.device();
    let file = trial.backing(1)?;
    let open = |path: &Path| File::open(path).with_context(|| format!("open {}", path.display()));
    let (folder, null) = (open(Path::new("/tmp"))?, open(Path::new("/dev/null"))?);
    reader.open(&served, "an open of the server's", None, Seen::Served);
    let stacked = open(&served.path(0))?;
    for (what, with, fd, flags) in [
        ("with flags", Errno::EINVAL, file.as_raw_fd(), 1),
        ("of no file", Errno::EBADF, -1, 0),
        ("of a folder", Errno::EISDIR, folder.as_raw_fd(), 0),
        ("of a device", Errno::EINVAL, null.as_raw_fd(), 0),
        ("of a stacked file", Errno::ELOOP, stacked.as_raw_fd(), 0),
    ] {
        let opened = sys::backing_open_with(device, fd, flags);
        log.refused(&format!("BACKING_OPEN {what}"), with, opened);
    }
    drop(stacked);
    for (id, with) in [
        (0, Errno::EINVAL),
        (u32::MAX, Errno::EINVAL),
        (1, Errno::ENOENT),
        (i32::MAX.cast_unsigned(), Errno::ENOENT),
    ] {
        let closed = sys::backing_close(device, id);
        log.refused("BACKING_CLOSE of no id", with, closed);
        if id != 0 {
            reader.refuse(&served, "an open with no id", id);
        }
    }
    // After all that it still works.
    let registered = register(device, &file);
    if let Some(id) = log.expect("BACKING_OPEN", Ok(()), registered) {
        reader.open(
            &served,
            "an open with passthrough",
            Some(id),
            Seen::Stamp(1),
        );
        another(trial, &served, id)?;
        log.expect("BACKING_CLOSE", Ok(()), sys::backing_close(device, id));
        reader.refuse(&served, "an open with a removed id", id);
    }
    log.add("mounts");
    Ok(served.end(COMES_BACK_WITHIN))
}

/// A second backing file, which an inode that is open with the first must not get.
fn another(trial: &Trial<'_>, served: &Served, first: u32) -> Result<()> {
    let (log, reader) = (&trial.log, trial.reader());
    let registered = register(served.device(), &trial.backing(2)?);
    let Some(second) = log.expect("BACKING_OPEN", Ok(()), registered) else {
        return Ok(());
    };
    served.files.answer_with(0, Some(first));
    let opened = File::open(served.path(0)).map_err(|error| sys::errno_of(&error));
    let Some(held) = log.expect("an open with passthrough", Ok(()), opened) else {
        return Ok(());
    };
    let what = "an open with another backing file while the first is open";
    reader.refuse(served, what, second);
    reader.check(
        "a file that another open was refused for",
        &held,
        Seen::Stamp(1),
    );
    drop(held);
    let what = "an open with another backing file once the first is closed";
    reader.open(served, what, Some(second), Seen::Stamp(2));
    let closed = sys::backing_close(served.device(), second);
    log.expect("BACKING_CLOSE", Ok(()), closed);
    Ok(())
}
