//! `kernel.lock`: the package that the tests use, while a mirror has it.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, error::Context};

/// One package at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// e.g. `linux-source-7.3`.
    pub package: String,
    /// The package's version, e.g. `7.3.4-1~bpo13+1`.
    pub version: String,
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// Bad input for anything but a package and its version.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).input(|| format!("failed to read {}", path.display()))?;
        let lock: Self = serde_yaml::from_str(&text)
            .input(|| format!("{} is no kernel.lock", path.display()))?;
        match lock.names_a_kernel() {
            true => Ok(lock),
            false => {
                let message = format!(
                    "{} names no package linux-source-N and version",
                    path.display()
                );
                Err(Error::input(message)
                    .mend("write `package: linux-source-7.3` and `version: ...`"))
            }
        }
    }

    /// Whether package and version are what a source package's are, and hold nothing else.
    pub(super) fn names_a_kernel(&self) -> bool {
        let plain = |s: &str| {
            !s.is_empty()
                && s.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.+~:".contains(c))
        };
        self.package.starts_with("linux-source-") && plain(&self.package) && plain(&self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_package_and_its_version_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel.lock");
        for (text, good) in [
            (
                "package: linux-source-7.3\nversion: 7.3.4-1~bpo13+1\n",
                true,
            ),
            ("package: bash\nversion: '5'\n", false),
            ("package: linux-source-7.3\nversion: '$(id)'\n", false),
            ("package: linux-source-7.3\n", false),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(Lock::read(&path).is_ok(), good, "{text}");
        }
    }
}
