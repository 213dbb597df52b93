//! Checkouts of every kind that git itself makes, exported.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    SourceTree, Ways,
    git::tests::git,
    range::{Between, Commits},
    since,
    since::Since,
};
use crate::{Fault, Result, cache::Cache, cancel::Cancel, event::Unwatched, host::Cmd};

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

#[test]
fn a_sparse_checkout_is_exported_whole() {
    for split in [false, true] {
        let place = Place::new();
        let tree = place.repository("tree", &[]);
        git(&tree, &["sparse-checkout", "set", "kernel"]);
        if split {
            git(&tree, &["update-index", "--split-index"]);
        }
        assert!(!tree.join("arch").exists());
        fs::write(tree.join("kernel/fork.c"), "three\n").unwrap();
        let now = place.export(&tree).unwrap();
        assert_eq!(fork(&now), "three\n");
        let drivers = fs::read_to_string(now.path.join("drivers/Kconfig"));
        assert_eq!(drivers.unwrap(), "# two\n", "{split}");
        let since = place.since(&tree, "v1").unwrap();
        let diff = String::from_utf8(since.diff).unwrap();
        assert!(diff.contains("-one\n+three\n"), "{diff}");
    }
}

#[test]
fn a_git_tree_that_is_no_kernel_is_refused_by_its_name() {
    let place = Place::new();
    let tree = place.repository("tree", &[]);
    git(&tree, &["rm", "--quiet", "Kconfig"]);
    for _ in 0..2 {
        let error = place.export(&tree).unwrap_err();
        let expected = format!("{} is not a kernel tree", tree.display());
        assert!(error.chain().starts_with(&expected), "{error:?}");
        assert_eq!(error.fault(), Fault::Input);
    }
}

#[test]
fn a_partial_clone_says_how_to_fetch_the_rest() {
    let place = Place::new();
    let tree = place.repository("tree", &["--initial-branch=main"]);
    git(&tree, &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", tree.display());
    for filter in ["blob:none", "tree:0"] {
        let clone = place.path(filter);
        let filtered = format!("--filter={filter}");
        git(
            place.dir.path(),
            &["clone", "--quiet", &filtered, &url, filter],
        );
        // What is checked out is there.
        assert_eq!(fork(&place.export(&clone).unwrap()), "two\n");
        let kernel = Between {
            good: "v1".into(),
            bad: "HEAD".into(),
            paths: vec!["kernel".into()],
            first_parent: false,
        };
        let commits = Commits::open(&clone, place.ways()).unwrap();
        match commits.between(&kernel) {
            // Which files a commit changed only its tree says.
            Err(error) => assert!(filter == "tree:0" && error.mending().is_some(), "{error:?}"),
            Ok(range) => assert_eq!((filter, range.commits.len()), ("blob:none", 1)),
        }
        let error = place.since(&clone, "v1").unwrap_err();
        let (named, mend) = (clone.display(), error.mending().unwrap());
        assert_eq!(error.fault(), Fault::Input);
        assert!(error.chain().starts_with(&format!("{named} is a partial")));
        assert_eq!(mend, format!("git -C {named} fetch --refetch --no-filter"));
        let words: Vec<&str> = mend.split(' ').skip(1).collect();
        git(&clone, &words);
        let base = place.since(&clone, "v1").unwrap().base;
        assert_eq!(fork(&base), "one\n", "{filter}");
    }
}

#[test]
fn a_shallow_clone_says_how_to_fetch_the_rest() {
    let place = Place::new();
    let tree = place.repository("tree", &["--initial-branch=main"]);
    let url = format!("file://{}", tree.display());
    let shallow = ["clone", "--quiet", "--depth=1", &url, "shallow"];
    git(place.dir.path(), &shallow);
    let clone = place.path("shallow");
    // The first commit alone, without what came of it.
    git(
        &clone,
        &["fetch", "--quiet", "--depth=1", &url, "tag", "v1"],
    );
    let commits = Commits::open(&clone, place.ways()).unwrap();
    let between = |good: &str| Between {
        good: good.into(),
        bad: "HEAD".into(),
        ..Between::default()
    };
    for good in ["v1", "FETCH_HEAD"] {
        let error = commits.between(&between(good)).unwrap_err();
        let mend = error.mending().unwrap();
        assert!(mend.starts_with("it is a shallow clone: git -C "), "{mend}");
    }
    git(&clone, &["fetch", "--quiet", "--unshallow"]);
    let commits = Commits::open(&clone, place.ways()).unwrap();
    assert_eq!(commits.between(&between("v1")).unwrap().commits.len(), 1);
}

#[test]
fn what_replaces_an_object_is_not_taken_for_it() {
    let place = Place::new();
    let tree = place.repository("tree", &["--initial-branch=main"]);
    git(
        &tree,
        &["replace", "HEAD:kernel/fork.c", "v1:kernel/fork.c"],
    );
    assert_eq!(fork(&place.export(&tree).unwrap()), "two\n");
    assert_eq!(fork(&place.since(&tree, "v1").unwrap().base), "one\n");
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

/// Makes the index say of a file what is true of it now, all but its content: as if it had been changed
/// in the very moment that its entry was made.
fn racy(tree: &Path, file: &str) {
    let path = tree.join(".git/index");
    let mut index = fs::read(&path).unwrap();
    let name = memchr::memmem::find(&index, file.as_bytes()).unwrap();
    // Ten words about the file, the content's id and two bytes of flags come before its name.
    let entry = name - (40 + 20 + 2);
    let meta = tree.join(file).metadata().unwrap();
    let words = [
        meta.ctime() as u32,
        meta.ctime_nsec() as u32,
        meta.mtime() as u32,
        meta.mtime_nsec() as u32,
        meta.dev() as u32,
        meta.ino() as u32,
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.size() as u32,
    ];
    for (n, word) in words.iter().enumerate() {
        let at = entry + 4 * n;
        index[at..at + 4].copy_from_slice(&word.to_be_bytes());
    }
    fs::write(&path, index).unwrap();
    let written = File::options().write(true).open(&path).unwrap();
    written.set_modified(meta.modified().unwrap()).unwrap();
}

#[test]
fn a_change_in_the_moment_of_its_entry_is_seen() {
    let place = Place::new();
    let tree = place.repository("tree", &[]);
    // As long as what is committed.
    let path = tree.join("kernel/fork.c");
    fs::write(&path, "new\n").unwrap();
    // Long before the export: git may tell whole seconds apart and nothing less.
    let file = File::options().write(true).open(&path).unwrap();
    let then = SystemTime::now() - Duration::from_secs(100);
    file.set_modified(then).unwrap();
    racy(&tree, "kernel/fork.c");
    assert_eq!(fork(&place.export(&tree).unwrap()), "new\n");
}
