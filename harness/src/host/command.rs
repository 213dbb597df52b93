//! Runs a host program to its end: bounded output, a limit, a stop by the user, no process left over.

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        prctl,
        resource::{UsageWho, getrusage},
        signal::{Signal, killpg},
        time::TimeValLike,
    },
    unistd::Pid,
};

use super::log::{LONGEST, Log};
use crate::{Error, Result, cancel::Cancel, error::Context};

/// How much of each stream is kept, in bytes: its end, as errors stand there.
const KEPT: usize = 4 << 20;

/// How often a waiting command looks at the clock and at the user's wish.
const TICK: Duration = Duration::from_millis(50);

/// How much is read from a pipe at once, in bytes.
const PIECE: usize = 64 << 10;

/// Pieces that wait for us at most; a command that prints faster than we take it has to wait.
const WAITING: usize = 16;

/// How long what an ended command left in its pipes is read. A descendant that left its process group
/// may hold them, and print, forever.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A command to be.
#[derive(Debug)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    clear_env: bool,
    cwd: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    limit: Option<Duration>,
    log: Option<PathBuf>,
}

/// How a command ended.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The end of its stdout.
    pub stdout: Vec<u8>,
    /// The end of its stderr.
    pub stderr: Vec<u8>,
    /// CPU time of it and of what it waited for, user and system.
    pub cpu: Duration,
}

impl Output {
    /// Did it exit with 0?
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// stdout as text, without white space at its ends.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

impl Cmd {
    /// A program, looked for in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().into(),
            args: Vec::new(),
            envs: Vec::new(),
            clear_env: false,
            cwd: None,
            stdin: None,
            limit: None,
            log: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|a| a.as_ref().into()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((key.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Starts from an empty environment.
    #[must_use]
    pub fn clear_env(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// The folder to run in.
    #[must_use]
    pub fn cwd(mut self, cwd: impl AsRef<Path>) -> Self {
        self.cwd = Some(cwd.as_ref().into());
        self
    }

    /// What it reads; without, an empty stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Ends it after this long, with an error.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Appends everything that it prints to a file, up to a size that no honest command's log has.
    #[must_use]
    pub fn log(mut self, path: impl AsRef<Path>) -> Self {
        self.log = Some(path.as_ref().into());
        self
    }

    /// The whole command, as a shell would take it.
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args);
        words
            .map(|w| quote(&w.to_string_lossy()))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs it to its end, whatever its exit code.
    ///
    /// # Errors
    /// It could not start, ran into its limit, or the user stopped it.
    pub fn run(&self, cancel: &Cancel) -> Result<Output> {
        self.lines(cancel, |_| {})
    }

    /// Runs it to its end; another exit code than 0 is an error that names the whole command.
    ///
    /// # Errors
    /// As [`Cmd::run`], and for a failing command.
    pub fn run_ok(&self, cancel: &Cancel) -> Result<Output> {
        let output = self.run(cancel)?;
        if output.success() {
            Ok(output)
        } else {
            Err(self.failed(&output))
        }
    }

    /// The error of a command that ended badly.
    pub fn failed(&self, output: &Output) -> Error {
        let how = match (output.code, output.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown end".into(),
        };
        let said = if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        let said = String::from_utf8_lossy(said);
        let lines: Vec<&str> = said.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        let message = format!("`{}` ended with {how}", self.line());
        Error::infrastructure(if tail.is_empty() {
            message
        } else {
            format!("{message}:\n{tail}")
        })
    }

    /// Runs it to its end, handing each line of either stream to `each`, lossily as UTF-8.
    ///
    /// # Errors
    /// As [`Cmd::run`].
    pub fn lines(&self, cancel: &Cancel, mut each: impl FnMut(&str)) -> Result<Output> {
        cancel.check()?;
        let log = self.log.as_deref();
        let log = log.map(|path| Log::open(path, LONGEST)).transpose()?;
        let started = Instant::now();
        let before = children_cpu();
        let mut child = Group(self.spawn()?);
        let (send, receive) = sync_channel(WAITING);
        pump(child.0.stdout.take(), Stream::Stdout, send.clone());
        pump(child.0.stderr.take(), Stream::Stderr, send);
        self.feed(&mut child.0);
        let mut sink = Sink {
            output: Output::default(),
            partial: [Vec::new(), Vec::new()],
            log,
        };
        let status = loop {
            drain(&receive, TICK, &mut |stream, bytes| {
                sink.take(stream, bytes, &mut each)
            })?;
            cancel.check()?;
            if let Some(limit) = self.limit.filter(|l| started.elapsed() > *l) {
                let message = format!("`{}` did not end within {} s", self.line(), limit.as_secs());
                return Err(Error::infrastructure(message));
            }
            if let Some(status) = child
                .0
                .try_wait()
                .host(|| format!("failed to wait for `{}`", self.line()))?
            {
                break status;
            }
        };
        // Descendants may still hold the pipes; they end with their group.
        drop(child);
        let ended = Instant::now();
        while drain(&receive, Duration::from_secs(2), &mut |stream, bytes| {
            sink.take(stream, bytes, &mut each)
        })? && ended.elapsed() < LAST_WORDS
        {
            cancel.check()?;
        }
        sink.end(&mut each);
        let mut output = sink.output;
        (output.code, output.signal) = ends(status);
        output.cpu = children_cpu().saturating_sub(before);
        Ok(output)
    }

    fn spawn(&self) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command.stdin(if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        if self.clear_env {
            command.env_clear();
        }
        command.envs(self.envs.iter().map(|(k, v)| (k, v)));
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        die_with_parent(&mut command);
        command.spawn().map_err(|e| {
            let error =
                Error::infrastructure(format!("failed to start `{}`", self.line())).because(e);
            let program = self.program.to_string_lossy();
            error.mend(format!(
                "`cargo xtask doctor` says which package holds {program}"
            ))
        })
    }

    fn feed(&self, child: &mut Child) {
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.stdin.clone()) {
            // A program that does not read its input says so by its exit code.
            thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
    }
}

/// Makes a child of this thread end when the thread does, however that happens.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes one system call, which is
    // async-signal-safe, and allocates nothing.
    unsafe {
        command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
    }
}

/// A child whose whole process group ends with it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The group may be gone already; both calls then fail, as wanted.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

struct Sink {
    output: Output,
    partial: [Vec<u8>; 2],
    log: Option<Log>,
}

impl Sink {
    fn take(&mut self, stream: Stream, bytes: &[u8], each: &mut impl FnMut(&str)) -> Result<()> {
        if let Some(log) = &mut self.log {
            log.append(bytes)
                .host(|| "failed to write the command's log".into())?;
        }
        let kept = match stream {
            Stream::Stdout => &mut self.output.stdout,
            Stream::Stderr => &mut self.output.stderr,
        };
        kept.extend_from_slice(bytes);
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
        let partial = &mut self.partial[stream as usize];
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || partial.len() > KEPT {
                each(String::from_utf8_lossy(partial).trim_end_matches('\n'));
                partial.clear();
            }
        }
        Ok(())
    }

    fn end(&mut self, each: &mut impl FnMut(&str)) {
        for partial in self.partial.iter().filter(|p| !p.is_empty()) {
            each(&String::from_utf8_lossy(partial));
        }
    }
}

fn pump(
    pipe: Option<impl Read + Send + 'static>,
    stream: Stream,
    to: SyncSender<(Stream, Vec<u8>)>,
) {
    let Some(mut pipe) = pipe else { return };
    thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        while let Ok(n @ 1..) = pipe.read(&mut buffer) {
            if to.send((stream, buffer[..n].to_vec())).is_err() {
                break;
            }
        }
    });
}

/// Hands on what has come, waiting at most `wait` for a first piece, and no more than may wait at once:
/// behind a command that prints without end, the caller still gets to the clock. False once both
/// pipes are closed, or when nothing came.
fn drain(
    from: &Receiver<(Stream, Vec<u8>)>,
    wait: Duration,
    to: &mut impl FnMut(Stream, &[u8]) -> Result<()>,
) -> Result<bool> {
    let first = match from.recv_timeout(wait) {
        Ok(piece) => piece,
        Err(RecvTimeoutError::Timeout) => return Ok(false),
        Err(RecvTimeoutError::Disconnected) => {
            // Both pipes are closed, but the process may live on.
            thread::sleep(wait.min(Duration::from_millis(2)));
            return Ok(false);
        }
    };
    let more = from.try_iter().take(WAITING - 1);
    for (stream, bytes) in std::iter::once(first).chain(more) {
        to(stream, &bytes)?;
    }
    Ok(true)
}

fn ends(status: ExitStatus) -> (Option<i32>, Option<i32>) {
    (status.code(), status.signal())
}

fn children_cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Duration::ZERO;
    };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A word as a POSIX shell would take it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Cmd {
        Cmd::new("sh").args(["-c", script])
    }

    #[test]
    fn output_and_codes_come_back() {
        let mut lines = Vec::new();
        let output = sh("echo one; echo two >&2; printf end; exit 3")
            .lines(&Cancel::new(), |l| lines.push(l.to_owned()))
            .unwrap();
        assert_eq!((output.code, output.text().as_str()), (Some(3), "one\nend"));
        lines.sort();
        assert_eq!(lines, ["end", "one", "two"]);
        let error = sh("echo no space >&2; false")
            .run_ok(&Cancel::new())
            .unwrap_err();
        assert!(
            error.chain().contains("sh -c 'echo no space >&2; false'"),
            "{error}"
        );
        assert!(error.chain().ends_with("no space"), "{error}");
    }

    #[test]
    fn input_is_read() {
        let output = Cmd::new("tr")
            .args(["a-z", "A-Z"])
            .stdin("twins")
            .run_ok(&Cancel::new())
            .unwrap();
        assert_eq!(output.text(), "TWINS");
    }

    #[test]
    fn descendants_end_with_the_limit() {
        let started = Instant::now();
        let error = sh("sleep 60 & sleep 60")
            .limit(Duration::from_millis(200))
            .run(&Cancel::new())
            .unwrap_err();
        assert!(error.chain().contains("did not end within"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_background_child_does_not_keep_us() {
        let started = Instant::now();
        assert!(
            sh("sleep 60 & exit 0")
                .run(&Cancel::new())
                .unwrap()
                .success()
        );
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn the_users_wish_ends_it() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            other.cancel();
        });
        assert_eq!(
            sh("sleep 60").run(&cancel).unwrap_err().fault(),
            crate::Fault::Interrupted
        );
    }

    /// Both streams at once, one of them from a program that a descendant started.
    const ENDLESS: &str = "yes & yes 1>&2";

    #[test]
    fn endless_output_ends_at_the_limit() {
        let started = Instant::now();
        let mut lines = 0_u64;
        let error = sh(ENDLESS)
            .limit(Duration::from_millis(300))
            .lines(&Cancel::new(), |_| lines += 1)
            .unwrap_err();
        assert!(error.chain().contains("did not end within"), "{error}");
        assert!(lines > 0);
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn endless_output_ends_with_the_users_wish() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        let started = Instant::now();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            other.cancel();
        });
        let error = sh(ENDLESS).run(&cancel).unwrap_err();
        assert_eq!(error.fault(), crate::Fault::Interrupted);
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_log_has_both_streams() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        sh("echo one; echo two >&2")
            .log(&path)
            .run(&Cancel::new())
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Cmd::new("no-such-program-at-all")
            .run(&Cancel::new())
            .unwrap_err();
        assert!(error.chain().contains("no-such-program-at-all"));
        assert!(error.mending().is_some());
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, quoted) in [
            ("a-b", "a-b"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(quote(word), quoted);
        }
    }
}
