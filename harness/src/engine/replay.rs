//! One boot of a past run, once more: the same kernel, machine, plan, seed and stall points.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    Error, Result,
    boot::settings::Accel,
    build::KernelImage,
    cache::{Cache, Kind},
    cancel::Cancel,
    collect::{CellDir, CellFile, RunDir, WatchedFile, record::RunRecord},
    engine::{AccelChoice, Home, Request, Stalls, guests::Guests, watching::Subject},
    error::Context,
    event::{Event, Watcher},
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

/// Repeats a boot: `run` is its folder, or a run directory, of which `cell` names the boot.
///
/// # Errors
/// There is no such boot, its kernel is no longer in the cache, or what any run fails by.
pub fn replay(
    run: &Path,
    cell: Option<&str>,
    out: Option<&Path>,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
) -> Result<Replayed> {
    let from = find(run, cell)?;
    let was = CellDir::open(&from);
    let file = was.read_cell()?;
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    let entry = cache.get(Kind::Kernel, &file.kernel.key)?.ok_or_else(|| {
        let gone = format!("the kernel of {} is no longer in the cache", file.cell.id);
        let again = format!(
            "repeat the run with --seed and the seed in {}",
            run.display()
        );
        Error::input(gone).mend(again)
    })?;
    let image = KernelImage::load(&entry.path)?;
    let request = request(&file);
    let guests = Guests::prepare(&request, &file.cell.plan.phases, &[], ways)?;
    guests.settle(&image)?;
    differs(&file, &guests, watcher);
    let configs = [file.cell.config.clone()];
    let runs = Home::here().runs();
    let seed = file.cell.plan.seed;
    let mut dir = RunDir::create(out, &runs, &configs, seed, SystemTime::now())?;
    watcher.event(&Event::RunDir(dir.path().to_owned()));
    let nothing = WatchedFile::default();
    let watched = file.watched.as_ref().unwrap_or(&nothing);
    let touched = Touched::of_lines(&watched.files, &watched.lines);
    let subject = Subject {
        touched: (!watched.lines.is_empty()).then_some(&touched),
        functions: &watched.functions,
        files: &watched.files,
    };
    let now = guests.boot(&file.cell, &image, subject, &file.provenance, dir.path())?;
    dir.done(match cancel.is_cancelled() {
        true => Outcome::Interrupted,
        false => Outcome::Inconclusive,
    })?;
    Ok(Replayed {
        dir: dir.path().to_owned(),
        then: was.read_record().ok(),
        now,
    })
}

/// The folder of the boot that is meant.
fn find(run: &Path, cell: Option<&str>) -> Result<PathBuf> {
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

fn request(file: &CellFile) -> Request {
    let stalls = match &file.watched {
        None => Stalls::Off,
        Some(watched) if !watched.specs.is_empty() => Stalls::At(watched.specs.clone()),
        Some(watched) if watched.derived => Stalls::Auto,
        Some(_) => Stalls::Nowhere,
    };
    Request {
        configs: vec![file.cell.config.clone()],
        seed: file.cell.plan.seed,
        accel: match file.machine.accel {
            Accel::Kvm => AccelChoice::Kvm,
            Accel::Tcg => AccelChoice::Tcg,
        },
        machine: file.machine.machine,
        stalls,
        ..Request::default()
    }
}

/// Says what is not as it was.
fn differs(file: &CellFile, guests: &Guests<'_>, watcher: &dyn Watcher) {
    let (then, now) = (&file.qemu_version, guests.qemu_line());
    if then != now {
        let text = format!("QEMU was {then:?} then, and is {now:?} now");
        watcher.event(&Event::Warning(text));
    }
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
