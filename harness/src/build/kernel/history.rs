//! What builds took before, kept beside their images, so that an estimate means something.

use std::{fs, path::Path, time::SystemTime};

use serde::{Deserialize, Serialize};

/// The file's name in a kernel's cache entry.
pub(super) const FILE: &str = "built.json";

/// Steps of a first build of ours, by config; a guess for any other.
const FIRST: [(&str, u64); 4] = [
    ("kasan", 1581),
    ("kcsan", 1590),
    ("lockdep", 1570),
    ("plain", 1535),
];
const FIRST_OTHER: u64 = 1600;

/// What one build took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Built {
    /// The config's name.
    pub config: String,
    /// On a copy of base's folder?
    pub variant: bool,
    /// kbuild's steps.
    pub steps: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// What a build is measured against.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Past {
    pub steps: u64,
    pub seconds: Option<f64>,
}

/// The newest build of this kind among the kernels in `folder`; for a first base, our guess.
pub(super) fn past(folder: &Path, config: &str, variant: bool) -> Option<Past> {
    let newest = fs::read_dir(folder)
        .ok()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| read(&e.path().join(FILE)))
        .filter(|(_, built)| built.config == config && built.variant == variant)
        .max_by_key(|(when, _)| *when);
    let past = newest.map(|(_, built)| Past {
        steps: built.steps,
        seconds: Some(built.seconds),
    });
    past.or_else(|| (!variant).then(|| first(config)))
}

fn first(config: &str) -> Past {
    let known = FIRST.iter().find(|(name, _)| *name == config);
    Past {
        steps: known.map_or(FIRST_OTHER, |(_, steps)| *steps),
        seconds: None,
    }
}

fn read(path: &Path) -> Option<(SystemTime, Built)> {
    let when = fs::metadata(path).and_then(|m| m.modified()).ok()?;
    let built = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some((when, built))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_build_of_its_kind_counts() {
        let dir = tempfile::tempdir().unwrap();
        let entries = [
            ("a", "kasan", false, 900, 100),
            ("b", "kasan", false, 1000, 200),
            ("c", "kasan", true, 20, 300),
        ];
        for (name, config, variant, steps, age) in entries {
            let built = Built {
                config: config.into(),
                variant,
                steps,
                seconds: 1.5,
            };
            let file = dir.path().join(name).join(FILE);
            fs::create_dir(file.parent().unwrap()).unwrap();
            fs::write(&file, serde_json::to_vec(&built).unwrap()).unwrap();
            let when = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age);
            let file = fs::File::options().write(true).open(&file).unwrap();
            file.set_modified(when).unwrap();
        }
        let steps = |config, variant| past(dir.path(), config, variant).map(|p| p.steps);
        assert_eq!(steps("kasan", false), Some(1000));
        assert_eq!(steps("kasan", true), Some(20));
        assert_eq!(steps("own", false), Some(FIRST_OTHER));
        assert_eq!(steps("own", true), None);
    }
}
