//! A program that runs in the guest: its output, its limits, its end.

use std::{
    fs,
    io::{self, PipeReader, Read},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, getpid, sysconf},
};
use protocol::Counters;

use crate::{
    crew::{ACCOUNT, where_they_stand},
    heartbeat::Progress,
    init,
    reap::{self, Child, End},
    stop::Stop,
    sys,
};

/// The most output that is kept: its end. Even if each byte is escaped in JSON,
/// it fits into a line of the protocol.
const TAIL: usize = 128 << 10;
/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a look at where its tasks stand may take.
const LOOKS_WITHIN: Duration = Duration::from_secs(5);
/// How long a killed program may take to end, and an ended one's children to
/// let go of its output.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// None if it could not start, or could not even be killed.
    pub(crate) end: Option<End>,
    /// Why it could not start.
    pub(crate) error: Option<String>,
    /// Whether its time was over, or the host said stop.
    pub(crate) killed: bool,
    /// Where its tasks stood when its time was over.
    pub(crate) stood: String,
    /// Whether it, or what it left behind, is still there though it was killed: something in the kernel
    /// holds it.
    pub(crate) stuck: bool,
    /// The end of its output.
    pub(crate) output: Tail,
    /// How long it ran.
    pub(crate) time: Duration,
}

impl Outcome {
    /// What there is to read about its failure.
    pub(crate) fn told(&self) -> String {
        let said = self.error.clone().unwrap_or_else(|| self.output.text());
        format!("{}{said}", self.stood)
    }
}

/// The end of a stream of bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// Whether the beginning was dropped.
    pub(crate) truncated: bool,
}

impl Tail {
    fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        if self.bytes.len() > 2 * TAIL {
            self.trim();
        }
    }

    fn trim(&mut self) {
        if let Some(over) = self.bytes.len().checked_sub(TAIL).filter(|&over| over > 0) {
            self.bytes.drain(..over);
            self.truncated = true;
        }
    }

    /// As text, wrong bytes replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What a running program has done, as far as anybody outside can tell: the
/// CPU time of its session.
#[derive(Debug, Default)]
pub(crate) struct CpuTime {
    session: AtomicI32,
    most: AtomicU64,
}

impl CpuTime {
    /// In milliseconds. It never runs backwards, though children end.
    fn millis(&self) -> u64 {
        let session = self.session.load(Ordering::Relaxed);
        let now = if session == 0 {
            0
        } else {
            session_millis(session)
        };
        self.most.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

impl Progress for CpuTime {
    fn counters(&self) -> Counters {
        Counters::from([("cpu_ms".into(), self.millis())])
    }
}

/// Runs a program in a session of its own, to its end, to the limit, or until
/// the host says stop. `heard` gets its output as it comes.
pub(crate) fn run(
    command: &mut Command,
    limit: Duration,
    stop: &Stop,
    cpu: &CpuTime,
    heard: impl FnMut(&[u8]) + Send + 'static,
) -> Outcome {
    let began = Instant::now();
    let started = io::pipe().and_then(|(reader, writer)| {
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let child = reap::spawn(sys::in_own_session(command));
        // The command holds the pipe's writing ends; they must not outlive the child's.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok((reader, child?))
    });
    let (reader, child) = match started {
        Ok(started) => started,
        Err(error) => {
            let error = Some(error.to_string());
            return Outcome {
                end: None,
                error,
                killed: false,
                stood: String::new(),
                stuck: false,
                output: Tail::default(),
                time: began.elapsed(),
            };
        }
    };
    cpu.session.store(child.0.as_raw(), Ordering::Relaxed);
    let output = Arc::<Mutex<Tail>>::default();
    let closed = drain(reader, output.clone(), heard);
    let mut end = wait(child, began + limit, stop);
    let killed = end.is_none();
    let mut stood = String::new();
    if killed {
        // Of what the host stops nobody asks why it went on.
        if !stop.is_set() {
            stood = where_it_stands(child);
        }
        kill_all(child);
        end = child.wait(ENDS_WITHIN);
    }
    let time = began.elapsed();
    // What it left behind goes with it, and so does the last writer of the pipe.
    kill_all(child);
    let until = Instant::now() + ENDS_WITHIN;
    let stuck = end.is_none() || !are_gone(until);
    if !stuck {
        let _ = closed.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
    cpu.millis();
    let mut output = output
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    output.trim();
    Outcome {
        end,
        error: None,
        killed,
        stood,
        stuck,
        output,
        time,
    }
}

fn drain(
    mut from: PipeReader,
    to: Arc<Mutex<Tail>>,
    mut heard: impl FnMut(&[u8]) + Send + 'static,
) -> mpsc::Receiver<()> {
    let (done, closed) = mpsc::sync_channel(1);
    // Without the thread the program would block on a full pipe; its end is
    // then the limit's, and the missing output shows.
    let _ = thread::Builder::new()
        .name("ktwin-output".into())
        .spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                heard(&buffer[..length]);
                to.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(&buffer[..length]);
            }
            let _ = done.send(());
        });
    closed
}

/// Waits for the child's end; none if its time is over before, or the host says stop.
fn wait(child: Child, until: Instant, stop: &Stop) -> Option<End> {
    while Instant::now() < until && !stop.is_set() {
        if let Some(end) = child.wait(LOOK) {
            return Some(end);
        }
    }
    None
}

/// Where the tasks of the child's session stand. Who looks at a task may be held up by what holds it up.
fn where_it_stands(child: Child) -> String {
    let look = move || {
        let mut text = String::new();
        for stat in session_members(child.0.as_raw()) {
            if text.len() > ACCOUNT {
                break;
            }
            text.push_str(&where_they_stand(&stat.pid.to_string(), |_| true));
        }
        text
    };
    init::within(LOOKS_WITHIN, "ktwin-look", look)
        .unwrap_or_else(|| "nobody can look at its tasks\n".into())
}

/// Kills the child and what it started. PID 1 kills all there is but itself and the kernel's: nothing else
/// of ours runs beside a program, and so whoever left the session, or forks meanwhile, is met as well.
fn kill_all(child: Child) {
    if is_init() {
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        return;
    }
    for pid in session_members(child.0.as_raw()).map(|stat| stat.pid) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Whether all that was killed is gone in time. Only PID 1 can tell: every orphan is its child.
fn are_gone(until: Instant) -> bool {
    while is_init() && sys::has_children() {
        if Instant::now() > until {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

/// Whether the machine is the agent's. Tests' never is, whatever their number in a container.
fn is_init() -> bool {
    !cfg!(test) && getpid().as_raw() == 1
}

/// The fields of /proc/PID/stat that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    session: i32,
    /// Its own time and that of the children it has waited for.
    ticks: u64,
}

fn session_members(session: i32) -> impl Iterator<Item = Stat> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .iter()
                .all(u8::is_ascii_digit)
        })
        .filter_map(|entry| parse_stat(&fs::read_to_string(entry.path().join("stat")).ok()?))
        .filter(move |stat| stat.session == session)
}

fn session_millis(session: i32) -> u64 {
    let hertz = sysconf(SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|hertz| u64::try_from(hertz).ok())
        .unwrap_or(100);
    session_members(session).map(|stat| stat.ticks).sum::<u64>() * 1000 / hertz.max(1)
}

/// The name, in parentheses, may hold anything: the fields begin after the last one.
fn parse_stat(stat: &str) -> Option<Stat> {
    let (pid, rest) = stat.split_once(' ')?;
    let fields: Vec<&str> = rest.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = (11..15).map(number).sum::<Option<u64>>()?;
    Some(Stat {
        pid: pid.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_fake_the_fields_after_it() {
        let stat = "42 (a) b (c) S 1 42 7 0 -1 4194304 100 0 0 0 10 20 3 4 20 0 1 0 99";
        assert_eq!(
            parse_stat(stat),
            Some(Stat {
                pid: 42,
                session: 7,
                ticks: 37
            })
        );
        assert_eq!(parse_stat("42 (a"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn a_program_that_does_not_end_is_looked_at_and_killed() {
        reap::start().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 60 & wait"]);
        let limit = Duration::from_secs(2);
        let cpu = CpuTime::default();
        let outcome = run(&mut command, limit, &Stop::default(), &cpu, |_| {});
        assert_eq!(outcome.end, Some(End::Signal(9)));
        assert!(outcome.killed && !outcome.stuck);
        for one in ["sh (S): waits in", "sleep (S): waits in"] {
            assert!(outcome.stood.contains(one), "{}", outcome.stood);
        }
    }

    #[test]
    fn only_the_end_of_much_output_is_kept() {
        let mut tail = Tail::default();
        tail.push(b"beginning");
        assert_eq!((tail.text().as_str(), tail.truncated), ("beginning", false));
        for _ in 0..40 {
            tail.push(&[b'x'; 16 << 10]);
        }
        tail.push(b"end\xff");
        tail.trim();
        assert!(tail.truncated && tail.bytes.len() == TAIL && tail.text().ends_with("end\u{fffd}"));
    }
}
