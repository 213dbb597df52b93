//! One boot of a past run, or of a bundle, once more: the same kernel, machine, plan, seed and stall
//! points.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    Error, Result,
    boot::{accel::Choice, settings::Accel},
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
    plan::Purpose,
    source::Ways,
};

/// Which boot is repeated, and how.
#[derive(Debug, Clone, Copy)]
pub struct Again<'a> {
    /// A boot's folder or a run directory, of which `cell` names the boot; or a bundle.
    pub run: &'a Path,
    /// Which boot of a run.
    pub cell: Option<&'a str>,
    /// A tree or tarball that has a bundle's source, where nothing else has.
    pub kernel: Option<&'a Path>,
    /// How the guest is run; none as it was then.
    pub accel: Option<Accel>,
    /// The new run directory.
    pub out: Option<&'a Path>,
}

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
    /// How the guest is run now.
    pub(super) accel: Accel,
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

/// Repeats a boot.
///
/// # Errors
/// There is no such boot, its guest cannot be run here as it was, its kernel is no longer in the cache and
/// cannot be made, the bundle is not to be trusted, or what any run fails by.
pub fn replay(
    which: &Again<'_>,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
) -> Result<Replayed> {
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    let Again { run, accel, .. } = *which;
    let repeat = match (run.is_file(), which.cell, which.kernel) {
        (true, None, kernel) => opened::open(run, kernel, accel, ways)?,
        (true, Some(_), _) => {
            return Err(Error::input("a bundle holds one boot: leave --cell out"));
        }
        (false, _, Some(_)) => {
            return Err(Error::input(
                "--kernel is for bundles: a run's kernel is in the cache",
            ));
        }
        (false, cell, None) => of_run(&find(run, cell)?, accel, ways)?,
    };
    again(&repeat, which.out, ways)
}

/// How a boot's guest is run: as it was, or as is asked for.
///
/// # Errors
/// The boot takes emulation: bad input. This host has no KVM: the host's.
pub(super) fn accel_of(facts: &Facts, asked: Option<Accel>) -> Result<Accel> {
    let accel = asked.unwrap_or(facts.accel);
    let held = facts.watched.as_ref().map_or(0, |it| it.specs.len()) > 0;
    let emulated = held || matches!(facts.cell.purpose, Purpose::Widened | Purpose::Counted);
    let mend = "--accel tcg runs its guest under emulation";
    if emulated && accel == Accel::Kvm {
        let what = "vCPUs are held or instructions counted in this boot, which takes emulation";
        return Err(Error::input(what).mend(mend));
    }
    // Not after an hour's build.
    Choice::as_before(accel).map_err(|error| error.mend(mend))?;
    Ok(accel)
}

/// A boot of a past run on this host.
fn of_run(from: &Path, accel: Option<Accel>, ways: Ways<'_>) -> Result<Repeat> {
    let was = CellDir::open(from);
    let facts = Facts::of(&was.read_cell()?);
    let accel = accel_of(&facts, accel)?;
    let entry = kernel_of(&facts, from, ways)?;
    let recipe = recipe_of(&facts, from)?;
    Ok(Repeat {
        image: KernelImage::load(&entry.path)?,
        facts,
        accel,
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
    let request = request(facts, repeat.accel);
    let phases = &facts.cell.plan.phases;
    let guests = match &repeat.tools {
        Some(disk) => Guests::with_disk(&request, phases, disk.clone(), ways)?,
        None => Guests::prepare(&request, phases, &[], ways)?,
    };
    guests.settle(image)?;
    differs(repeat, &guests, ways.watcher)?;
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

fn request(facts: &Facts, accel: Accel) -> Request {
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
        accel: match accel {
            Accel::Kvm => AccelChoice::Kvm,
            Accel::Tcg => AccelChoice::Tcg,
        },
        machine: facts.machine,
        stalls,
        ..Request::default()
    }
}

/// Says what is not as it was.
fn differs(repeat: &Repeat, guests: &Guests<'_>, watcher: &dyn Watcher) -> Result<()> {
    let Repeat {
        facts,
        image,
        accel,
        ..
    } = repeat;
    let agent = file_sha256(guests.initramfs())?;
    let kernel = file_sha256(&image.boot)?;
    let then = &facts.kernel;
    for (what, then, now) in [
        ("the accelerator", facts.accel.name(), accel.name()),
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
    use crate::{boot::accel, bundle::facts};

    #[test]
    fn a_guest_is_run_as_it_was_or_as_is_asked_for() {
        use Accel::{Kvm, Tcg};
        let held = facts().watched;
        let here = accel::device().is_ok();
        // How it was run, whether vCPUs were held, and what for; how it is to be run; how it is, if it can be.
        let table = [
            (Tcg, false, Purpose::Loads, None, Some(Tcg)),
            (Kvm, false, Purpose::Loads, Some(Tcg), Some(Tcg)),
            (Kvm, false, Purpose::Loads, None, here.then_some(Kvm)),
            (Tcg, false, Purpose::Loads, Some(Kvm), here.then_some(Kvm)),
            (Tcg, true, Purpose::Loads, None, Some(Tcg)),
            (Tcg, true, Purpose::Loads, Some(Kvm), None),
            (Tcg, false, Purpose::Counted, Some(Kvm), None),
        ];
        for (was, holds, purpose, asked, expected) in table {
            let mut facts = facts();
            (facts.accel, facts.cell.purpose) = (was, purpose);
            facts.watched = held.clone().filter(|_| holds);
            let got = accel_of(&facts, asked);
            if let Err(error) = &got {
                assert!(
                    error.mending().unwrap().contains("--accel tcg"),
                    "{error:?}"
                );
            }
            assert_eq!(got.ok(), expected, "{was:?} {holds} {purpose:?} {asked:?}");
        }
    }

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
