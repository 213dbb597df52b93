//! The virtio-serial port to the host.
//!
//! One thread writes, so that a slow host never holds up a load; one reads.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    path::PathBuf,
    sync::{
        Arc, Mutex, TryLockError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use protocol::{GuestMessage, HostMessage, MAX_LINE, PORT_NAME, decode, encode};

/// How long the port may take to appear after boot.
const APPEARS_WITHIN: Duration = Duration::from_secs(20);
/// Lines that wait for a slow host before senders wait too.
const QUEUE: usize = 256;
/// How long a last message may wait for the host.
const LAST_WORDS: Duration = Duration::from_secs(10);

enum Item {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Where messages to the host go.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: SyncSender<Item>,
    port: Arc<Mutex<File>>,
}

impl Outbox {
    /// Sends a message, waiting while the queue is full. Not for hot paths.
    pub(crate) fn send(&self, message: &GuestMessage) -> Result<()> {
        let line = encode(message).context("encode a message to the host")?;
        self.queue
            .send(Item::Line(line))
            .ok()
            .context("the channel's writer is gone")
    }

    /// Sends a message that may be lost when the host is slow.
    pub(crate) fn offer(&self, message: &GuestMessage) -> bool {
        encode(message).is_ok_and(|line| self.queue.try_send(Item::Line(line)).is_ok())
    }

    /// Waits until everything sent so far has reached the host, within reason.
    pub(crate) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.queue.try_send(Item::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(LAST_WORDS);
        }
    }

    /// Says why the agent cannot go on, past the queue: the caller is about to
    /// reboot, and the writer may be the thread that failed.
    pub(crate) fn fatal(&self, text: &str) {
        let message = GuestMessage::Fatal {
            message: text.chars().take(4096).collect(),
        };
        let Ok(line) = encode(&message) else { return };
        let end = Instant::now() + LAST_WORDS;
        loop {
            match self.port.try_lock() {
                Ok(mut port) => return drop(port.write_all(&line)),
                Err(TryLockError::Poisoned(port)) => {
                    return drop(port.into_inner().write_all(&line));
                }
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    thread::sleep(Duration::from_millis(20))
                }
                Err(TryLockError::WouldBlock) => return,
            }
        }
    }
}

/// Opens the port and starts its two threads.
pub(crate) fn open() -> Result<(Outbox, Receiver<Result<HostMessage>>)> {
    let path = wait_for_port()?;
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    let reader = port.try_clone().context("clone the port's descriptor")?;
    let port = Arc::new(Mutex::new(port));
    let (queue, items) = mpsc::sync_channel(QUEUE);
    let writing = port.clone();
    thread::Builder::new()
        .name("ktwin-write".into())
        .spawn(move || write_all(&writing, &items))?;
    let (found, messages) = mpsc::sync_channel(QUEUE);
    thread::Builder::new()
        .name("ktwin-read".into())
        .spawn(move || read_all(reader, &found))?;
    Ok((Outbox { queue, port }, messages))
}

fn wait_for_port() -> Result<PathBuf> {
    let end = Instant::now() + APPEARS_WITHIN;
    loop {
        if let Some(path) = find_port() {
            return Ok(path);
        }
        if Instant::now() > end {
            bail!("no virtio-serial port named {PORT_NAME} in /sys/class/virtio-ports");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn find_port() -> Option<PathBuf> {
    fs::read_dir("/sys/class/virtio-ports")
        .ok()?
        .flatten()
        .find_map(|entry| {
            let name = fs::read_to_string(entry.path().join("name")).ok()?;
            (name.trim_end() == PORT_NAME).then(|| PathBuf::from("/dev").join(entry.file_name()))
        })
}

fn write_all(port: &Mutex<File>, items: &Receiver<Item>) {
    for item in items {
        match item {
            Item::Line(line) => {
                let mut port = port
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                // A host that went away is noticed by the host.
                let _ = port.write_all(&line);
            }
            Item::Flush(done) => drop(done.send(())),
        }
    }
}

fn read_all(port: File, found: &SyncSender<Result<HostMessage>>) {
    let mut port = BufReader::new(port);
    let mut line = Vec::new();
    loop {
        let message = match next_line(&mut port, &mut line) {
            Ok(true) => decode(&line).context("read a message of the host's"),
            // Nobody has opened the host's end yet.
            Ok(false) => {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(error) => Err(error).context("read the port to the host"),
        };
        let failed = message.is_err();
        if found.send(message).is_err() || failed {
            return;
        }
        line.clear();
    }
}

/// Reads up to the end of a line; false at the end of what there is for now,
/// with the part read so far kept in `line`.
fn next_line(port: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let room = (MAX_LINE + 1 - line.len()) as u64;
    port.take(room).read_until(b'\n', line)?;
    if line.len() > MAX_LINE {
        return Err(io::Error::other(format!(
            "a line of more than {MAX_LINE} bytes"
        )));
    }
    Ok(line.ends_with(b"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_comes_in_parts_is_put_together() {
        let mut line = Vec::new();
        assert!(!next_line(&mut &b"{\"type\""[..], &mut line).unwrap());
        assert!(next_line(&mut &b":\"stop\"}\nrest"[..], &mut line).unwrap());
        assert_eq!(decode::<HostMessage>(&line).unwrap(), HostMessage::Stop);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut line = Vec::new();
        let endless = vec![b'x'; 2 * MAX_LINE];
        assert!(next_line(&mut &endless[..], &mut line).is_err());
    }
}
