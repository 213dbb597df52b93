//! QEMU on this host: where it is, and whether it is new enough.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, cancel::Cancel, host::Cmd};

/// The program.
const PROGRAM: &str = "qemu-system-x86_64";

/// The oldest that boots a PVH kernel on microvm as we need it.
pub const OLDEST: Version = Version {
    major: 7,
    minor: 2,
    micro: 0,
};

/// A version of QEMU's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub micro: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            major,
            minor,
            micro,
        } = self;
        write!(f, "{major}.{minor}.{micro}")
    }
}

/// A QEMU that is new enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qemu {
    /// The program, with its links followed.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
    /// The whole of its own version line.
    pub line: String,
}

impl Qemu {
    /// The one in `PATH`.
    ///
    /// # Errors
    /// There is none, it does not start, or it is too old.
    pub fn find(cancel: &Cancel) -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&path)
            .map(|dir| dir.join(PROGRAM))
            .find(|p| p.is_file());
        let Some(found) = found else {
            return Err(Error::infrastructure(format!("no {PROGRAM} in PATH")).mend(MEND));
        };
        Self::at(&found, cancel)
    }

    /// The one at a path.
    ///
    /// # Errors
    /// It does not start, or is too old.
    pub fn at(program: &Path, cancel: &Cancel) -> Result<Self> {
        let path = program
            .canonicalize()
            .unwrap_or_else(|_| program.to_owned());
        let output = Cmd::new(&path)
            .arg("--version")
            .limit(Duration::from_secs(60))
            .run_ok(cancel)?;
        Self::judge(path, output.text().lines().next().unwrap_or_default())
    }

    /// What to make of a program that says this.
    fn judge(path: PathBuf, line: &str) -> Result<Self> {
        let Some(version) = parse(line) else {
            return Err(Error::infrastructure(format!(
                "{} does not say which version it is, but {line:?}",
                path.display()
            )));
        };
        if version < OLDEST {
            return Err(Error::infrastructure(format!(
                "{} is QEMU {version}, and ktwin needs {OLDEST} or later",
                path.display()
            ))
            .mend(MEND));
        }
        Ok(Self {
            path,
            version,
            line: line.to_owned(),
        })
    }
}

const MEND: &str = "`cargo xtask doctor --fix` installs the distribution's";

/// The version in `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`.
fn parse(line: &str) -> Option<Version> {
    let rest = line.strip_prefix("QEMU emulator version ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let mut numbers = rest[..end].split('.').map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok);
    Some(Version {
        major: next()?,
        minor: next()?,
        micro: next().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_the_wild() {
        let table = [
            (
                "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)",
                Some((7, 2, 22)),
            ),
            (
                "QEMU emulator version 10.1.50 (v10.1.0-431-gabc)",
                Some((10, 1, 50)),
            ),
            ("QEMU emulator version 6.2.0", Some((6, 2, 0))),
            ("QEMU emulator version 9.2-rc1", Some((9, 2, 0))),
            ("QEMU emulator version ", None),
            ("qemu: unknown", None),
            ("QEMU emulator version 99999999999.1.0", None),
        ];
        for (line, expected) in table {
            let expected = expected.map(|(major, minor, micro)| Version {
                major,
                minor,
                micro,
            });
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn an_old_or_odd_program_is_refused_by_name() {
        let table = [
            (
                "QEMU emulator version 6.2.0",
                "/x/qemu is QEMU 6.2.0, and ktwin needs 7.2.0 or later",
            ),
            (
                "QEMU emulator version 7.1.99 (v7.2.0-rc4)",
                "is QEMU 7.1.99",
            ),
            (
                "hello",
                "/x/qemu does not say which version it is, but \"hello\"",
            ),
        ];
        for (line, expected) in table {
            let error = Qemu::judge("/x/qemu".into(), line).unwrap_err();
            assert!(error.chain().contains(expected), "{error:?}");
        }
        let good = Qemu::judge("/x/qemu".into(), "QEMU emulator version 7.2.0").unwrap();
        assert_eq!(good.version, OLDEST);
    }
}
