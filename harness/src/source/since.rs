//! What leads from a revision of a git tree to what the tree has checked out.

use std::{fs, path::Path};

use super::{SourceTree, Ways, git::Shadow};
use crate::{Result, error::Context, event::Event};

/// A revision, and what leads from it to what is checked out.
#[derive(Debug)]
pub struct Since {
    /// The revision's tree.
    pub base: SourceTree,
    /// A diff from it to the tracked files as they are now.
    pub diff: Vec<u8>,
}

/// How many files a note names.
const NAMED: usize = 5;
/// git's modes of links and submodules.
const NO_FILES: [&str; 2] = ["120000", "160000"];

pub(super) fn since(tree: &Path, rev: &str, ways: Ways<'_>) -> Result<Since> {
    let shadow = Shadow::new(tree, ways)?;
    ways.step(&format!("{} since {rev}", tree.display()), || {
        let commit = shadow.resolve(rev)?;
        let now = shadow.work_tree()?;
        let base = shadow.export(
            &format!("{commit}^{{tree}}"),
            Some(commit.clone()),
            format!("{} at {rev}", tree.display()),
        )?;
        let left_out = no_patch(&shadow, &commit, &now)?;
        if !left_out.is_empty() {
            ways.watcher.event(&Event::Warning(told(&left_out, rev)));
        }
        let exclude = left_out
            .iter()
            .map(|path| format!(":(top,exclude,literal){path}"));
        // Into a file: a command's output is kept to its end only.
        let path = shadow.dir.path().join("since.diff");
        let output = format!("--output={}", path.display());
        let diff = shadow.git().args(DIFF).args(["-p", "--full-index"]);
        let diff = diff.args([output.as_str(), commit.as_str(), now.as_str(), "--", "."]);
        shadow.ran(diff.args(exclude))?;
        let diff = fs::read(&path).host(|| format!("failed to read {}", path.display()))?;
        Ok(Since { base, diff })
    })
}

/// `git diff-tree`, saying only what the trees say.
const DIFF: [&str; 6] = [
    "diff-tree",
    "-r",
    "--no-color",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
];

/// Files whose change no patch can carry: links, submodules and binary files.
fn no_patch(shadow: &Shadow<'_>, from: &str, to: &str) -> Result<Vec<String>> {
    let list = |form: &str| -> Result<String> {
        let path = shadow.dir.path().join("since.list");
        let output = format!("--output={}", path.display());
        let diff = shadow.git().args(DIFF).args(["-z", form, output.as_str()]);
        shadow.ran(diff.args([from, to]))?;
        let list = fs::read(&path).host(|| format!("failed to read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&list).into_owned())
    };
    let mut paths = linked(&list("--raw")?);
    paths.extend(binary(&list("--numstat")?));
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Links and submodules in `git diff-tree --raw -z`: `:MODE MODE ID ID STATUS`, then the path.
fn linked(raw: &str) -> Vec<String> {
    let fields: Vec<&str> = raw.split_terminator('\0').collect();
    let pairs = fields.chunks_exact(2).filter(|pair| {
        let mut modes = pair[0].trim_start_matches(':').split(' ').take(2);
        modes.any(|mode| NO_FILES.contains(&mode))
    });
    pairs.map(|pair| pair[1].to_owned()).collect()
}

/// Binary files in `git diff-tree --numstat -z`: dashes where others have counts.
fn binary(numstat: &str) -> Vec<String> {
    let lines = numstat.split_terminator('\0');
    let paths = lines.filter_map(|line| line.strip_prefix("-\t-\t"));
    paths.map(str::to_owned).collect()
}

fn told(left_out: &[String], rev: &str) -> String {
    let named = &left_out[..left_out.len().min(NAMED)];
    let more = match left_out.len() - named.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!(
        "links and binary files stay as they are at {rev}: {}{more}",
        named.join(", ").escape_debug()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_patch_can_carry_is_found() {
        let raw = ":100644 100644 1 2 M\0fs/a.c\0:120000 120000 1 2 M\0fs/link\0\
                   :000000 160000 0 2 A\0sub\0:120000 100644 1 2 T\0was-link\0";
        assert_eq!(linked(raw), ["fs/link", "sub", "was-link"]);
        assert_eq!(binary("1\t2\tfs/a.c\0-\t-\tlogo.png\0"), ["logo.png"]);
        assert!(linked("").is_empty() && binary("").is_empty());
    }

    #[test]
    fn a_note_names_a_few() {
        let many: Vec<String> = (0..7).map(|n| format!("f{n}")).collect();
        assert_eq!(
            told(&many, "v1"),
            "links and binary files stay as they are at v1: f0, f1, f2, f3, f4 and 2 more"
        );
    }
}
