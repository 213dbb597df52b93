//! ext4 images by mke2fs: one filled from a folder, one blank.

use std::{fs::File, path::Path};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
};

use super::tree::Size;
use crate::{
    Error, Result,
    cancel::Cancel,
    error::Context,
    host::{Cmd, doctor},
};

const BLOCK: u64 = 4096;
const INODE: u64 = 256;
/// What a small file system's own structures take, amply.
const OWN: u64 = 8 << 20;

/// The same identifiers each time: images of the same contents are the same.
const UUID: &str = "6b747769-6e00-4000-8000-000000000001";
const HASH_SEED: &str = "6b747769-6e00-4000-8000-000000000002";

/// An image of what lies in `folder`, to be mounted read-only.
pub(super) fn filled(image: &Path, folder: &Path, size: Size, cancel: &Cancel) -> Result<()> {
    let inodes = size.entries + 64;
    // Each file wastes part of its last block.
    let bytes = size.bytes + inodes * (BLOCK + INODE) + size.bytes / 16 + OWN;
    blank(image, bytes)?;
    let cmd = mke2fs()?
        .args(["-O", "^has_journal,^resize_inode", "-m", "0", "-N"])
        .arg(inodes.to_string())
        .arg("-E")
        .arg(format!("root_owner=0:0,hash_seed={HASH_SEED}"))
        .arg("-d")
        .arg(folder)
        .arg(image);
    cmd.run_ok(cancel).map(drop)
}

/// A blank file system of `mib` MiB, of which the host keeps the room: where it ran out halfway, QEMU
/// would stop the guest, and that looks like a kernel that hangs. Nothing is left to initialize: a
/// kernel thread that does it later would disturb what is measured.
pub(super) fn scratch(image: &Path, mib: u32, cancel: &Cancel) -> Result<()> {
    let bytes = u64::from(mib) << 20;
    blank(image, bytes)?;
    let cmd = mke2fs()?
        .args(["-m", "0", "-i", "65536", "-J", "size=16", "-E"])
        .arg(format!(
            "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,hash_seed={HASH_SEED}"
        ))
        .arg(image);
    cmd.run_ok(cancel)?;
    // Not before: mke2fs gives back what it does not write.
    reserve(image, bytes)
}

fn blank(image: &Path, bytes: u64) -> Result<()> {
    let made = File::create_new(image).and_then(|f| f.set_len(bytes.next_multiple_of(BLOCK)));
    made.host(|| format!("failed to make {}", image.display()))
}

/// Keeps room for a whole file, where its file system can.
fn reserve(image: &Path, bytes: u64) -> Result<()> {
    let file = File::options().write(true).open(image);
    let file = file.host(|| format!("failed to open {}", image.display()))?;
    let length = i64::try_from(bytes).unwrap_or(i64::MAX);
    match fallocate(&file, FallocateFlags::empty(), 0, length) {
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => {
            let what = format!("failed to keep {} MiB for the guest's disk", bytes >> 20);
            let error = Error::infrastructure(what).because(std::io::Error::from(errno));
            Err(error.mend("make room, or put the cache elsewhere by KTWIN_CACHE"))
        }
    }
}

fn mke2fs() -> Result<Cmd> {
    let program = doctor::find("mke2fs").ok_or_else(|| {
        Error::infrastructure("no mke2fs to make disk images").mend("install e2fsprogs")
    })?;
    let block = BLOCK.to_string();
    Ok(Cmd::new(program).args(["-q", "-F", "-t", "ext4", "-b", &block, "-U", UUID]))
}
