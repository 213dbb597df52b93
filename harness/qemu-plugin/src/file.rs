//! A file that the host shares, mapped for as long as QEMU runs.

use std::{
    ffi::OsStr,
    fs::OpenOptions,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    ptr, slice,
    sync::atomic::AtomicU64,
};

/// Maps a file's words, for good, as what `over` takes them for.
pub(crate) fn map<T>(
    path: &[u8],
    over: impl FnOnce(&'static [AtomicU64]) -> Option<T>,
) -> Result<T, String> {
    let path = OsStr::from_bytes(path);
    let failed = |why: String| format!("failed to map {}: {why}", path.display());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|e| failed(e.to_string()))?;
    let size = file.metadata().map_err(|e| failed(e.to_string()))?.len();
    let size = usize::try_from(size).map_err(|e| failed(e.to_string()))?;
    // SAFETY: a new mapping of an open file, of the file's own size; the result is checked.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(failed(std::io::Error::last_os_error().to_string()));
    }
    // SAFETY: the mapping is page-aligned, never unmapped and never shrunk by the host that made it;
    // atomics may be shared with another process.
    let words = unsafe { slice::from_raw_parts(at.cast(), size / size_of::<u64>()) };
    over(words).ok_or_else(|| failed("it is of another kind, or shorter than it says".into()))
}
