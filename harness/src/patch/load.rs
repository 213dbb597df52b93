//! Reads what the user names with `--patch`, or a scenario as its variant: files and folders.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use super::{
    candidate::{Found, gather},
    choose::{Chooser, Gathered, pick},
    head::MailHead,
    series::{Patch, Series},
};
use crate::{Error, Result, error::Context};

/// The largest input, in bytes; no patch series that a person sends comes near.
pub(crate) const LARGEST: u64 = 64 << 20;

/// Endings of the files in a folder that are read; others may lie beside them.
const ENDINGS: &[&str] = &["patch", "diff", "mbox", "mbx", "eml"];

/// Whether a file is called as patches are.
pub(crate) fn is_patchs_name(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str());
    ending.is_some_and(|e| ENDINGS.contains(&e))
}

/// Loads one series of all inputs, in their order: diffs, `git format-patch` files, folders of
/// them, mboxes, saved threads.
///
/// # Errors
/// An input cannot be read, holds no patch, or holds several that differ
/// ([`super::Ambiguous`] is then the cause).
pub fn load(inputs: &[PathBuf]) -> Result<Series> {
    load_choosing(inputs, &mut |_| None)
}

/// As [`load`], asking where an input holds several versions or unrelated diffs.
///
/// # Errors
/// As [`load`].
pub fn load_choosing(inputs: &[PathBuf], choose: &mut Chooser<'_>) -> Result<Series> {
    let mut patches = Vec::new();
    let mut letters = Vec::new();
    for input in inputs {
        let shown = input.display().to_string();
        let (found, gathered) = if input.is_dir() {
            read_folder(input)?
        } else {
            (read_file(input)?, Gathered::File)
        };
        patches.extend(pick(&shown, found.candidates, gathered, choose)?);
        letters.extend(found.letters);
    }
    if patches.is_empty() {
        return Err(Error::input("no patch was named"));
    }
    let cover = cover(&patches, letters);
    Ok(Series {
        cover,
        ..Series::new(patches)
    })
}

/// The cover letter of these patches: the one that they are answers to, or the only one.
fn cover(patches: &[Patch], mut letters: Vec<MailHead>) -> Option<MailHead> {
    let mails = patches.iter().filter_map(|patch| patch.mail.as_ref());
    let before: Vec<&String> = mails.flat_map(|mail| &mail.references).collect();
    match letters
        .iter()
        .position(|one| before.contains(&&one.message_id))
    {
        Some(at) => Some(letters.swap_remove(at)),
        None if letters.len() == 1 && before.is_empty() => letters.pop(),
        None => None,
    }
}

/// A file's diffs; a file without any is an error, a lone cover letter among others is not.
fn read_file(path: &Path) -> Result<Found> {
    let found = read(path)?;
    if found.candidates.is_empty() {
        let why = if found.cover {
            "is a cover letter without a diff"
        } else {
            "holds no diff"
        };
        return Err(Error::input(format!("{} {why}", path.display())).mend(
            "--patch takes a diff, a `git format-patch` file, a folder of them, an mbox or a saved thread",
        ));
    }
    Ok(found)
}

fn read_folder(folder: &Path) -> Result<(Found, Gathered)> {
    let list = folder.join("series");
    let (files, gathered) = if list.is_file() {
        (quilt(folder, &list)?, Gathered::Listed)
    } else {
        (patch_files(folder)?, Gathered::Folder)
    };
    let mut all = Found::default();
    for file in &files {
        let found = read(file)?;
        if found.candidates.is_empty() && !found.cover {
            return Err(Error::input(format!("{} holds no diff", file.display())));
        }
        all.candidates.extend(found.candidates);
        all.letters.extend(found.letters);
    }
    if all.candidates.is_empty() {
        let message = format!("the folder {} holds no patch", folder.display());
        return Err(
            Error::input(message).mend(format!("its files must end in .{}", ENDINGS.join(", .")))
        );
    }
    Ok((all, gathered))
}

fn patch_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("failed to list {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).input(failed)? {
        let path = entry.input(failed)?.path();
        if path.is_file() && is_patchs_name(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// quilt's list: a file a line, then options, then a comment.
fn quilt(folder: &Path, list: &Path) -> Result<Vec<PathBuf>> {
    let text = fs::read_to_string(list).input(|| format!("failed to read {}", list.display()))?;
    let mut files = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let Some(name) = words.next() else { continue };
        let wrong = |what: String| {
            Err(Error::input(format!(
                "{}, line {}: {what}",
                list.display(),
                n + 1
            )))
        };
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return wrong(format!("`{name}` lies outside the folder"));
        }
        // `-pN` is found out from the names themselves.
        if let Some(option) = words.find(|w| !w.starts_with("-p")) {
            return wrong(format!("the option `{option}` is not supported"));
        }
        files.push(folder.join(name));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Found> {
    let shown = path.display().to_string();
    let failed = || format!("failed to read {shown}");
    let mut bytes = Vec::new();
    let file = fs::File::open(path).input(failed)?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .input(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::input(format!(
            "{shown} is larger than {} MiB",
            LARGEST >> 20
        )));
    }
    gather(&shown, &bytes)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
