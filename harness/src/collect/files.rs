//! Small files written whole or not at all.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result, error::Context};

/// The largest file of ours that is read back.
const LARGEST: u64 = 256 << 20;

/// Writes a file beside its place and renames it there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    beside(path, bytes)?.persist(path).host(failed)?;
    Ok(())
}

/// A file with its content, beside the place where it goes.
fn beside(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile> {
    let failed = || format!("failed to write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::NamedTempFile::new_in(folder).host(failed)?;
    temp.write_all(bytes).host(failed)?;
    // Else the name may outlive a crash of the machine, and the content not.
    temp.as_file().sync_all().host(failed)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temp.as_file().set_permissions(readable).host(failed)?;
    Ok(temp)
}

/// Writes a value as JSON for readers and programs alike.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_whole(path, &json(path, value)?)
}

/// Writes a value as JSON unless the file is there; whether it was not.
pub(crate) fn write_new_json(path: &Path, value: &impl Serialize) -> Result<bool> {
    match beside(path, &json(path, value)?)?.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(failed) => Err(failed).host(|| format!("failed to write {}", path.display())),
    }
}

fn json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text =
        serde_json::to_vec_pretty(value).host(|| format!("failed to write {}", path.display()))?;
    text.push(b'\n');
    Ok(text)
}

/// Reads a value back.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let failed = || format!("failed to read {}", path.display());
    let size = fs::metadata(path).input(failed)?.len();
    if size > LARGEST {
        return Err(Error::input(format!(
            "{} has {size} bytes, too many",
            path.display()
        )));
    }
    serde_json::from_slice(&fs::read(path).input(failed)?).input(failed)
}
