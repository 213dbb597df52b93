//! A scenario by name (`race`, `fuse-backing/race`) or by path.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{nearest::did_you_mean, parse::parse, types::Scenario};
use crate::{Error, Result, error::Context};

/// No scenario is longer; a larger file is something else.
const MAX_BYTES: u64 = 1 << 20;

/// One scenario file below the scenarios' folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `fuse-backing/race`.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
}

/// What lies beside a subject's scenarios and is none.
const CLAIMS: &str = "claims";
/// What lies beside the subjects and is none.
const MATRICES: &str = "matrices";

/// Every scenario file, `<subject>/<name>.yaml`, by name.
///
/// # Errors
/// Where the folder cannot be read.
pub fn list(scenarios: &Path) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for subject in children(scenarios)? {
        if !subject.is_dir() || subject.ends_with(MATRICES) {
            continue;
        }
        for path in children(&subject)? {
            let (Some(subject), Some(stem)) = (
                subject.file_name().and_then(|name| name.to_str()),
                path.file_stem().and_then(|stem| stem.to_str()),
            ) else {
                continue;
            };
            if is_yaml(&path) && path.is_file() && stem != CLAIMS {
                listed.push(Listed {
                    name: format!("{subject}/{stem}"),
                    path,
                });
            }
        }
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

/// The scenario of a name or a path. A name may leave out its subject where one scenario alone
/// has it; a path ends in `.yaml` or `.yml`.
///
/// # Errors
/// Bad input: no such scenario (with the nearest names), or a file that is none.
pub fn find(name_or_path: &str, scenarios: &Path) -> Result<Scenario> {
    let path = Path::new(name_or_path);
    if is_yaml(path) {
        return load(path);
    }
    let listed = list(scenarios)?;
    let fits = |name: &str| name == name_or_path || name.rsplit('/').next() == Some(name_or_path);
    let found: Vec<&Listed> = listed.iter().filter(|one| fits(&one.name)).collect();
    match found[..] {
        [one] => load(&one.path),
        [] => {
            let short = listed.iter().filter_map(|one| one.name.rsplit('/').next());
            let long = listed.iter().map(|one| one.name.as_str());
            let mend = match name_or_path.contains('/') {
                true => did_you_mean(name_or_path, long),
                false => did_you_mean(name_or_path, short),
            };
            Err(Error::input(format!("unknown scenario `{name_or_path}`")).mend(mend))
        }
        _ => {
            let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
            Err(
                Error::input(format!("several scenarios are called `{name_or_path}`"))
                    .mend(format!("name one of {}", names.join(", "))),
            )
        }
    }
}

/// The scenario in a file.
///
/// # Errors
/// Bad input: unreadable, too large, not UTF-8, or no scenario.
pub fn load(path: &Path) -> Result<Scenario> {
    let doing = || format!("cannot read the scenario {}", path.display());
    let size = fs::metadata(path).input(doing)?.len();
    if size > MAX_BYTES {
        return Err(Error::input(format!(
            "{} is no scenario: {size} bytes, more than {MAX_BYTES}",
            path.display()
        )));
    }
    parse(&fs::read_to_string(path).input(doing)?, path)
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml")
}

fn children(dir: &Path) -> Result<Vec<PathBuf>> {
    let doing = || format!("cannot read the folder {}", dir.display());
    fs::read_dir(dir)
        .input(doing)?
        .map(|entry| entry.map(|e| e.path()).input(doing))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: NAME\nsubject: s\ncovers: []\nloads: [{fio: {}}]\n";

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "one/race.yaml",
            "one/fio.yml",
            "two/fio.yaml",
            "two/bad.yaml",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let text = match name {
                "bad" => "nmae: bad".to_owned(),
                _ => TEXT.replace("NAME", name),
            };
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(dir.path().join("one/patches/race.yaml")).unwrap();
        fs::write(dir.path().join("README.md"), "").unwrap();
        dir
    }

    #[test]
    fn by_name_and_by_path() {
        let dir = folder();
        let names: Vec<String> = list(dir.path())
            .unwrap()
            .into_iter()
            .map(|l| l.name)
            .collect();
        assert_eq!(names, ["one/fio", "one/race", "two/bad", "two/fio"]);
        assert_eq!(find("race", dir.path()).unwrap().name, "race");
        assert_eq!(find("two/fio", dir.path()).unwrap().name, "fio");
        let path = dir.path().join("two/fio.yaml");
        assert_eq!(
            find(path.to_str().unwrap(), Path::new("/nonexistent"))
                .unwrap()
                .file,
            path
        );
    }

    #[test]
    fn what_is_not_there() {
        let dir = folder();
        for (name, chain, mend) in [
            ("rase", "unknown scenario `rase`", "did you mean race?"),
            (
                "one/rce",
                "unknown scenario `one/rce`",
                "did you mean one/race?",
            ),
            (
                "fio",
                "several scenarios are called `fio`",
                "name one of one/fio, two/fio",
            ),
            ("bad", "unknown key `nmae`", "did you mean name?"),
            ("gone.yaml", "cannot read the scenario gone.yaml", ""),
            ("", "unknown scenario ``", "known: "),
        ] {
            let error = find(name, dir.path()).unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Input, "{name}");
            assert!(error.chain().contains(chain), "{name}: {}", error.chain());
            assert!(
                error.mending().unwrap_or("").contains(mend),
                "{name}: {:?}",
                error.mending()
            );
        }
    }

    #[test]
    fn the_shipped_ones_are_called_what_their_files_are() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        let listed = list(&dir).unwrap();
        assert!(
            listed
                .iter()
                .any(|one| one.name == crate::scenario::DEFAULT)
        );
        for one in listed {
            let scenario = load(&one.path).unwrap();
            assert_eq!(format!("{}/{}", scenario.subject, scenario.name), one.name);
            assert!(!scenario.about.is_empty(), "{}", one.name);
        }
    }
}
