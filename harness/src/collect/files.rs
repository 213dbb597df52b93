//! Small files written whole or not at all.

use std::{fs, io::Write, path::Path};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result, error::Context};

/// The largest file of ours that is read back.
const LARGEST: u64 = 256 << 20;

/// Writes a file beside its place and renames it there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::NamedTempFile::new_in(folder).host(failed)?;
    temp.write_all(bytes).host(failed)?;
    // Else the name may outlive a crash of the machine, and the content not.
    temp.as_file().sync_all().host(failed)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temp.as_file().set_permissions(readable).host(failed)?;
    temp.persist(path).host(failed)?;
    Ok(())
}

/// Writes a value as JSON for readers and programs alike.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text =
        serde_json::to_vec_pretty(value).host(|| format!("failed to write {}", path.display()))?;
    text.push(b'\n');
    write_whole(path, &text)
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
