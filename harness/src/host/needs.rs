//! The programs, files and libraries that ktwin needs of this host, with their packages: a row a need.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{cancel::Cancel, host::Cmd};

/// How a need is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Probe {
    /// A program in `PATH` or the system's own folders.
    Program(&'static str),
    /// Any of these files.
    File(&'static [&'static str]),
    /// A static C library that the compiler finds.
    StaticLib(&'static str),
}

/// One thing that must be there: a row a need.
pub(super) struct Need {
    pub(super) what: &'static str,
    pub(super) why: &'static str,
    pub(super) probe: Probe,
    /// Packages for apt, dnf and pacman, in the order of [`super::packages::Manager`].
    pub(super) packages: [&'static str; 3],
}

/// The need that confines, which a user may do without.
pub(super) const CONFINES: &str = "bubblewrap";

pub(super) const NEEDS: &[Need] = &[
    need(
        "gcc",
        "compiles the kernel",
        Probe::Program("gcc"),
        ["gcc", "gcc", "gcc"],
    ),
    need(
        "make",
        "builds the kernel",
        Probe::Program("make"),
        ["make", "make", "make"],
    ),
    need(
        "ld",
        "links the kernel",
        Probe::Program("ld"),
        ["binutils", "binutils", "binutils"],
    ),
    need(
        "git",
        "applies patches",
        Probe::Program("git"),
        ["git", "git", "git"],
    ),
    need(
        "flex",
        "kbuild's parser",
        Probe::Program("flex"),
        ["flex", "flex", "flex"],
    ),
    need(
        "bison",
        "kbuild's parser",
        Probe::Program("bison"),
        ["bison", "bison", "bison"],
    ),
    need(
        "bc",
        "kbuild's constants",
        Probe::Program("bc"),
        ["bc", "bc", "bc"],
    ),
    need(
        "perl",
        "kbuild's scripts",
        Probe::Program("perl"),
        ["perl-base", "perl", "perl"],
    ),
    need(
        "tar",
        "unpacks sources",
        Probe::Program("tar"),
        ["tar", "tar", "tar"],
    ),
    need(
        "xz",
        "unpacks sources",
        Probe::Program("xz"),
        ["xz-utils", "xz", "xz"],
    ),
    need(
        "libelf headers",
        "objtool",
        Probe::File(&["/usr/include/gelf.h", "/usr/include/libelf/gelf.h"]),
        ["libelf-dev", "elfutils-libelf-devel", "libelf"],
    ),
    need(
        "libc.a",
        "the static guest agent",
        Probe::StaticLib("libc.a"),
        ["libc6-dev", "glibc-static", "glibc"],
    ),
    need(
        "qemu-system-x86_64",
        "runs the guests",
        Probe::Program("qemu-system-x86_64"),
        ["qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86"],
    ),
    need(
        CONFINES,
        "confines builds and guests",
        Probe::Program("bwrap"),
        ["bubblewrap", "bubblewrap", "bubblewrap"],
    ),
    need(
        "fio",
        "the throughput load",
        Probe::Program("fio"),
        ["fio", "fio", "fio"],
    ),
    need(
        "mke2fs",
        "makes disk images",
        Probe::Program("mke2fs"),
        ["e2fsprogs", "e2fsprogs", "e2fsprogs"],
    ),
];

/// What nothing needs, and much is quicker with.
pub(super) const WISHES: &[Need] = &[need(
    "ccache",
    "kernels build quicker the second time",
    Probe::Program("ccache"),
    ["ccache", "ccache", "ccache"],
)];

/// What only some commands need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// What the project's tests compare with.
    Tests,
    /// Slurm's daemons and commands, for the test of matrices on a cluster.
    Slurm,
}

impl Extra {
    pub(super) fn needs(self) -> &'static [Need] {
        match self {
            Extra::Tests => TESTS,
            Extra::Slurm => SLURM,
        }
    }
}

const TESTS: &[Need] = &[need(
    "cpio",
    "reads the initramfs back",
    Probe::Program("cpio"),
    ["cpio", "cpio", "cpio"],
)];

const SLURM: &[Need] = &[
    need(
        "sbatch",
        "submits matrices",
        Probe::Program("sbatch"),
        ["slurm-client", "slurm", "slurm-llnl"],
    ),
    need(
        "slurmctld",
        "a cluster on this host",
        Probe::Program("slurmctld"),
        ["slurmctld", "slurm-slurmctld", "slurm-llnl"],
    ),
    need(
        "slurmd",
        "its nodes",
        Probe::Program("slurmd"),
        ["slurmd", "slurm-slurmd", "slurm-llnl"],
    ),
    need(
        "munged",
        "its credentials",
        Probe::Program("munged"),
        ["munge", "munge", "munge"],
    ),
];

const fn need(
    what: &'static str,
    why: &'static str,
    probe: Probe,
    packages: [&'static str; 3],
) -> Need {
    Need {
        what,
        why,
        probe,
        packages,
    }
}

/// Where it is; none where it is not.
pub(super) fn found(probe: Probe, cancel: &Cancel) -> Option<String> {
    match probe {
        Probe::Program(name) => find(name).map(|p| p.display().to_string()),
        Probe::File(paths) => paths
            .iter()
            .find(|p| Path::new(p).exists())
            .map(|p| (*p).to_owned()),
        Probe::StaticLib(name) => {
            let output = Cmd::new("gcc")
                .arg(format!("-print-file-name={name}"))
                .run_ok(cancel)
                .ok()?;
            // gcc echoes the bare name where it finds nothing.
            Some(output.text()).filter(|path| path != name)
        }
    }
}

/// A program in `PATH`, or where distributions keep programs for root.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(extra)
        .map(|d| d.join(program))
        .find(|p| is_program(p))
}

fn is_program(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok() && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_has_a_package_everywhere() {
        for need in NEEDS.iter().chain(WISHES).chain(TESTS).chain(SLURM) {
            assert!(need.packages.iter().all(|p| !p.is_empty()), "{}", need.what);
        }
    }
}
