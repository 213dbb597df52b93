//! Watches a build from outside: free disk and the number of processes, which rlimits alone cannot hold.
//!
//! A limit on one file's size does not bound their sum, and root is exempt from
//! the limit on processes.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::cancel::Cancel;

/// Free disk space under which a build is ended, in bytes.
const DISK_LEFT: u64 = 512 << 20;

/// Processes of ours and below us over which a build is ended; a build has a few for each CPU.
pub(super) const PROCESSES: usize = 4096;

const TICK: Duration = Duration::from_millis(500);

/// Which limit a build went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breach {
    Disk,
    Processes,
}

/// A watching thread.
pub(super) struct Guard {
    /// Cancelled with the caller's, or when a limit is passed.
    pub cancel: Cancel,
    done: Sender<()>,
    thread: JoinHandle<Option<Breach>>,
}

impl Guard {
    pub(super) fn start(folder: &Path, outer: &Cancel) -> Self {
        let cancel = Cancel::new();
        let (done, ended) = channel();
        let (folder, outer, inner) = (folder.to_owned(), outer.clone(), cancel.clone());
        let thread = thread::spawn(move || {
            loop {
                match ended.recv_timeout(TICK) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return None,
                }
                let breach = breach(&folder);
                if breach.is_some() || outer.is_cancelled() {
                    inner.cancel();
                    return breach;
                }
            }
        });
        Self {
            cancel,
            done,
            thread,
        }
    }

    /// Ends the watch; says what was passed, if anything.
    pub(super) fn end(self) -> Option<Breach> {
        drop(self.done);
        // A watcher that panicked has seen nothing.
        self.thread.join().unwrap_or(None)
    }
}

fn breach(folder: &Path) -> Option<Breach> {
    let free = nix::sys::statvfs::statvfs(folder).ok()?;
    if free.blocks_available() * free.fragment_size() < DISK_LEFT {
        return Some(Breach::Disk);
    }
    (descendants(std::process::id()) > PROCESSES).then_some(Breach::Processes)
}

/// How many processes descend from one.
fn descendants(root: u32) -> usize {
    let Ok(listing) = fs::read_dir("/proc") else {
        return 0;
    };
    let pids: Vec<u32> = listing
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    // Whose they are is asked only once there are that many.
    if pids.len() <= PROCESSES {
        return 0;
    }
    let parents: HashMap<u32, u32> = pids
        .into_iter()
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let below = |pid: &&u32| {
        std::iter::successors(Some(**pid), |p| parents.get(p).copied())
            .take(parents.len())
            .any(|p| p == root)
    };
    parents.keys().filter(below).count()
}

/// The fourth field of `/proc/PID/stat`; the second may hold anything but ends with the last `)`.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read() {
        assert_eq!(
            parent(std::process::id()),
            Some(std::os::unix::process::parent_id())
        );
    }

    #[test]
    fn the_callers_wish_is_passed_on() {
        let outer = Cancel::new();
        let guard = Guard::start(Path::new("/"), &outer);
        outer.cancel();
        while !guard.cancel.is_cancelled() {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(guard.end(), None);
    }
}
