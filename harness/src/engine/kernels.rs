//! The kernels of a run: base's source, each variant's tree, and their images.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, Fault, Result,
    build::{Builder, ConfigText, KernelImage, Patched, Source},
    cache::{Entry, Kind as CacheKind},
    cancel::Cancel,
    collect::Recipe,
    engine::{
        Home, Kernel, Request, Variants,
        subject::{Subject, Variant},
    },
    error::Context,
    event::Event,
    hash::hex_sha256,
    judge::{
        Broken, Touched, changed_structures,
        verdict::{Kind, Structure},
    },
    patch::{self, Misfit, Rejection, Series},
    plan::BASE,
    source::{self, Fit, Lock, SourceTree, Ways},
    structures::{self, Size},
};

/// The subject whose lock serves a run that has none.
const DEFAULT_SUBJECT: &str = "fuse-backing";
/// Where what became of a variant without a kernel is told, in the run directory.
const LOGS: &str = "build";
/// The variant's name where it is what a git tree has checked out.
pub const CHECKED_OUT: &str = "tree";
/// So many objects are compiled once more to see structures in them, at most.
const MOST_OBJECTS: usize = 24;
/// Base with an overlay; no variant's name may hold a blank.
const OVERLAID: &str = "base overlaid";

/// Brings base's source; where the variant comes from the same git tree, reads it too.
pub(super) fn source(
    home: &Home,
    request: &Request,
    subject: &mut Subject,
    ways: Ways<'_>,
) -> Result<SourceTree> {
    if let Variants::SinceRev(rev) = &request.variants {
        let Kernel::Source(source::Request::Tree(tree)) = &request.kernel else {
            return Err(Error::input("--base needs a git tree").mend("give it with --kernel TREE"));
        };
        let since = source::since(tree, rev, ways)?;
        subject.variants.push(checked_out(&since.diff, rev, ways)?);
        return Ok(since.base);
    }
    let wanted = match &request.kernel {
        Kernel::Source(source) => source.clone(),
        Kernel::Newest => source::Request::Debian(None),
        Kernel::Locked => {
            let path = lock_of(home, &subject.scenario.subject);
            source::Request::Debian(Some(Lock::read(&path)?))
        }
    };
    source::resolve(&wanted, ways, &|tree| fits(tree, subject, ways.cancel))
}

/// The lock of a run of a subject's scenario.
pub(super) fn lock_of(home: &Home, subject: &str) -> PathBuf {
    let own = home.subject(subject).join("kernel.lock");
    match !subject.is_empty() && own.exists() {
        true => own,
        false => home.subject(DEFAULT_SUBJECT).join("kernel.lock"),
    }
}

fn checked_out(diff: &[u8], rev: &str, ways: Ways<'_>) -> Result<Variant> {
    if diff.is_empty() {
        let error = Error::input(format!(
            "the tree is what {rev} is: there is nothing to compare"
        ));
        return Err(error
            .mend("give an earlier revision with --base, or --no-patch to test the tree alone"));
    }
    if diff.len() as u64 > patch::LARGEST {
        let error = Error::input(format!(
            "too much lies between {rev} and what the tree has checked out: {} MiB of changes, where a \
             patch may have {}",
            diff.len() >> 20,
            patch::LARGEST >> 20
        ));
        return Err(error.mend(
            "give a nearer --base: the commit that the work began from (`git merge-base` finds it)",
        ));
    }
    let temp = ways.cache.temp()?;
    let path = temp
        .path()
        .join(format!("since-{}.diff", rev.replace(['/', '\0'], "-")));
    fs::write(&path, diff).host(|| format!("failed to write {}", path.display()))?;
    Ok(Variant {
        name: CHECKED_OUT.into(),
        series: patch::load(&[path])?,
    })
}

/// Will this tree do for the scenario and for every variant?
fn fits(tree: &SourceTree, subject: &Subject, cancel: &Cancel) -> Result<Fit> {
    let missing = source::missing_symbols(&tree.path, &subject.scenario.requires)?;
    if !missing.is_empty() {
        return Ok(Fit::No(format!("it has no {}", missing.join(", "))));
    }
    for variant in &subject.variants {
        match patch::check(&variant.series, &tree.path, cancel) {
            Ok(_) => {}
            Err(Misfit::Rejected(_)) => {
                return Ok(Fit::No(format!("{} does not apply", variant.name)));
            }
            Err(Misfit::Failed(error)) => return Err(error),
        }
    }
    Ok(Fit::Yes)
}

/// A kernel tree that lacks what the scenario requires is bad input, unless it is one of many.
pub(super) fn check_requires(
    request: &Request,
    tree: &SourceTree,
    subject: &Subject,
) -> Result<()> {
    let missing = source::missing_symbols(&tree.path, &subject.scenario.requires)?;
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!(
        "{} ({}) lacks what scenario {} requires: {}",
        tree.origin,
        tree.version,
        subject.scenario.name,
        missing
            .iter()
            .map(|s| format!("CONFIG_{s}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let fault = match request.one_of_many {
        true => Fault::Untestable,
        false => Fault::Input,
    };
    let error = Error::new(fault, what);
    Err(error.mend("give a newer kernel with --kernel, or another --scenario"))
}

/// A kernel, or why there is none.
pub(super) type Image = std::result::Result<KernelImage, Broken>;
/// A variant's kernel and what its patch touches, or why there is none.
pub(super) type Built = std::result::Result<(KernelImage, Touched), Broken>;

/// Builds images on demand.
pub(super) struct Kernels<'a> {
    /// What each config asks for.
    stacks: Vec<ConfigText>,
    source: SourceTree,
    ways: Ways<'a>,
    builder: Builder<'a>,
    /// The run directory.
    dir: PathBuf,
    trees: BTreeMap<String, Entry>,
    /// Kconfig symbols that come with a variant's patches.
    brought: BTreeSet<String>,
    /// What is put on base before it is compared, by a name that no variant has.
    overlay: Option<Variant>,
}

impl<'a> Kernels<'a> {
    pub(super) fn new(
        request: &Request,
        stacks: Vec<ConfigText>,
        subject: &Subject,
        source: SourceTree,
        ways: Ways<'a>,
        dir: &Path,
    ) -> Result<Self> {
        let builder = Builder::new(ways.cache, ways.cancel, ways.watcher)?
            .reusing(&request.kernel.origin())?;
        let dir = dir.to_owned();
        Ok(Self {
            stacks,
            source,
            ways,
            builder,
            dir,
            trees: BTreeMap::new(),
            brought: subject
                .variants
                .iter()
                .flat_map(|variant| variant.series.defines())
                .collect(),
            overlay: None,
        })
    }

    /// With a debug-only series on base.
    pub(super) fn overlaid(mut self, series: Option<Series>) -> Self {
        self.brought.extend(series.iter().flat_map(Series::defines));
        self.overlay = series.map(|series| Variant {
            name: OVERLAID.into(),
            series,
        });
        self
    }

    /// Base's source.
    pub(super) fn source(&self) -> &SourceTree {
        &self.source
    }

    /// A variant's patched tree; base's where it has none.
    pub(super) fn tree_of(&self, variant: &str) -> &Path {
        let tree = self.trees.get(variant);
        tree.map_or(&self.source.path, |entry| &entry.path)
    }

    /// Base's image for a config, or why it does not build.
    pub(super) fn base(&self, config: &str) -> Result<Image> {
        self.image(config, BASE, &self.base_source(), None, None)
    }

    /// Base's image as it is compared: with the overlay that is for it.
    ///
    /// # Errors
    /// The overlay does not apply.
    pub(super) fn compared_base(&mut self, config: &str) -> Result<Image> {
        let base = self.base(config)?;
        match self.overlay.clone() {
            Some(overlay) if base.is_ok() => {
                let built = self.variant(config, &overlay)?;
                Ok(built.map(|(image, _)| image))
            }
            _ => Ok(base),
        }
    }

    /// Why a variant's patches do not apply, if they do not; quick, unlike a build.
    pub(super) fn rejected(&mut self, config: &str, variant: &Variant) -> Result<Option<Broken>> {
        Ok(self.tree(config, variant)?.err())
    }

    /// A variant's kernel for a config; base's must be there already.
    pub(super) fn variant(&mut self, config: &str, variant: &Variant) -> Result<Built> {
        let Variant { name, series } = variant;
        let tree = match self.tree(config, variant)? {
            Ok(tree) => tree,
            Err(rejected) => return Ok(Err(rejected)),
        };
        let patched = Patched {
            name,
            path: &tree,
            series,
        };
        let base = self.base_source();
        let image = self.image(config, name, &base, Some(&patched), Some(series))?;
        Ok(image.map(|image| (image, touched(variant, &self.source.path, &tree))))
    }

    /// A variant's kernel from an empty folder, where base's does not build.
    pub(super) fn without_base(&mut self, config: &str, variant: &Variant) -> Result<Built> {
        let tree = match self.tree(config, variant)? {
            Ok(tree) => tree,
            Err(rejected) => return Ok(Err(rejected)),
        };
        let source = Source {
            path: &tree,
            hash: &tree_key(&self.source, &variant.series),
            as_it_came: false,
        };
        let series = Some(&variant.series);
        let image = self.image(config, &variant.name, &source, None, series)?;
        Ok(image.map(|image| (image, touched(variant, &self.source.path, &tree))))
    }

    /// What a variant's patch makes of structures, from the objects that show them, compiled once more
    /// on both sides. Where they do not build that is said, and the run goes on without.
    ///
    /// # Errors
    /// An interruption.
    pub(super) fn structures(
        &mut self,
        config: &str,
        variant: &Variant,
        touched: &Touched,
        [base, image]: [&KernelImage; 2],
    ) -> Result<Vec<Structure>> {
        if touched.shaping().is_empty() {
            return Ok(Vec::new());
        }
        let sizes = self.sizes(config, Some(variant), touched, image);
        let sizes = sizes.and_then(|sizes| {
            let overlay = self.overlay.clone();
            Ok([self.sizes(config, overlay.as_ref(), touched, base)?, sizes])
        });
        match sizes {
            Ok([base, variant]) => Ok(changed_structures(touched.structures(), &base, &variant)),
            Err(error) if error.fault() == Fault::Interrupted => Err(error),
            Err(error) => {
                let text = format!(
                    "sizes of structures are not known of {}: {}",
                    variant.name,
                    error.chain()
                );
                self.ways.watcher.event(&Event::Warning(text));
                Ok(Vec::new())
            }
        }
    }

    /// The structures in what a patch touches, on one side.
    fn sizes(
        &mut self,
        config: &str,
        patched: Option<&Variant>,
        touched: &Touched,
        image: &KernelImage,
    ) -> Result<Vec<Size>> {
        let tree = match patched {
            None => self.source.path.clone(),
            Some(variant) => match self.tree(config, variant)? {
                Ok(tree) => tree,
                Err(rejected) => return Err(Error::untestable(rejected.detail)),
            },
        };
        let patched = patched.map(|Variant { name, series }| Patched {
            name,
            path: &tree,
            series,
        });
        let read = |file: &str| fs::read_to_string(tree.join(file)).ok();
        let mut sources = structures::sources(touched.shaping(), &image.compiled, &read);
        if sources.len() > MOST_OBJECTS {
            let text = format!(
                "structures are looked at in {MOST_OBJECTS} of the {} objects that the patch may change",
                sources.len()
            );
            self.ways.watcher.event(&Event::Warning(text));
            sources.truncate(MOST_OBJECTS);
        }
        let (stack, _) = self.stack(config, patched.as_ref().map(|patched| patched.series))?;
        self.builder
            .structures(&self.base_source(), patched.as_ref(), &stack, &sources)
    }

    /// What a tree with these patches is asked for, and for which symbols it is not: those that only other
    /// patches bring.
    fn stack(
        &self,
        config: &str,
        series: Option<&Series>,
    ) -> Result<(ConfigText, BTreeSet<String>)> {
        let whole = self.stacks.iter().find(|stack| stack.name == config);
        let nobody = || Error::infrastructure(format!("nobody asked for config {config}"));
        let whole = whole.ok_or_else(nobody)?;
        // Bundles keep what was asked, not what it was asked since.
        let whole = whole.of_version(source::release(&self.source.path)?);
        let own = series.map(Series::defines).unwrap_or_default();
        let others = self.brought.difference(&own).cloned().collect();
        let unknown = whole.unknown(&self.source.path, &others)?;
        Ok((whole.without(&unknown), unknown))
    }

    /// A kernel, and in the run's directory what it is made of.
    fn image(
        &self,
        config: &str,
        side: &str,
        source: &Source<'_>,
        patched: Option<&Patched<'_>>,
        series: Option<&Series>,
    ) -> Result<Image> {
        let (stack, unknown) = self.stack(config, series)?;
        for symbol in unknown {
            self.ways.watcher.event(&Event::Note(format!(
                "{config} {side} is not asked for CONFIG_{symbol}, which only a patch brings"
            )));
        }
        match self.builder.kernel(source, patched, &stack) {
            Ok(image) => {
                let recipe = Recipe::new(&self.source, &stack, series);
                recipe.write(&Recipe::folder(&self.dir, &image.key))?;
                Ok(Ok(image))
            }
            Err(error) => {
                let broken = self.broken(Kind::BuildFailed, config, side, &error)?;
                Ok(Err(broken))
            }
        }
    }

    /// The variant's patched tree, hard-linked to base's source but for what the series touches; or
    /// why the series does not apply.
    fn tree(
        &mut self,
        config: &str,
        variant: &Variant,
    ) -> Result<std::result::Result<PathBuf, Broken>> {
        if let Some(entry) = self.trees.get(&variant.name) {
            return Ok(Ok(entry.path.clone()));
        }
        match patched_tree(&self.source, &variant.series, self.ways) {
            Ok(entry) => {
                let path = entry.path.clone();
                self.trees.insert(variant.name.clone(), entry);
                Ok(Ok(path))
            }
            Err(error) => {
                let broken = self.broken(Kind::PatchRejected, config, &variant.name, &error)?;
                Ok(Err(broken))
            }
        }
    }

    fn base_source(&self) -> Source<'_> {
        Source {
            path: &self.source.path,
            hash: &self.source.hash,
            as_it_came: true,
        }
    }

    /// A side that has no kernel by its own fault, with the whole message kept as evidence.
    fn broken(&self, kind: Kind, config: &str, side: &str, error: &Error) -> Result<Broken> {
        if error.fault() != Fault::Untestable {
            let plain = Error::new(error.fault(), error.chain());
            return Err(match error.mending() {
                Some(mend) => plain.mend(mend),
                None => plain,
            });
        }
        let what = if kind == Kind::PatchRejected {
            "rejected"
        } else {
            "build-failed"
        };
        let evidence = format!("{LOGS}/{config}-{side}-{what}.txt");
        let path = self.dir.join(&evidence);
        let failed = || format!("failed to write {}", path.display());
        fs::create_dir_all(self.dir.join(LOGS)).host(failed)?;
        let detail = error.chain();
        fs::write(
            &path,
            format!("{detail}\n{}\n", error.mending().unwrap_or_default()),
        )
        .host(failed)?;
        let rejection = error
            .source()
            .and_then(|source| source.downcast_ref::<Rejection>());
        let title = match rejection {
            Some(Rejection { file, hunk, .. }) => format!("{file}, hunk {hunk}: does not apply"),
            None => title(kind, &detail),
        };
        Ok(Broken {
            kind,
            title,
            evidence,
            detail,
        })
    }
}

/// What keys a source with a series applied.
fn tree_key(source: &SourceTree, series: &Series) -> String {
    hex_sha256(&[source.hash.as_bytes(), series.sha256.as_bytes()])
}

/// A source with a series applied, hard-linked to it but for what the series touches.
///
/// # Errors
/// The series does not apply: untestable; the host's.
pub(super) fn patched_tree(source: &SourceTree, series: &Series, ways: Ways<'_>) -> Result<Entry> {
    let key = tree_key(source, series);
    let fill = |to: &Path| {
        patch::apply(series, &source.path, to, ways.cancel)?;
        Ok(())
    };
    ways.cache.entry(CacheKind::Tree, &key, ways.cancel, fill)
}

/// The line that tells most: the compiler's first error, or the rejection's first line.
fn title(kind: Kind, detail: &str) -> String {
    let telling = |line: &&str| match kind {
        Kind::BuildFailed => {
            line.contains("rror:") || line.contains("rror ") || line.contains("undefined")
        }
        _ => true,
    };
    let mut lines = detail.lines();
    let first = lines.clone().next().unwrap_or_default();
    lines.find(telling).unwrap_or(first).trim().to_owned()
}

fn touched(variant: &Variant, before: &Path, after: &Path) -> Touched {
    // A file that is no text, or gone, is judged by its hunks alone.
    let text = |top: &Path, file: &str| fs::read_to_string(top.join(file)).ok();
    Touched::of(&variant.series, &|file| text(before, file), &|file| {
        text(after, file)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        build::would_compile, cache::Cache, engine::configs, event::Unwatched, scenario::Scenario,
    };

    const TREE: [(&str, &str); 5] = [
        ("Makefile", "VERSION = 7\nPATCHLEVEL = 3\n"),
        ("Kconfig", "source \"fs/Kconfig\"\n"),
        ("arch/x86/Kconfig", ""),
        ("kernel/fork.c", "int fork;\n"),
        ("fs/Kconfig", "config OLD\n\tbool \"old\"\n"),
    ];
    const NEW: &str = "\
--- a/fs/Kconfig
+++ b/fs/Kconfig
@@ -1,2 +1,4 @@
 config OLD
 	bool \"old\"
+config NEW
+	bool \"new\"
--- /dev/null
+++ b/fs/Makefile
@@ -0,0 +1 @@
+obj-$(CONFIG_NEW) += new.o
--- /dev/null
+++ b/fs/new.c
@@ -0,0 +1 @@
+int new;
";
    const OTHER: &str = "\
--- a/kernel/fork.c
+++ b/kernel/fork.c
@@ -1 +1 @@
-int fork;
+int spoon;
";

    #[test]
    fn only_the_patch_that_brings_a_symbol_is_asked_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        for (file, text) in TREE {
            write(&format!("tree/{file}"), text);
        }
        let variant = |name: &str, diff| Variant {
            name: name.into(),
            series: patch::load(&[write(&format!("{name}.patch"), diff)]).unwrap(),
        };
        let variants = vec![variant("new", NEW), variant("other", OTHER)];
        let subject = Subject {
            scenario: Scenario::of_command(vec!["true".into()]),
            variants,
        };
        let own = write("own.config", "CONFIG_NEW=y\nCONFIG_OLD=y\nCONFIG_TYPO=y\n");
        let request = Request {
            kconfig: vec![own],
            ..Request::default()
        };
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let ways = Ways {
            cache: &cache,
            cancel: &Cancel::new(),
            watcher: &Unwatched,
        };
        let tree = source::Request::Tree(dir.path().join("tree"));
        let source = source::resolve(&tree, ways, &|_| Ok(Fit::Yes)).unwrap();
        let configs = ["plain".to_owned()];
        let stacks = configs::stacks(&Home::here(), &configs, &request, &subject.scenario);
        let mut kernels = Kernels::new(
            &request,
            stacks.unwrap(),
            &subject,
            source,
            ways,
            dir.path(),
        )
        .unwrap();
        let [new, other] = &subject.variants[..] else {
            panic!("{subject:?}");
        };
        for (series, expected) in [
            (None, [false, true, true]),
            (Some(&new.series), [true; 3]),
            (Some(&other.series), [false, true, true]),
        ] {
            let requests = kernels
                .stack("plain", series)
                .unwrap()
                .0
                .requests()
                .unwrap();
            let asked = ["NEW", "OLD", "TYPO"]
                .map(|symbol| requests.iter().any(|request| request.symbol == symbol));
            assert_eq!(asked, expected);
        }

        // Which symbol compiles a new file is in the patched tree's makefiles alone.
        for variant in [new, other] {
            kernels.tree("plain", variant).unwrap().unwrap();
        }
        let would = |name| would_compile(kernels.tree_of(name), "fs/new.c", |_| false);
        assert_eq!(would("new").as_deref(), Some("NEW"));
        assert_eq!(would("other"), None);
    }

    #[test]
    fn what_lies_too_far_back_is_no_base() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let ways = Ways {
            cache: &cache,
            cancel: &Cancel::new(),
            watcher: &Unwatched,
        };
        let release = vec![b'+'; patch::LARGEST as usize + (1 << 20)];
        let error = checked_out(&release, "v6.1", ways).unwrap_err();
        assert_eq!(error.fault(), Fault::Input);
        let said = error.chain();
        assert!(said.contains("v6.1") && said.contains("65 MiB"), "{said}");
        let path = dir.path().to_str().unwrap();
        assert!(!said.contains(path), "{said}");
        assert!(error.mending().unwrap().contains("--base"), "{error:?}");
    }
}
