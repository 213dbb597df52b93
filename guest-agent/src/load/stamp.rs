//! Backing files that tell which one was read: a stamp each, and no name.

use std::{
    fs::File,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context, Result};

/// How much is in a backing file: text, so that a wrong read can be recognized.
pub(super) const STAMP_LEN: usize = 24;

/// A backing file's content.
pub(super) fn stamp_bytes(seed: u64, stamp: u32) -> [u8; STAMP_LEN] {
    let mut bytes = [0; STAMP_LEN];
    bytes[..8].copy_from_slice(b"ktwinbkg");
    bytes[8..16].copy_from_slice(&seed.to_le_bytes());
    bytes[16..20].copy_from_slice(&stamp.to_le_bytes());
    bytes[20..].copy_from_slice(&(!stamp).to_le_bytes());
    bytes
}

/// The stamp in what was read; none if it is no stamp of ours.
pub(super) fn stamp_of(seed: u64, read: &[u8]) -> Option<u32> {
    let stamp = u32::from_le_bytes(read.get(16..20)?.try_into().ok()?);
    (read == stamp_bytes(seed, stamp)).then_some(stamp)
}

/// A stamped file, nameless in `dir`.
pub(super) fn stamped_file(dir: &Path, seed: u64, stamp: u32) -> Result<File> {
    let nameless = libc::O_TMPFILE;
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(nameless)
        .open(dir);
    let file = file.with_context(|| format!("make a backing file in {}", dir.display()))?;
    file.write_all_at(&stamp_bytes(seed, stamp), 0)
        .context("stamp a backing file")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_stamps_of_this_seed_are_stamps() {
        let bytes = stamp_bytes(9, 5);
        assert_eq!(stamp_of(9, &bytes), Some(5));
        assert_eq!(stamp_of(8, &bytes), None);
        assert_eq!(stamp_of(9, &bytes[..20]), None);
        assert_eq!(stamp_of(9, &[]), None);
    }
}
