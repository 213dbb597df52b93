//! `cache`: what lies in the cache, and clearing it.

use std::time::SystemTime;

use anyhow::Result;
use clap::{Args, Subcommand};
use harness::{
    cache::{Cache, Kind},
    engine::catalogue,
    exit,
};

use crate::ui;

/// How much of a key is shown: enough to tell it.
const KEY: usize = 32;

/// What lies in the cache, and clearing it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo xtask cache list\n  cargo xtask cache gc")]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Every entry with its size and when it was last used.
    List,
    /// Remove what can be made again; entries in use stay.
    Gc {
        /// Sources and downloaded packages too, and what earlier runs learned of this host and of base
        /// kernels.
        #[arg(long)]
        all: bool,
    },
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let cache = Cache::open()?;
    match options.action {
        Action::List => list(&cache)?,
        Action::Gc { all } => gc(&cache, all)?,
    }
    Ok(exit::PASS)
}

fn list(cache: &Cache) -> Result<()> {
    let listed = cache.list()?;
    for entry in &listed {
        let age = SystemTime::now()
            .duration_since(entry.used)
            .unwrap_or_default()
            .as_secs()
            / 3600;
        let about = match entry.kind {
            Kind::Kernel | Kind::BuildDir => catalogue::kernel(cache, &entry.key),
            _ => String::new(),
        };
        let key: String = entry.key.chars().take(KEY).collect();
        let line = format!(
            "{:>9}  {:>4} h ago  {:10}  {key:KEY$}  {about}",
            mib(entry.bytes),
            age,
            entry.kind.folder(),
        );
        ui::out(line.trim_end());
    }
    let total = listed.iter().map(|e| e.bytes).sum();
    ui::out(&format!("{:>9}  in {}", mib(total), cache.root().display()));
    Ok(())
}

fn gc(cache: &Cache, all: bool) -> Result<()> {
    cache.sweep()?;
    for entry in cache.list()?.iter().filter(|e| all || !stays(e.kind)) {
        let gone = cache.remove(entry.kind, &entry.key)?;
        let word = if gone { "removed" } else { "in use " };
        ui::out(&format!(
            "{word}  {:>9}  {:9}  {}",
            mib(entry.bytes),
            entry.kind.folder(),
            entry.key
        ));
    }
    Ok(())
}

/// What takes a download, or boots that nobody would make for it, to come again.
fn stays(kind: Kind) -> bool {
    match kind {
        Kind::Source | Kind::Deb | Kind::Host | Kind::Seen => true,
        Kind::Tree
        | Kind::BuildDir
        | Kind::Objects
        | Kind::Kernel
        | Kind::Structures
        | Kind::Initramfs
        | Kind::Tools => false,
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use harness::cancel::Cancel;

    use super::*;

    #[test]
    fn what_boots_have_shown_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let kinds = [Kind::Seen, Kind::Host, Kind::Source, Kind::Kernel];
        for kind in kinds {
            cache.entry(kind, "k", &Cancel::new(), |_| Ok(())).unwrap();
        }
        let left = || kinds.map(|kind| cache.folder(kind).join("k").exists());
        gc(&cache, false).unwrap();
        assert_eq!(left(), [true, true, true, false]);
        gc(&cache, true).unwrap();
        assert_eq!(left(), [false; 4]);
    }
}
