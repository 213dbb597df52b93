//! Reads a bundle into an empty folder: plain files of known names and sane sizes, each once.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
    str,
};

use super::{
    limits::expanded,
    manifest::{Manifest, Member},
    members::{MANIFEST, largest},
};
use crate::{Error, Result, cancel::Cancel, error::Context, hash::file_sha256};

/// Unpacks a bundle's members into `to`, an empty folder, but for the manifest, which it gives.
/// Whatever is not as we write it ends that.
///
/// # Errors
/// Bad input for what is no bundle of ours; the host's.
pub fn unpack(bundle: &Path, to: &Path, cancel: &Cancel) -> Result<Manifest> {
    let failed = || format!("failed to open {}", bundle.display());
    let file = File::open(bundle).input(failed)?;
    if !file.metadata().input(failed)?.is_file() {
        return Err(Error::input(format!("{} is no file", bundle.display())));
    }
    let done = read(file, to, cancel);
    done.map_err(|error| {
        if let Err(stopped) = cancel.check() {
            return stopped;
        }
        let what = format!("{} is no bundle to be trusted", bundle.display());
        Error::new(error.fault(), what).because(error.chain())
    })
}

pub(super) fn read(from: impl Read, to: &Path, cancel: &Cancel) -> Result<Manifest> {
    let broken = || "the archive is broken".to_owned();
    let mut archive = tar::Archive::new(expanded(from, cancel).input(broken)?);
    // Raw: extensions for long names and the like would be read whole, and are none of ours.
    let mut entries = archive.entries().input(broken)?.raw(true);
    let mut next = || entries.next().transpose().input(broken);
    let manifest = match next()? {
        Some(mut first) => {
            let size = head(&first, |name| match name == MANIFEST {
                true => Ok(()),
                false => Err(Error::input(format!("its first member is {name:?}"))),
            })?;
            let mut bytes = Vec::new();
            first
                .by_ref()
                .take(size)
                .read_to_end(&mut bytes)
                .input(broken)?;
            Manifest::read(&bytes)?
        }
        None => return Err(Error::input("the archive is empty")),
    };
    let mut left: BTreeMap<&str, &Member> = BTreeMap::new();
    left.extend(
        manifest
            .members
            .iter()
            .map(|(name, member)| (name.as_str(), member)),
    );
    while let Some(mut entry) = next()? {
        let mut found = None;
        let size = head(&entry, |name| {
            found = left.remove_entry(name);
            match found {
                Some(_) => Ok(()),
                None => Err(Error::input(format!(
                    "{name} is there twice, or not named by {MANIFEST}"
                ))),
            }
        })?;
        let Some((name, member)) = found else {
            continue;
        };
        if size != member.bytes {
            return Err(Error::input(format!(
                "{name} has {size} bytes, and {MANIFEST} says {}",
                member.bytes
            )));
        }
        place(&mut entry, &to.join(name), size, member)?;
    }
    if let Some(name) = left.keys().next() {
        return Err(Error::input(format!("{name} is missing")));
    }
    // To the end of the frame, where the checksum over all of it is.
    io::copy(&mut archive.into_inner(), &mut io::sink()).input(broken)?;
    Ok(manifest)
}

/// Looks at an entry's head before anything of it is used; gives its size.
fn head<R: Read>(
    entry: &tar::Entry<'_, R>,
    expected: impl FnOnce(&str) -> Result<()>,
) -> Result<u64> {
    let bytes = entry.path_bytes();
    let name = str::from_utf8(&bytes).map_err(|_| Error::input("a member's name is no text"))?;
    if entry.header().entry_type() != tar::EntryType::Regular {
        let error = format!("{name:?} is no plain file but a link, a folder or the like");
        return Err(Error::input(error));
    }
    let most = largest(name).map_err(|why| Error::input(format!("{name:?} {why}")))?;
    expected(name)?;
    match entry.size() {
        size if size > most => Err(Error::input(format!(
            "{name} has {size} bytes, more than {most}"
        ))),
        size => Ok(size),
    }
}

/// Writes a member, of whose name the table of members vouches.
fn place(from: &mut impl Read, path: &Path, size: u64, member: &Member) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).host(failed)?;
    }
    let mut file = File::create_new(path).host(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let copied = io::copy(&mut from.take(size), &mut file);
    let copied = copied.input(|| format!("failed to read {name}"))?;
    drop(file);
    if copied != size || file_sha256(path)? != member.sha256 {
        return Err(Error::input(format!("{name} is not what {MANIFEST} says")));
    }
    Ok(())
}
