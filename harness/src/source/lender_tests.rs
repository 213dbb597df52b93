//! Checkouts of every kind that git itself makes, exported.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{SourceTree, Ways, git::tests::git, since, since::Since};
use crate::{Result, cache::Cache, cancel::Cancel, event::Unwatched, host::Cmd};

/// A folder that holds a checkout and a cache.
struct Place {
    dir: tempfile::TempDir,
    cache: Cache,
    cancel: Cancel,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let cancel = Cancel::new();
        Self { dir, cache, cancel }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ways(&self) -> Ways<'_> {
        Ways {
            cache: &self.cache,
            cancel: &self.cancel,
            watcher: &Unwatched,
        }
    }

    fn export(&self, tree: &Path) -> Result<SourceTree> {
        let request = super::Request::Tree(tree.to_owned());
        super::resolve(&request, self.ways(), &|_| Ok(super::Fit::Yes))
    }

    fn since(&self, tree: &Path, rev: &str) -> Result<Since> {
        since(tree, rev, self.ways())
    }

    /// A repository with two commits, the first of them `v1`.
    fn repository(&self, name: &str, init: &[&str]) -> PathBuf {
        let tree = self.path(name);
        for folder in ["arch/x86", "kernel", "fs", "drivers"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        let makefile = "VERSION = 7\nPATCHLEVEL = 3\n";
        for (file, text) in [
            ("Makefile", makefile),
            ("Kconfig", "# top\n"),
            ("arch/x86/Kconfig", "# x86\n"),
            ("fs/Kconfig", "# fs\n"),
            ("drivers/Kconfig", "# one\n"),
            ("kernel/fork.c", "one\n"),
        ] {
            fs::write(tree.join(file), text).unwrap();
        }
        git(&tree, &[&["init", "--quiet"], init].concat());
        git(&tree, &["add", "."]);
        git(&tree, &["commit", "--quiet", "-m", "one"]);
        git(&tree, &["tag", "v1"]);
        fs::write(tree.join("kernel/fork.c"), "two\n").unwrap();
        fs::write(tree.join("drivers/Kconfig"), "# two\n").unwrap();
        git(&tree, &["commit", "--quiet", "-am", "two"]);
        tree
    }
}

fn fork(source: &SourceTree) -> String {
    fs::read_to_string(source.path.join("kernel/fork.c")).unwrap()
}

/// Whether this host's git knows a format of revisions.
fn knows_reftable(place: &Place) -> bool {
    let probe = place.path("probe");
    let init = Cmd::new("git").args(["init", "--quiet", "--ref-format=reftable"]);
    init.arg(probe).run(&place.cancel).unwrap().success()
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was not run says so")]
fn revisions_in_reftables_are_read() {
    let place = Place::new();
    if !knows_reftable(&place) {
        eprintln!("NOT RUN: this git knows no reftables (2.45 does)");
        return;
    }
    let tree = place.repository("tree", &["--ref-format=reftable", "--initial-branch=main"]);
    let now = place.since(&tree, "v1").unwrap();
    assert_eq!(fork(&now.base), "one\n");
    assert!(String::from_utf8(now.diff).unwrap().contains("+two\n"));
    // A worktree's HEAD lies in a table of its own, all other revisions in the shared ones.
    git(&tree, &["worktree", "add", "--quiet", "../other", "v1"]);
    let other = place.path("other");
    assert_eq!(fork(&place.export(&other).unwrap()), "one\n");
    let since = place.since(&other, "main").unwrap();
    assert_eq!(fork(&since.base), "two\n");
    assert!(String::from_utf8(since.diff).unwrap().contains("+one\n"));
}
