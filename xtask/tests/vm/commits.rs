//! A git history made of the kernel that the tests use.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{
    cache::Cache,
    cancel::Cancel,
    event::Unwatched,
    source::{self, Fit, Lock, Request, SourceTree, Ways},
};

use crate::ktwin::top;

/// Its commits. Its checkout holds only what shows that it is a kernel's, unless more is checked out:
/// bisect is to read no more of it than its objects.
pub(crate) struct Commits {
    pub(crate) tree: PathBuf,
    source: SourceTree,
    /// The first is the kernel as released; `HEAD` is the last.
    pub(crate) ids: Vec<String>,
}

impl Commits {
    /// The first commit.
    pub(crate) fn make(dir: &Path) -> Self {
        let (cache, cancel) = (Cache::open().unwrap(), Cancel::new());
        let ways = Ways {
            cache: &cache,
            cancel: &cancel,
            watcher: &Unwatched,
        };
        let lock = Lock::read(&top().join("scenarios/fuse-backing/kernel.lock")).unwrap();
        let wanted = Request::Debian(Some(lock));
        let source = source::resolve(&wanted, ways, &|_| Ok(Fit::Yes)).unwrap();
        let tree = dir.join("tree");
        for folder in ["kernel", "fs", "arch/x86"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        for file in ["Makefile", "Kconfig"] {
            fs::copy(source.path.join(file), tree.join(file)).unwrap();
        }
        let mut commits = Self {
            tree,
            source,
            ids: Vec::new(),
        };
        // Without the work tree that the other commands are told of: it would be kept, and what is checked
        // out later would go into the cache.
        said(git().args(["init", "--quiet"]).arg(&commits.tree));
        commits.git(&["config", "core.looseCompression", "0"]);
        commits.git(&["add", "--all", "--force", "."]);
        commits.commit("fuse: as released");
        commits
    }

    /// Applies a patch, in the index alone.
    pub(crate) fn apply(&self, patch: &str) {
        let path = self.tree.join(".git/applied.patch");
        fs::write(&path, patch).unwrap();
        self.git(&["apply", "--cached", &path.display().to_string()]);
    }

    /// Adds a line to a file, in the index alone.
    pub(crate) fn append(&self, file: &str, line: &str) {
        self.edit(file, |text| format!("{text}\n{line}"));
    }

    /// Replaces words that a file holds, in the index alone.
    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) {
        self.edit(file, |text| {
            assert!(text.contains(from), "{from} in {file}");
            text.replace(from, to)
        });
    }

    fn edit(&self, file: &str, how: impl FnOnce(&str) -> String) {
        let text = self.git(&["cat-file", "-p", &format!(":{file}")]);
        let path = self.tree.join(".git/edited");
        fs::write(&path, how(&text) + "\n").unwrap();
        let path = path.display().to_string();
        let blob = self.git(&["hash-object", "-w", "--no-filters", &path]);
        let entry = format!("100644,{blob},{file}");
        self.git(&["update-index", "--cacheinfo", &entry]);
    }

    /// A file as a commit has it, in the index alone.
    pub(crate) fn restore(&self, file: &str, commit: usize) {
        let commit = self.ids[commit].clone();
        self.git(&["reset", "--quiet", &commit, "--", file]);
    }

    /// Commits the index.
    pub(crate) fn commit(&mut self, message: &str) {
        let tree = self.git(&["write-tree"]);
        let mut args = vec!["commit-tree", &tree, "-m", message];
        let parent = self.ids.last().cloned();
        args.extend(parent.iter().flat_map(|parent| ["-p", parent]));
        let commit = self.git(&args);
        self.git(&["update-ref", "HEAD", &commit]);
        self.ids.push(commit);
    }

    fn git(&self, args: &[&str]) -> String {
        let mut git = git();
        git.args(args)
            .current_dir(&self.source.path)
            .env("GIT_DIR", self.tree.join(".git"))
            .env("GIT_WORK_TREE", &self.source.path);
        said(&mut git)
    }

    /// git as its user runs it, in the tree.
    pub(crate) fn in_tree(&self, args: &[&str]) -> String {
        said(git().args(args).current_dir(&self.tree))
    }
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    git
}

fn said(git: &mut Command) -> String {
    let output = git.output().unwrap();
    assert!(output.status.success(), "{git:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
