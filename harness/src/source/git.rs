//! A git checkout, exported through a repository of our own that only borrows its objects.
//!
//! The tree's own configuration, hooks, filters and file-system monitors are never used, and nothing
//! is written into it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Identity, SourceTree, Ways, folder, kernel, lender::Lender, unread::unreadable};
use crate::{
    Error, Result,
    cache::{Kind, Temp},
    error::Context,
    event::Event,
    hash::hex_sha256,
    host::{Cmd, Output, quote},
};

/// Changes whenever the same git tree would give another folder.
const RECIPE: &str = "git-1";
/// Hashing a whole tree on a slow disk takes minutes.
const LIMIT: Duration = Duration::from_secs(3600);

/// How untracked files end, or are called, that a kernel may be made of.
const SOURCES: [&str; 7] = [".c", ".h", ".S", ".rs", "Kconfig", "Makefile", "Kbuild"];
/// Files that a warning names.
const NAMED: usize = 5;

/// What keys everything made from a tree.
pub(super) fn tree_hash(id: &str) -> String {
    hex_sha256(&[RECIPE.as_bytes(), id.as_bytes()])
}

pub(super) fn export(tree: &Path, ways: Ways<'_>) -> Result<SourceTree> {
    let shadow = Shadow::new(tree, ways)?;
    ways.step(&tree.display().to_string(), || {
        let id = shadow.work_tree()?;
        let commit = shadow.commit_of(&id)?;
        shadow.export(&id, commit, tree.display().to_string())
    })
}

/// A bare repository of ours, with the tree's objects, revisions and index.
pub(super) struct Shadow<'a> {
    pub(super) dir: Temp,
    git_dir: PathBuf,
    tree: PathBuf,
    lender: Lender,
    ways: Ways<'a>,
}

impl<'a> Shadow<'a> {
    pub(super) fn new(tree: &Path, ways: Ways<'a>) -> Result<Self> {
        let tree = tree
            .canonicalize()
            .input(|| format!("failed to resolve {}", tree.display()))?;
        let lender = Lender::of(&tree)?;
        let dir = ways.cache.temp()?;
        let repo = dir.path().join("git");
        let init = clean(Cmd::new("git")).args(["init", "--quiet", "--bare", "--template="]);
        let init = init.args(lender.formats()).arg(&repo);
        let made = init.run(ways.cancel)?;
        if !made.success() {
            let error = init.failed(&made);
            return Err(match lender.has_reftable() {
                true => error.mend("its revisions are in reftables: install git 2.45 or later"),
                false => error,
            });
        }
        let git_dir = lender.lend(&repo, &dir.path().join("index"), &dir.path().join("own"))?;
        Ok(Self {
            dir,
            git_dir,
            tree,
            lender,
            ways,
        })
    }

    /// The commits of which a shallow clone has no parents, and how it gets them.
    pub(super) fn cut_off(&self) -> (BTreeSet<String>, String) {
        let tree = self.tree.display().to_string();
        let mend = format!("git -C {} fetch --unshallow", quote(&tree));
        (self.lender.cut_off(), mend)
    }

    fn index(&self) -> PathBuf {
        self.dir.path().join("index")
    }

    pub(super) fn git(&self) -> Cmd {
        let config = [
            "core.fsmonitor=false",
            "core.hooksPath=/dev/null",
            "core.untrackedCache=false",
            "gc.auto=0",
        ];
        clean(Cmd::new("git"))
            .args(config.iter().flat_map(|c| ["-c", c]))
            .env("GIT_DIR", &self.git_dir)
            .env("GIT_WORK_TREE", &self.tree)
            .env("GIT_INDEX_FILE", self.index())
            .cwd(&self.tree)
            .limit(LIMIT)
    }

    pub(super) fn resolve(&self, rev: &str) -> Result<String> {
        let parse = self
            .git()
            .args(["rev-parse", "--quiet", "--verify", "--end-of-options"]);
        let output = parse
            .arg(format!("{rev}^{{commit}}"))
            .run(self.ways.cancel)?;
        if output.success() {
            return Ok(output.text());
        }
        let error = Error::input(format!("{} has no revision {rev:?}", self.tree.display()));
        Err(error.mend("give a branch, a tag or a commit of that tree"))
    }

    /// The tracked files as they are now, as a git tree.
    pub(super) fn work_tree(&self) -> Result<String> {
        let head = self.resolve("HEAD")?;
        let add = || {
            self.git()
                .args(["add", "--update", "--", "."])
                .run(self.ways.cancel)
        };
        let added = |added: &Output| match added.success() {
            true => Ok(true),
            false => self.readable(added).map(|()| false),
        };
        if !self.index().exists() || !added(&add()?)? {
            // No index, or one of a kind that we did not copy whole: start from the commit.
            self.ran(self.git().args(["read-tree", &head]))?;
            let again = add()?;
            if !added(&again)? {
                return Err(self.git().args(["add", "--update"]).failed(&again));
            }
        }
        let tree = self.ran(self.git().arg("write-tree"))?.text();
        if self.id(&format!("{head}^{{tree}}"))? != tree {
            let text = format!(
                "{} has uncommitted changes; they are taken along",
                self.tree.display()
            );
            self.ways.watcher.event(&Event::Note(text));
        }
        self.warn_of_untracked()?;
        Ok(tree)
    }

    /// Runs a command of git's to its end. What a partial clone did not fetch is not to be had here: the
    /// shadow has no remote, and nothing is written into the tree's own repository.
    pub(super) fn ran(&self, git: Cmd) -> Result<Output> {
        let output = git.run(self.ways.cancel)?;
        match output.success() {
            true => Ok(output),
            false => Err(self.failed(&git, &output)),
        }
    }

    /// Why such a command failed.
    pub(super) fn failed(&self, git: &Cmd, output: &Output) -> Error {
        let said = String::from_utf8_lossy(&output.stderr);
        match lacking(&said).filter(|_| self.lender.is_partial()) {
            None => git.failed(output),
            Some(line) => {
                let tree = self.tree.display().to_string();
                let message = format!("{tree} is a partial clone, and did not fetch all of this");
                let fetch = "fetch --refetch --no-filter";
                let mend = format!("git -C {} {fetch}", quote(&tree));
                let line = line.escape_debug().to_string();
                Error::input(message).mend(mend).because(line)
            }
        }
    }

    /// Refuses a file that git could not add, as the user's to mend.
    fn readable(&self, added: &Output) -> Result<()> {
        let said = String::from_utf8_lossy(&added.stderr);
        match said.lines().find_map(closed_to_us) {
            Some(path) => {
                let denied = io::ErrorKind::PermissionDenied.into();
                Err(unreadable(&self.tree.join(path), denied))
            }
            None => Ok(()),
        }
    }

    /// Says of files that the tree seems to be made of and git does not know: they are left out.
    fn warn_of_untracked(&self) -> Result<()> {
        let list = ["ls-files", "--others", "--exclude-standard", "-z"];
        let listed = self.git().args(list).run_ok(self.ways.cancel)?;
        let listed = String::from_utf8_lossy(&listed.stdout);
        if let Some(text) = untracked(&self.tree, listed.split('\0')) {
            self.ways.watcher.event(&Event::Warning(text));
        }
        Ok(())
    }

    /// The object that a name stands for.
    pub(super) fn id(&self, name: &str) -> Result<String> {
        let parse = self.git().args(["rev-parse", "--verify", name]);
        Ok(self.ran(parse)?.text())
    }

    /// The commit that is checked out, where its files are this tree's.
    fn commit_of(&self, tree: &str) -> Result<Option<String>> {
        let same = self.id("HEAD^{tree}")? == tree;
        same.then(|| self.resolve("HEAD")).transpose()
    }

    /// Whether it has this tree.
    pub(super) fn has(&self, tree: &str) -> Result<bool> {
        let look = self
            .git()
            .args(["cat-file", "-e", &format!("{tree}^{{tree}}")]);
        Ok(look.run(self.ways.cancel)?.success())
    }

    /// A tree's files, in the cache; of a commit, where it is one's.
    pub(super) fn export(
        &self,
        treeish: &str,
        commit: Option<String>,
        origin: String,
    ) -> Result<SourceTree> {
        let tree = self.id(treeish)?;
        let identity = Identity::Git {
            tree: tree.clone(),
            commit,
        };
        let entry =
            self.ways
                .cache
                .entry(Kind::Source, &identity.key(), self.ways.cancel, |to| {
                    self.check_out(&tree, to, None)?;
                    links_inside(to)?;
                    kernel::check_as(to, &origin)
                })?;
        SourceTree::new(entry, origin, identity)
    }

    /// Writes a tree's files into a folder: all, or those named. Where its links lead is not looked at.
    pub(super) fn check_out(
        &self,
        id: &str,
        to: &Path,
        only: Option<&BTreeSet<String>>,
    ) -> Result<()> {
        let git = || {
            self.git()
                .env("GIT_INDEX_FILE", self.dir.path().join("export"))
        };
        self.ran(git().args(["read-tree", id]))?;
        let prefix = format!("--prefix={}/", to.display());
        let checkout =
            git()
                .env("GIT_WORK_TREE", to)
                .cwd(to)
                .args(["checkout-index", "--quiet", &prefix]);
        let checkout = match only {
            None => checkout.arg("--all"),
            Some(only) => checkout.args(["-z", "--stdin"]).stdin(nul_separated(only)),
        };
        self.ran(checkout).map(drop)
    }
}

/// What git says of an object that is not there.
fn lacking(said: &str) -> Option<&str> {
    const MISSING: [&str; 6] = [
        "unable to read ",
        "failed to unpack tree object ",
        "Needed a single revision",
        "invalid object ",
        "bad object ",
        "Not a valid object ",
    ];
    let mut lines = said.lines();
    lines.find(|line| {
        let rest = line
            .strip_prefix("error: ")
            .or(line.strip_prefix("fatal: "));
        rest.is_some_and(|rest| MISSING.iter().any(|m| rest.starts_with(m)))
    })
}

/// The file that git was not let read: `error: open("fs/a.c"): Permission denied`.
fn closed_to_us(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("error: open(\"")?;
    rest.strip_suffix("\"): Permission denied")
}

fn nul_separated(names: &BTreeSet<String>) -> Vec<u8> {
    let bytes = names.iter().map(|name| name.as_bytes());
    bytes.flat_map(|name| [name, b"\0"].concat()).collect()
}

/// git without anybody's configuration, also none that the environment carries (`GIT_CONFIG_COUNT`,
/// `GIT_EXTERNAL_DIFF`, or all that git itself sets where `git bisect run` or a hook calls us).
fn clean(git: Cmd) -> Cmd {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    git.clear_env()
        .env("PATH", path)
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        // A tree's id is a key, so what it names must be what it holds.
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
}

fn untracked<'f>(tree: &Path, files: impl Iterator<Item = &'f str>) -> Option<String> {
    let sources: Vec<&str> = files
        .filter(|file| SOURCES.iter().any(|end| file.ends_with(end)))
        .collect();
    let first = sources.first()?;
    let more = match sources.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "git does not track {}{more} in {}: they are left out; mend: git add -N {}",
        sources[..sources.len().min(NAMED)].join(", "),
        tree.display(),
        quote(first)
    ))
}

/// Refuses a tree whose links lead out of it.
pub(super) fn links_inside(top: &Path) -> Result<()> {
    for entry in ignore::WalkBuilder::new(top)
        .standard_filters(false)
        .build()
    {
        let entry = entry.host(|| format!("failed to read {}", top.display()))?;
        if entry.path_is_symlink() {
            let to = fs::read_link(entry.path())
                .host(|| format!("failed to read {}", entry.path().display()))?;
            folder::inside(entry.path().strip_prefix(top).unwrap_or(entry.path()), &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{cache::Cache, cancel::Cancel, event::Unwatched, source::since::since};

    pub(in crate::source) fn git(tree: &Path, args: &[&str]) {
        let identity = [
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ];
        clean(Cmd::new("git"))
            .args(identity)
            .args(args)
            .cwd(tree)
            .run_ok(&Cancel::new())
            .unwrap();
    }

    /// A checkout with two commits, an uncommitted edit, and a hostile configuration.
    fn checkout(dir: &Path) -> PathBuf {
        let tree = dir.join("tree");
        for folder in ["arch/x86", "kernel", "fs"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        fs::write(tree.join("Makefile"), "VERSION = 7\nPATCHLEVEL = 3\n").unwrap();
        fs::write(tree.join("Kconfig"), "").unwrap();
        fs::write(tree.join("arch/x86/Kconfig"), "").unwrap();
        fs::write(tree.join("kernel/fork.c"), "one\n").unwrap();
        fs::write(tree.join("fs/Kconfig"), "").unwrap();
        git(&tree, &["init", "--quiet"]);
        git(&tree, &["add", "."]);
        git(&tree, &["commit", "--quiet", "-m", "one"]);
        git(&tree, &["tag", "v1"]);
        fs::write(tree.join("kernel/fork.c"), "two\n").unwrap();
        git(&tree, &["commit", "--quiet", "-am", "two"]);
        fs::write(tree.join("kernel/logo.png"), b"\x89PNG\0").unwrap();
        std::os::unix::fs::symlink("fork.c", tree.join("kernel/link.c")).unwrap();
        git(&tree, &["add", "kernel"]);
        fs::write(tree.join("kernel/fork.c"), "three\n").unwrap();
        fs::write(tree.join("kernel/untracked.c"), "x\n").unwrap();
        let evil = format!("touch {}/ran", dir.display());
        fs::write(tree.join(".gitattributes"), "*.c filter=evil\n").unwrap();
        fs::write(
            tree.join(".git/config"),
            format!("[core]\n\tfsmonitor = {evil}\n[filter \"evil\"]\n\tclean = {evil}\n\tsmudge = {evil}\n"),
        )
        .unwrap();
        tree
    }

    /// Whoever hears warnings.
    #[derive(Default)]
    struct Heard(std::sync::Mutex<Vec<String>>);

    impl crate::event::Watcher for Heard {
        fn event(&self, event: &Event) {
            if let Event::Warning(text) = event {
                self.0.lock().unwrap().push(text.clone());
            }
        }
    }

    #[test]
    fn what_git_says_is_understood() {
        for (said, lacks) in [
            ("error: unable to read sha1 file of fs/a (8b13)", true),
            ("warning: x\nfatal: unable to read 8b13", true),
            ("fatal: failed to unpack tree object HEAD", true),
            ("error: unable to index file 'unable to read '", false),
            ("fatal: write error: No space left on device", false),
        ] {
            assert_eq!(lacking(said).is_some(), lacks, "{said}");
        }
        for (line, path) in [
            (
                "error: open(\"fs/a b.c\"): Permission denied",
                Some("fs/a b.c"),
            ),
            ("error: unable to index file 'fs/a.c'", None),
            ("error: open(\"fs/a.c\"): Input/output error", None),
        ] {
            assert_eq!(closed_to_us(line), path, "{line}");
        }
    }

    #[test]
    fn new_files_that_git_does_not_know_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let tree = checkout(dir.path());
        fs::write(tree.join(".git/config"), "").unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let heard = Heard::default();
        let ways = Ways {
            cache: &cache,
            cancel: &Cancel::new(),
            watcher: &heard,
        };
        fs::write(tree.join("kernel/notes.txt"), "").unwrap();
        export(&tree, ways).unwrap();
        let told = std::mem::take(&mut *heard.0.lock().unwrap());
        let mend = "they are left out; mend: git add -N kernel/untracked.c";
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("git does not track kernel/untracked.c in "));
        assert!(told[0].ends_with(mend), "{told:?}");

        git(&tree, &["add", "-N", "kernel/untracked.c"]);
        let now = export(&tree, ways).unwrap();
        assert!(now.path.join("kernel/untracked.c").exists());
        assert_eq!(*heard.0.lock().unwrap(), Vec::<String>::new());

        let many: Vec<String> = (0..7).map(|n| format!("fs/{n}.c")).collect();
        let text = untracked(&tree, many.iter().map(String::as_str)).unwrap();
        assert!(text.contains("fs/4.c and 2 more in "), "{text}");
        assert_eq!(untracked(&tree, ["a.o", "b.txt", ""].into_iter()), None);
    }

    #[test]
    fn a_hostile_checkout_is_exported_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let tree = checkout(dir.path());
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let ways = Ways {
            cache: &cache,
            cancel: &Cancel::new(),
            watcher: &Unwatched,
        };
        let before = fs::read(tree.join(".git/index")).unwrap();

        let now = export(&tree, ways).unwrap();
        assert_eq!(
            fs::read_to_string(now.path.join("kernel/fork.c")).unwrap(),
            "three\n"
        );
        assert!(!now.path.join("kernel/untracked.c").exists());
        assert!(!now.path.join(".git").exists());

        let since = since(&tree, "v1", ways).unwrap();
        assert_eq!(
            fs::read_to_string(since.base.path.join("kernel/fork.c")).unwrap(),
            "one\n"
        );
        let diff = String::from_utf8(since.diff).unwrap();
        assert!(diff.contains("-one\n+three\n"), "{diff}");
        // No patch carries these.
        assert!(
            !diff.contains("logo.png") && !diff.contains("link.c"),
            "{diff}"
        );
        assert!(now.path.join("kernel/link.c").exists());

        assert_eq!(fs::read(tree.join(".git/index")).unwrap(), before);
        assert!(
            !dir.path().join("ran").exists(),
            "the tree's own configuration was used"
        );
        assert_eq!(
            super::super::since::since(&tree, "v9", ways)
                .unwrap_err()
                .fault(),
            crate::Fault::Input
        );
    }

    #[test]
    fn a_worktree_is_a_checkout_too() {
        let dir = tempfile::tempdir().unwrap();
        let tree = checkout(dir.path());
        fs::write(tree.join(".git/config"), "").unwrap();
        git(&tree, &["worktree", "add", "--quiet", "../other", "v1"]);
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let ways = Ways {
            cache: &cache,
            cancel: &Cancel::new(),
            watcher: &Unwatched,
        };
        let other = export(&dir.path().join("other"), ways).unwrap();
        assert_eq!(
            fs::read_to_string(other.path.join("kernel/fork.c")).unwrap(),
            "one\n"
        );
    }
}
