//! Logs that lie in files and in memory.

use std::io::{self, Read};

use super::{Scanner, Splat};

/// How much of a log is in memory at a time.
const PIECE: usize = 1 << 18;

/// Every report of a log, in order, while it is read.
pub fn scan_reader(mut log: impl Read, mut found: impl FnMut(Splat)) -> io::Result<()> {
    let mut scanner = Scanner::new();
    let mut piece = vec![0; PIECE];
    loop {
        match log.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => scanner.feed(&piece[..n], &mut found),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    scanner.finish(&mut found);
    Ok(())
}

/// Every report of a log, in order.
pub fn scan_bytes(log: &[u8]) -> Vec<Splat> {
    let mut splats = Vec::new();
    let mut scanner = Scanner::new();
    scanner.feed(log, &mut |splat| splats.push(splat));
    scanner.finish(&mut |splat| splats.push(splat));
    splats
}
