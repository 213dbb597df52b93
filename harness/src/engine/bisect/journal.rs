//! The trials on disk: one JSON object a line, written through before the next trial begins.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, boot::settings::Accel, error::Context};

/// The file's name in a bisect's folder.
const FILE: &str = "journal.ndjson";
/// The `schema` of its lines.
const SCHEMA: u32 = 1;
/// More than any bisect writes, in bytes.
const LARGEST: u64 = 256 << 20;

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(super) enum Line {
    /// The first: what is asked.
    Question {
        schema: u32,
        id: String,
        good: String,
        bad: String,
    },
    /// How guests are run: trials under KVM and under emulation show a race at rates of their own.
    Accel { accel: Accel },
    /// A kernel is there, and took so long.
    Built { commit: String, seconds: f64 },
    /// A trial ended.
    Trial {
        commit: String,
        hit: bool,
        seconds: f64,
        /// What it showed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// A path in the bisect's folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
        /// Of a whole boot that showed it: whether its loads had begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        late: Option<bool>,
    },
    /// A trial that could not say.
    Blind { commit: String, why: String },
    /// A commit that cannot be tried.
    Skip { commit: String, why: String },
    /// A trial before it was known where to hold vCPUs; one that hit says where.
    Scouted {
        /// Empty where an earlier version wrote it.
        #[serde(default)]
        commit: String,
        hit: bool,
        functions: BTreeSet<String>,
        files: BTreeSet<String>,
        /// As in a trial.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        late: Option<bool>,
    },
}

/// A bisect's folder, and its journal.
pub(super) struct Journal {
    dir: PathBuf,
    file: Flock<File>,
    lines: Vec<Line>,
}

impl Journal {
    /// Opens the journal of a question, or begins it; a last line that was cut off is dropped.
    ///
    /// # Errors
    /// It is of another question, somebody else writes it, or it is damaged.
    pub(super) fn open(dir: &Path, id: &str, good: &str, bad: &str) -> Result<Self> {
        fs::create_dir_all(dir).host(|| format!("failed to make {}", dir.display()))?;
        let path = dir.join(FILE);
        let failed = || format!("failed to open {}", path.display());
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .append(true)
            .open(&path)
            .host(failed)?;
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, Errno::EWOULDBLOCK)) => {
                let error = Error::input(format!("{} is being bisected in", dir.display()));
                return Err(error.mend("wait for that one, or end it"));
            }
            Err((_, errno)) => {
                return Err(Error::infrastructure(failed()).because(std::io::Error::from(errno)));
            }
        };
        let mut journal = Self {
            dir: dir.to_owned(),
            file,
            lines: Vec::new(),
        };
        journal.read()?;
        match journal.lines.first() {
            None => journal.add(Line::Question {
                schema: SCHEMA,
                id: id.into(),
                good: good.into(),
                bad: bad.into(),
            })?,
            Some(Line::Question {
                schema: SCHEMA,
                id: own,
                ..
            }) if own == id => {}
            Some(_) => {
                let error = Error::input(format!("{} holds another question", dir.display()));
                return Err(error.mend("give another --out, or the same command as before"));
            }
        }
        Ok(journal)
    }

    fn read(&mut self) -> Result<()> {
        let path = self.dir.join(FILE);
        let failed = || format!("failed to read {}", path.display());
        let mut text = Vec::new();
        let file: &File = &self.file;
        file.take(LARGEST).read_to_end(&mut text).host(failed)?;
        let whole = memchr::memrchr(b'\n', &text).map_or(0, |at| at + 1);
        if whole < text.len() {
            self.file.set_len(whole as u64).host(failed)?;
            text.truncate(whole);
        }
        for (number, line) in text.split(|b| *b == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line = serde_json::from_slice(line)
                .input(|| format!("line {} of {} is damaged", number + 1, path.display()))?;
            self.lines.push(line);
        }
        Ok(())
    }

    /// Writes a line through to the disk.
    pub(super) fn add(&mut self, line: Line) -> Result<()> {
        let failed = || format!("failed to write into {}", self.dir.display());
        let mut text = serde_json::to_vec(&line).host(failed)?;
        text.push(b'\n');
        let mut file: &File = &self.file;
        file.write_all(&text).host(failed)?;
        self.file.sync_data().host(failed)?;
        self.lines.push(line);
        Ok(())
    }

    /// All lines so far.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The bisect's folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(hit: bool) -> Line {
        Line::Trial {
            commit: "c".into(),
            hit,
            seconds: 1.5,
            title: hit.then(|| "T".into()),
            evidence: None,
            late: None,
        }
    }

    #[test]
    fn a_journal_goes_on_after_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Journal::open(dir.path(), "q", "g", "b");
        let mut journal = open().unwrap();
        journal.add(trial(true)).unwrap();
        journal.add(trial(false)).unwrap();
        drop(journal);
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        let mut journal = open().unwrap();
        assert_eq!(journal.lines()[1..], [trial(true)]);
        journal.add(trial(false)).unwrap();
        drop(journal);
        assert_eq!(fs::read(&path).unwrap(), whole);
        // A first line that was cut off is begun anew.
        fs::write(&path, &whole[..5]).unwrap();
        assert_eq!(open().unwrap().lines().len(), 1);
    }

    #[test]
    fn lines_of_earlier_versions_are_read() {
        let old = r#"{"what":"scouted","hit":true,"functions":["f"],"files":[]}"#;
        let expected = Line::Scouted {
            commit: String::new(),
            hit: true,
            functions: ["f".to_owned()].into(),
            files: [].into(),
            late: None,
        };
        assert_eq!(serde_json::from_str::<Line>(old).unwrap(), expected);
        let old = r#"{"what":"trial","commit":"c","hit":true,"seconds":1.5,"title":"T"}"#;
        assert_eq!(serde_json::from_str::<Line>(old).unwrap(), trial(true));
    }

    #[test]
    fn another_question_does_not_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), "q", "g", "b").unwrap();
        let busy = Journal::open(dir.path(), "q", "g", "b").err().unwrap();
        assert!(busy.to_string().contains("is being bisected in"), "{busy}");
        drop(journal);
        let other = Journal::open(dir.path(), "r", "g", "b").err().unwrap();
        assert_eq!(other.fault(), crate::Fault::Input);
        let path = dir.path().join(FILE);
        fs::write(&path, "no json\n").unwrap();
        let damaged = Journal::open(dir.path(), "q", "g", "b").err().unwrap();
        assert!(damaged.to_string().starts_with("line 1 of"), "{damaged}");
    }
}
