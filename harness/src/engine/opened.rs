//! A bundle, opened: its kernel image, or the kernel made anew of what it says.
//!
//! Nothing of a bundle runs on this host. Its image runs in the confined QEMU; what it says of a
//! source is had and compiled as for any run, its patches and config in the sandbox.

use std::path::Path;

use crate::{
    Error, Result,
    boot::settings::Accel,
    build::{Builder, KernelImage, Patched, Source},
    bundle::{self, BOOT, CONFIG, Facts, Manifest, RECIPE, RECORD, TOOLS, VMLINUX},
    cache::{Entry, Kind},
    collect::{Recipe, read_json},
    engine::{
        kernels::patched_tree,
        replay::{Repeat, accel_of},
    },
    hash::{file_sha256, hex_sha256},
    source::Ways,
};

/// Opens a bundle. `kernel` is a tree or tarball that has its source, `accel` how its guest is to be run.
///
/// # Errors
/// It is not to be trusted; its guest cannot be run so; its kernel can neither be had nor made.
pub(super) fn open(
    bundle: &Path,
    kernel: Option<&Path>,
    accel: Option<Accel>,
    ways: Ways<'_>,
) -> Result<Repeat> {
    let dir = ways.cache.temp()?;
    let to = dir.path();
    let manifest = bundle::unpack(bundle, to, ways.cancel)?;
    let facts = manifest.boot.clone();
    agrees(&facts, &manifest)?;
    let accel = accel_of(&facts, accel)?;
    let recipe = match manifest.has_recipe() {
        true => Some(Recipe::read(&to.join(RECIPE), &facts.cell.config)?),
        false => None,
    };
    let (image, held) = match (manifest.has(BOOT), &recipe) {
        (true, _) => (bundled(&facts, to)?, None),
        (false, Some(recipe)) => {
            let entry = make(recipe, &facts, kernel, ways)?;
            (KernelImage::load(&entry.path)?, Some(entry))
        }
        (false, None) => return Err(Error::input("the bundle says of no kernel")),
    };
    Ok(Repeat {
        image,
        recipe,
        tools: manifest.has(TOOLS).then(|| to.join(TOOLS)),
        // It decides nothing: without it the boot is repeated all the same.
        then: read_json(&to.join(RECORD)).ok(),
        facts,
        accel,
        _held: held,
        _unpacked: Some(dir),
    })
}

/// Whether the members are those of which the facts speak.
fn agrees(facts: &Facts, manifest: &Manifest) -> Result<()> {
    let kernel = &facts.kernel;
    for (name, hash) in [
        (CONFIG, &kernel.config_sha256),
        (BOOT, &kernel.image_sha256),
    ] {
        let member = manifest.members.get(name);
        if member.is_some_and(|member| member.sha256 != *hash) {
            return Err(Error::input(format!(
                "the bundle's {name} is not that of its boot"
            )));
        }
    }
    Ok(())
}

/// The kernel in a bundle. Its key is one that no kernel has which was made here.
fn bundled(facts: &Facts, dir: &Path) -> Result<KernelImage> {
    let [boot, vmlinux, config] = [BOOT, VMLINUX, CONFIG].map(|name| dir.join(name));
    if !crate::build::bootable(&boot)? {
        return Err(Error::input(
            "the bundle's kernel has no PVH entry, by which QEMU starts it",
        ));
    }
    let hashes = [file_sha256(&boot)?, file_sha256(&vmlinux)?];
    Ok(KernelImage {
        key: hex_sha256(&["bundled", &hashes[0], &hashes[1]].map(str::as_bytes)),
        boot,
        vmlinux,
        config,
        config_sha256: facts.kernel.config_sha256.clone(),
        release: facts.kernel.release.clone(),
        compiler: facts.kernel.compiler.clone(),
        warnings: Vec::new(),
        cpu_s: 0.0,
        compiled: Vec::new(),
    })
}

/// Makes a kernel of what a bundle says, as the run made it, and gives its place in the cache.
fn make(recipe: &Recipe, facts: &Facts, kernel: Option<&Path>, ways: Ways<'_>) -> Result<Entry> {
    let source = recipe.source.find(kernel, ways)?;
    // Without objects of earlier builds: the sender's Kconfig lines reach makefiles.
    let builder = Builder::new(ways.cache, ways.cancel, ways.watcher)?;
    let base = Source {
        path: &source.path,
        hash: &source.hash,
        as_it_came: true,
    };
    let image = if recipe.series.patches.is_empty() {
        builder.kernel(&base, None, &recipe.asked)?
    } else {
        let tree = patched_tree(&source, &recipe.series, ways)?;
        let patched = Patched {
            name: &facts.cell.variant,
            path: &tree.path,
            series: &recipe.series,
        };
        builder.kernel(&base, Some(&patched), &recipe.asked)?
    };
    // The builder holds it meanwhile.
    let entry = ways.cache.get(Kind::Kernel, &image.key, ways.cancel)?;
    entry.ok_or_else(|| Error::infrastructure("a kernel is gone that was made just now"))
}
