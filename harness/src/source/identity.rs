//! What a source is known by elsewhere, and how that very one is had again.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use super::{Lock, SourceTree, Ways, debian, folder, git};
use crate::{Error, Result, cache::Kind, hash::is_hex_sha256};

/// A source, by what it holds; no path of the host that it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Identity {
    /// A Debian package.
    Debian(Lock),
    /// Files that git tracks.
    Git {
        /// The tree's object id.
        tree: String,
        /// A commit that has this tree; none where changes were not committed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
    },
    /// An unpacked tree.
    Folder {
        /// The hash of its files, in hex.
        hash: String,
    },
    /// A tarball.
    Tarball {
        /// SHA-256 of the file, in hex.
        sha256: String,
    },
}

impl Identity {
    /// What keys everything made from it, in hex.
    pub fn hash(&self) -> String {
        match self {
            Self::Debian(package) => debian::hash(package),
            Self::Git { tree, .. } => git::tree_hash(tree),
            Self::Folder { hash } => hash.clone(),
            Self::Tarball { sha256 } => folder::tarball_hash(sha256),
        }
    }

    /// The git commit whose tree it is; none for what is not committed, or comes from elsewhere.
    pub fn commit(&self) -> Option<&str> {
        match self {
            Self::Git { commit, .. } => commit.as_deref(),
            Self::Debian(_) | Self::Folder { .. } | Self::Tarball { .. } => None,
        }
    }

    /// What it lies under in the cache.
    pub(super) fn key(&self) -> String {
        let hash = || self.hash();
        match self {
            Self::Debian(package) => debian::key(package),
            Self::Git { .. } => format!("git-{}", hash()),
            Self::Folder { .. } => format!("tree-{}", hash()),
            Self::Tarball { .. } => format!("tar-{}", hash()),
        }
    }

    /// Whether it is as we write it: it may come from anybody.
    ///
    /// # Errors
    /// Bad input.
    pub fn check(&self) -> Result<()> {
        let good = match self {
            Self::Debian(package) => package.names_a_kernel(),
            Self::Git { tree, commit } => [Some(tree), commit.as_ref()]
                .into_iter()
                .flatten()
                .all(|id| is_object_id(id)),
            Self::Folder { hash } | Self::Tarball { sha256: hash } => is_hex_sha256(hash),
        };
        match good {
            true => Ok(()),
            false => Err(Error::input(format!("{self:?} identifies no source"))),
        }
    }

    /// That very source: from the cache, from the tree or tarball that the user gives, or from a
    /// mirror.
    ///
    /// # Errors
    /// Bad input where it is to be had from none of them.
    pub fn find(&self, given: Option<&Path>, ways: Ways<'_>) -> Result<SourceTree> {
        self.check()?;
        if let Some(entry) = ways.cache.get(Kind::Source, &self.key(), ways.cancel)? {
            return SourceTree::new(entry, self.to_string(), self.clone());
        }
        if let Some(given) = given {
            return self.of_the_users(given, ways);
        }
        let here = match self {
            Self::Debian(package) => debian::locked(package, ways)?,
            Self::Git { .. } | Self::Folder { .. } | Self::Tarball { .. } => None,
        };
        here.ok_or_else(|| self.missing("is not to be had here"))
    }

    /// The tree or tarball that the user gives, if it is this source, or holds it.
    fn of_the_users(&self, given: &Path, ways: Ways<'_>) -> Result<SourceTree> {
        if let Self::Git { tree, commit } = self
            && given.join(".git").exists()
        {
            let shadow = git::Shadow::new(given, ways)?;
            return match shadow.has(tree)? {
                true => shadow.export(tree, commit.clone(), given.display().to_string()),
                false => Err(self.missing(&format!("is not in {}", given.display()))),
            };
        }
        let request = match given.is_file() {
            true => super::Request::Tarball(given.to_owned()),
            false => super::Request::Tree(given.to_owned()),
        };
        let source = super::resolve(&request, ways, &|_| Ok(super::Fit::Yes))?;
        match source.hash == self.hash() {
            true => Ok(source),
            false => Err(self.missing(&format!("is not {}", given.display()))),
        }
    }

    fn missing(&self, how: &str) -> Error {
        let mend = match self {
            Self::Debian(_) => {
                "where no mirror has it any more, take a bundle made with --kernel-image"
            }
            Self::Git {
                commit: Some(_), ..
            } => {
                "fetch that commit into a git tree and give it with --kernel TREE, or take a \
                 bundle made with --kernel-image"
            }
            Self::Git { commit: None, .. } => {
                "it had changes that were not committed: take a bundle made with --kernel-image"
            }
            Self::Folder { .. } | Self::Tarball { .. } => {
                "give that very tree or tarball with --kernel, or take a bundle made with \
                 --kernel-image"
            }
        };
        Error::input(format!("the kernel's source, {self}, {how}")).mend(mend)
    }
}

/// An object's name in git.
fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian(Lock { package, version }) => write!(f, "{package} {version}"),
            Self::Git {
                commit: Some(commit),
                ..
            } => write!(f, "git's commit {commit:.12}"),
            Self::Git { tree, commit: None } => write!(f, "git's tree {tree:.12}"),
            Self::Folder { hash } => write!(f, "a tree of files whose hash is {hash:.12}"),
            Self::Tarball { sha256 } => write!(f, "a tarball whose SHA-256 is {sha256:.12}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{cache::Cache, cancel::Cancel, event::Unwatched, host::Cmd};

    fn toy(dir: &Path) {
        for (path, text) in [
            ("Makefile", "VERSION = 7\nPATCHLEVEL = 3\n"),
            ("Kconfig", ""),
            ("arch/x86/Kconfig", ""),
            ("kernel/fork.c", "int fork;\n"),
            ("fs/Kconfig", ""),
        ] {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn git(tree: &Path, words: &[&str]) -> String {
        let own = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let git = Cmd::new("git").args(own).args(words).cwd(tree);
        git.run_ok(&Cancel::new()).unwrap().text()
    }

    #[test]
    fn what_identifies_no_source_is_refused() {
        let hex = "a".repeat(64);
        let lock = |package: &str, version: &str| {
            Identity::Debian(Lock {
                package: package.into(),
                version: version.into(),
            })
        };
        let git = |tree: &str, commit: Option<&str>| Identity::Git {
            tree: tree.into(),
            commit: commit.map(str::to_owned),
        };
        let table = [
            (lock("linux-source-7.3", "7.3.4-1~bpo13+1"), true),
            (lock("bash", "5"), false),
            (lock("linux-source-7.3", "--option=$(id)"), false),
            (git(&"a".repeat(40), None), true),
            (git("HEAD", None), false),
            (git(&"a".repeat(40), Some("--upload-pack=x")), false),
            (Identity::Folder { hash: hex.clone() }, true),
            (
                Identity::Folder {
                    hash: "../x".into(),
                },
                false,
            ),
            (Identity::Tarball { sha256: hex }, true),
            (Identity::Tarball { sha256: "".into() }, false),
        ];
        for (identity, good) in table {
            assert_eq!(identity.check().is_ok(), good, "{identity:?}");
            let text = serde_json::to_string(&identity).unwrap();
            assert_eq!(serde_json::from_str::<Identity>(&text).unwrap(), identity);
        }
    }

    #[test]
    fn the_very_source_is_found_again_or_missed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        toy(&tree);
        git(&tree, &["init", "--quiet"]);
        git(&tree, &["add", "."]);
        git(&tree, &["commit", "--quiet", "-m", "one"]);
        let ways = |cache| Ways {
            cache,
            cancel: Box::leak(Box::new(Cancel::new())),
            watcher: &Unwatched,
        };
        let cache = |name: &str| Cache::at(&dir.path().join(name)).unwrap();
        let there = cache("there");
        let request = super::super::Request::Tree(tree.clone());
        let any = |_: &SourceTree| Ok(super::super::Fit::Yes);
        let was = super::super::resolve(&request, ways(&there), &any).unwrap();
        let Identity::Git {
            commit: Some(commit),
            ..
        } = &was.identity
        else {
            panic!("{:?}", was.identity);
        };
        assert_eq!(*commit, git(&tree, &["rev-parse", "HEAD"]));
        assert_eq!(
            super::super::commit_of(&tree, "HEAD", ways(&there))
                .unwrap()
                .as_ref(),
            Some(commit)
        );

        // The user's tree has gone on; git still has what it was.
        fs::write(tree.join("kernel/fork.c"), "int spoon;\n").unwrap();
        let here = cache("here");
        let missing = was.identity.find(None, ways(&here)).unwrap_err();
        assert!(missing.to_string().contains("not to be had"), "{missing}");
        let again = was.identity.find(Some(&tree), ways(&here)).unwrap();
        assert_eq!(again.hash, was.hash);
        let read = fs::read_to_string(again.path.join("kernel/fork.c")).unwrap();
        assert_eq!(read, "int fork;\n");
        drop(again);
        was.identity.find(None, ways(&here)).unwrap();

        // Changes that were not committed are nowhere else.
        let changed = super::super::resolve(&request, ways(&there), &any).unwrap();
        let Identity::Git { commit: None, .. } = &changed.identity else {
            panic!("{:?}", changed.identity);
        };
        let missing = changed.identity.find(Some(&tree), ways(&here)).unwrap_err();
        assert!(missing.to_string().contains("is not in"), "{missing}");

        fs::remove_dir_all(tree.join(".git")).unwrap();
        let folder = super::super::resolve(&request, ways(&there), &any).unwrap();
        let again = folder.identity.find(Some(&tree), ways(&here)).unwrap();
        assert_eq!(again.hash, folder.hash);
        let other = was.identity.find(Some(&tree), ways(&cache("other")));
        assert!(
            other.unwrap_err().to_string().contains("is not"),
            "another tree"
        );
    }
}
