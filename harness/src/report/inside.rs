//! Files of a folder that may come from elsewhere: no links, nothing outside, nothing endless.

use std::{
    fs::{self, File},
    io::Read,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use crate::{Error, Result, error::Context};

/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// A folder that is read with suspicion.
pub(crate) struct Folder {
    path: PathBuf,
    top: OwnedFd,
}

impl Folder {
    /// Opens it.
    ///
    /// # Errors
    /// Bad input: it is no folder.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = || format!("failed to open {}", path.display());
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let top = nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty());
        Ok(Self {
            path: path.to_owned(),
            top: top.map_err(std::io::Error::from).input(failed)?,
        })
    }

    /// A regular file's bytes, by its path from here.
    ///
    /// # Errors
    /// Bad input: it is not there, no regular file, behind a link, or larger than `most` bytes.
    pub(crate) fn read(&self, file: &str, most: u64) -> Result<Vec<u8>> {
        let failed = || format!("failed to read {}", self.path.join(file).display());
        // Without waiting on a pipe.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let inside = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new().flags(flags).resolve(inside);
        let file = openat2(&self.top, file, how).map_err(std::io::Error::from);
        bounded(File::from(file.input(failed)?), most)
            .map_err(|what| Error::input(failed()).because(what))
    }

    /// Whether a path from here is a regular file that can be read.
    pub(super) fn has(&self, file: &str) -> bool {
        let inside = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(inside);
        let found = openat2(&self.top, file, how).map(File::from);
        found.is_ok_and(|file| file.metadata().is_ok_and(|about| about.is_file()))
    }

    /// The names of the folders in it, sorted; those with other characters than a boot's name has
    /// are left out.
    pub(crate) fn folders(&self) -> Vec<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .take(MAX_ENTRIES)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.') && name.chars().all(plain))
            .collect();
        names.sort();
        names
    }
}

/// An open file's bytes, if it is a regular file of no more than `most`.
pub(super) fn bounded(file: File, most: u64) -> std::result::Result<Vec<u8>, String> {
    let about = file.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    match bytes.len() as u64 > most {
        true => Err(format!("it is larger than {most} bytes")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_of_its_own_are_read() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        for folder in ["run", "run/a", "run/.b", "run/c d", "outside"] {
            fs::create_dir(path(folder)).unwrap();
        }
        fs::write(path("run/a/good"), "good").unwrap();
        fs::write(path("outside/secret"), "secret").unwrap();
        symlink(path("outside"), path("run/link")).unwrap();
        symlink(path("outside/secret"), path("run/a/link")).unwrap();
        nix::unistd::mkfifo(&path("run/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let folder = Folder::open(&path("run")).unwrap();
        assert_eq!(folder.folders(), ["a"]);
        assert_eq!(folder.read("a/good", 4).unwrap(), b"good");
        assert!(folder.has("a/good"));
        for (file, most) in [
            ("a/good", 3),
            ("a", 9),
            ("a/missing", 9),
            ("a/link", 9),
            ("link/secret", 9),
            ("../outside/secret", 9),
            ("pipe", 9),
            ("/etc/hostname", 999),
            ("a/go\0od", 9),
        ] {
            let error = folder.read(file, most).unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Input, "{file:?}");
            assert!(most == 3 || !folder.has(file), "{file:?}");
        }
        assert!(Folder::open(&path("run/a/good")).is_err());
    }
}
