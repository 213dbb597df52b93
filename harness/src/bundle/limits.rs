//! What reading an archive may take: it may come from anybody.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

use crate::cancel::Cancel;

/// Memory that a decompressor may want, as a power of two: 128 MiB.
const WINDOW_LOG: u32 = 27;
/// The most bytes of an archive.
const MOST: u64 = 10 << 30;
/// An archive may be so many times what it is compressed, and so many bytes more. A kernel is
/// five times that, a disk's empty parts a hundred.
const RATIO: u64 = 100;
const FREE: u64 = 64 << 20;
/// How it is told that more came out.
pub(super) const TOO_MUCH: io::ErrorKind = io::ErrorKind::FileTooLarge;

/// Counts what was read.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// What comes out of an archive, as far as it may.
pub(super) fn expanded<'a, R: Read>(
    from: R,
    cancel: &'a Cancel,
) -> io::Result<Bounded<'a, impl Read + use<R>>> {
    let compressed = Rc::new(Cell::new(0));
    let counted = Counted {
        inner: from,
        count: compressed.clone(),
    };
    let mut inner = zstd::Decoder::new(counted)?;
    inner.window_log_max(WINDOW_LOG)?;
    Ok(Bounded {
        inner,
        compressed,
        expanded: 0,
        cancel,
    })
}

/// Ends with an error where more comes out of a decompressor than went in allows.
pub(super) struct Bounded<'a, R> {
    inner: R,
    /// What went in so far.
    compressed: Rc<Cell<u64>>,
    expanded: u64,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        let read = self.inner.read(buffer)?;
        self.expanded += read as u64;
        let most = FREE.saturating_add(self.compressed.get().saturating_mul(RATIO));
        match self.expanded > most.min(MOST) {
            true => {
                let (expanded, compressed) = (self.expanded, self.compressed.get());
                let what = format!("{expanded} bytes come out of {compressed}: too many");
                Err(io::Error::new(TOO_MUCH, what))
            }
            false => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_comes_out_of_more() {
        for (compressed, good) in [(1 << 20, true), (1 << 10, false)] {
            let mut bounded = Bounded {
                inner: io::repeat(0).take(FREE + (50 << 20)),
                compressed: Rc::new(Cell::new(compressed)),
                expanded: 0,
                cancel: &Cancel::new(),
            };
            let copied = io::copy(&mut bounded, &mut io::sink());
            assert_eq!(copied.is_ok(), good, "{compressed}");
        }
    }

    #[test]
    fn the_user_can_stop_it() {
        let cancel = Cancel::new();
        cancel.cancel();
        let mut bounded = Bounded {
            inner: io::repeat(0),
            compressed: Rc::default(),
            expanded: 0,
            cancel: &cancel,
        };
        assert!(bounded.read(&mut [0; 16]).is_err());
    }
}
