//! One cell on disk: its attempts, and whose turn it is.
//!
//! A cell has a folder with a record `N.json` and a run directory `N` for each attempt. A record is
//! written when an attempt begins, and again when it has ended. Whoever works on a cell holds its lock;
//! a record without an end that nobody holds the lock of was cut off, unless its run had been judged by
//! then: what was judged is what the record lacked.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    cancel::Cancel,
    collect::{self, read_json, write_json},
    engine::date::rfc3339,
    error::Context,
    judge::verdict::{Outcome, Verdict},
    report,
};

/// Where a matrix's cells are in its folder.
pub(super) const CELLS: &str = "cells";
const LOCK: &str = ".lock";
/// How often a held lock is asked for.
const TICK: Duration = Duration::from_millis(200);

/// One attempt: the shape of `N.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// Its number, from 1; its run directory is called so.
    pub number: u32,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// On which host.
    pub host: String,
    /// The seed of its random choices.
    pub seed: u64,
    /// How it ended; null while it runs.
    pub ended: Option<Ended>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    /// When, RFC 3339 in UTC; for one that was cut off, when that was seen.
    pub at: String,
    /// How.
    pub how: How,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Why there is no verdict either way, where the run itself does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// It would end the same once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_good: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum How {
    /// With an outcome.
    Outcome(Outcome),
    /// Its process, or its machine, was gone.
    CutOff,
}

/// A cell's folder, while this process alone may work on it.
pub(super) struct Claim {
    dir: PathBuf,
    attempts: Vec<Attempt>,
    _lock: Flock<File>,
}

impl Claim {
    /// Takes a cell, unless somebody else has it.
    ///
    /// # Errors
    /// The host's.
    pub(super) fn try_take(dir: &Path) -> Result<Option<Self>> {
        let failed = || format!("failed to lock {}", dir.display());
        fs::create_dir_all(dir).host(failed)?;
        let open = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(LOCK));
        let lock = match Flock::lock(open.host(failed)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => {
                return Err(Error::infrastructure(failed()).because(std::io::Error::from(errno)));
            }
        };
        let mut claim = Self {
            dir: dir.to_owned(),
            attempts: read(dir)?,
            _lock: lock,
        };
        claim.settle()?;
        Ok(Some(claim))
    }

    /// Takes a cell as soon as nobody else has it.
    ///
    /// # Errors
    /// The host's, or an interruption.
    pub(super) fn take(dir: &Path, cancel: &Cancel) -> Result<Self> {
        loop {
            if let Some(claim) = Self::try_take(dir)? {
                return Ok(claim);
            }
            cancel.check()?;
            thread::sleep(TICK);
        }
    }

    /// The attempts so far, all of them ended.
    pub(super) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Ends what was left open: by the run's own end, or by what had been judged by then.
    fn settle(&mut self) -> Result<()> {
        let Some(last) = self.attempts.last().filter(|last| last.ended.is_none()) else {
            return Ok(());
        };
        let run = run_dir(&self.dir, last.number);
        let done = matches!(collect::state(&run), Ok(collect::State::Done));
        let own = report::read_verdict(&run).ok();
        let own = own.filter(|verdict| done || is_judged(verdict));
        let ended = match own {
            Some(verdict) => Ended {
                at: rfc3339(SystemTime::now()),
                how: How::Outcome(verdict.outcome),
                seconds: verdict.elapsed_s,
                reasons: Vec::new(),
                for_good: false,
            },
            None => Ended {
                at: rfc3339(SystemTime::now()),
                how: How::CutOff,
                seconds: 0.0,
                reasons: vec!["it was cut off".to_owned()],
                for_good: false,
            },
        };
        self.end(ended)
    }

    /// Records that another attempt begins; its run directory does not exist yet.
    ///
    /// # Errors
    /// The host's.
    pub(super) fn begin(&mut self, seed: &dyn Fn(u32) -> u64) -> Result<PathBuf> {
        let number = self.attempts.last().map_or(1, |last| last.number + 1);
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let attempt = Attempt {
            number,
            started: rfc3339(SystemTime::now()),
            host: host.trim().to_owned(),
            seed: seed(number),
            ended: None,
        };
        self.write(&attempt)?;
        self.attempts.push(attempt);
        Ok(run_dir(&self.dir, number))
    }

    /// Records how the last attempt ended.
    ///
    /// # Errors
    /// The host's.
    pub(super) fn end(&mut self, ended: Ended) -> Result<()> {
        if let Some(last) = self.attempts.last_mut() {
            last.ended = Some(ended);
            let last = last.clone();
            self.write(&last)?;
        }
        Ok(())
    }

    fn write(&self, attempt: &Attempt) -> Result<()> {
        write_json(&self.dir.join(format!("{}.json", attempt.number)), attempt)
    }
}

/// Whether a run's verdict stands though the run did not come to its end. A cell has one config, whose
/// comparisons are written all at once; only a pass of none would be a pass too early.
fn is_judged(verdict: &Verdict) -> bool {
    match verdict.outcome {
        Outcome::Interrupted | Outcome::Infrastructure => false,
        Outcome::Pass => !verdict.comparisons.is_empty(),
        Outcome::Regression | Outcome::Inconclusive | Outcome::Untestable => true,
    }
}

/// A cell as anybody sees it, who does not work on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// Its attempts.
    pub attempts: Vec<Attempt>,
    /// Somebody works on it.
    pub held: bool,
}

/// Looks at a cell.
///
/// # Errors
/// Bad input: a record that is none.
pub(super) fn look(dir: &Path) -> Result<Seen> {
    // The lock first: what ends meanwhile is then seen to have ended, or as held.
    let held = match File::open(dir.join(LOCK)) {
        Ok(file) => matches!(
            Flock::lock(file, FlockArg::LockSharedNonblock),
            Err((_, Errno::EWOULDBLOCK))
        ),
        Err(_) => false,
    };
    Ok(Seen {
        attempts: read(dir)?,
        held,
    })
}

/// The attempts in a cell's folder, by number; none where there is no folder.
///
/// # Errors
/// Bad input: a record that is none.
pub(super) fn read(dir: &Path) -> Result<Vec<Attempt>> {
    let mut attempts = Vec::new();
    for number in 1.. {
        let path = dir.join(format!("{number}.json"));
        if !path.exists() {
            break;
        }
        let attempt: Attempt = read_json(&path)?;
        if attempt.number != number {
            let what = format!("{} is another attempt's", path.display());
            return Err(Error::input(what).mend("remove the cell's folder, and it is run again"));
        }
        attempts.push(attempt);
    }
    Ok(attempts)
}

/// The folder of the cell that a run directory is an attempt at; none for any other run.
pub fn cell_of(run: &Path) -> Option<&Path> {
    let number = run.file_name()?.to_str()?;
    number.parse::<u32>().ok()?;
    let cell = run.parent()?;
    let is_cell = cell.parent()?.file_name()? == CELLS;
    is_cell.then_some(cell)
}

/// An attempt's run directory.
pub(super) fn run_dir(dir: &Path, number: u32) -> PathBuf {
    dir.join(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{collect::RunDir, report::fixtures::sample};

    #[test]
    fn attempts_are_told_from_other_runs() {
        let table = [
            ("/m/cells/a+b/12", Some("/m/cells/a+b")),
            ("/m/cells/a+b/12.json", None),
            ("/runs/20260102-030405-kasan-1a2b3c4d", None),
            ("/m/other/a+b/12", None),
            ("12", None),
        ];
        for (run, expected) in table {
            assert_eq!(cell_of(Path::new(run)), expected.map(Path::new), "{run}");
        }
    }

    fn begin(claim: &mut Claim) -> PathBuf {
        claim.begin(&u64::from).unwrap()
    }

    fn how(claim: &Claim) -> Vec<How> {
        let ended = claim
            .attempts()
            .iter()
            .filter_map(|attempt| attempt.ended.as_ref());
        ended.map(|ended| ended.how).collect()
    }

    #[test]
    fn a_cell_belongs_to_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::try_take(dir.path()).unwrap().unwrap();
        assert!(Claim::try_take(dir.path()).unwrap().is_none());
        assert!(look(dir.path()).unwrap().held);
        let cancel = Cancel::new();
        cancel.cancel();
        let error = Claim::take(dir.path(), &cancel).err().unwrap();
        assert_eq!(error.fault(), crate::Fault::Interrupted);
        drop(claim);
        assert!(!look(dir.path()).unwrap().held);
        assert!(Claim::try_take(dir.path()).unwrap().is_some());
    }

    #[test]
    fn what_was_left_open_is_settled_by_its_own_end() {
        let dir = tempfile::tempdir().unwrap();
        let again = || Claim::try_take(dir.path()).unwrap().unwrap();
        // Killed before the run had a folder.
        begin(&mut again());
        // Killed in the middle of the run: it says that it runs, and nobody holds its lock.
        let mut claim = again();
        let path = begin(&mut claim);
        let run =
            |path: &Path| RunDir::create(Some(path), path, &[], 1, SystemTime::now()).unwrap();
        drop(run(&path));
        drop(claim);
        // Killed between the run's end and the record of it.
        let mut claim = again();
        assert_eq!(how(&claim), [How::CutOff, How::CutOff]);
        let path = begin(&mut claim);
        let mut own = run(&path);
        report::write(&sample(), &path).unwrap();
        own.done(sample().outcome).unwrap();
        drop((own, claim));
        let claim = again();
        assert_eq!(how(&claim)[2], How::Outcome(sample().outcome));
        assert_eq!(claim.attempts()[2].seed, 3);
        // And it stays so.
        drop(claim);
        assert_eq!(how(&again()).len(), 3);
    }

    /// Killed after the verdict was written and before the run said that it is done.
    #[test]
    fn what_was_judged_before_a_kill_stands() {
        let table = [
            (Outcome::Regression, 1, How::Outcome(Outcome::Regression)),
            (
                Outcome::Inconclusive,
                1,
                How::Outcome(Outcome::Inconclusive),
            ),
            (Outcome::Untestable, 1, How::Outcome(Outcome::Untestable)),
            (Outcome::Pass, 1, How::Outcome(Outcome::Pass)),
            (Outcome::Pass, 0, How::CutOff),
            (Outcome::Interrupted, 1, How::CutOff),
            (Outcome::Infrastructure, 1, How::CutOff),
        ];
        for (outcome, comparisons, expected) in table {
            let dir = tempfile::tempdir().unwrap();
            let mut claim = Claim::try_take(dir.path()).unwrap().unwrap();
            let path = begin(&mut claim);
            let run = RunDir::create(Some(&path), &path, &[], 1, SystemTime::now()).unwrap();
            let mut verdict = sample();
            verdict.outcome = outcome;
            verdict.comparisons.truncate(comparisons);
            report::write(&verdict, &path).unwrap();
            drop((run, claim));
            let claim = Claim::try_take(dir.path()).unwrap().unwrap();
            assert_eq!(how(&claim), [expected], "{outcome:?} {comparisons}");
        }
    }

    #[test]
    fn records_that_are_none_are_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("1.json"), "{").unwrap();
        let error = look(dir.path()).unwrap_err();
        assert!(error.chain().contains("1.json"), "{error:?}");
    }
}
