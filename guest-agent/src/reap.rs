//! Reaps: our own children for those who wait for them, orphans for nobody.
//!
//! A PID 1 inherits every orphan. One thread waits for all; whoever started a
//! child asks here for its end.

use std::{
    collections::HashMap,
    io,
    process::Command,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{errno::Errno, unistd::Pid};

use crate::sys;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl End {
    /// What a wait status says. By hand: nix knows no signal from 32 on, and takes such an end for an error.
    fn of(status: libc::c_int) -> Self {
        match libc::WIFSIGNALED(status) {
            true => End::Signal(libc::WTERMSIG(status)),
            false => End::Code(libc::WEXITSTATUS(status)),
        }
    }
}

/// Children that somebody waits for, and how they ended.
static OURS: Mutex<Option<HashMap<i32, Option<End>>>> = Mutex::new(None);
static ENDED: Condvar = Condvar::new();

/// A child of ours, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child(pub(crate) Pid);

/// Starts to reap.
pub(crate) fn start() -> Result<()> {
    thread::Builder::new()
        .name("ktwin-reap".into())
        .spawn(|| {
            loop {
                // Look without taking: taking is done under the lock, so that a
                // child cannot vanish between its start and its entry below.
                match sys::wait_for_an_end() {
                    Ok(()) => reap(),
                    Err(Errno::EINTR) => {}
                    Err(_) => thread::sleep(Duration::from_millis(50)),
                }
            }
        })
        .context("start the reaper")?;
    Ok(())
}

fn reap() {
    let mut ours = lock();
    while let Ok(Some((pid, status))) = sys::take_an_end() {
        if let Some(entry) = ours.as_mut().and_then(|ours| ours.get_mut(&pid)) {
            *entry = Some(End::of(status));
            ENDED.notify_all();
        }
    }
}

/// Starts a command whose end can be waited for with [`Child::wait`].
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut ours = lock();
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    ours.get_or_insert_default().insert(pid, None);
    Ok(Child(Pid::from_raw(pid)))
}

impl Child {
    /// Waits for the end, for so long; none if it has not come.
    pub(crate) fn wait(self, limit: Duration) -> Option<End> {
        let until = Instant::now() + limit;
        let mut ours = lock();
        loop {
            let map = ours.get_or_insert_default();
            match map.get(&self.0.as_raw()) {
                Some(None) => {}
                Some(&Some(end)) => {
                    map.remove(&self.0.as_raw());
                    return Some(end);
                }
                None => return None,
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            ours = ENDED
                .wait_timeout(ours, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

fn lock() -> MutexGuard<'static, Option<HashMap<i32, Option<End>>>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_told_whatever_the_signal() {
        start().unwrap();
        for (script, end) in [
            ("exit 3", End::Code(3)),
            ("kill -9 $$", End::Signal(9)),
            ("kill -40 $$", End::Signal(40)),
            // Those after it as well.
            ("exit 0", End::Code(0)),
        ] {
            let child = spawn(Command::new("/bin/sh").args(["-c", script])).unwrap();
            assert_eq!(child.wait(Duration::from_secs(20)), Some(end), "{script}");
        }
    }
}
