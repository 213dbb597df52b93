//! What a kernel was made of, in full: where its source is had, what it was configured with, its
//! patches. A folder of plain files, in a run's directory and in a bundle alike.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::files::{read_json, write_json, write_whole};
use crate::{
    Error, Result,
    build::{ConfigText, Fragment},
    error::Context,
    patch::{self, Series},
    source::{Identity, SourceTree},
};

/// Where a run keeps them, each under its kernel's key.
const KERNELS: &str = "kernels";
const SOURCE: &str = "source.json";
const ASKED: &str = "asked.config";
const PATCHES: &str = "patches";
/// The most patches that one kernel is made of.
const MOST: usize = 9999;

/// What a kernel was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The source without any patch.
    pub source: Identity,
    /// The lines of Kconfig that were asked for, under the config's name.
    pub asked: ConfigText,
    /// What was applied; empty for base.
    pub series: Series,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceFile {
    source: Identity,
    /// [`Series::sha256`].
    patch_sha256: String,
}

impl Recipe {
    /// Of a tree, a config, and what was applied.
    pub fn new(source: &SourceTree, asked: &ConfigText, series: Option<&Series>) -> Self {
        Self {
            source: source.identity.clone(),
            asked: asked.clone(),
            series: series.cloned().unwrap_or_else(|| Series::new(Vec::new())),
        }
    }

    /// Where a run's directory has a kernel's.
    pub fn folder(run: &Path, key: &str) -> PathBuf {
        run.join(KERNELS).join(key)
    }

    /// Writes it into a folder, which is made.
    ///
    /// # Errors
    /// The host's.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let patches = folder.join(PATCHES);
        fs::create_dir_all(&patches).host(|| format!("failed to make {}", patches.display()))?;
        for (at, patch) in self.series.patches.iter().enumerate() {
            write_whole(&folder.join(patch_name(at)), &patch.diff)?;
        }
        write_whole(&folder.join(ASKED), self.asked.merged().as_bytes())?;
        // What reads it begins here: it is the last to be there.
        let source = SourceFile {
            source: self.source.clone(),
            patch_sha256: self.series.sha256.clone(),
        };
        write_json(&folder.join(SOURCE), &source)
    }

    /// Reads one back, of a kernel of this config; nobody vouches for what the folder holds.
    ///
    /// # Errors
    /// Bad input for what is none, or is not whole.
    pub fn read(folder: &Path, config: &str) -> Result<Self> {
        let file: SourceFile = read_json(&folder.join(SOURCE))?;
        file.source.check()?;
        let path = folder.join(ASKED);
        let text =
            fs::read_to_string(&path).input(|| format!("failed to read {}", path.display()))?;
        let asked = ConfigText {
            name: config.to_owned(),
            fragments: vec![Fragment {
                name: ASKED.into(),
                text,
            }],
        };
        asked.requests()?;
        let patches: Vec<PathBuf> = (0..MOST)
            .map(|at| folder.join(patch_name(at)))
            .take_while(|path| path.exists())
            .collect();
        let series = match patches.is_empty() {
            true => Series::new(Vec::new()),
            false => patch::load(&patches)?,
        };
        match series.sha256 == file.patch_sha256 {
            true => Ok(Self {
                source: file.source,
                asked,
                series,
            }),
            false => Err(Error::input(format!(
                "the patches in {} are not those that the kernel was made of",
                folder.display()
            ))),
        }
    }

    /// Whether a folder holds one.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(SOURCE).is_file()
    }

    /// Its files, relative to its folder.
    pub fn files(&self) -> Vec<String> {
        let patches = (0..self.series.patches.len()).map(patch_name);
        [SOURCE, ASKED]
            .map(str::to_owned)
            .into_iter()
            .chain(patches)
            .collect()
    }
}

/// `patches/0001.patch`
fn patch_name(at: usize) -> String {
    format!("{PATCHES}/{:04}.patch", at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFFS: [&str; 2] = [
        "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,2 +1,2 @@\n one\n-two\n+TWO\n",
        "diff --git a/fs/y.c b/fs/y.c\nnew file mode 100644\n--- /dev/null\n+++ b/fs/y.c\n@@ -0,0 +1 @@\n+new\n",
    ];

    fn recipe(dir: &Path) -> Recipe {
        let files: Vec<PathBuf> = ["1.patch", "2.patch"].map(|name| dir.join(name)).into();
        for (path, diff) in files.iter().zip(DIFFS) {
            fs::write(
                path,
                format!("Subject: [PATCH] one\n\nWhy.\n---\n{diff}--\n2.50\n"),
            )
            .unwrap();
        }
        Recipe {
            source: Identity::Folder {
                hash: "a".repeat(64),
            },
            asked: ConfigText {
                name: "kasan".into(),
                fragments: vec![Fragment {
                    name: ASKED.into(),
                    text: "CONFIG_A=y\n# CONFIG_B is not set\n".into(),
                }],
            },
            series: patch::load(&files).unwrap(),
        }
    }

    #[test]
    fn what_is_read_back_gives_the_same_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("kernels/k");
        let recipe = recipe(dir.path());
        recipe.write(&folder).unwrap();
        assert!(Recipe::is_in(&folder));
        let again = Recipe::read(&folder, "kasan").unwrap();
        // All that keys a kernel.
        assert_eq!(again.source, recipe.source);
        assert_eq!(again.asked.merged(), recipe.asked.merged());
        assert_eq!(again.series.sha256, recipe.series.sha256);
        let files = [SOURCE, ASKED, "patches/0001.patch", "patches/0002.patch"];
        assert_eq!(again.files(), files);
    }

    #[test]
    fn base_has_no_patches() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("k");
        let base = Recipe {
            series: Series::new(Vec::new()),
            ..recipe(dir.path())
        };
        base.write(&folder).unwrap();
        assert_eq!(Recipe::read(&folder, "kasan").unwrap().series, base.series);
    }

    #[test]
    fn what_was_changed_is_refused() {
        type Change = fn(&Path);
        let table: [(Change, &str); 5] = [
            (
                |dir| fs::remove_file(dir.join("patches/0002.patch")).unwrap(),
                "are not those that the kernel was made of",
            ),
            (
                |dir| fs::write(dir.join("patches/0001.patch"), DIFFS[1]).unwrap(),
                "are not those that the kernel was made of",
            ),
            (
                |dir| fs::write(dir.join(ASKED), "CONFIG_A=$(id)\n").unwrap(),
                "not a value",
            ),
            (
                |dir| fs::write(dir.join(SOURCE), "{}").unwrap(),
                "missing field",
            ),
            (
                |dir| {
                    let path = dir.join(SOURCE);
                    let text = fs::read_to_string(&path).unwrap();
                    fs::write(&path, text.replace("aaaa", "../.")).unwrap();
                },
                "identifies no source",
            ),
        ];
        for (change, expected) in table {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("k");
            recipe(dir.path()).write(&folder).unwrap();
            change(&folder);
            let error = Recipe::read(&folder, "kasan").unwrap_err();
            assert!(error.chain().contains(expected), "{error:?}");
        }
    }
}
