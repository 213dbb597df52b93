//! Finds libraries as the host's dynamic linker would.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::elf::{Kind, examine};
use crate::{
    Result,
    cancel::Cancel,
    host::{Cmd, doctor},
};

/// Where the linker looks last; Debian's own folders are in its cache too.
const DEFAULTS: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// The linker's cache.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    cached: HashMap<String, PathBuf>,
}

impl Libraries {
    /// Asks `ldconfig`; a host without it has the default folders.
    pub(super) fn read(cancel: &Cancel) -> Result<Self> {
        let Some(program) = doctor::find("ldconfig") else {
            return Ok(Self::default());
        };
        let output = Cmd::new(program).arg("-p").run(cancel)?;
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// `\tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1`
    fn parse(listing: &str) -> Self {
        let mut cached = HashMap::new();
        for line in listing.lines() {
            let Some((name, rest)) = line.trim().split_once(" (") else {
                continue;
            };
            let Some((kind, path)) = rest.split_once(") => ") else {
                continue;
            };
            // Variants for newer CPUs are not what every guest has.
            if kind.contains("x86-64") && !kind.contains("hwcap") {
                cached
                    .entry(name.to_owned())
                    .or_insert_with(|| PathBuf::from(path));
            }
        }
        Self { cached }
    }

    /// The library `name` for the file at `user`, which wants `paths` searched first.
    pub(super) fn find(&self, name: &str, user: &Path, paths: &[String]) -> Option<PathBuf> {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|p| fits(p));
        }
        let origin = user
            .parent()
            .unwrap_or(Path::new("/"))
            .display()
            .to_string();
        let own = paths
            .iter()
            .map(|p| p.replace("$ORIGIN", &origin).replace("${ORIGIN}", &origin));
        let own = own.map(|p| Path::new(&p).join(name));
        let cached = self.cached.get(name).cloned();
        let defaults = DEFAULTS.iter().map(|d| Path::new(d).join(name));
        own.chain(cached).chain(defaults).find(|p| fits(p))
    }
}

/// A library of another architecture is passed over, as the linker does.
fn fits(path: &Path) -> bool {
    path.is_file() && matches!(examine(path), Ok(Kind::Elf(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caches_listing_is_read() {
        let libraries = Libraries::parse(
            "3 libs found in cache `/etc/ld.so.cache'\n\
             \tlibz.so.1 (libc6,x86-64, hwcap: \"x86-64-v3\") => /lib/v3/libz.so.1\n\
             \tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1\n\
             \tlibz.so.1 (libc6) => /lib/i386-linux-gnu/libz.so.1\n\
             \tld-linux.so.2 (ELF) => /lib/ld-linux.so.2\n",
        );
        let found: Vec<_> = libraries.cached.values().collect();
        assert_eq!(found, [Path::new("/lib/x86_64-linux-gnu/libz.so.1")]);
    }

    #[test]
    fn this_hosts_libc_is_found() {
        let libraries = Libraries::read(&Cancel::new()).unwrap();
        let libc = libraries
            .find("libc.so.6", Path::new("/bin/true"), &[])
            .unwrap();
        assert!(libc.is_absolute());
        assert_eq!(
            libraries.find("libno-such-thing.so.9", Path::new("/bin/true"), &[]),
            None
        );
    }

    #[test]
    fn a_programs_own_paths_come_first() {
        let libraries = Libraries::read(&Cancel::new()).unwrap();
        let libc = libraries
            .find("libc.so.6", Path::new("/bin/true"), &[])
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("lib")).unwrap();
        let own = dir.path().join("lib/libc.so.6");
        std::fs::copy(libc, &own).unwrap();
        let user = dir.path().join("program");
        let paths = ["$ORIGIN/lib".to_owned()];
        assert_eq!(libraries.find("libc.so.6", &user, &paths), Some(own));
    }
}
