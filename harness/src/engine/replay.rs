//! One boot of a past run, or of a bundle, once more: the same kernel, machine, plan, seed and stall
//! points.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    Error, Result,
    boot::settings::Accel,
    build::KernelImage,
    bundle::Facts,
    cache::{Cache, Entry, Kind, Temp},
    cancel::Cancel,
    collect::{CellDir, Recipe, RunDir, WatchedFile, record::RunRecord},
    engine::{AccelChoice, Home, Request, Stalls, guests::Guests, opened, watching::Subject},
    error::Context,
    event::{Event, Watcher},
    hash::file_sha256,
    judge::{Touched, verdict::Outcome},
    source::Ways,
};

/// A boot, then and now.
#[derive(Debug)]
pub struct Replayed {
    /// The directory of the repetition.
    pub dir: PathBuf,
    /// What it showed then; none where it was cut off.
    pub then: Option<RunRecord>,
    /// What it showed now.
    pub now: RunRecord,
}

/// What a boot is repeated from.
#[derive(Debug)]
pub(super) struct Repeat {
    pub(super) facts: Facts,
    pub(super) image: KernelImage,
    pub(super) recipe: Option<Recipe>,
    /// The disk with its commands' programs; none takes this host's.
    pub(super) tools: Option<PathBuf>,
    pub(super) then: Option<RunRecord>,
    /// Keeps the kernel in the cache.
    pub(super) _held: Option<Entry>,
    /// What was unpacked for it.
    pub(super) _unpacked: Option<Temp>,
}

/// Repeats a boot: `run` is its folder, or a run directory, of which `cell` names the boot; or a
/// bundle. `kernel` is a tree or tarball that has a bundle's source, where nothing else has.
///
/// # Errors
/// There is no such boot, its kernel is no longer in the cache and cannot be made, the bundle is not
/// to be trusted, or what any run fails by.
pub fn replay(
    run: &Path,
    cell: Option<&str>,
    kernel: Option<&Path>,
    out: Option<&Path>,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
) -> Result<Replayed> {
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    let repeat = match (run.is_file(), cell, kernel) {
        (true, None, kernel) => opened::open(run, kernel, ways)?,
        (true, Some(_), _) => {
            return Err(Error::input("a bundle holds one boot: leave --cell out"));
        }
        (false, _, Some(_)) => {
            return Err(Error::input(
                "--kernel is for bundles: a run's kernel is in the cache",
            ));
        }
        (false, cell, None) => of_run(&find(run, cell)?, ways)?,
    };
    again(&repeat, out, ways)
}

/// A boot of a past run on this host.
fn of_run(from: &Path, ways: Ways<'_>) -> Result<Repeat> {
    let was = CellDir::open(from);
    let facts = Facts::of(&was.read_cell()?);
    let entry = kernel_of(&facts, from, ways)?;
    let recipe = recipe_of(&facts, from)?;
    Ok(Repeat {
        image: KernelImage::load(&entry.path)?,
        facts,
        recipe,
        tools: None,
        then: was.read_record().ok(),
        _held: Some(entry),
        _unpacked: None,
    })
}

/// The cache's entry of the kernel that a boot had.
pub(super) fn kernel_of(facts: &Facts, from: &Path, ways: Ways<'_>) -> Result<Entry> {
    ways.cache
        .get(Kind::Kernel, &facts.kernel.key, ways.cancel)?
        .ok_or_else(|| {
            let gone = format!("the kernel of {} is no longer in the cache", facts.cell.id);
            let again = format!(
                "repeat the run with --seed and the seed in {}",
                from.parent().unwrap_or(from).display()
            );
            Error::input(gone).mend(again)
        })
}

/// What a run's directory says of what a boot's kernel was made of; runs of older versions, and some
/// others, say nothing.
pub(super) fn recipe_of(facts: &Facts, from: &Path) -> Result<Option<Recipe>> {
    let run = from.parent().unwrap_or(Path::new("."));
    let folder = Recipe::folder(run, &facts.kernel.key);
    let there = Recipe::is_in(&folder);
    there
        .then(|| Recipe::read(&folder, &facts.cell.config))
        .transpose()
}

fn again(repeat: &Repeat, out: Option<&Path>, ways: Ways<'_>) -> Result<Replayed> {
    let Repeat { facts, image, .. } = repeat;
    let request = request(facts);
    let phases = &facts.cell.plan.phases;
    let guests = match &repeat.tools {
        Some(disk) => Guests::with_disk(&request, phases, disk.clone(), ways)?,
        None => Guests::prepare(&request, phases, &[], ways)?,
    };
    guests.settle(image)?;
    differs(facts, image, &guests, ways.watcher)?;
    let configs = [facts.cell.config.clone()];
    let (runs, seed) = (Home::here().runs(), facts.cell.plan.seed);
    let mut dir = RunDir::create(out, &runs, &configs, seed, SystemTime::now())?;
    ways.watcher.event(&Event::RunDir(dir.path().to_owned()));
    if let Some(recipe) = &repeat.recipe {
        recipe.write(&Recipe::folder(dir.path(), &image.key))?;
    }
    let nothing = WatchedFile::default();
    let watched = facts.watched.as_ref().unwrap_or(&nothing);
    let touched = Touched::of_lines(&watched.files, &watched.lines);
    let subject = Subject {
        touched: (!watched.lines.is_empty()).then_some(&touched),
        functions: &watched.functions,
        files: &watched.files,
    };
    let now = guests.boot(&facts.cell, image, subject, &facts.provenance, dir.path())?;
    dir.done(match ways.cancel.is_cancelled() {
        true => Outcome::Interrupted,
        false => Outcome::Inconclusive,
    })?;
    Ok(Replayed {
        dir: dir.path().to_owned(),
        then: repeat.then.clone(),
        now,
    })
}

/// The folder of the boot that is meant.
pub(super) fn find(run: &Path, cell: Option<&str>) -> Result<PathBuf> {
    let is_cell = |path: &Path| path.join("cell.json").is_file();
    if cell.is_none() && is_cell(run) {
        return Ok(run.to_owned());
    }
    let entries = fs::read_dir(run).input(|| format!("failed to read {}", run.display()))?;
    let mut cells: Vec<String> = entries
        .flatten()
        .filter(|entry| is_cell(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    cells.sort();
    match (cell, cells.as_slice()) {
        (Some(name), _) if cells.iter().any(|one| one == name) => Ok(run.join(name)),
        (None, [one]) => Ok(run.join(one)),
        (_, []) => Err(Error::input(format!("{} holds no boot", run.display()))
            .mend("name a run directory, or a boot's folder in one")),
        (given, _) => {
            let what = match given {
                Some(name) => format!("{} holds no boot {name:?}", run.display()),
                None => format!("{} holds several boots", run.display()),
            };
            Err(Error::input(what).mend(format!("--cell takes one of {}", cells.join(", "))))
        }
    }
}

fn request(facts: &Facts) -> Request {
    let stalls = match &facts.watched {
        None => Stalls::Off,
        Some(watched) if !watched.specs.is_empty() => Stalls::At(watched.specs.clone()),
        Some(watched) if watched.derived => Stalls::Auto,
        Some(_) => Stalls::Nowhere,
    };
    Request {
        configs: vec![facts.cell.config.clone()],
        seed: facts.cell.plan.seed,
        // Never found out by a trial: a bundle's kernel must not decide what is remembered.
        accel: match facts.accel {
            Accel::Kvm => AccelChoice::Kvm,
            Accel::Tcg => AccelChoice::Tcg,
        },
        machine: facts.machine,
        stalls,
        ..Request::default()
    }
}

/// Says what is not as it was.
fn differs(
    facts: &Facts,
    image: &KernelImage,
    guests: &Guests<'_>,
    watcher: &dyn Watcher,
) -> Result<()> {
    let agent = file_sha256(guests.initramfs())?;
    let kernel = file_sha256(&image.boot)?;
    let then = &facts.kernel;
    for (what, then, now) in [
        ("QEMU", facts.qemu_version.as_str(), guests.qemu_line()),
        ("the agent", &facts.initramfs_sha256, &agent),
        ("the compiler", &then.compiler, &image.compiler),
        (
            "the kernel's config",
            &then.config_sha256,
            &image.config_sha256,
        ),
        ("the kernel's image", &then.image_sha256, &kernel),
    ] {
        if then != now {
            let text = format!("{what} was {then:?} then, and is {now:?} now");
            watcher.event(&Event::Warning(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_that_is_meant_is_found_or_asked_for() {
        let run = tempfile::tempdir().unwrap();
        let none = find(run.path(), None).unwrap_err();
        assert!(none.to_string().contains("holds no boot"), "{none}");
        for cell in ["kasan-a-1", "kasan-base-1"] {
            fs::create_dir(run.path().join(cell)).unwrap();
            fs::write(run.path().join(cell).join("cell.json"), "{}").unwrap();
            let own = run.path().join(cell);
            assert_eq!(find(&own, None).unwrap(), own);
        }
        let base = find(run.path(), Some("kasan-base-1")).unwrap();
        assert_eq!(base, run.path().join("kasan-base-1"));
        for given in [None, Some("x"), Some("../kasan-a-1")] {
            let error = find(run.path(), given).unwrap_err();
            let mend = error.mending().unwrap();
            assert_eq!(mend, "--cell takes one of kasan-a-1, kasan-base-1");
        }
    }
}
