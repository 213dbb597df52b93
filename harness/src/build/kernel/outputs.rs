//! Takes files out of a folder that untrusted makefiles wrote: no links followed, regular files of sane size only.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path},
};

use nix::{
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};

use crate::{
    Error, Result,
    error::{Context, Fault},
};

/// A folder whose contents nobody vouches for.
#[derive(Debug)]
pub(super) struct Outputs {
    folder: OwnedFd,
    /// Whose fault it is if something is not as it should be.
    fault: Fault,
}

impl Outputs {
    pub(super) fn open(folder: &Path, fault: Fault) -> Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = open(folder, flags, Mode::empty()).map_err(io::Error::from);
        let folder =
            opened.host(|| format!("failed to open the build folder {}", folder.display()))?;
        Ok(Self { folder, fault })
    }

    /// Opens a regular file of at most `largest` bytes.
    pub(super) fn file(&self, name: &str, largest: u64) -> Result<File> {
        let bad = |why: String| Error::new(self.fault, format!("the build's {name} {why}"));
        let file = self
            .descend(name)
            .map_err(|e| bad("cannot be opened".into()).because(e))?;
        let meta = file
            .metadata()
            .host(|| format!("failed to look at the build's {name}"))?;
        if !meta.is_file() {
            return Err(bad("is no regular file".into()));
        }
        if meta.len() > largest {
            return Err(bad(format!(
                "has {} bytes, more than {largest}",
                meta.len()
            )));
        }
        Ok(file)
    }

    /// A file's bytes.
    pub(super) fn bytes(&self, name: &str, largest: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self
            .file(name, largest)?
            .take(largest)
            .read_to_end(&mut bytes);
        read.host(|| format!("failed to read the build's {name}"))?;
        Ok(bytes)
    }

    /// A text file, lossily as UTF-8.
    pub(super) fn text(&self, name: &str, largest: u64) -> Result<String> {
        let bytes = self.bytes(name, largest)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Copies a file out.
    pub(super) fn copy(&self, name: &str, largest: u64, to: &Path) -> Result<()> {
        let failed = || format!("failed to copy the build's {name} to {}", to.display());
        let mut from = self.file(name, largest)?.take(largest);
        let mut to = File::create_new(to).host(failed)?;
        io::copy(&mut from, &mut to).host(failed)?;
        Ok(())
    }

    /// Opens component by component, each without following links.
    fn descend(&self, name: &str) -> io::Result<File> {
        let mut components = Path::new(name).components().peekable();
        let mut at = self.folder.try_clone()?;
        while let Some(component) = components.next() {
            let Component::Normal(part) = component else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            // Non-blocking: opening a FIFO must not wait for its writer.
            let kind = match components.peek() {
                Some(_) => OFlag::O_DIRECTORY,
                None => OFlag::O_NONBLOCK,
            };
            let flags = kind | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
            at = openat(at.as_fd(), part, flags, Mode::empty())?;
        }
        Ok(File::from(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn only_plain_files_come_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub/plain"), "kernel").unwrap();
        symlink("/etc/passwd", root.join("link")).unwrap();
        symlink("sub", root.join("subs")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
        let outputs = Outputs::open(root, Fault::Untestable).unwrap();
        assert_eq!(outputs.text("sub/plain", 6).unwrap(), "kernel");
        for (name, why) in [
            ("link", "cannot be opened"),
            ("subs/plain", "cannot be opened"),
            ("sub/../sub/plain", "cannot be opened"),
            ("/etc/passwd", "cannot be opened"),
            ("fifo", "no regular file"),
            ("sub", "no regular file"),
            ("missing", "cannot be opened"),
        ] {
            let error = outputs.text(name, 100).unwrap_err();
            assert!(error.chain().contains(why), "{name}: {error}");
        }
        assert!(
            outputs
                .file("sub/plain", 5)
                .unwrap_err()
                .chain()
                .contains("6 bytes, more than 5")
        );
    }

    #[test]
    fn a_folder_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc", dir.path().join("build")).unwrap();
        assert!(Outputs::open(&dir.path().join("build"), Fault::Untestable).is_err());
    }
}
