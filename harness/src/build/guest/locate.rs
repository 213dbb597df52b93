//! Where a command's program lies, and whether the guest can have it there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, Result, error::Context, host::doctor};

/// Folders that are the guest's own: the agent leaves the host's out.
const GUESTS_OWN: [&str; 7] = ["dev", "mnt", "proc", "run", "scratch", "sys", "tools"];
/// Those of them in which host and guest have the same files,
const ALIKE: [&str; 3] = ["dev", "proc", "sys"];
/// but for folders of files there.
const UNLIKE: [&str; 2] = ["/dev/shm", "/dev/mqueue"];

/// A program by path or by name, which must be there and be executable.
pub(crate) fn locate(program: &str) -> Result<PathBuf> {
    if !program.contains('/') {
        let found = doctor::find(program);
        return found.ok_or_else(|| {
            Error::input(format!("no program {program:?} on this host"))
                .mend("give its path, or install it here: it is taken along into the guest")
        });
    }
    let path = std::path::absolute(program).input(|| format!("failed to resolve {program}"))?;
    let meta = fs::metadata(&path).input(|| format!("failed to find the program {program}"))?;
    let executable = nix::unistd::access(&path, nix::unistd::AccessFlags::X_OK).is_ok();
    if meta.is_file() && executable {
        Ok(path)
    } else {
        Err(Error::input(format!("{program} is not executable"))
            .mend(format!("chmod +x {program}")))
    }
}

/// Would the agent leave it out?
pub(super) fn is_guests_own(path: &Path) -> bool {
    is_in(path, &GUESTS_OWN)
}

/// Has the guest one of its own there that does as well?
pub(super) fn is_alike(path: &Path) -> bool {
    is_in(path, &ALIKE) && !UNLIKE.iter().any(|folder| path.starts_with(folder))
}

fn is_in(path: &Path, folders: &[&str]) -> bool {
    let first = path.components().nth(1);
    first.is_some_and(|first| folders.iter().any(|folder| first.as_os_str() == *folder))
}

/// A path as a message to the guest can hold it.
pub(super) fn utf8(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::input(format!("{} is not UTF-8", path.display())).mend("rename it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_own_folders_stay_its_own() {
        for (path, own) in [
            ("/proc/version", true),
            ("/run/x", true),
            ("/runs/x", false),
            ("/", false),
        ] {
            assert_eq!(is_guests_own(Path::new(path)), own, "{path}");
        }
        let alike = ["/dev/null", "/mnt/t.sh", "/dev/shm/t.sh"].map(|p| is_alike(Path::new(p)));
        assert_eq!(alike, [true, false, false]);
    }
}
