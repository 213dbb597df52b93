//! This host's package manager, and the commands that install with it.

use super::needs::find;

/// A package manager that we know how to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    /// Debian and its kin.
    Apt,
    /// Fedora and its kin.
    Dnf,
    /// Arch and its kin.
    Pacman,
}

impl Manager {
    const ALL: [(Manager, &'static str); 3] = [
        (Manager::Apt, "apt-get"),
        (Manager::Dnf, "dnf"),
        (Manager::Pacman, "pacman"),
    ];

    /// This host's.
    pub(super) fn here() -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, program)| find(program).is_some())
            .map(|(manager, _)| *manager)
    }

    /// The commands that install packages, without `sudo`.
    pub(super) fn install(self, packages: &[&str]) -> Vec<Vec<String>> {
        let words = |fixed: &[&str]| {
            fixed
                .iter()
                .chain(packages)
                .map(|s| (*s).to_owned())
                .collect()
        };
        match self {
            Manager::Apt => vec![
                vec!["apt-get".into(), "update".into()],
                words(&["apt-get", "install", "--yes", "--no-install-recommends"]),
            ],
            Manager::Dnf => vec![words(&["dnf", "install", "--assumeyes"])],
            Manager::Pacman => vec![words(&["pacman", "-S", "--needed", "--noconfirm"])],
        }
    }
}

/// The command that installs these, for a person to type; none for none.
pub(super) fn install_line(manager: Manager, packages: &[&str]) -> Option<String> {
    let words = manager
        .install(packages)
        .pop()
        .filter(|_| !packages.is_empty())?;
    Some(privileged(words).join(" "))
}

/// The command as root has to run it.
pub(super) fn privileged(words: Vec<String>) -> Vec<String> {
    if nix::unistd::geteuid().is_root() {
        words
    } else {
        [vec!["sudo".into()], words].concat()
    }
}
