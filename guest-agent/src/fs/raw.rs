//! A FUSE connection that is served by hand, INIT included, which fuser keeps to itself.

use std::{
    fs::{self, File},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd,
};

use super::{
    mount,
    wire::{Answer, LONGEST, MAX_WRITE, Offer, ROOT, Request, opcode},
};
use crate::{crew::Crew, stop::Stop};

/// The first file's number.
const FIRST: u64 = ROOT + 1;
/// The size of every file.
pub(crate) const FILE_SIZE: u64 = 4096;
/// What the server itself gives to whoever reads.
pub(crate) const SERVED: u8 = b's';
/// How often a server that nobody asks anything looks whether it is to end.
const LOOK_MS: u16 = 20;
/// How long the kernel has to ask INIT.
const INIT_WITHIN_MS: u16 = 30_000;

/// A mount whose requests nobody answers yet.
pub(crate) struct Connection {
    at: PathBuf,
    device: Arc<OwnedFd>,
}

impl Connection {
    /// Mounts; INIT is not answered.
    pub(crate) fn mount(at: &Path) -> Result<Self> {
        let device = OwnedFd::from(mount::attach(at)?);
        // Of several servers that see a request one gets it; the others must not sleep over it.
        fcntl(&device, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("set up /dev/fuse")?;
        Ok(Self {
            at: at.to_owned(),
            device: Arc::new(device),
        })
    }

    /// Reads INIT, the first that a kernel asks; its number for the answer.
    pub(crate) fn asked(&self) -> Result<u64> {
        ensure!(
            is_readable(self.device.as_fd(), INIT_WITHIN_MS)?,
            "the kernel asks nothing"
        );
        let request = read(self.device.as_fd(), &mut [0; LONGEST])?;
        let request = request.context("the kernel's first request is none")?;
        if request.opcode != opcode::INIT {
            bail!("the kernel's first request is {}", request.opcode);
        }
        Ok(request.unique)
    }

    /// Answers INIT.
    pub(crate) fn answer(&self, asked: u64, offer: Offer) -> nix::Result<()> {
        write(self.device.as_fd(), &Answer::Init(offer).bytes(asked))
    }

    /// Starts servers. INIT is theirs no more.
    pub(crate) fn serve(self, files: Files, servers: usize) -> Result<Served> {
        let files = Arc::new(files);
        let stop = Stop::default();
        let mut crew = Crew::default();
        for who in 0..servers {
            let (device, files, stop) = (self.device.clone(), files.clone(), stop.clone());
            crew.spawn(format!("fuse-raw-{who}"), move || {
                serve(device.as_fd(), &files, &stop);
            })?;
        }
        Ok(Served {
            connection: self,
            files,
            stop,
            crew,
        })
    }

    /// The device, for the backing ioctls.
    pub(crate) fn device(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    /// The device, for a thread of its own.
    pub(crate) fn share(&self) -> Arc<OwnedFd> {
        self.device.clone()
    }

    /// Unmounts what has no server; `false` if that hangs.
    pub(crate) fn end(self, limit: Duration) -> bool {
        // Whatever waits for an answer fails once nobody has the device.
        drop(self.device);
        mount::detach(&self.at, limit)
    }
}

/// The files, which exist as names, and what their opens are answered with.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Of the file of number n, the id at n, modulo how many there are; 0 for an open without passthrough.
    pub(crate) ids: Box<[AtomicU32]>,
    /// Whether opens wait for their answers, until this is off again.
    pub(crate) withhold: AtomicBool,
    /// Those that wait.
    held: Mutex<Vec<Request>>,
}

impl Files {
    /// So many ids to answer with, none yet.
    pub(crate) fn new(ids: usize) -> Self {
        Self {
            ids: (0..ids).map(|_| AtomicU32::new(0)).collect(),
            ..Self::default()
        }
    }

    /// Answers opens of the files of this number with this id from now on.
    pub(crate) fn answer_with(&self, number: usize, id: Option<u32>) {
        self.ids[number % self.ids.len()].store(id.unwrap_or(0), Ordering::Release);
    }

    /// How many opens wait for their answers.
    pub(crate) fn held(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, node: u64) -> Option<u32> {
        let number = usize::try_from(node.checked_sub(FIRST)?).ok()?;
        let id = self.ids.get(number.checked_rem(self.ids.len())?)?;
        Some(id.load(Ordering::Acquire)).filter(|id| *id != 0)
    }
}

/// A file's name.
pub(crate) fn file_name(number: usize) -> String {
    format!("f{number}")
}

fn node_of(name: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(name.strip_prefix(b"f")?).ok()?;
    Some(u64::from(number.parse::<u32>().ok()?) + FIRST)
}

/// A connection that is served.
pub(crate) struct Served {
    connection: Connection,
    pub(crate) files: Arc<Files>,
    stop: Stop,
    crew: Crew,
}

impl Served {
    /// Mounts, answers INIT, and serves so many ids' files with so many threads.
    pub(crate) fn mount(at: &Path, offer: Offer, files: Files, servers: usize) -> Result<Self> {
        let connection = Connection::mount(at)?;
        let asked = connection.asked()?;
        connection.answer(asked, offer).context("answer INIT")?;
        connection.serve(files, servers)
    }

    /// The device, for the backing ioctls.
    pub(crate) fn device(&self) -> BorrowedFd<'_> {
        self.connection.device()
    }

    /// The device, for a thread of its own.
    pub(crate) fn share(&self) -> Arc<OwnedFd> {
        self.connection.share()
    }

    /// A file's path.
    pub(crate) fn path(&self, number: usize) -> PathBuf {
        self.connection.at.join(file_name(number))
    }

    /// The number that the kernel knows the connection by.
    pub(crate) fn number(&self) -> Result<u64> {
        let root = fs::metadata(&self.connection.at).context("look at the mount's root")?;
        Ok(nix::sys::stat::minor(root.dev()))
    }

    /// Unmounts and waits for the servers; gives who did not come back.
    pub(crate) fn end(mut self, limit: Duration) -> Vec<String> {
        if !mount::detach(&self.connection.at, limit) {
            std::mem::forget(self.connection);
            return vec![mount::UNMOUNT.into()];
        }
        self.crew.end(limit)
    }

    /// Ends the servers first, whoever waits for them: with the last descriptor the connection ends.
    /// Gives who did not come back.
    pub(crate) fn forsake(mut self, limit: Duration) -> Vec<String> {
        self.stop.set();
        let mut stuck = self.crew.end(limit);
        if stuck.is_empty() && !self.connection.end(limit) {
            stuck.push(mount::UNMOUNT.into());
        }
        stuck
    }
}

/// Answers until the connection or somebody else says that it is enough.
fn serve(device: BorrowedFd<'_>, files: &Files, stop: &Stop) {
    let mut buffer = [0; LONGEST];
    let answer = |request: &Request| {
        if let Some(bytes) = answered(files, request) {
            // Whoever asked may be gone by now.
            let _ = write(device, &bytes);
        }
    };
    while !stop.is_set() {
        if !files.withhold.load(Ordering::Acquire) {
            let held = std::mem::take(&mut *files.lock());
            held.iter().for_each(answer);
        }
        match is_readable(device, LOOK_MS) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(_) => return,
        }
        match read(device, &mut buffer) {
            Ok(Some(request)) => answer(&request),
            // What was asked was taken back, or another server took it.
            Ok(None) | Err(Errno::ENOENT | Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => return,
        }
    }
}

/// The answer, if there is to be one.
fn answered(files: &Files, request: &Request) -> Option<Vec<u8>> {
    let data;
    let answer = match request.opcode {
        _ if request.is_told() => return None,
        opcode::LOOKUP => match node_of(request.name()) {
            Some(node) => Answer::Entry(node, FILE_SIZE),
            None => Answer::Error(Errno::ENOENT),
        },
        opcode::GETATTR => Answer::Attr(request.node, FILE_SIZE),
        opcode::OPEN if files.withhold.load(Ordering::Acquire) => {
            files.lock().push(request.clone());
            return None;
        }
        opcode::OPEN => Answer::Opened(files.id(request.node)),
        opcode::READ => {
            let (from, length) = request.extent()?;
            let left = FILE_SIZE.saturating_sub(from).min(u64::from(length));
            data = [SERVED; MAX_WRITE as usize];
            Answer::Data(&data[..usize::try_from(left).ok()?.min(data.len())])
        }
        opcode::RELEASE | opcode::FLUSH | opcode::DESTROY => Answer::Done,
        _ => Answer::Error(Errno::ENOSYS),
    };
    Some(answer.bytes(request.unique))
}

fn is_readable(device: BorrowedFd<'_>, within_ms: u16) -> nix::Result<bool> {
    let mut waiting = [PollFd::new(device, PollFlags::POLLIN)];
    match poll(&mut waiting, PollTimeout::from(within_ms)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn read(device: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<Option<Request>> {
    let length = unistd::read(device, buffer)?;
    Ok(Request::parse(&buffer[..length]))
}

/// An answer is taken whole or not at all.
fn write(device: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<()> {
    unistd::write(device, bytes).map(drop)
}

/// Opens a device that is mounted nowhere.
pub(crate) fn unmounted() -> Result<File> {
    let options = File::options().read(true).write(true).open("/dev/fuse");
    options.context("open /dev/fuse")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_go_together() {
        assert_eq!(node_of(file_name(3).as_bytes()), Some(5));
        for name in ["f", "g3", "f-1", "f4294967296", "3", ""] {
            assert_eq!(node_of(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn opens_are_answered_with_the_id_of_the_moment() {
        let files = Files::new(2);
        let open = |node| Request {
            opcode: opcode::OPEN,
            unique: 1,
            node,
            body: Vec::new(),
        };
        files.answer_with(1, Some(7));
        let with = |id: Option<u32>| Some(Answer::Opened(id).bytes(1));
        assert_eq!(answered(&files, &open(FIRST)), with(None));
        assert_eq!(answered(&files, &open(FIRST + 1)), with(Some(7)));
        assert_eq!(answered(&files, &open(FIRST + 3)), with(Some(7)));
        files.withhold.store(true, Ordering::Release);
        assert_eq!(answered(&files, &open(FIRST)), None);
        assert_eq!(files.held(), 1);
    }
}
