//! A commit's kernel: from the cache, or built on what the nearest other commit's build left.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    Error, Fault, Result,
    build::{Builder, ConfigText, Following, KernelImage, Origin, Source},
    collect::Recipe,
    patch::Series,
    source::{self, Commits, SourceTree, Ways, release},
};

/// Build folders that are kept for others to go on from: a gigabyte or two each.
const KEPT: usize = 3;

/// A kernel, or why there is none.
pub(super) type Image = std::result::Result<KernelImage, Failed>;

/// Why there is no kernel of a commit.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) why: String,
    /// What mends it, or where more of it is said.
    pub(super) mend: Option<String>,
    /// It was tried to be built, and was not merely without what is asked for.
    pub(super) compiled: bool,
}

/// The kernels of a bisect.
pub(super) struct Kernels<'a> {
    commits: &'a Commits<'a>,
    /// Where boots leave their folders.
    boots: PathBuf,
    builder: Builder<'a>,
    stack: ConfigText,
    /// Kconfig symbols that must be there.
    requires: Vec<String>,
    /// The commit to whose tree all others are linked, and its tree.
    base: (String, SourceTree),
    images: BTreeMap<String, Image>,
    /// Commits whose build folders are there, the newest last.
    folders: Vec<String>,
}

impl<'a> Kernels<'a> {
    /// `base` is a commit near all others, from the same origin; `earlier` those that an earlier session built, in order.
    pub(super) fn new(
        commits: &'a Commits<'a>,
        boots: &Path,
        (base, origin): (&str, &Origin<'_>),
        stack: ConfigText,
        requires: Vec<String>,
        earlier: impl Iterator<Item = String>,
        ways: Ways<'a>,
    ) -> Result<Self> {
        let tree = commits.export(base)?;
        // One question for all of them: a line more from some commit on would make that the culprit.
        let stack = stack.of_version(release(&tree.path)?);
        let mut kernels = Self {
            builder: Builder::new(ways.cache, ways.cancel, ways.watcher)?.reusing(origin)?,
            base: (base.to_owned(), tree),
            images: BTreeMap::new(),
            folders: Vec::new(),
            boots: boots.to_owned(),
            commits,
            stack,
            requires,
        };
        for commit in std::iter::once(base.to_owned()).chain(earlier) {
            kernels.folders.retain(|one| *one != commit);
            let hash = commits.tree_hash(&commit)?;
            if kernels
                .builder
                .can_follow(&kernels.source(&hash), &kernels.stack)?
            {
                kernels.folders.push(commit);
            }
        }
        Ok(kernels)
    }

    /// A commit's kernel, and how long its build took; none where it was there.
    pub(super) fn kernel(&mut self, commit: &str) -> Result<(Image, Option<Duration>)> {
        if let Some(known) = self.images.get(commit) {
            return Ok((known.clone(), None));
        }
        let began = Instant::now();
        let hash = self.commits.tree_hash(commit)?;
        let cached = self.builder.has(&self.source(&hash), &self.stack)?;
        let image = self.make(commit, &hash, cached)?;
        if let Ok(image) = &image {
            let recipe = self.recipe(commit)?;
            recipe.write(&Recipe::folder(&self.boots, &image.key))?;
        }
        self.images.insert(commit.to_owned(), image.clone());
        Ok((image, (!cached).then(|| began.elapsed())))
    }

    /// What its kernel is made of, for a trial to be repeated from.
    fn recipe(&self, commit: &str) -> Result<Recipe> {
        Ok(Recipe {
            source: self.commits.identity(commit)?,
            asked: self.stack.clone(),
            series: Series::new(Vec::new()),
        })
    }

    /// What git says of a commit's files is the tree's to mend, and no reason to skip the commit.
    fn make(&mut self, commit: &str, hash: &str, cached: bool) -> Result<Image> {
        let name: String = commit.chars().take(12).collect();
        let (base, base_tree) = &self.base;
        if cached || commit == base {
            if !cached && let Err(error) = self.check_requires(&base_tree.path) {
                return failed(error);
            }
            let tree = Following {
                name: &name,
                source: self.source(hash),
                after: None,
            };
            return match self.builder.following(&tree, &self.stack) {
                Ok(image) => self.keep(commit, image, cached),
                Err(error) => failed(error),
            };
        }
        let after = match self.nearest(commit) {
            Err(error) if error.fault() == Fault::Untestable => return failed(error),
            after => after?,
        };
        let from = after.as_deref().unwrap_or(base);
        let tree = match self.commits.tree(commit, (base, base_tree), from) {
            Err(error) if error.fault() == Fault::Untestable => return failed(error),
            tree => tree?,
        };
        if let Err(error) = self.check_requires(&tree.path) {
            return failed(error);
        }
        let after_hash = self.commits.tree_hash(from)?;
        let after = after.map(|_| (self.source(&after_hash), tree.changed.as_slice()));
        let following = Following {
            name: &name,
            source: Source {
                path: &tree.path,
                hash: &tree.hash,
                as_it_came: true,
            },
            after,
        };
        match self.builder.following(&following, &self.stack) {
            Ok(image) => self.keep(commit, image, false),
            Err(error) => failed(error),
        }
    }

    /// A kernel without what the scenario requires cannot be tried.
    fn check_requires(&self, tree: &Path) -> Result<()> {
        let missing = source::missing_symbols(tree, &self.requires)?;
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", no CONFIG_");
        Err(Error::input(format!("it has no CONFIG_{missing}")))
    }

    /// Keeps the newest build folders.
    fn keep(&mut self, commit: &str, image: KernelImage, cached: bool) -> Result<Image> {
        if !cached {
            self.folders.push(commit.to_owned());
            while self.folders.len() > KEPT {
                let hash = self.commits.tree_hash(&self.folders.remove(0))?;
                self.builder.forget(&self.source(&hash), &self.stack)?;
            }
        }
        Ok(Ok(image))
    }

    /// The commit with a build folder from which the fewest files are to be compiled.
    fn nearest(&self, commit: &str) -> Result<Option<String>> {
        let mut best: Option<(usize, &String)> = None;
        for one in &self.folders {
            let hash = self.commits.tree_hash(one)?;
            if !self.builder.can_follow(&self.source(&hash), &self.stack)? {
                continue;
            }
            let distance = self.commits.distance(one, commit)?;
            if best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, one));
            }
        }
        Ok(best.map(|(_, one)| one.clone()))
    }

    /// A source of which only the hash matters, or which is the base's.
    fn source<'s>(&'s self, hash: &'s str) -> Source<'s> {
        Source {
            path: &self.base.1.path,
            hash,
            as_it_came: true,
        }
    }
}

/// A commit without a kernel, where that is the commit's own doing.
fn failed(error: Error) -> Result<Image> {
    match error.fault() {
        fault @ (Fault::Untestable | Fault::Input) => Ok(Err(Failed {
            why: error.chain(),
            mend: error.mending().map(str::to_owned),
            compiled: fault == Fault::Untestable,
        })),
        Fault::Infrastructure | Fault::Interrupted => Err(error),
    }
}
