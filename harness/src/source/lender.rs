//! What our own repository borrows of a checkout's: its objects, revisions and index. Of its
//! configuration nothing is used.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{Error, Result, error::Context};

/// Files of a git folder that name revisions.
const REFS: [&str; 7] = [
    "HEAD",
    "FETCH_HEAD",
    "ORIG_HEAD",
    "packed-refs",
    "refs",
    REFTABLE,
    SHALLOW,
];
/// The commits of which a shallow clone has no parents.
const SHALLOW: &str = "shallow";
/// Where the newer of git's two formats keeps them; a worktree has one of its own besides.
const REFTABLE: &str = "reftable";
/// How files are called that an index is split into.
const SHARED_INDEX: &str = "sharedindex.";

/// A checkout's repository.
pub(super) struct Lender {
    /// The checkout's own state.
    own: PathBuf,
    /// What its repository's checkouts share.
    common: PathBuf,
}

impl Lender {
    pub(super) fn of(tree: &Path) -> Result<Self> {
        let git = tree.join(".git");
        let failed = || format!("failed to read {}", git.display());
        let own = if git.is_file() {
            let text = fs::read_to_string(&git).input(failed)?;
            let path = text.trim().strip_prefix("gitdir: ").ok_or_else(|| {
                Error::input(format!("{} names no git folder", git.display()))
                    .mend("is this a git worktree?")
            })?;
            tree.join(path)
        } else {
            git.clone()
        };
        let common = match fs::read_to_string(own.join("commondir")) {
            Ok(text) => own.join(text.trim()),
            Err(_) => own.clone(),
        };
        let resolve = |path: PathBuf| {
            path.canonicalize()
                .input(|| format!("failed to resolve {}", path.display()))
        };
        Ok(Self {
            own: resolve(own)?,
            common: resolve(common)?,
        })
    }

    /// How `git init` makes a repository that can hold what is lent.
    pub(super) fn formats(&self) -> Vec<&'static str> {
        let objects = match self.is_sha256() {
            true => "--object-format=sha256",
            false => "--object-format=sha1",
        };
        let refs = self.has_reftable().then_some("--ref-format=reftable");
        std::iter::once(objects).chain(refs).collect()
    }

    pub(super) fn has_reftable(&self) -> bool {
        self.common.join(REFTABLE).is_dir()
    }

    /// Whether it fetched only some objects, and would fetch others when they are asked for.
    pub(super) fn is_partial(&self) -> bool {
        let packs = fs::read_dir(self.common.join("objects/pack"));
        let mut packs = packs.into_iter().flatten().flatten();
        packs.any(|file| file.path().extension().is_some_and(|e| e == "promisor"))
    }

    /// The commits that look as if nothing came before them, because it was not fetched.
    pub(super) fn cut_off(&self) -> BTreeSet<String> {
        let list = fs::read_to_string(self.common.join(SHALLOW)).unwrap_or_default();
        list.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// Lends to a repository in `repo` that was made for it, with its index in `index`; gives the git
    /// folder to use. That is another one, in `own`, where a worktree's revisions cannot lie among
    /// those that all share.
    pub(super) fn lend(&self, repo: &Path, index: &Path, own: &Path) -> Result<PathBuf> {
        let failed = || format!("failed to borrow the objects of {}", self.common.display());
        let info = repo.join("objects/info");
        fs::create_dir_all(&info).host(failed)?;
        let objects = format!("{}\n", self.common.join("objects").display());
        fs::write(info.join("alternates"), objects).host(failed)?;
        let apart = self.has_reftable() && self.own != self.common;
        let git = match apart {
            true => own.to_owned(),
            false => repo.to_owned(),
        };
        if apart {
            fs::create_dir_all(&git).host(failed)?;
            let shared = format!("{}\n", repo.display());
            fs::write(git.join("commondir"), shared).host(failed)?;
        }
        for (from, to) in [(&self.common, repo), (&self.own, &git)] {
            for name in REFS {
                copy(&from.join(name), &to.join(name)).host(failed)?;
            }
        }
        // With the tree's own index git need not read every file again.
        copy(&self.own.join("index"), index).host(failed)?;
        for file in fs::read_dir(&self.own).host(failed)? {
            let name = file.host(failed)?.file_name();
            if name.to_string_lossy().starts_with(SHARED_INDEX) {
                copy(&self.own.join(&name), &git.join(&name)).host(failed)?;
            }
        }
        Ok(git)
    }

    /// Read as text: git itself would follow what else the file says.
    fn is_sha256(&self) -> bool {
        let text = fs::read_to_string(self.common.join("config")).unwrap_or_default();
        text.lines().any(|l| {
            l.to_ascii_lowercase().replace(char::is_whitespace, "") == "objectformat=sha256"
        })
    }
}

/// Copies a file or a folder of files, links left out; nothing where there is nothing. Files keep their
/// times: one that was changed in the very moment that its entry was made git tells by the index's.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(meta) = from.symlink_metadata() else {
        return Ok(());
    };
    if meta.is_file() {
        let mut source = File::open(from)?;
        // Of what is read, as it may be replaced by now.
        let modified = source.metadata()?.modified()?;
        let mut target = File::create(to)?;
        io::copy(&mut source, &mut target)?;
        return target.set_modified(modified);
    }
    if meta.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
