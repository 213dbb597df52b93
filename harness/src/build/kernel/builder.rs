//! Builds base in a folder that is kept, a variant on a copy of it, and keeps both images in the cache.

use std::{fs, path::Path, sync::Mutex, time::Instant};

use super::{
    folder,
    kbuild::KCFLAGS,
    one::{Build, Name},
};
use crate::{
    Result,
    build::{
        KernelImage,
        kconfig::ConfigText,
        objects::{Objects, Origin, may_add},
        sandbox::{Sandbox, Toolchain},
    },
    cache::{Cache, Entry, Kind},
    cancel::Cancel,
    error::Context,
    event::{Event, Step, Watcher},
    hash::hex_sha256,
    patch::Series,
};

/// Raised when what lies in the cache changes its form or its making.
const FORMAT: &str = "1";

/// A kernel tree.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its folder.
    pub path: &'a Path,
    /// What it holds, in hex.
    pub hash: &'a str,
    /// Whether it is as it came from its origin: nobody put a patch on it.
    pub as_it_came: bool,
}

/// The tree with a series applied.
#[derive(Debug, Clone, Copy)]
pub struct Patched<'a> {
    /// The variant's name.
    pub name: &'a str,
    /// Its folder: base's files with their times, and the patched ones.
    pub path: &'a Path,
    /// What was applied.
    pub series: &'a Series,
}

/// A tree whose build goes on from another's.
#[derive(Debug, Clone, Copy)]
pub struct Following<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// The tree.
    pub source: Source<'a>,
    /// The one that is built already, and the files that differ from it: theirs in the tree are
    /// newer, all others are not.
    pub after: Option<(Source<'a>, &'a [String])>,
}

/// Builds kernels.
pub struct Builder<'a> {
    pub(super) cache: &'a Cache,
    pub(super) cancel: &'a Cancel,
    watcher: &'a dyn Watcher,
    sandbox: Sandbox,
    toolchain: Toolchain,
    /// What was compiled before of the sources' origin.
    objects: Option<Objects>,
    /// Entries in use stay in the cache as long as their builder lives.
    held: Mutex<Vec<Entry>>,
}

impl<'a> Builder<'a> {
    /// A builder with the sandbox that this host allows.
    ///
    /// # Errors
    /// No sandbox, or no compiler in it; without a sandbox, a cache whose path kbuild does not take.
    pub fn new(cache: &'a Cache, cancel: &'a Cancel, watcher: &'a dyn Watcher) -> Result<Self> {
        let sandbox = Sandbox::choose(cancel)?;
        Self::within(sandbox, cache, cancel, watcher)
    }

    pub(super) fn within(
        sandbox: Sandbox,
        cache: &'a Cache,
        cancel: &'a Cancel,
        watcher: &'a dyn Watcher,
    ) -> Result<Self> {
        sandbox.check_cache(cache.root())?;
        if sandbox == Sandbox::None {
            let note = "kernels are built without a sandbox, as KTWIN_NO_SANDBOX=1 says";
            watcher.event(&Event::Warning(note.into()));
        }
        let scratch = cache.temp()?;
        let toolchain = sandbox.toolchain(scratch.path(), cancel)?;
        Ok(Self {
            cache,
            cancel,
            watcher,
            sandbox,
            toolchain,
            objects: None,
            held: Mutex::default(),
        })
    }

    /// Takes objects that were compiled before from those of the origin of all sources that it is given,
    /// where the host has ccache; only sources as they came from there add to them.
    ///
    /// # Errors
    /// The cache's, an interruption.
    pub fn reusing(mut self, origin: &Origin<'_>) -> Result<Self> {
        self.objects = Objects::of(origin, &self.sandbox, self.cache, self.cancel)?;
        Ok(self)
    }

    /// The tools that kernels are made with.
    pub fn toolchain(&self) -> &Toolchain {
        &self.toolchain
    }

    /// The kernel of a tree, or of a patched one, with a config; from the cache where it lies there.
    ///
    /// # Errors
    /// A config line is bad or lost; the kernel does not compile (base: infrastructure's fault,
    /// variant: untestable), with the compiler's own lines and the log's path.
    pub fn kernel(
        &self,
        source: &Source<'_>,
        patched: Option<&Patched<'_>>,
        config: &ConfigText,
    ) -> Result<KernelImage> {
        let name = Name::new(config, patched.map(|p| p.name));
        self.told(&name.what, || self.keep(source, patched, &name))
    }

    /// Tells of a step's begin and end. `work` gives its result, and whether it was made just now.
    pub(super) fn told<T>(
        &self,
        what: &str,
        work: impl FnOnce() -> Result<(T, bool)>,
    ) -> Result<T> {
        let (step, started) = (Step::Build, Instant::now());
        let tell = |event: Event| self.watcher.event(&event);
        tell(Event::Started {
            step,
            what: what.into(),
        });
        let result = work();
        let how = match &result {
            Ok((_, true)) => format!("{} s", started.elapsed().as_secs()),
            Ok((_, false)) => "cached".into(),
            Err(error) => format!("failed: {}", error.to_string().lines().next().unwrap_or("")),
        };
        tell(Event::Ended {
            step,
            what: what.into(),
            how,
        });
        result.map(|(made, _)| made)
    }

    /// The image, and whether it was made just now.
    fn keep(
        &self,
        source: &Source<'_>,
        patched: Option<&Patched<'_>>,
        name: &Name<'_>,
    ) -> Result<(KernelImage, bool)> {
        // Also of a cached kernel: a bad line is an error every time.
        name.config.requests()?;
        let key = self.key(source, patched, name.config);
        let entry = match self.cache.get(Kind::Kernel, &key, self.cancel)? {
            Some(entry) => entry,
            None => {
                let asked = base_config(source, patched, name.config)?;
                let base = self.base(source, &asked, name)?;
                let fill = |image: &Path| match patched {
                    None => share_image(&base.path.join(IMAGE), image),
                    Some(patched) => {
                        let adds = may_add(source, Some(patched));
                        let base = base.path.join(BUILD);
                        self.variant(&base, patched, image, (&key, name, adds))
                    }
                };
                self.cache.entry(Kind::Kernel, &key, self.cancel, fill)?
            }
        };
        self.hold(entry)
    }

    /// An entry's image, which stays as long as the builder, and whether it was made just now.
    fn hold(&self, entry: Entry) -> Result<(KernelImage, bool)> {
        let image = KernelImage::load(&entry.path)?;
        let fresh = entry.fresh;
        if let Ok(mut held) = self.held.lock() {
            held.push(entry);
        }
        Ok((image, fresh))
    }

    /// The kernel of one of many trees of which each is much like the last; from the cache where it
    /// lies there. Its build folder is kept for the next.
    ///
    /// # Errors
    /// As [`Builder::kernel`], and what fails is untestable: nothing else says whose fault it is. A
    /// tree that the config does not fit, or that gives no kernel which QEMU starts, is bad input.
    pub fn following(&self, tree: &Following<'_>, config: &ConfigText) -> Result<KernelImage> {
        let name = Name::of_commit(config, tree.name);
        self.told(&name.what, || self.follow(tree, &name))
    }

    /// Whether the kernel of such a tree is in the cache; one that is stays as long as the builder.
    ///
    /// # Errors
    /// The cache's.
    pub fn has(&self, source: &Source<'_>, config: &ConfigText) -> Result<bool> {
        let keys = [
            self.key(source, None, config),
            self.following_key(source, config),
        ];
        for key in keys {
            if let Some(entry) = self.cache.get(Kind::Kernel, &key, self.cancel)? {
                // Whoever is told so brings no tree of it along, from which it could be made again.
                if let Ok(mut held) = self.held.lock() {
                    held.push(entry);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the build folder of such a tree is in the cache, for another to go on from.
    ///
    /// # Errors
    /// The cache's.
    pub fn can_follow(&self, source: &Source<'_>, config: &ConfigText) -> Result<bool> {
        let key = self.following_key(source, config);
        Ok(self.cache.get(Kind::BuildDir, &key, self.cancel)?.is_some())
    }

    /// Gives a tree's build folder back.
    ///
    /// # Errors
    /// The cache's.
    pub fn forget(&self, source: &Source<'_>, config: &ConfigText) -> Result<()> {
        let key = self.following_key(source, config);
        self.cache.remove(Kind::BuildDir, &key).map(drop)
    }

    fn follow(&self, tree: &Following<'_>, name: &Name<'_>) -> Result<(KernelImage, bool)> {
        let config = name.config;
        config.requests()?;
        let whole = self.cache.get(
            Kind::Kernel,
            &self.key(&tree.source, None, config),
            self.cancel,
        )?;
        let key = self.following_key(&tree.source, config);
        let entry = match whole {
            Some(entry) => entry,
            None => self.cache.entry(Kind::Kernel, &key, self.cancel, |image| {
                let fill = |dir: &Path| self.fill_following(tree, name, dir, &key);
                let built = self.cache.entry(Kind::BuildDir, &key, self.cancel, fill)?;
                share_image(&built.path.join(IMAGE), image)
            })?,
        };
        self.hold(entry)
    }

    fn fill_following(
        &self,
        tree: &Following<'_>,
        name: &Name<'_>,
        dir: &Path,
        key: &str,
    ) -> Result<()> {
        let (build, image) = (dir.join(BUILD), dir.join(IMAGE));
        fs::create_dir(&image).host(|| format!("failed to make {}", image.display()))?;
        let from = match tree.after {
            None => None,
            Some((after, _)) => {
                let key = self.following_key(&after, name.config);
                self.cache.get(Kind::BuildDir, &key, self.cancel)?
            }
        };
        match (from, tree.after) {
            (Some(from), Some((_, changed))) => {
                folder::copy(&from.path.join(BUILD), &build, self.cancel)?;
                let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
                folder::touch(tree.source.path, &changed)?;
            }
            _ => fs::create_dir(&build).host(|| format!("failed to make {}", build.display()))?,
        }
        let adds = may_add(&tree.source, None);
        self.build(tree.source.path, &build, name, adds)
            .run(&image, key)
    }

    /// Never a base's key: makefiles of other commits wrote into such a folder.
    fn following_key(&self, source: &Source<'_>, config: &ConfigText) -> String {
        hex_sha256(&[b"following", self.key(source, None, config).as_bytes()])
    }

    pub(super) fn key(
        &self,
        source: &Source<'_>,
        patched: Option<&Patched<'_>>,
        config: &ConfigText,
    ) -> String {
        let confined = if self.sandbox == Sandbox::None {
            // Those of `bare` have the host's folders in their debug information.
            "bare, mapped"
        } else {
            "confined"
        };
        let fields = [
            FORMAT,
            source.hash,
            patched.map_or("", |p| p.series.sha256.as_str()),
            &config.merged(),
            &self.toolchain.compiler,
            &self.toolchain.binutils,
            KCFLAGS,
            confined,
        ];
        hex_sha256(&fields.map(str::as_bytes))
    }

    /// Base's build folder, and its image beside it, for a build that goes by `of`.
    fn base(&self, source: &Source<'_>, asked: &ConfigText, of: &Name<'_>) -> Result<Entry> {
        let key = self.key(source, None, asked);
        let name = Name::new(asked, None);
        let fill = |dir: &Path| {
            let (build, image) = (dir.join(BUILD), dir.join(IMAGE));
            for folder in [&build, &image] {
                fs::create_dir(folder).host(|| format!("failed to make {}", folder.display()))?;
            }
            let make = || {
                self.build(source.path, &build, &name, may_add(source, None))
                    .run(&image, &key)
            };
            if of.what == name.what {
                make()
            } else {
                // A variant whose base is gone from the cache: a step of its own.
                self.told(&name.what, || Ok((make()?, true)))
            }
        };
        let entry = self.cache.entry(Kind::BuildDir, &key, self.cancel, fill)?;
        if entry.fresh {
            self.cache.sweep()?;
        }
        Ok(entry)
    }

    fn variant(
        &self,
        base: &Path,
        patched: &Patched<'_>,
        image: &Path,
        (key, name, adds): (&str, &Name<'_>, bool),
    ) -> Result<()> {
        let temp = self.cache.temp()?;
        let build = temp.path().join(BUILD);
        folder::copy(base, &build, self.cancel)?;
        folder::touch(patched.path, &touched(patched.series))?;
        self.build(patched.path, &build, name, adds).run(image, key)
    }

    pub(super) fn build<'b>(
        &'b self,
        tree: &'b Path,
        folder: &'b Path,
        name: &'b Name<'b>,
        adds: bool,
    ) -> Build<'b> {
        Build {
            kept: self.objects.as_ref().map(|objects| objects.kept(adds)),
            cache: self.cache,
            cancel: self.cancel,
            watcher: self.watcher,
            sandbox: &self.sandbox,
            toolchain: &self.toolchain,
            tree,
            folder,
            name,
        }
    }
}

/// What lies in a build folder's entry.
pub(super) const BUILD: &str = "build";
const IMAGE: &str = "image";

/// What base is asked for, for a patched tree's build to go on from: nothing about symbols that only the
/// patch brings.
pub(super) fn base_config(
    source: &Source<'_>,
    patched: Option<&Patched<'_>>,
    config: &ConfigText,
) -> Result<ConfigText> {
    let brought = patched.map(|patched| patched.series.defines());
    let unknown = config.unknown(source.path, &brought.unwrap_or_default())?;
    Ok(config.without(&unknown))
}

/// What a series adds, changes or removes, relative to the tree.
pub(super) fn touched(series: &Series) -> Vec<&str> {
    let changes = series.patches.iter().flat_map(|p| &p.files);
    changes
        .flat_map(|c| [&c.old, &c.new])
        .flatten()
        .map(String::as_str)
        .collect()
}

/// Gives base's image an entry of its own, which outlives the build folder's.
fn share_image(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("failed to copy the image from {}", from.display());
    for entry in fs::read_dir(from).host(failed)? {
        let entry = entry.host(failed)?;
        let target = to.join(entry.file_name());
        // Both lie in the cache, and nobody writes to either.
        fs::hard_link(entry.path(), &target)
            .or_else(|_| fs::copy(entry.path(), &target).map(drop))
            .host(failed)?;
    }
    Ok(())
}
