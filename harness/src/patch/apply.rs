//! Applies a series: `git apply` on copies of the touched files, everything else hard-linked.
//!
//! git never runs where a link to the base's files stands, so no patch, and no bug of git's, can
//! change them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use regex::Regex;

use super::{
    diff::{Fate, FileDiff},
    farm,
    hunk::Body,
    reader,
    reject::{Misfit, Rejection, diagnose},
    series::{Patch, Series},
};
use crate::{Error, Result, cancel::Cancel, error::Context, host::Cmd};

/// `git apply` takes milliseconds.
const APPLY_LIMIT: Duration = Duration::from_secs(300);

static FILE_LINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^Checking patch .*\.\.\.$").expect("a fixed pattern"));
static MOVED_LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^Hunk #(\d+) succeeded at (\d+) \(offset -?\d+ lines?\)\.$")
        .expect("a fixed pattern")
});

/// Checks that a series applies to a kernel's source, changing nothing, and gives it with the line
/// numbers at which its hunks apply there (a patch may be made for a neighbouring version).
///
/// # Errors
/// [`Misfit::Rejected`] with the hunk that does not fit; otherwise the host's.
pub fn check(series: &Series, base: &Path, cancel: &Cancel) -> Result<Series, Misfit> {
    Scratch::apply(series, base, cancel).map(|scratch| scratch.fitted)
}

/// Makes the patched tree in `target`, an empty folder on the base's file system: touched files are
/// new, all others hard links to the base's. Gives the series as [`check`] does.
///
/// # Errors
/// As [`check`].
pub fn apply(
    series: &Series,
    base: &Path,
    target: &Path,
    cancel: &Cancel,
) -> Result<Series, Misfit> {
    let scratch = Scratch::apply(series, base, cancel)?;
    let touched: BTreeSet<PathBuf> = scratch.touched.iter().map(PathBuf::from).collect();
    farm::link(base, target, &touched, cancel)?;
    for path in &scratch.touched {
        let from = scratch.dir.path().join(path);
        if from.symlink_metadata().is_ok() {
            let to = target.join(path);
            farm::make_way(&to)?;
            place(&from, &to)?;
        }
    }
    Ok(scratch.fitted)
}

/// Copies of the touched files, patched.
struct Scratch {
    dir: tempfile::TempDir,
    /// Every path that the series touches, sources of copies left out.
    touched: BTreeSet<String>,
    fitted: Series,
}

impl Scratch {
    fn apply(series: &Series, base: &Path, cancel: &Cancel) -> Result<Self, Misfit> {
        let dir = tempfile::tempdir().host(|| "failed to make a temporary folder".into())?;
        let mut touched = BTreeSet::new();
        let mut copied = BTreeSet::new();
        let mut fitted = Vec::new();
        for patch in &series.patches {
            cancel.check()?;
            let mut files = reader::parse(&patch.diff).map_err(|bad| {
                Error::input(format!("{}: {}", patch.origin, bad.what)).mend(bad.mend)
            })?;
            for file in &files {
                for path in [&file.old, &file.new] {
                    if copied.insert(path.clone()) {
                        bring(base, dir.path(), path).map_err(|e| whole(patch, path, e))?;
                    }
                    if file.fate != Fate::Copied || *path == file.new {
                        touched.insert(path.clone());
                    }
                }
            }
            let said = git_apply(patch, &files, dir.path(), cancel)?;
            settle(&mut files, &said);
            fitted.push(Patch {
                files: files.iter().map(FileDiff::change).collect(),
                ..patch.clone()
            });
        }
        // The hash stays the series' own: it names what was handed in.
        let fitted = Series {
            patches: fitted,
            sha256: series.sha256.clone(),
            cover: series.cover.clone(),
        };
        Ok(Self {
            dir,
            touched,
            fitted,
        })
    }
}

/// A file that cannot even be looked at is a rejection of the whole file.
fn whole(patch: &Patch, file: &str, why: Unfit) -> Misfit {
    match why {
        Unfit::Link => Misfit::Rejected(Box::new(Rejection {
            patch: patch.subject.clone(),
            origin: patch.origin.clone(),
            file: file.to_owned(),
            cause: "it lies at or behind a symbolic link of the kernel tree".into(),
            ..Rejection::default()
        })),
        Unfit::Host(error) => Misfit::Failed(error),
    }
}

enum Unfit {
    Link,
    Host(Error),
}

/// Copies one file from the base, if it is there.
fn bring(base: &Path, scratch: &Path, path: &str) -> Result<(), Unfit> {
    let mut walked = base.to_owned();
    for part in Path::new(path) {
        walked.push(part);
        match walked.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => return Err(Unfit::Link),
            Ok(_) => {}
            Err(_) => return Ok(()),
        }
    }
    if !walked.is_file() {
        return Ok(());
    }
    place(&walked, &scratch.join(path)).map_err(Unfit::Host)
}

/// Copies a file with its mode, making its folder.
fn place(from: &Path, to: &Path) -> Result<()> {
    let copied = to
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::copy(from, to));
    copied
        .map(drop)
        .host(|| format!("failed to write {}", to.display()))
}

/// Applies one patch to the copies; gives what git said.
fn git_apply(
    patch: &Patch,
    files: &[FileDiff],
    scratch: &Path,
    cancel: &Cancel,
) -> Result<String, Misfit> {
    let git = Cmd::new("git")
        .args(["apply", "--verbose", "--whitespace=nowarn", "-p1", "-"])
        .clear_env()
        .env(
            "PATH",
            std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()),
        )
        .env("LC_ALL", "C")
        .env("HOME", "/nonexistent")
        // The scratch folder may lie inside somebody's repository; git must not find that.
        .env("GIT_DIR", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .cwd(scratch)
        .stdin(patch.diff.clone())
        .limit(APPLY_LIMIT);
    let output = git.run(cancel)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.code {
        Some(0) => Ok(said),
        Some(_) => {
            let found = diagnose(files, |path| fs::read(scratch.join(path)).ok());
            let why = found.unwrap_or_else(|| gits_words(&said));
            Err(Misfit::Rejected(Box::new(Rejection {
                patch: patch.subject.clone(),
                origin: patch.origin.clone(),
                ..why
            })))
        }
        None => Err(Misfit::Failed(git.failed(&output))),
    }
}

/// What git says, where our own look at the files finds nothing wrong.
fn gits_words(said: &str) -> Rejection {
    let errors: Vec<&str> = said
        .lines()
        .filter_map(|l| l.strip_prefix("error: "))
        .collect();
    let last = errors
        .last()
        .copied()
        .unwrap_or("git apply failed without a word");
    let (file, cause) = last.split_once(": ").unwrap_or(("the patch", last));
    Rejection {
        file: file.to_owned(),
        cause: cause.to_owned(),
        ..Rejection::default()
    }
}

/// Moves the hunks to where git found their places.
fn settle(files: &mut [FileDiff], said: &str) {
    let mut moved: Vec<Vec<(usize, u32)>> = vec![Vec::new(); files.len()];
    // git goes through the files in the patch's order, and names each before its hunks.
    let mut current = None;
    for line in said.lines() {
        if FILE_LINE.is_match(line) {
            current = Some(current.map_or(0, |n: usize| n + 1));
        } else if let (Some(hunk), Some(file)) = (MOVED_LINE.captures(line), current)
            && let (Ok(n), Ok(at), Some(list)) =
                (hunk[1].parse(), hunk[2].parse(), moved.get_mut(file))
        {
            list.push((n, at));
        }
    }
    for (file, moved) in files.iter_mut().zip(moved) {
        if file.fate != Fate::Removed && file.fate != Fate::Created {
            renumber(&mut file.hunks, &moved);
        }
    }
}

/// Gives hunks the numbers of the place at which they apply. `moved` holds the line after the patch
/// for those that git did not find at their own.
fn renumber(hunks: &mut [Body], moved: &[(usize, u32)]) {
    // Lines that the hunks before this one add.
    let mut grown: i64 = 0;
    for (n, hunk) in hunks.iter_mut().enumerate() {
        let place = moved.iter().find(|(k, _)| *k == n + 1).map(|(_, at)| *at);
        let after = i64::from(place.unwrap_or(hunk.new_start).max(1));
        // A side without lines is numbered by the line before it.
        let start =
            |line: i64, lines: u32| u32::try_from(line - i64::from(lines == 0)).unwrap_or(0);
        hunk.new_start = start(after, hunk.new_lines);
        hunk.old_start = start(after - grown, hunk.old_lines);
        grown += i64::from(hunk.new_lines) - i64::from(hunk.old_lines);
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
