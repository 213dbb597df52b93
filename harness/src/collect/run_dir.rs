//! A run's directory: made, marked, and found again, whole or cut off.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    process,
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::files::{read_json, write_json};
use crate::{
    Error, Result, engine::date::rfc3339, error::Context, hash::hex_sha256, judge::verdict::Outcome,
};

/// The file that says how far a run is.
const STATE: &str = "state.json";
/// Held locked for as long as the run lives.
const LOCK: &str = ".lock";

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    Running,
    /// It came to its end.
    Done,
    /// The user, or an error, ended it early; what had ended by then is there.
    Interrupted,
    /// It was killed. Never written; read where a run says that it runs and nobody does.
    CutOff,
}

#[derive(Debug, Serialize, Deserialize)]
struct StateFile {
    state: State,
    started: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// A run's directory, while the run lives. Dropped before [`RunDir::done`], it says that the run
/// was interrupted.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    started: String,
    done: bool,
    _lock: File,
}

impl RunDir {
    /// The user's own folder, or a new one beneath `runs`: `<time>-<config>-<short hash>`.
    ///
    /// # Errors
    /// It cannot be made, or the user's own holds something.
    pub fn create(
        out: Option<&Path>,
        runs: &Path,
        configs: &[String],
        seed: u64,
        started: SystemTime,
    ) -> Result<Self> {
        let stamp = rfc3339(started);
        let path = match out {
            Some(out) => own(out)?,
            None => fresh(runs, &name(&stamp, &configs.join("+"), seed))?,
        };
        Self::mark(path, stamp)
    }

    fn mark(path: PathBuf, started: String) -> Result<Self> {
        let path = path
            .canonicalize()
            .host(|| format!("failed to find {}", path.display()))?;
        let failed = || format!("failed to lock {}", path.display());
        let lock = File::create_new(path.join(LOCK)).host(failed)?;
        lock.try_lock().host(failed)?;
        let dir = Self {
            path,
            started,
            done: false,
            _lock: lock,
        };
        dir.write(State::Running, None)?;
        Ok(dir)
    }

    /// Where it is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run came to its end, and how.
    ///
    /// # Errors
    /// The host's.
    pub fn done(&mut self, outcome: Outcome) -> Result<()> {
        let state = if outcome == Outcome::Interrupted {
            State::Interrupted
        } else {
            State::Done
        };
        self.write(state, Some(outcome))?;
        self.done = true;
        Ok(())
    }

    fn write(&self, state: State, outcome: Option<Outcome>) -> Result<()> {
        let ended = (state != State::Running).then(|| rfc3339(SystemTime::now()));
        let file = StateFile {
            state,
            started: self.started.clone(),
            ended,
            outcome,
        };
        write_json(&self.path.join(STATE), &file)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if !self.done {
            // On a full disk it stays `running`, which without its lock reads as cut off.
            let _ = self.write(State::Interrupted, None);
        }
    }
}

/// How far the run in a directory is.
///
/// # Errors
/// It is no run's directory.
pub fn state(path: &Path) -> Result<State> {
    let file: StateFile = read_json(&path.join(STATE)).map_err(|e| {
        Error::input(format!("{} is no run's directory", path.display())).because(e)
    })?;
    let lock = File::open(path.join(LOCK));
    let alive = lock.is_ok_and(|f| matches!(f.try_lock_shared(), Err(TryLockError::WouldBlock)));
    Ok(match file.state {
        State::Running if !alive => State::CutOff,
        state => state,
    })
}

/// A new folder beneath `runs`.
fn fresh(runs: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(runs).host(|| format!("failed to make {}", runs.display()))?;
    for attempt in 1..100 {
        let numbered = if attempt == 1 {
            name.to_owned()
        } else {
            format!("{name}-{attempt}")
        };
        let path = runs.join(numbered);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).host(|| format!("failed to make {}", path.display())),
        }
    }
    Err(Error::infrastructure(format!(
        "no free name for {name} in {}",
        runs.display()
    )))
}

/// The user's folder, which must be empty or not exist yet.
fn own(path: &Path) -> Result<PathBuf> {
    let failed = || format!("failed to make {}", path.display());
    match fs::read_dir(path) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                let what = if path.join(STATE).exists() {
                    "another run"
                } else {
                    "other files"
                };
                return Err(Error::input(format!("{} holds {what}", path.display()))
                    .mend("name a folder that is empty or does not exist yet"));
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => fs::create_dir_all(path).input(failed)?,
        Err(e) => return Err(e).input(failed),
    }
    Ok(path.to_owned())
}

/// `20261123T122233Z-kasan-01234567`.
fn name(started: &str, configs: &str, seed: u64) -> String {
    let time: String = started.chars().filter(|c| !"-:".contains(*c)).collect();
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_+.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let configs: String = configs.chars().map(safe).take(64).collect();
    let pid = process::id();
    let hash = hex_sha256(&[started.as_bytes(), &seed.to_le_bytes(), &pid.to_le_bytes()]);
    format!("{time}-{configs}-{}", &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &Path) -> Result<RunDir> {
        RunDir::create(
            Some(path),
            Path::new("/nonexistent"),
            &[],
            1,
            SystemTime::now(),
        )
    }

    #[test]
    fn names_are_plain_and_sort_by_time() {
        let table = [("kasan", "-kasan-"), ("kasan+../x y", "-kasan+.._x_y-")];
        for (configs, expected) in table {
            let name = name("2026-11-23T12:22:33Z", configs, 7);
            assert!(
                name.starts_with(&format!("20261123T122233Z{expected}")),
                "{name}"
            );
            assert_eq!(name.rsplit('-').next().unwrap().len(), 8, "{name}");
        }
    }

    #[test]
    fn a_run_says_how_it_ended() {
        let temp = tempfile::tempdir().unwrap();
        let path = |n: &str| temp.path().join(n);
        run(&path("done")).unwrap().done(Outcome::Pass).unwrap();
        run(&path("stopped"))
            .unwrap()
            .done(Outcome::Interrupted)
            .unwrap();
        drop(run(&path("dropped")).unwrap());
        let running = run(&path("running")).unwrap();
        let table = [
            ("done", State::Done),
            ("stopped", State::Interrupted),
            ("dropped", State::Interrupted),
            ("running", State::Running),
        ];
        for (name, expected) in table {
            assert_eq!(state(&path(name)).unwrap(), expected, "{name}");
        }
        drop(running);
        // As a kill leaves it: marked as running, its lock gone with its process.
        let file = path("dropped").join(STATE);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("interrupted", "running")).unwrap();
        assert_eq!(state(&path("dropped")).unwrap(), State::CutOff);
        assert!(
            state(temp.path())
                .unwrap_err()
                .chain()
                .contains("no run's directory")
        );
    }

    #[test]
    fn a_folder_with_content_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        run(&temp.path().join("a/b"))
            .unwrap()
            .done(Outcome::Pass)
            .unwrap();
        fs::write(temp.path().join("notes"), "mine").unwrap();
        let table = [
            ("a/b", "holds another run"),
            ("", "holds other files"),
            ("notes", "failed to make"),
        ];
        for (name, expected) in table {
            let error = run(&temp.path().join(name)).unwrap_err();
            assert!(error.chain().contains(expected), "{error:?}");
            assert_eq!(error.fault(), crate::Fault::Input);
        }
        assert_eq!(fs::read(temp.path().join("notes")).unwrap(), b"mine");
    }

    #[test]
    fn two_runs_in_the_same_second_have_two_folders() {
        let temp = tempfile::tempdir().unwrap();
        let configs = ["kcsan".to_owned(), "plain".to_owned()];
        let make =
            |_| RunDir::create(None, temp.path(), &configs, 1, SystemTime::UNIX_EPOCH).unwrap();
        let runs: Vec<RunDir> = (0..3).map(make).collect();
        let paths: std::collections::BTreeSet<&Path> = runs.iter().map(RunDir::path).collect();
        assert_eq!(paths.len(), 3);
        let first = runs[0]
            .path()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        assert!(
            first.starts_with("19700101T000000Z-kcsan+plain-"),
            "{first}"
        );
    }
}
