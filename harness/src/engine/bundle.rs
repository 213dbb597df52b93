//! Bundles a boot of a past run: all that repeats it elsewhere, in one file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    build::KernelImage,
    bundle::{self, BOOT, CONFIG, Facts, RECIPE, RECORD, TOOLS, VMLINUX},
    cache::{Cache, Entry, Kind},
    cancel::Cancel,
    collect::{CellDir, CellFile, write_json},
    engine::replay::{find, kernel_of, recipe_of},
    event::Watcher,
    source::Ways,
};

/// A bundle that was written.
#[derive(Debug)]
pub struct Bundled {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Which boot it repeats.
    pub cell: String,
    /// Whether it has a kernel image.
    pub image: bool,
    /// What its kernel's source is; none where the run does not say.
    pub source: Option<String>,
}

/// Bundles a boot: `run` is its folder, or a run directory, of which `cell` names the boot. `image`
/// takes the kernel along. Without `out` the file lies where we are, named after the boot.
///
/// # Errors
/// There is no such boot, its kernel or its programs are no longer in the cache, or without an image
/// nothing would say what the kernel was made of; the file is there already; the host's.
pub fn bundle(
    run: &Path,
    cell: Option<&str>,
    image: bool,
    out: Option<&Path>,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
) -> Result<Bundled> {
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    let from = find(run, cell)?;
    // The boot's folder may be named by `.`, and its run is then not to be seen.
    let from = from.canonicalize().unwrap_or(from);
    let was = CellDir::open(&from);
    let file = was.read_cell()?;
    let facts = Facts::of(&file);
    facts.check()?;
    let id = facts.cell.id.clone();
    let kernel = kernel_of(&facts, &from, ways)?;
    let built = KernelImage::load(&kernel.path)?;
    let recipe = recipe_of(&facts, &from)?;
    if recipe.is_none() && !image {
        let error = format!("the run does not say in full what the kernel of {id} was made of");
        return Err(Error::input(error).mend("take the kernel along with --kernel-image"));
    }
    let temp = cache.temp()?;
    let mut files = vec![(CONFIG.to_owned(), built.config.clone())];
    if let Ok(record) = was.read_record() {
        let path = temp.path().join(RECORD);
        write_json(&path, &record)?;
        files.push((RECORD.to_owned(), path));
    }
    if let Some(recipe) = &recipe {
        let folder = temp.path().join(RECIPE);
        recipe.write(&folder)?;
        let names = recipe.files().into_iter();
        files.extend(names.map(|name| (format!("{RECIPE}/{name}"), folder.join(name))));
    }
    let tools = match facts.runs_commands() {
        true => Some(tools(&file, ways)?),
        false => None,
    };
    if let Some((_, disk)) = &tools {
        files.push((TOOLS.to_owned(), disk.clone()));
    }
    if image {
        files.push((BOOT.to_owned(), built.boot));
        files.push((VMLINUX.to_owned(), built.vmlinux));
    }
    let path = match out {
        Some(out) => out.to_owned(),
        None => PathBuf::from(format!("{id}.ktwin.tar.zst")),
    };
    let bytes = bundle::pack(facts, &files, &path, cancel)?;
    Ok(Bundled {
        path: fs::canonicalize(&path).unwrap_or(path),
        bytes,
        cell: id,
        image,
        source: recipe.map(|recipe| recipe.source.to_string()),
    })
}

/// The disk with the programs of a boot's commands. The record names a file of this host's: only one
/// that the cache has is taken.
fn tools(file: &CellFile, ways: Ways<'_>) -> Result<(Entry, PathBuf)> {
    let disks = &file.machine.disks;
    let disk = disks
        .iter()
        .find(|disk| disk.serial == protocol::TOOLS_DISK);
    let named = disk.and_then(|disk| {
        let key = disk.path.parent()?.file_name()?.to_str()?;
        Some((key, disk.path.file_name()?))
    });
    let entry = match named {
        Some((key, name)) => ways
            .cache
            .get(Kind::Tools, key, ways.cancel)?
            .map(|entry| (entry.path.join(name), entry)),
        None => None,
    };
    match entry {
        Some((path, entry)) if path.is_file() => Ok((entry, path)),
        _ => {
            let id = &file.cell.id;
            let gone = format!("the programs that {id} ran are no longer in the cache");
            Err(Error::input(gone).mend("repeat the run, and bundle that"))
        }
    }
}
