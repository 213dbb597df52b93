//! Kernel sources: a tree, a tarball or a Debian package, brought once into the cache.
//!
//! | file | job |
//! |---|---|
//! | `apt.rs` | apt with state folders of its own |
//! | `debian.rs` | the locked or the newest `linux-source-N` package |
//! | `lock.rs` | `kernel.lock`: the package that the tests use |
//! | `git.rs` | a git checkout, exported without using its configuration |
//! | `lender.rs` | what that borrows of the checkout's repository |
//! | `since.rs` | what leads from a revision to what is checked out |
//! | `range.rs` | the commits between two revisions, and their trees |
//! | `unlisted.rs` | what a path limit left out right before a commit |
//! | `folder.rs` | an unpacked tree or tarball |
//! | `identity.rs` | what a source is known by elsewhere, and how that very one is had again |
//! | `products.rs` | what a build left behind in it |
//! | `unread.rs` | whose fault it is that a source cannot be read, and what mends it |
//! | `kernel.rs` | what a kernel tree says of itself: version, Kconfig symbols |

mod apt;
mod debian;
mod folder;
mod git;
mod identity;
mod kernel;
mod lender;
#[cfg(test)]
mod lender_tests;
mod lock;
mod products;
mod range;
mod since;
mod unlisted;
mod unread;

use std::path::{Path, PathBuf};

use crate::{
    Error, Result,
    cache::{Cache, Entry},
    cancel::Cancel,
    event::{Event, Step, Watcher},
};

pub use debian::{Fit, is_package};
pub use identity::Identity;
pub use kernel::{Version, missing_symbols, release};
pub use lock::Lock;
pub use range::{About, Between, CommitTree, Commits, Range};
pub use since::Since;
pub use unlisted::Parent;

/// Which source is wanted.
#[derive(Debug, Clone)]
pub enum Request {
    /// A git checkout or an unpacked tree.
    Tree(PathBuf),
    /// A tarball.
    Tarball(PathBuf),
    /// A Debian package by name, in its newest version.
    Package(String),
    /// A Debian package: the locked one while a mirror has it, else the newest that fits.
    Debian(Option<Lock>),
}

/// A kernel's source, in the cache; nobody writes to it.
#[derive(Debug)]
pub struct SourceTree {
    /// Its top folder.
    pub path: PathBuf,
    /// `make kernelversion`, e.g. `7.3.4`.
    pub version: String,
    /// Where it came from, e.g. `linux-source-7.3 7.3.4-1~bpo13+1`.
    pub origin: String,
    /// What keys everything made from it, in hex.
    pub hash: String,
    /// What it is known by elsewhere.
    pub identity: Identity,
    // Keeps the entry from being cleared while it is in use.
    _entry: Entry,
}

/// What every way of getting a source needs.
#[derive(Clone, Copy)]
pub struct Ways<'a> {
    /// Where sources are kept.
    pub cache: &'a Cache,
    /// The user's wish to stop.
    pub cancel: &'a Cancel,
    /// Who watches.
    pub watcher: &'a dyn Watcher,
}

/// Brings the source into the cache. Where the choice is ours (a Debian package), `fits` says
/// whether a source will do; an error of its own ends the search.
///
/// # Errors
/// Bad input for what is no kernel, infrastructure for what cannot be had.
pub fn resolve(
    request: &Request,
    ways: Ways<'_>,
    fits: &dyn Fn(&SourceTree) -> Result<Fit>,
) -> Result<SourceTree> {
    match request {
        Request::Tree(path) => {
            // A sparse checkout lacks files that its commits have: what is exported is looked at.
            if path.join(".git").exists() {
                git::export(path, ways)
            } else {
                kernel::check(path)?;
                folder::export(path, ways)
            }
        }
        Request::Tarball(path) => folder::unpack(path, ways),
        Request::Package(name) => debian::named(name, ways),
        Request::Debian(lock) => debian::newest(lock.as_ref(), ways, fits),
    }
}

/// A git tree's revision as base, and what leads from there to what is checked out.
///
/// # Errors
/// Bad input for an unknown revision or no git tree.
pub fn since(tree: &Path, rev: &str, ways: Ways<'_>) -> Result<Since> {
    if !tree.join(".git").exists() {
        kernel::check(tree)?;
        let error = Error::input(format!("{} is not a git checkout", tree.display()));
        return Err(error.mend("--base needs one; give the change as --patch instead"));
    }
    since::since(tree, rev, ways)
}

/// The commit that a revision of a git tree is, `HEAD` for the one that it has checked out, whatever was
/// changed since; none for any other source.
///
/// # Errors
/// Bad input for an unknown revision.
pub fn commit_of(tree: &Path, rev: &str, ways: Ways<'_>) -> Result<Option<String>> {
    if !tree.join(".git").exists() {
        return Ok(None);
    }
    git::Shadow::new(tree, ways)?.resolve(rev).map(Some)
}

impl SourceTree {
    fn new(entry: Entry, origin: String, identity: Identity) -> Result<Self> {
        let version = kernel::version(&entry.path)?;
        Ok(Self {
            path: entry.path.clone(),
            version,
            origin,
            hash: identity.hash(),
            identity,
            _entry: entry,
        })
    }
}

impl Ways<'_> {
    /// Tells the watcher of a step over `what`, from its beginning to its end.
    fn step<T>(&self, what: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let what = what.to_owned();
        self.watcher.event(&Event::Started {
            step: Step::Source,
            what: what.clone(),
        });
        let result = body();
        let how = match &result {
            Ok(_) => "ready".to_owned(),
            Err(error) => format!("failed: {error}"),
        };
        self.watcher.event(&Event::Ended {
            step: Step::Source,
            what,
            how,
        });
        result
    }
}
