//! A patch series, read and checked, not yet applied.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{head::MailHead, kernel_code::is_kernel_code};
use crate::hash::hex_sha256;

/// One variant's patches, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Each patch as a plain diff that `git apply` takes, with its subject.
    pub patches: Vec<Patch>,
    /// SHA-256 over the diffs, in hex.
    pub sha256: String,
    /// The mail of its cover letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<MailHead>,
}

/// One patch of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The mail's subject without `[PATCH ...]`, or the file's name.
    pub subject: String,
    /// Where it came from, for messages: `my.mbox, mail 3`.
    pub origin: String,
    /// The diff alone.
    pub diff: Vec<u8>,
    /// What it changes.
    pub files: Vec<FileChange>,
    /// The mail that it came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailHead>,
}

/// What a patch does to one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// The path before, relative to the kernel's top; none for a new file.
    pub old: Option<String>,
    /// The path after; none for a removed file.
    pub new: Option<String>,
    /// Its hunks.
    pub hunks: Vec<Hunk>,
}

/// One hunk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// First line before, from 1 (0 for a new file).
    pub old_start: u32,
    /// Lines before.
    pub old_lines: u32,
    /// First line after.
    pub new_start: u32,
    /// Lines after.
    pub new_lines: u32,
    /// What git prints after `@@`: often the function.
    pub section: String,
    /// Line numbers after the patch of added lines, with their text.
    pub added: Vec<(u32, String)>,
    /// Line numbers before the patch of removed lines, with their text.
    pub removed: Vec<(u32, String)>,
}

impl Series {
    /// The series of these patches, hashed by what they change (not by where they came from).
    pub fn new(patches: Vec<Patch>) -> Self {
        let diffs: Vec<&[u8]> = patches.iter().map(|p| p.diff.as_slice()).collect();
        let sha256 = hex_sha256(&diffs);
        Self {
            patches,
            sha256,
            cover: None,
        }
    }

    /// Every path that the series touches, before or after, sorted and once each.
    pub fn paths(&self) -> Vec<&str> {
        let files = self.patches.iter().flat_map(|p| &p.files);
        let mut paths: Vec<&str> = files
            .flat_map(|f| [f.old.as_deref(), f.new.as_deref()])
            .flatten()
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// The mails that it came in: the cover letter's first, then the patches' in their order.
    pub fn mails(&self) -> Vec<MailHead> {
        let mails = self.patches.iter().map(|patch| &patch.mail);
        let mails = [&self.cover].into_iter().chain(mails);
        mails.flatten().cloned().collect()
    }

    /// The Kconfig symbols, without `CONFIG_`, of which it adds a definition.
    pub fn defines(&self) -> BTreeSet<String> {
        let files = self.patches.iter().flat_map(|p| &p.files);
        let kconfig = files.filter(|file| {
            let name = file.new.as_deref().and_then(|path| path.rsplit('/').next());
            name.is_some_and(|name| name.starts_with("Kconfig"))
        });
        let added = kconfig.flat_map(|file| &file.hunks).flat_map(|h| &h.added);
        let defined = added.filter_map(|(_, line)| {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("config" | "menuconfig"), Some(symbol)) => Some(symbol.to_owned()),
                _ => None,
            }
        });
        defined.collect()
    }

    /// Does everything that it touches of the kernel's code lie under one of these paths of its tree?
    pub fn covers(&self, paths: &[String]) -> bool {
        self.outside(paths).is_empty()
    }

    /// What it touches of the kernel's code outside these paths.
    pub fn outside(&self, paths: &[String]) -> Vec<&str> {
        let under = |file: &str, path: &str| {
            let path = path.trim_end_matches('/');
            let rest = file.strip_prefix(path);
            path == "." || rest.is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        let mut touched = self.paths();
        touched.retain(|file| is_kernel_code(file) && !paths.iter().any(|path| under(file, path)));
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touching(paths: &[&str]) -> Series {
        let files = paths.iter().map(|p| FileChange {
            old: Some((*p).into()),
            new: Some((*p).into()),
            hunks: vec![],
        });
        Series::new(vec![Patch {
            subject: String::new(),
            origin: String::new(),
            diff: vec![],
            files: files.collect(),
            mail: None,
        }])
    }

    #[test]
    fn symbols_that_it_brings() {
        let mut series = touching(&["fs/fuse/Kconfig", "lib/Kconfig.debug", "fs/fuse/dev.c"]);
        let hunk = |lines: &[&str], removed: &str| Hunk {
            added: lines.iter().map(|line| (1, (*line).into())).collect(),
            removed: vec![(1, removed.into())],
            ..Hunk::default()
        };
        let files = &mut series.patches[0].files;
        files[0].hunks = vec![hunk(
            &["config NEW", "\tbool \"config IT\"", "\tdepends on OLD", ""],
            "config GONE",
        )];
        files[1].hunks = vec![hunk(&["menuconfig MENU"], "")];
        files[2].hunks = vec![hunk(&["config NO"], "")];
        assert_eq!(series.defines(), ["MENU", "NEW"].map(str::to_owned).into());
    }

    #[test]
    fn what_a_scenario_covers() {
        let table: [(&[&str], &[&str], &[&str]); 7] = [
            (
                &["fs/fuse/backing.c", "fs/fuse/fuse_i.h"],
                &["fs/fuse"],
                &[],
            ),
            (&["fs/fuse/backing.c"], &["fs/fuse/"], &[]),
            (&["fs/fuse2/x.c"], &["fs/fuse"], &["fs/fuse2/x.c"]),
            (&["fs/fuse/x.c", "mm/slub.c"], &["fs/fuse"], &["mm/slub.c"]),
            (
                &["include/linux/fuse.h"],
                &["fs/fuse", "include/linux/fuse.h"],
                &[],
            ),
            (&["mm/slub.c"], &[], &["mm/slub.c"]),
            (
                &[
                    "fs/fuse/x.c",
                    "Documentation/filesystems/fuse.rst",
                    "MAINTAINERS",
                    "tools/testing/selftests/filesystems/fuse/fuse_mnt.c",
                ],
                &["fs/fuse"],
                &[],
            ),
        ];
        for (touched, covers, outside) in table {
            let series = touching(touched);
            let covers: Vec<String> = covers.iter().map(|s| (*s).into()).collect();
            assert_eq!(series.outside(&covers), outside);
            assert_eq!(series.covers(&covers), outside.is_empty());
        }
    }

    #[test]
    fn the_hash_is_of_the_diffs_alone() {
        let mut a = touching(&["x"]);
        a.patches[0].origin = "elsewhere".into();
        assert_eq!(Series::new(a.patches).sha256, touching(&["y"]).sha256);
    }
}
