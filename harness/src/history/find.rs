//! Run directories below a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::import::is_running;
use crate::{Error, Result, error::Context, report::has_verdict};

/// A matrix's runs lie this deep at most.
const DEPTH: usize = 5;
/// Folders that are looked into.
const MOST: usize = 200_000;

/// The folder itself if it is a run's, else every run's folder below it, by name; no link is
/// followed. A run that still runs is left out, whatever its verdict says by then.
///
/// # Errors
/// Bad input: it cannot be read, or there is none.
pub fn runs_below(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![(top.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = left.pop() {
        seen += 1;
        if seen > MOST {
            let what = format!("{} holds more than {MOST} folders", top.display());
            return Err(Error::input(what).mend("name folders below it"));
        }
        if has_verdict(&folder) {
            if !is_running(&folder) {
                found.push(folder);
            }
            continue;
        }
        if depth == DEPTH {
            continue;
        }
        let doing = || format!("failed to read {}", folder.display());
        for entry in fs::read_dir(&folder).input(doing)? {
            let entry = entry.input(doing)?;
            if entry.file_type().input(doing)?.is_dir() {
                left.push((entry.path(), depth + 1));
            }
        }
    }
    if found.is_empty() {
        let what = format!("no run that came to its end in {}", top.display());
        return Err(Error::input(what).mend("name a run directory, or a folder of some"));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::collect::RunDir;

    #[test]
    fn a_run_that_runs_is_left_out() {
        let temp = tempfile::tempdir().unwrap();
        let runs = ["a", "b"].map(|name| {
            let run = temp.path().join(name);
            let began = std::time::SystemTime::now();
            let own = RunDir::create(Some(&run), temp.path(), &[], 1, began).unwrap();
            // As it stands there after each config.
            fs::write(run.join("verdict.json"), "{}").unwrap();
            own
        });
        let paths = runs.each_ref().map(|run| run.path().to_owned());
        for top in [temp.path(), &paths[0]] {
            let error = runs_below(top).unwrap_err();
            assert!(error.chain().contains("came to its end"), "{error:?}");
        }
        let [ended, _runs] = runs;
        drop(ended);
        assert_eq!(runs_below(temp.path()).unwrap(), [paths[0].clone()]);
    }

    #[test]
    fn runs_are_found_and_links_are_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = temp.path().join("top").join(path);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("verdict.json"), "{}").unwrap();
            path
        };
        let (deep, flat) = (make("m/cells/a/1"), make("b"));
        fs::create_dir_all(temp.path().join("other/run")).unwrap();
        fs::write(temp.path().join("other/run/verdict.json"), "{}").unwrap();
        symlink(temp.path().join("other"), temp.path().join("top/link")).unwrap();
        let top = temp.path().join("top");
        assert_eq!(runs_below(&top).unwrap(), [flat.clone(), deep]);
        assert_eq!(runs_below(&flat).unwrap(), [flat]);
        fs::create_dir(temp.path().join("empty")).unwrap();
        for name in ["empty", "nowhere"] {
            let error = runs_below(&temp.path().join(name)).unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Input, "{name}");
        }
    }
}
