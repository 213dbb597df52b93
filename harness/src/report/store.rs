//! Reports in a run directory: written whole, read back with suspicion.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::fcntl::OFlag;
use serde_json::Value;

use super::{
    format::{Format, render},
    inside::{Folder, bounded},
    lcov,
    plots::{self, plots},
};
use crate::{
    Error, Result,
    error::Context,
    judge::verdict::{SCHEMA, Verdict},
    matrix::{
        self,
        summary::{FILE, Summary},
    },
    plugin::Coverage,
};

pub(crate) const VERDICT: &str = "verdict.json";
const REPORT: &str = "report.md";
const PAGE: &str = "report.html";
/// No verdict is longer.
const MAX_BYTES: u64 = 64 << 20;
/// Entries of a run directory that are looked at to say how far it came.
const MAX_ENTRIES: usize = 10_000;

/// Writes `verdict.json`, `report.md` and its plots, `report.html`, and for each comparison that watched which lines of its patch
/// ran a `coverage-N.info` in lcov's format; each whole or not at all.
///
/// # Errors
/// The directory cannot be written to.
pub fn write(verdict: &Verdict, dir: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(verdict)
        .host(|| "failed to write the verdict as JSON".to_owned())?;
    replace(dir, VERDICT, &(json + "\n"))?;
    for plot in plots(verdict) {
        let folder = dir.join(plots::FOLDER);
        fs::create_dir_all(&folder).host(|| format!("failed to make {}", folder.display()))?;
        replace(&folder, &plot.file, &plot.svg())?;
    }
    // Its own folder is where a reader of the file already is.
    replace(
        dir,
        REPORT,
        &render(Format::Markdown, verdict, Path::new("."))?,
    )?;
    replace(dir, PAGE, &render(Format::Html, verdict, dir)?)?;
    for (at, comparison) in verdict.comparisons.iter().enumerate() {
        let lines = |coverage: &&Coverage| !coverage.lines.is_empty();
        if let Some(coverage) = comparison.coverage.as_ref().filter(lines) {
            let test = format!("{}-{}", comparison.config, comparison.variant);
            // A variant may be called anything: its number tells it from others.
            let name = format!("coverage-{}.info", at + 1);
            replace(dir, &name, &lcov::render(coverage, &test))?;
        }
    }
    Ok(())
}

fn replace(dir: &Path, name: &str, text: &str) -> Result<()> {
    let (path, part) = (dir.join(name), dir.join(format!(".{name}.part")));
    fs::write(&part, text)
        .and_then(|()| fs::rename(&part, &path))
        .host(|| format!("failed to write {}", path.display()))
}

/// Whether a run directory has a verdict.
pub fn has_verdict(run: &Path) -> bool {
    fs::symlink_metadata(run.join(VERDICT)).is_ok()
}

/// The verdict of a run directory, or of a `verdict.json` named itself.
///
/// # Errors
/// Bad input: no run directory, a run that was cut off, or a file that is no verdict.
pub fn read_verdict(run: &Path) -> Result<Verdict> {
    let path = match run.is_dir() {
        true => run.join(VERDICT),
        false => run.to_owned(),
    };
    let file = OpenOptions::new()
        .read(true)
        // A run directory may come from elsewhere: no links, and no waiting on a pipe.
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(&path);
    let file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && run.is_dir() => {
            return Err(cut_off(run));
        }
        file => file.input(|| format!("failed to open {}", path.display()))?,
    };
    let failed = || format!("failed to read {}", path.display());
    let text = bounded(file, MAX_BYTES).map_err(|what| Error::input(failed()).because(what))?;
    let doing = || format!("{} is no verdict", path.display());
    let value: Value = serde_json::from_slice(&text).input(doing)?;
    match value.get("schema").and_then(Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        schema => {
            let found = schema.map_or("none".to_owned(), |n| n.to_string());
            let error = Error::input(format!("{}: its schema is {found}, not {SCHEMA}", doing()));
            return Err(error.mend("use the ktwin that wrote it"));
        }
    }
    serde_json::from_value(value).input(doing)
}

/// What became of the matrix in a folder; none where the folder is no matrix's.
///
/// # Errors
/// Bad input: its summary is none.
pub fn read_matrix(dir: &Path) -> Result<Option<Summary>> {
    let Ok(folder) = Folder::open(dir) else {
        return Ok(None);
    };
    if !folder.has(FILE) {
        return Ok(None);
    }
    let doing = || format!("{} is no matrix's summary", dir.join(FILE).display());
    let summary: Summary = serde_json::from_slice(&folder.read(FILE, MAX_BYTES)?).input(doing)?;
    match summary.schema {
        matrix::summary::SCHEMA => Ok(Some(summary)),
        schema => {
            let error = Error::input(format!("{}: its schema is {schema}", doing()));
            Err(error.mend("use the ktwin that wrote it"))
        }
    }
}

/// No verdict: what there is instead.
fn cut_off(run: &Path) -> Error {
    let cells = fs::read_dir(run).map_or(0, |entries| {
        entries
            .take(MAX_ENTRIES)
            .flatten()
            .filter(|entry| entry.path().join("cell.json").is_file())
            .count()
    });
    let what = format!("{} holds no {VERDICT}", run.display());
    match cells {
        0 => Error::input(what).mend("name a folder below target/ktwin/runs"),
        _ => Error::input(format!(
            "{what}: the run was cut off; it left {cells} boot(s)"
        ))
        .mend("read their console.log and events.ndjson, or run it again with its seed"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::{
        matrix::simulate,
        report::fixtures::{costs, sample},
    };

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        write(&sample(), dir.path()).unwrap();
        assert_eq!(read_verdict(dir.path()).unwrap(), sample());
        assert_eq!(read_verdict(&dir.path().join(VERDICT)).unwrap(), sample());
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 5, "{names:?}");
        assert!(
            fs::read_to_string(dir.path().join(REPORT))
                .unwrap()
                .starts_with("# regression")
        );
    }

    #[test]
    fn a_matrix_is_told_from_a_run() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_matrix(dir.path()).unwrap(), None);
        let summary = simulate::summary(2, "");
        fs::write(dir.path().join(FILE), serde_json::to_vec(&summary).unwrap()).unwrap();
        assert_eq!(read_matrix(dir.path()).unwrap(), Some(summary));
        fs::write(dir.path().join(FILE), "{}").unwrap();
        assert!(read_matrix(dir.path()).is_err());
    }

    #[test]
    fn a_report_leads_to_its_plots() {
        let dir = tempfile::tempdir().unwrap();
        write(&costs(), dir.path()).unwrap();
        let report = fs::read_to_string(dir.path().join(REPORT)).unwrap();
        let plots = report.lines().filter(|line| line.starts_with("!["));
        let files = plots.map(|line| line.split_once("](").unwrap().1.trim_end_matches(')'));
        let files: Vec<&str> = files.collect();
        assert_eq!(files.len(), 3, "{report}");
        for file in files {
            let svg = fs::read_to_string(dir.path().join(file)).unwrap();
            assert!(svg.starts_with("<svg "), "{file}");
        }
    }

    #[test]
    fn directories_that_are_no_run() {
        let text = |dir: &Path, json: &str| fs::write(dir.join(VERDICT), json).unwrap();
        type Make = fn(&Path, &dyn Fn(&Path, &str));
        let table: [(&str, Make); 8] = [
            ("holds no verdict.json", |_, _| {}),
            ("is no verdict", |dir, text| text(dir, "{")),
            ("its schema is none", |dir, text| text(dir, "[]")),
            ("its schema is 7", |dir, text| text(dir, r#"{"schema": 7}"#)),
            ("missing field", |dir, text| text(dir, r#"{"schema": 1}"#)),
            ("failed to open", |dir, _| {
                symlink("/etc/hostname", dir.join(VERDICT)).unwrap()
            }),
            ("no regular file", |dir, _| {
                nix::unistd::mkfifo(&dir.join(VERDICT), nix::sys::stat::Mode::S_IRWXU).unwrap();
            }),
            ("it left 1 boot(s)", |dir, _| {
                fs::create_dir(dir.join("kasan-base-1")).unwrap();
                fs::write(dir.join("kasan-base-1/cell.json"), "{}").unwrap();
            }),
        ];
        for (part, make) in table {
            let dir = tempfile::tempdir().unwrap();
            make(dir.path(), &text);
            let error = read_verdict(dir.path()).unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Input);
            assert!(error.chain().contains(part), "{part}: {}", error.chain());
        }
        assert!(read_verdict(Path::new("/nonexistent")).is_err());
        let deep = tempfile::tempdir().unwrap();
        text(deep.path(), &"[".repeat(1 << 20));
        assert!(read_verdict(deep.path()).is_err());
    }
}
