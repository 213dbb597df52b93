//! Whose fault it is that a source cannot be read, and what mends it.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use super::folder::ARCHIVES;
use crate::{Error, host::quote, host::shortage};

/// A file or a folder of the user's that cannot be read.
pub(super) fn unreadable(path: &Path, error: io::Error) -> Error {
    let message = format!("failed to read {}", path.display());
    let mend = match error.kind() {
        ErrorKind::PermissionDenied => {
            let path = quote(&path.to_string_lossy());
            format!("let ktwin's user read it (chmod u+rX {path}), or leave it out")
        }
        // It was there when the tree was listed.
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            return changed(path).because(error);
        }
        // A disk that fails is nobody's input.
        _ => return Error::infrastructure(message).because(error),
    };
    Error::input(message).mend(mend).because(error)
}

/// A source that is not what it was when it was read first.
pub(super) fn changed(source: &Path) -> Error {
    let what = source.display();
    Error::input(format!("{what} changed while it was read")).mend("run it again")
}

/// An archive that tar did not unpack, by what it said; a bad one, where nothing else is to blame.
pub(super) fn unpacked(what: &str, said: &str, failed: Error, foreign: bool) -> Error {
    let mend = if let Some(program) = said.lines().find_map(not_there) {
        format!(
            "install {program}, which unpacks it (Debian: {})",
            package(program)
        )
    } else if said.lines().any(shortage::of_host) {
        "cargo xtask cache gc, or set KTWIN_CACHE to a larger disk".into()
    } else if foreign {
        let error = Error::input(format!("failed to unpack {what}")).mend(ARCHIVES);
        // What tar was called with says nothing to whoever called us.
        let last = said.lines().find(|line| line.starts_with("tar: "));
        return error.because(last.map_or_else(|| failed.chain(), str::to_owned));
    } else {
        return failed;
    };
    Error::infrastructure(format!("failed to unpack {what}"))
        .mend(mend)
        .because(failed.chain())
}

/// The program that tar lacks: `tar (child): xz: Cannot exec: No such file or directory`.
fn not_there(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("tar (child): ")?;
    let (program, why) = rest.split_once(": ")?;
    why.starts_with("Cannot exec: ").then_some(program)
}

fn package(program: &str) -> &str {
    match program {
        "xz" => "xz-utils",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

    #[test]
    fn what_cannot_be_read_has_somebody_to_mend_it() {
        for (kind, fault, mend) in [
            (
                ErrorKind::PermissionDenied,
                Fault::Input,
                Some("let ktwin's user read it (chmod u+rX 'a b.c'), or leave it out"),
            ),
            (ErrorKind::NotFound, Fault::Input, Some("run it again")),
            (ErrorKind::IsADirectory, Fault::Input, Some("run it again")),
            (ErrorKind::Other, Fault::Infrastructure, None),
        ] {
            let error = unreadable(Path::new("a b.c"), kind.into());
            assert_eq!((error.fault(), error.mending()), (fault, mend), "{kind}");
            assert!(error.chain().contains("a b.c"), "{error:?}");
        }
    }

    #[test]
    fn not_every_archive_that_fails_is_a_bad_one() {
        let full = "cargo xtask cache gc, or set KTWIN_CACHE to a larger disk";
        for (said, foreign, fault, mend) in [
            (
                "tar: This does not look like a tar archive",
                true,
                Fault::Input,
                Some(ARCHIVES),
            ),
            (
                "tar: l/a.c: Cannot write: No space left on device\ntar: Exiting with failure status",
                true,
                Fault::Infrastructure,
                Some(full),
            ),
            (
                "tar: l/fs: Cannot mkdir: Disk quota exceeded",
                true,
                Fault::Infrastructure,
                Some(full),
            ),
            (
                "tar (child): xz: Cannot exec: No such file or directory\ntar: Child returned status 2",
                true,
                Fault::Infrastructure,
                Some("install xz, which unpacks it (Debian: xz-utils)"),
            ),
            (
                "tar (child): zstd: Cannot exec: No such file or directory",
                true,
                Fault::Infrastructure,
                Some("install zstd, which unpacks it (Debian: zstd)"),
            ),
            // A name in the archive is nobody's word.
            (
                "tar: xz: Cannot exec: /No space left on device/x: Cannot open: Invalid argument",
                true,
                Fault::Input,
                Some(ARCHIVES),
            ),
            ("tar: broken", false, Fault::Infrastructure, None),
        ] {
            let failed = Error::infrastructure(format!("`tar` ended with exit code 2:\n{said}"));
            let error = unpacked("linux.tar.xz", said, failed, foreign);
            assert_eq!((error.fault(), error.mending()), (fault, mend), "{said}");
            assert!(error.chain().contains(said), "{error:?}");
        }
    }
}
