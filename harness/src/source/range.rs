//! The commits between two revisions of a git tree, and the tree of each of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, FileTimes},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    Identity, SourceTree, Ways,
    git::{Shadow, links_inside, tree_hash},
};
use crate::{
    Error, Fault, Result,
    cache::{Entry, Kind},
    cancel::Cancel,
    error::Context,
    event::Event,
    hash::hex_sha256,
    host::Cmd,
    patch,
};

/// Changes whenever the same commits would give another folder.
const RECIPE: &str = "commit-1";
/// More commits than any two releases of a kernel have between them.
const MOST: usize = 500_000;
/// What compiling a header's change costs, in files.
const HEADER: usize = 20;

/// A git tree whose commits are wanted. The tree is never written to, and nothing in it is run.
pub struct Commits<'a> {
    pub(super) shadow: Shadow<'a>,
    pub(super) ways: Ways<'a>,
    tree: PathBuf,
}

/// Which commits are in question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Between {
    /// The good revision.
    pub good: String,
    /// The bad one.
    pub bad: String,
    /// Only commits that touch one of these; all without.
    pub paths: Vec<String>,
    /// Merges count as one change of the branch that they were made on.
    pub first_parent: bool,
}

/// The commits in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The good commit.
    pub good: String,
    /// Parents before children; the last is the bad one.
    pub commits: Vec<String>,
    /// Each one's parents, as positions in `commits`.
    pub parents: Vec<Vec<usize>>,
    /// Those that touch none of the paths asked for: each stands for all that lies unlisted between
    /// it and its parents here.
    pub stand_ins: BTreeSet<String>,
}

/// What a commit says of itself. It comes from others: each sink has its way of escaping it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Name and address.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
}

/// A commit's files, in the cache; nobody writes to them.
#[derive(Debug)]
pub struct CommitTree {
    /// Its top folder.
    pub path: PathBuf,
    /// What keys everything made from it, in hex.
    pub hash: String,
    /// What differs from the commit that its build goes on from; these files are newer than that.
    pub changed: Vec<String>,
    // Keep what is in use from being cleared.
    _entries: Vec<Entry>,
}

impl<'a> Commits<'a> {
    /// Borrows a git tree's objects.
    ///
    /// # Errors
    /// Bad input for what is no git tree of a kernel.
    pub fn open(tree: &Path, ways: Ways<'a>) -> Result<Self> {
        if !tree.join(".git").exists() {
            let error = Error::input(format!("{} is not a git checkout", tree.display()));
            return Err(error.mend("give the top of one with --kernel TREE"));
        }
        Ok(Self {
            shadow: Shadow::new(tree, ways)?,
            ways,
            tree: tree.to_owned(),
        })
    }

    /// The commits in question.
    ///
    /// # Errors
    /// Bad input for unknown revisions, and where the good one is no ancestor of the bad one.
    pub fn between(&self, between: &Between) -> Result<Range> {
        let good = self.shadow.resolve(&between.good)?;
        let bad = self.shadow.resolve(&between.bad)?;
        self.check_order(between, &good, &bad)?;
        let mut lines = Vec::new();
        let list = self.list(between, &good, &bad, "--reverse");
        let output = list.lines(self.ways.cancel, |line| {
            if lines.len() <= MOST {
                lines.push(line.to_owned());
            }
        })?;
        if !output.success() {
            let git = self.shadow.git().arg("rev-list");
            return Err(self.shadow.failed(&git, &output));
        }
        if lines.len() > MOST {
            let error = Error::input(format!("there are more than {MOST} commits in question"));
            return Err(error.mend("give a later good commit, or a --path"));
        }
        let range = range(good, &bad, &lines, between)?;
        self.warn_of_cuts(&range);
        Ok(range)
    }

    /// A commit whose parents were not fetched has all that they brought.
    fn warn_of_cuts(&self, range: &Range) {
        let (cut_off, mend) = self.shadow.cut_off();
        let cut = range.commits.iter().find(|one| cut_off.contains(*one));
        if let Some(cut) = cut {
            self.ways.watcher.event(&Event::Warning(format!(
                "{} is a shallow clone: {cut:.12} stands for all that lies before it and was not \
                 fetched; mend: {mend}",
                self.tree.display()
            )));
        }
    }

    /// git's list of what lies between two commits and touches the paths asked for, with the parents
    /// that each has in that list.
    pub(super) fn list(&self, between: &Between, good: &str, to: &str, how: &str) -> Cmd {
        let list = self.shadow.git().args(["rev-list", "--topo-order", how]);
        let list = match between.first_parent {
            true => list.arg("--first-parent"),
            false => list,
        };
        let not_good = format!("^{good}");
        let list = list.args(["--parents", "--end-of-options", to, &not_good, "--"]);
        let paths = between.paths.iter();
        list.args(paths.map(|path| format!(":(top,literal){path}")))
    }

    fn check_order(&self, between: &Between, good: &str, bad: &str) -> Result<()> {
        let base = self.shadow.git().args(["merge-base", good, bad]);
        let base = base.run(self.ways.cancel)?.text();
        if good == bad {
            let error = Error::input("the good commit is the bad one");
            return Err(error.mend("give two commits, of which --good is the older"));
        }
        if base == good {
            return Ok(());
        }
        let Between { good, bad, .. } = between;
        let error = Error::input(format!("{good:?} does not lie in the history of {bad:?}"));
        let (cut_off, unshallow) = self.shadow.cut_off();
        Err(error.mend(match base.as_str() {
            "" if !cut_off.is_empty() => format!("it is a shallow clone: {unshallow}"),
            "" => "they have no commit in common: is one of them of another project?".to_owned(),
            base => format!(
                "--good {base:.12} is where they part; or look for what mended it, \
                 with --good and --bad exchanged"
            ),
        }))
    }

    /// Author and subject of a commit.
    ///
    /// # Errors
    /// git's.
    pub fn about(&self, commit: &str) -> Result<About> {
        let format = "--format=%an <%ae>%n%s";
        let show = self
            .shadow
            .git()
            .args(["log", "-1", "-s", "--no-color", format]);
        let text = self.shadow.ran(show.arg(commit))?.text();
        let (author, subject) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(About {
            author: author.to_owned(),
            subject: subject.to_owned(),
        })
    }

    /// What keys everything made from a commit's tree, in hex.
    ///
    /// # Errors
    /// git's.
    pub fn tree_hash(&self, commit: &str) -> Result<String> {
        Ok(self.identity(commit)?.hash())
    }

    /// What a commit's tree is known by elsewhere.
    ///
    /// # Errors
    /// git's.
    pub fn identity(&self, commit: &str) -> Result<Identity> {
        Ok(Identity::Git {
            tree: self.shadow.id(&format!("{commit}^{{tree}}"))?,
            commit: Some(commit.to_owned()),
        })
    }

    /// The files that differ between two commits.
    ///
    /// # Errors
    /// git's.
    pub fn changed(&self, from: &str, to: &str) -> Result<BTreeSet<String>> {
        self.diff(from, to, "--diff-filter=ACDMTUX")
    }

    /// The same, without those that `to` no longer has.
    fn written(&self, from: &str, to: &str) -> Result<BTreeSet<String>> {
        self.diff(from, to, "--diff-filter=d")
    }

    fn diff(&self, from: &str, to: &str, filter: &str) -> Result<BTreeSet<String>> {
        let path = self.shadow.dir.path().join("changed");
        let output = format!("--output={}", path.display());
        let diff = self.shadow.git().args([
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            "--no-ext-diff",
            "--no-textconv",
        ]);
        self.shadow
            .ran(diff.args([output.as_str(), filter, from, to]))?;
        let list = fs::read(&path).host(|| format!("failed to read {}", path.display()))?;
        let names = list
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty());
        let names = names.map(|name| {
            String::from_utf8(name.to_vec()).map_err(|_| {
                let text = String::from_utf8_lossy(name).into_owned();
                Error::untestable(format!("{text:?} is no file name that can be built"))
            })
        });
        names.collect()
    }

    /// How much of one commit's build another's can do without, as a number of files to compile.
    ///
    /// # Errors
    /// git's.
    pub fn distance(&self, from: &str, to: &str) -> Result<usize> {
        let changed = self.changed(from, to)?;
        let files = changed.iter().map(|name| match name.ends_with(".h") {
            true => HEADER,
            false => 1,
        });
        Ok(files.sum())
    }

    /// A commit's whole tree.
    ///
    /// # Errors
    /// git's, and the file system's.
    pub fn export(&self, commit: &str) -> Result<SourceTree> {
        let what = format!("{} at {commit:.12}", self.tree.display());
        self.ways.step(&what, || {
            let treeish = format!("{commit}^{{tree}}");
            self.shadow
                .export(&treeish, Some(commit.to_owned()), what.clone())
        })
    }

    /// A commit's tree as links to `base`, another commit's whole tree, and what differs. What
    /// differs from `after` is newer than anything built of that so far.
    ///
    /// # Errors
    /// git's, and the file system's.
    pub fn tree(
        &self,
        commit: &str,
        (base, base_tree): (&str, &SourceTree),
        after: &str,
    ) -> Result<CommitTree> {
        let treeish = format!("{commit}^{{tree}}");
        let id = self.shadow.id(&treeish)?;
        let changed = self.changed(after, commit)?;
        let mut own = self.changed(base, commit)?;
        // Linked files have base's times: what is to be newer must be the commit's own.
        own.extend(changed.iter().cloned());
        let key = hex_sha256(&[RECIPE, &id, &base_tree.hash, after].map(str::as_bytes));
        let fill = |to: &Path| {
            patch::link_farm(
                &base_tree.path,
                to,
                &own.iter().map(PathBuf::from).collect(),
                self.ways.cancel,
            )?;
            let mut written = self.written(base, commit)?;
            written.extend(self.written(after, commit)?);
            // Where a folder is left git would refuse to write a file.
            written
                .iter()
                .try_for_each(|name| patch::make_way(&to.join(name)))?;
            self.shadow.check_out(&id, to, Some(&written))?;
            links_inside(to).map_err(|error| match error.fault() {
                // The commit's own doing.
                Fault::Input => Error::untestable(error.chain()),
                _ => error,
            })?;
            let same = own.difference(&changed);
            age(to, same, self.ways.cancel)
        };
        let entry = self
            .ways
            .cache
            .entry(Kind::Tree, &key, self.ways.cancel, fill)?;
        Ok(CommitTree {
            path: entry.path.clone(),
            hash: tree_hash(&id),
            changed: changed.into_iter().collect(),
            _entries: vec![entry],
        })
    }
}

/// Makes files older than any object: what was compiled elsewhere had the same contents.
fn age<'n>(top: &Path, names: impl Iterator<Item = &'n String>, cancel: &Cancel) -> Result<()> {
    let old = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    for name in names {
        cancel.check()?;
        let path = top.join(name);
        let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
        if is_file {
            let aged = File::open(&path).and_then(|file| file.set_times(old));
            aged.host(|| format!("failed to set the time of {}", path.display()))?;
        }
    }
    Ok(())
}

/// `git rev-list --parents`, oldest first.
fn range(good: String, bad: &str, lines: &[String], between: &Between) -> Result<Range> {
    let mut commits = Vec::with_capacity(lines.len());
    let mut positions = BTreeMap::new();
    let mut parents = Vec::with_capacity(lines.len());
    for line in lines {
        let mut ids = line.split(' ');
        // What git says on stderr comes here too.
        let Some(commit) = ids.next().filter(|id| is_id(id)) else {
            continue;
        };
        let most = if between.first_parent { 1 } else { usize::MAX };
        // Those in the good commit's history are not listed, and not in question.
        let known: Vec<usize> = ids
            .take(most)
            .filter_map(|id| positions.get(id).copied())
            .collect();
        positions.insert(commit.to_owned(), commits.len());
        commits.push(commit.to_owned());
        parents.push(known);
    }
    if commits.is_empty() {
        let error = Error::input(match between.paths.as_slice() {
            [] => "no commit lies between the good and the bad one".to_owned(),
            paths => format!("no commit between them touches {}", paths.join(", ")),
        });
        return Err(error.mend("give other revisions, or another --path"));
    }
    // With a path the last that touches it has all that the bad one has of it; but the bad one is
    // what was said to be bad.
    let mut stand_ins = BTreeSet::new();
    if commits.last().is_some_and(|last| last != bad) {
        let tips = tips(&parents);
        commits.push(bad.to_owned());
        parents.push(tips);
        stand_ins.insert(bad.to_owned());
    }
    Ok(Range {
        good,
        commits,
        parents,
        stand_ins,
    })
}

/// A SHA-1 or a SHA-256 in hex.
pub(super) fn is_id(word: &str) -> bool {
    matches!(word.len(), 40 | 64) && word.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The commits that are nobody's parents.
fn tips(parents: &[Vec<usize>]) -> Vec<usize> {
    let inner: BTreeSet<usize> = parents.iter().flatten().copied().collect();
    (0..parents.len())
        .filter(|one| !inner.contains(one))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::Cache, event::Unwatched, source::Parent};

    fn git(tree: &Path, args: &[&str]) -> String {
        let git =
            Cmd::new("git").args(["-c", "user.name=T\u{1b}", "-c", "user.email=t@example.org"]);
        let git = git.args(["-c", "init.defaultBranch=main"]).args(args);
        let git = git.cwd(tree).env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.run_ok(&Cancel::new()).unwrap().text()
    }

    fn write(tree: &Path, file: &str, text: &str) {
        let path = tree.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn commit(tree: &Path, message: &str) -> String {
        git(tree, &["add", "--all"]);
        git(tree, &["commit", "--quiet", "--allow-empty", "-m", message]);
        git(tree, &["rev-parse", "HEAD"])
    }

    /// good - a - merge - last, with `side` from good merged; what is hostile in it must not run.
    fn tree(dir: &Path) -> (PathBuf, Vec<String>) {
        let tree = dir.join("tree");
        for file in ["Kconfig", "arch/x86/Kconfig", "fs/Kconfig", "kernel/fork.c"] {
            write(&tree, file, "one\n");
        }
        write(&tree, "Makefile", "VERSION = 7\nPATCHLEVEL = 3\n");
        git(&tree, &["init", "--quiet"]);
        let good = commit(&tree, "good");
        git(&tree, &["checkout", "--quiet", "-b", "side"]);
        write(&tree, "fs/side.c", "side\n");
        let side = commit(&tree, "side");
        git(&tree, &["checkout", "--quiet", "main"]);
        write(&tree, "fs/a.c", "a\n");
        fs::remove_file(tree.join("kernel/fork.c")).unwrap();
        let a = commit(&tree, "a");
        git(&tree, &["merge", "--quiet", "-m", "merge", "side"]);
        let merge = git(&tree, &["rev-parse", "HEAD"]);
        write(&tree, "fs/a.c", "b\n");
        let last = commit(&tree, "last \u{1b}[31m");
        let evil = format!("touch {}", dir.join("ran").display());
        let config = format!(
            "[core]\n\tfsmonitor = {evil}\n[filter \"evil\"]\n\tsmudge = {evil}\n\
             [log]\n\tshowSignature = true\n[gpg]\n\tprogram = {evil}\n"
        );
        fs::write(tree.join(".git/config"), config).unwrap();
        (tree, vec![good, side, a, merge, last])
    }

    fn files(top: &Path) -> Vec<String> {
        let walk = ignore::WalkBuilder::new(top)
            .standard_filters(false)
            .build();
        let files = walk.flatten().filter(|entry| entry.path().is_file());
        let mut names: Vec<String> = files
            .map(|file| file.path().strip_prefix(top).unwrap().display().to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_may_become_a_file_and_a_file_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = tree(dir.path());
        fs::write(path.join(".git/config"), "").unwrap();
        for file in [
            "dts/deep/er/x.dts",
            "dts/y.dts",
            "links/z.h",
            "plain",
            "kernel/y.c",
        ] {
            write(&path, file, "old\n");
        }
        let before = commit(&path, "before");
        for gone in ["dts", "links"] {
            fs::remove_dir_all(path.join(gone)).unwrap();
        }
        fs::remove_file(path.join("plain")).unwrap();
        write(&path, "dts", "new\n");
        std::os::unix::fs::symlink("kernel", path.join("links")).unwrap();
        write(&path, "plain/file", "new\n");
        let after = commit(&path, "after");

        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let ways = Ways {
            cache: &cache,
            cancel: &Cancel::new(),
            watcher: &Unwatched,
        };
        let commits = Commits::open(&path, ways).unwrap();
        for (from, to) in [(&before, &after), (&after, &before)] {
            let base = commits.export(from).unwrap();
            let whole = commits.export(to).unwrap();
            let linked = commits.tree(to, (from, &base), from).unwrap();
            assert_eq!(files(&linked.path), files(&whole.path));
            for name in files(&whole.path) {
                let read = |top: &Path| fs::read(top.join(&name)).unwrap();
                assert_eq!(read(&linked.path), read(&whole.path), "{name}");
            }
            let link = |top: &Path| fs::read_link(top.join("links")).ok();
            assert_eq!(link(&linked.path), link(&whole.path));
        }
    }

    #[test]
    fn the_commits_of_a_tree_that_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (path, ids) = tree(dir.path());
        let before = files(&path);
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let ways = Ways {
            cache: &cache,
            cancel: &Cancel::new(),
            watcher: &Unwatched,
        };
        let commits = Commits::open(&path, ways).unwrap();
        let mut between = Between {
            good: ids[0].clone(),
            bad: "main".into(),
            ..Between::default()
        };
        let all = commits.between(&between).unwrap();
        let position = |range: &Range, id: &String| range.commits.iter().position(|one| one == id);
        assert_eq!((all.commits.len(), all.commits.last()), (4, Some(&ids[4])));
        let merge = position(&all, &ids[3]).unwrap();
        let mut parents = all.parents[merge].clone();
        parents.sort_unstable();
        let mut expected = [&ids[1], &ids[2]].map(|id| position(&all, id).unwrap());
        expected.sort_unstable();
        assert_eq!(parents, expected);
        between.first_parent = true;
        let first = commits.between(&between).unwrap();
        assert_eq!(first.commits, [&ids[2], &ids[3], &ids[4]].map(Clone::clone));
        assert_eq!(first.parents, [vec![], vec![0], vec![1]]);
        between.first_parent = false;
        between.paths = vec!["fs/side.c".into()];
        let side = commits.between(&between).unwrap();
        // The bad one stands for all that is not listed.
        assert_eq!(side.commits, [&ids[1], &ids[4]].map(Clone::clone));
        assert_eq!(side.stand_ins, [ids[4].clone()].into());
        assert!(all.stand_ins.is_empty() && first.stand_ins.is_empty());

        // What the path left out right before a commit.
        between.paths = vec!["fs/a.c".into()];
        let mut range = commits.between(&between).unwrap();
        assert_eq!(range.commits, [&ids[2], &ids[4]].map(Clone::clone));
        let first = commits.real_parents(&range, &ids[2], &between).unwrap();
        assert!(first.is_empty() && !range.put_parents(&ids[2], &first));
        let last = commits.real_parents(&range, &ids[4], &between).unwrap();
        let merge = Parent {
            commit: ids[3].clone(),
            leads_to: Some(ids[2].clone()),
        };
        assert_eq!(last, [merge]);
        assert!(range.put_parents(&ids[4], &last) && range.stands_in(1));
        assert_eq!(range.parents, [vec![], vec![0], vec![1]]);

        let about = commits.about(&ids[4]).unwrap();
        assert_eq!(about.subject, "last \u{1b}[31m");
        for (good, bad) in [("main", "main"), ("main", "side"), ("side", "nothing")] {
            let wrong = Between {
                good: good.into(),
                bad: bad.into(),
                ..Between::default()
            };
            let error = commits.between(&wrong).unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Input, "{good} {bad}");
        }

        // A commit's tree is another's and what differs, and that is newer than what was built.
        let base = commits.export(&ids[0]).unwrap();
        let linked = commits.tree(&ids[4], (&ids[0], &base), &ids[3]).unwrap();
        assert_eq!(linked.changed, ["fs/a.c"]);
        let expected = [
            "Kconfig",
            "Makefile",
            "arch/x86/Kconfig",
            "fs/Kconfig",
            "fs/a.c",
            "fs/side.c",
        ];
        assert_eq!(files(&linked.path), expected);
        let text = fs::read_to_string(linked.path.join("fs/a.c")).unwrap();
        assert_eq!(text, "b\n");
        let modified = |name: &str| {
            fs::metadata(linked.path.join(name))
                .unwrap()
                .modified()
                .unwrap()
        };
        let side = modified("fs/side.c")
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(side.as_secs(), 1);
        assert!(modified("fs/a.c") > SystemTime::now() - Duration::from_secs(3600));
        assert_eq!(linked.hash, commits.tree_hash(&ids[4]).unwrap());

        assert_eq!(files(&path), before);
        assert!(
            !dir.path().join("ran").exists(),
            "the tree's own configuration was used"
        );
    }
}
