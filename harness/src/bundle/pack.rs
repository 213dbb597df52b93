//! Writes a bundle: the same boot gives the same bytes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{
    facts::Facts,
    limits::{TOO_MUCH, expanded},
    manifest::{Manifest, Member, SCHEMA},
    members::MANIFEST,
};
use crate::{Error, Result, cancel::Cancel, error::Context, hash::file_sha256};

/// zstd's own default: kernels get a fifth of their size, at 300 MB a second.
const LEVEL: i32 = 3;

/// Packs a boot's facts and files, by their members' names; `out` must not be there yet. Gives
/// the bundle's size, in bytes.
///
/// # Errors
/// Bad input where `out` is there, or where what was booted, or how much smaller it gets, is out of bounds;
/// the host's.
pub fn pack(boot: Facts, files: &[(String, PathBuf)], out: &Path, cancel: &Cancel) -> Result<u64> {
    let mut members = BTreeMap::new();
    for (name, path) in files {
        let failed = || format!("failed to read {}", path.display());
        let member = Member {
            bytes: fs::metadata(path).host(failed)?.len(),
            sha256: file_sha256(path)?,
        };
        members.insert(name.clone(), member);
        cancel.check()?;
    }
    let manifest = Manifest {
        schema: SCHEMA,
        ktwin: env!("CARGO_PKG_VERSION").into(),
        boot,
        members,
    };
    let mut text =
        serde_json::to_vec_pretty(&manifest).host(|| "failed to write a bundle".into())?;
    text.push(b'\n');
    // What we would not read is not written either.
    Manifest::read(&text)?;
    let failed = || format!("failed to write {}", out.display());
    if out.symlink_metadata().is_ok() {
        return Err(there(out));
    }
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let temp = tempfile::NamedTempFile::new_in(folder).input(failed)?;
    write(&text, files, temp.as_file(), cancel).map_err(|e| {
        cancel
            .check()
            .err()
            .unwrap_or_else(|| Error::infrastructure(failed()).because(e))
    })?;
    is_taken(temp.path(), out, cancel)?;
    let readable = fs::Permissions::from_mode(0o644);
    temp.as_file().set_permissions(readable).host(failed)?;
    let file = temp
        .persist_noclobber(out)
        .map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => there(out),
            _ => Error::infrastructure(failed()).because(e.error),
        })?;
    Ok(file.metadata().host(failed)?.len())
}

/// Refuses a bundle that nobody would unpack: what is mostly empty looks like a bomb.
fn is_taken(written: &Path, out: &Path, cancel: &Cancel) -> Result<()> {
    let read = || {
        io::copy(
            &mut expanded(File::open(written)?, cancel)?,
            &mut io::sink(),
        )
    };
    read().map(drop).map_err(|cause| {
        if let Err(stopped) = cancel.check() {
            return stopped;
        }
        if cause.kind() != TOO_MUCH {
            let failed = format!("failed to read what was written for {}", out.display());
            return Error::infrastructure(failed).because(cause);
        }
        let what = format!("{} would be refused where it is replayed", out.display());
        let mend = "have the command take along no files that are large and mostly empty";
        Error::input(what).because(cause).mend(mend)
    })
}

fn there(out: &Path) -> Error {
    Error::input(format!("{} is there already", out.display())).mend("name another file with -o")
}

fn write(
    manifest: &[u8],
    files: &[(String, PathBuf)],
    to: &File,
    cancel: &Cancel,
) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(to, LEVEL)?;
    // Hashes in the manifest vouch for every member but itself.
    encoder.include_checksum(true)?;
    let mut archive = tar::Builder::new(encoder);
    append(&mut archive, MANIFEST, manifest.len() as u64, manifest)?;
    for (name, path) in files {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let stoppable = Stoppable { file, cancel };
        append(&mut archive, name, size, stoppable)?;
    }
    archive.into_inner()?.finish()?.flush()
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    from: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, from)
}

struct Stoppable<'a> {
    file: File,
    cancel: &'a Cancel,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.cancel.is_cancelled() {
            true => Err(io::Error::other("interrupted")),
            false => self.file.read(buffer),
        }
    }
}
