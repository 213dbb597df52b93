//! Openers: open, read the stamp, check, close.

use std::{
    ffi::CString,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use fastrand::Rng;
use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::{stat::Mode, uio::pread},
};
use protocol::FindingKind;

use super::{
    churner::Churn,
    ledger::Judgement,
    server::{Answer, file_name},
    tally::Count,
};
use crate::{
    load::stamp::{STAMP_LEN, stamp_of},
    sys,
};

/// One open in so many is of a file that the opener holds open already: the
/// inode has a backing, and another one must be refused.
const HELD_ONE_IN: u32 = 64;
/// How long a read that looks wrong waits for registrations to be recorded.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// Whoever sleeps and wakes, as openers do with every answer, is preferred to
/// churners, who never sleep: where CPUs are few, this much nicer openers leave
/// them about what they had among themselves. Detectors make the many short
/// calls of an open dearer than the two of a churner.
const NICE: i32 = 4;
const NICE_WITH_DETECTORS: i32 = 2;

/// The title of the finding that an open read what it should not.
const WRONG_STAMP: &str = "wrong data: open returned another backing file's stamp";
/// The title of the finding that a registered id was not found.
const LOST: &str = "wrong data: open missed a live backing id";
/// The title of the finding that an inode had two backing files at once.
const SHARED: &str = "wrong data: an inode that is open was opened with another backing file";

/// What all openers share.
pub(super) struct Opening {
    pub(super) churn: Arc<Churn>,
    pub(super) answers: Arc<[Answer]>,
    pub(super) root: OwnedFd,
    pub(super) seed: u64,
    pub(super) instrumented: bool,
}

/// A file that is open, and the stamp that was read from it.
struct Held {
    _file: OwnedFd,
    stamp: Option<u32>,
}

/// One open's answer: the id, and the ticks between which it was looked up.
#[derive(Clone, Copy)]
struct Window {
    id: u32,
    from: u32,
    to: u32,
}

impl Opening {
    /// One opener's life, on the files that are its own: an inode that two had
    /// open at once would refuse the second backing.
    pub(super) fn work(&self, mine: &[usize], mut rng: Rng) {
        // Best effort: the race needs both sides, not exact shares.
        let _ = sys::be_nice(if self.instrumented {
            NICE_WITH_DETECTORS
        } else {
            NICE
        });
        let files: Vec<(usize, CString)> = mine
            .iter()
            .filter_map(|&file| Some((file, CString::new(file_name(file)).ok()?)))
            .collect();
        while !self.churn.stop.is_set() {
            let Some((index, name)) = rng.choice(&files) else {
                return;
            };
            let held = self.once(*index, name, None);
            if held.is_some() && rng.u32(..HELD_ONE_IN) == 0 {
                drop(self.once(*index, name, held.as_ref()));
            }
        }
    }

    /// Opens, judges, and gives back the open file; `held` is the same one, open already.
    fn once(&self, index: usize, name: &CString, held: Option<&Held>) -> Option<Held> {
        let tally = &self.churn.tally;
        tally.add(Count::Opens);
        let opened = openat(
            &self.root,
            name.as_c_str(),
            OFlag::O_RDONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        );
        let to = self.churn.ledger.tick();
        let answer = &self.answers[index];
        let window = Window {
            id: answer.id.load(Ordering::Acquire),
            from: answer.at.load(Ordering::Acquire),
            to,
        };
        if self
            .churn
            .ledger
            .overlapped(window.id, window.from, window.to)
        {
            tally.add(Count::Overlaps);
        }
        match opened {
            Ok(file) => {
                tally.add(Count::Lookups);
                let stamp = self.check(&file, window);
                if let Some(held) = held {
                    self.compare(held.stamp, stamp);
                }
                Some(Held { _file: file, stamp })
            }
            Err(Errno::EIO) => {
                self.missed(window, held.is_some());
                None
            }
            Err(errno) => {
                self.unexpected("open", errno);
                None
            }
        }
    }

    /// Judges what is read from an open file; gives its stamp.
    fn check(&self, file: &OwnedFd, window: Window) -> Option<u32> {
        let mut read = [0; STAMP_LEN];
        // All files are whole before they are registered, and so a short read is no stamp either.
        let read = match pread(file.as_fd(), &mut read, 0) {
            Ok(length) => &read[..length],
            Err(errno) => {
                self.unexpected("read", errno);
                return None;
            }
        };
        let stamp = stamp_of(self.seed, read);
        let Window { id, from, to } = window;
        let ledger = &self.churn.ledger;
        let mut judgement = ledger.judge(id, stamp, from, to);
        if judgement == Judgement::Wrong && stamp.is_some() {
            // The kernel may have handed the id out again in an ioctl whose
            // caller has not come round to recording it: wait, and look again.
            judgement = if self.settles(to) {
                ledger.judge(id, stamp, from, to)
            } else {
                Judgement::Unknown
            };
        }
        match judgement {
            Judgement::Right => {}
            Judgement::Unknown => self.churn.tally.add(Count::Unjudged),
            Judgement::Wrong => {
                self.churn.tally.add(Count::WrongData);
                self.churn.findings.report(FindingKind::WrongData, WRONG_STAMP, || match stamp {
                    Some(stamp) => format!("the answer was id {id}, and backing file {stamp} was not registered under it"),
                    None => format!("the answer was id {id}, and what was read is no stamp: {read:02x?}"),
                });
            }
        }
        stamp
    }

    /// What two opens of one file read that were open at once: a second backing file has to be refused.
    /// Their ids may differ without harm, as one file may have been registered twice.
    fn compare(&self, held: Option<u32>, second: Option<u32>) {
        if let (Some(held), Some(second)) = (held, second)
            && held != second
        {
            self.churn.tally.add(Count::WrongData);
            self.churn.findings.report(FindingKind::WrongData, SHARED, || {
                format!("backing file {second} was read through it while backing file {held} was open")
            });
        }
    }

    fn missed(&self, window: Window, held: bool) {
        let Window { id, from, to } = window;
        let live = self.churn.ledger.live_throughout(id, from, to);
        self.churn.tally.add(if live && held {
            Count::Refused
        } else {
            Count::Misses
        });
        if live && !held {
            self.churn.findings.report(FindingKind::WrongData, LOST, || {
                format!("id {id} was registered before the server answered with it, and its removal had not begun when open returned EIO")
            });
        }
    }

    fn settles(&self, tick: u32) -> bool {
        let until = Instant::now() + SETTLES_WITHIN;
        while !self.churn.recorded_up_to(tick) {
            if Instant::now() > until {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    fn unexpected(&self, call: &str, errno: Errno) {
        self.churn.tally.add(Count::Errors);
        let title = format!("{call} of a passthrough file failed with {errno:?}");
        self.churn
            .findings
            .report(FindingKind::WrongData, &title, || errno.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        path::Path,
    };

    use super::*;
    use crate::{
        findings::Findings,
        load::{
            backing_race::{slots::Slots, tally::Tally},
            stamp::stamp_bytes,
        },
    };

    const SEED: u64 = 1;

    /// Openers of an ordinary folder.
    fn opening(root: &Path, findings: &Findings) -> Opening {
        let slots = Arc::new(Slots::new(1, 1, SEED, root).unwrap());
        let tally = Arc::<Tally>::default();
        Opening {
            churn: Arc::new(Churn::new(slots, tally, findings.clone(), 0)),
            answers: Arc::new([Answer::default()]),
            root: File::open(root).unwrap().into(),
            seed: SEED,
            instrumented: false,
        }
    }

    #[test]
    fn a_second_backing_file_of_an_open_inode_is_a_finding() {
        let root = std::env::temp_dir().join(format!("ktwin-opener-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let findings = Findings::default();
        let opening = opening(&root, &findings);
        let name = CString::new(file_name(0)).unwrap();
        let mut held = None;
        for (id, stamp, found) in [(7, 1, false), (8, 1, false), (9, 2, true)] {
            // As if the server had answered with this id, registered for that file.
            fs::write(root.join(file_name(0)), stamp_bytes(SEED, stamp)).unwrap();
            let ledger = &opening.churn.ledger;
            assert!(ledger.registered(id, stamp, ledger.now()));
            let answer = &opening.answers[0];
            answer.id.store(id, Ordering::Release);
            answer.at.store(ledger.tick(), Ordering::Release);
            let opened = opening.once(0, &name, held.as_ref()).unwrap();
            held.get_or_insert(opened);
            let told: Vec<String> = findings.take().into_iter().map(|one| one.title).collect();
            let wanted: &[&str] = if found { &[SHARED] } else { &[] };
            assert_eq!(told, wanted, "{id}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
