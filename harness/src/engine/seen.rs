//! What the boots of a base kernel showed, remembered from run to run.
//!
//! Each run writes a file of its own into the kernel's folder, and only what was not there yet, so
//! two runs at once are in nobody's way.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    Result,
    build::KernelImage,
    cache::{Cache, Kind},
    collect::record::RunRecord,
    error::Context,
    splat::Splat,
};

/// Files of one kernel that are read; a bound for a folder that somebody filled.
const MAX_FILES: usize = 10_000;
/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Where a base kernel's splats are remembered; by default nowhere.
#[derive(Debug, Default)]
pub(super) struct Seen {
    folder: PathBuf,
    earlier: Vec<Splat>,
}

impl Seen {
    /// What earlier runs saw of this kernel. A file that cannot be read tells nothing.
    pub(super) fn of(cache: &Cache, image: &KernelImage) -> Self {
        let folder = cache.folder(Kind::Seen).join(&image.key);
        let earlier = files(&folder).into_iter().filter_map(|file| read(&file));
        Self {
            earlier: earlier.flatten().collect(),
            folder,
        }
    }

    /// What earlier runs saw.
    pub(super) fn earlier(&self) -> &[Splat] {
        &self.earlier
    }

    /// Keeps what these boots of base showed and no earlier run did.
    pub(super) fn remember(&self, base: &[RunRecord]) -> Result<()> {
        let mut known: BTreeSet<String> = self.earlier.iter().filter_map(identity).collect();
        let new: Vec<Splat> = base
            .iter()
            .flat_map(|record| &record.splats)
            .filter(|timed| timed.splat.corrupted.is_none())
            .map(|timed| bare(&timed.splat))
            .filter(|splat| identity(splat).is_some_and(|id| known.insert(id)))
            .collect();
        if new.is_empty() || self.folder.as_os_str().is_empty() {
            return Ok(());
        }
        let failed = || format!("failed to write into {}", self.folder.display());
        fs::create_dir_all(&self.folder).host(failed)?;
        let mut file = tempfile::Builder::new()
            .prefix("seen-")
            .suffix(".json")
            .tempfile_in(&self.folder)
            .host(failed)?;
        serde_json::to_writer(&mut file, &new)
            .map_err(std::io::Error::from)
            .and_then(|()| file.flush())
            .host(failed)?;
        file.keep().map_err(|error| error.error).host(failed)?;
        Ok(())
    }
}

/// Only what makes it the splat that it is.
fn bare(splat: &Splat) -> Splat {
    Splat {
        title: splat.title.clone(),
        class: splat.class.clone(),
        stacks: splat
            .stacks
            .iter()
            .map(|stack| stack.iter().take(1).cloned().collect())
            .collect(),
        ..Splat::default()
    }
}

fn identity(splat: &Splat) -> Option<String> {
    serde_json::to_string(&bare(splat)).ok()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .take(MAX_FILES)
        .collect();
    files.sort();
    files
}

fn read(file: &Path) -> Option<Vec<Splat>> {
    let sane = |len| len <= MAX_BYTES;
    fs::metadata(file).ok().filter(|meta| sane(meta.len()))?;
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splat(title: &str) -> Splat {
        Splat {
            title: title.into(),
            class: "kcsan".into(),
            text: b"text".to_vec(),
            ..Splat::default()
        }
    }

    #[test]
    fn only_what_is_new_is_kept_and_without_its_text() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("key");
        let seen = |earlier| Seen {
            folder: folder.clone(),
            earlier,
        };
        let record = |titles: &[&str]| {
            let splats = titles
                .iter()
                .map(|title| crate::collect::record::TimedSplat {
                    at_s: 1.0,
                    file: String::new(),
                    count: 1,
                    splat: splat(title),
                });
            RunRecord {
                stalls: Vec::new(),
                coverage: None,
                operations: Vec::new(),
                slabs: Vec::new(),
                splats: splats.collect(),
                ..crate::judge::fixtures::good("base")
            }
        };
        let read_all = || -> Vec<Splat> {
            files(&folder)
                .iter()
                .filter_map(|f| read(f))
                .flatten()
                .collect()
        };
        seen(vec![])
            .remember(&[record(&["a", "b"]), record(&["a"])])
            .unwrap();
        seen(read_all()).remember(&[record(&["b", "c"])]).unwrap();
        seen(read_all()).remember(&[record(&["c"])]).unwrap();
        assert_eq!(files(&folder).len(), 2);
        let mut all = read_all();
        all.sort_by(|a, b| a.title.cmp(&b.title));
        let titles: Vec<&str> = all.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles, ["a", "b", "c"]);
        assert!(all.iter().all(|one| one.text.is_empty()));
        fs::write(folder.join("broken.json"), "{").unwrap();
        assert_eq!(read_all().len(), 3);
    }
}
