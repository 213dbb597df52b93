//! A file for what a command prints, up to a size that no honest command's log has.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use crate::{Result, error::Context};

/// The most that a log may grow to, in bytes. A kernel's whole build prints some megabytes; what never
/// stops printing must not fill the disk until its limit comes.
pub(super) const LONGEST: u64 = 64 << 20;

/// What is appended to it beyond its size is left out, and it says so.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    left: u64,
}

impl Log {
    pub(super) fn open(path: &Path, most: u64) -> Result<Self> {
        let open = OpenOptions::new().create(true).append(true).open(path);
        let sized = open.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (len, file) = sized.host(|| format!("failed to open the log {}", path.display()))?;
        let left = most.saturating_sub(len);
        Ok(Self { file, left })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        let fits = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.file.write_all(&bytes[..fits])?;
        self.left -= fits as u64;
        match self.left {
            0 => self
                .file
                .write_all(b"\nktwin: the log is full; the rest is left out\n"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_log_grows_up_to_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "one\ntwo\n").unwrap();
        let mut log = Log::open(&path, 12).unwrap();
        for bytes in [b"ab", b"cd", b"ef"] {
            log.append(bytes).unwrap();
        }
        let whole = "one\ntwo\nabcd\nktwin: the log is full; the rest is left out\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        // The next command's, in a log that is full.
        Log::open(&path, 12).unwrap().append(b"gh").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    }
}
