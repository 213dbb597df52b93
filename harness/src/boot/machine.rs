//! A running machine: QEMU, its console and its agent's port, and its certain end.
//!
//! QEMU inherits one socket as its stdin (the agent's port) and one as its stdout (the console):
//! no path that another process could reach, and nothing to remove afterwards. An end of file on
//! both tells that the last process that held them is gone.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream as StdStream, process::CommandExt},
    },
    process::{Command as StdCommand, ExitStatus, Stdio},
    time::Instant,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, killpg},
        wait::waitpid,
    },
    unistd::Pid,
};
use tokio::{
    net::UnixStream,
    process::{Child, ChildStderr, Command},
};

use crate::{
    Error, Result,
    error::Context,
    host::command::{die_with_parent, quote},
};

/// The number under which QEMU inherits the agent's socket: its stdin.
pub const AGENT_FD: u32 = 0;
/// The number under which QEMU inherits the console's socket: its stdout.
pub const CONSOLE_FD: u32 = 1;

/// A running machine. Dropping it ends it.
#[derive(Debug)]
pub struct Machine {
    /// QEMU itself.
    pub process: Process,
    /// When it was started.
    pub started: Instant,
    /// The console's bytes.
    pub console: UnixStream,
    /// The agent's port.
    pub agent: UnixStream,
    /// What QEMU itself complains about.
    pub stderr: ChildStderr,
}

/// QEMU's process, and all that belongs to it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
    ended: bool,
}

impl Machine {
    /// Starts a command line made by [`super::confine::command`]. To be called within a runtime
    /// of the current thread: the machine ends with the thread that started it.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(line: &[OsString]) -> Result<Self> {
        let (program, args) = line
            .split_first()
            .ok_or_else(|| Error::infrastructure("an empty command line"))?;
        let failed = || format!("failed to start `{}`", shell_line(line));
        let (console, console_end) = StdStream::pair().host(failed)?;
        let (agent, agent_end) = StdStream::pair().host(failed)?;
        let mut command = StdCommand::new(program);
        command
            .args(args)
            .stdin(Stdio::from(OwnedFd::from(agent_end)))
            .stdout(Stdio::from(OwnedFd::from(console_end)))
            .stderr(Stdio::piped())
            .process_group(0);
        die_with_parent(&mut command);
        let mut command = Command::from(command);
        let started = Instant::now();
        let mut child = command.spawn().host(failed)?;
        // The command keeps our copies of QEMU's ends of the sockets.
        drop(command);
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw);
        let group = group.ok_or_else(|| Error::infrastructure(failed()))?;
        let stderr = child
            .stderr
            .take()
            .ok_or_else(|| Error::infrastructure(failed()))?;
        Ok(Self {
            process: Process {
                child,
                group,
                ended: false,
            },
            started,
            console: stream(console).host(failed)?,
            agent: stream(agent).host(failed)?,
            stderr,
        })
    }
}

impl Process {
    /// The group of its processes.
    pub fn group(&self) -> Pid {
        self.group
    }

    /// Waits for its end. What bubblewrap held may outlive it by a moment; the sockets' end of
    /// file says when that is gone too.
    ///
    /// # Errors
    /// The host's.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().await;
        let status = status.host(|| "failed to wait for QEMU".into())?;
        self.ended = true;
        Ok(status)
    }

    /// Ends it, at once and for certain; [`Process::wait`] then returns.
    pub fn kill(&mut self) {
        if !self.ended {
            // It may be gone already: as wanted.
            let _: Result<(), Errno> = killpg(self.group, Signal::SIGKILL);
        }
    }
}

fn stream(socket: StdStream) -> io::Result<UnixStream> {
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// A command line as a shell would take it.
pub fn shell_line(line: &[OsString]) -> String {
    let words: Vec<String> = line.iter().map(|w| quote(&w.to_string_lossy())).collect();
    words.join(" ")
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            // Nothing survives a kill; the wait only leaves no zombie behind.
            let _ = waitpid(self.group, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;

    fn sh(script: &str) -> Vec<OsString> {
        ["sh", "-c", script].map(OsString::from).to_vec()
    }

    fn within<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(30), work)
                .await
                .expect("too long")
        })
    }

    #[test]
    fn both_sockets_reach_the_program_and_back() {
        within(async {
            let mut machine = Machine::start(&sh("echo console; echo agent >&0; exit 3")).unwrap();
            let (mut console, mut agent) = (String::new(), String::new());
            machine.console.read_to_string(&mut console).await.unwrap();
            machine.agent.read_to_string(&mut agent).await.unwrap();
            assert_eq!((console.as_str(), agent.as_str()), ("console\n", "agent\n"));
            assert_eq!(machine.process.wait().await.unwrap().code(), Some(3));
        });
    }

    #[test]
    fn a_killed_machine_takes_its_descendants_along() {
        within(async {
            let mut machine = Machine::start(&sh("sleep 1000 & sleep 1000")).unwrap();
            machine.process.kill();
            machine.process.wait().await.unwrap();
            // The end of file comes only when the last descendant is gone.
            assert_eq!(machine.console.read(&mut [0; 8]).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_dropped_machine_ends() {
        within(async {
            let mut machine = Machine::start(&sh("echo $$; sleep 1000 & wait")).unwrap();
            let mut buffer = [0; 32];
            let n = machine.console.read(&mut buffer).await.unwrap();
            let pid: i32 = std::str::from_utf8(&buffer[..n])
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            drop(machine);
            // Killed at once, gone as soon as the kernel gets to it.
            let deadline = Instant::now() + Duration::from_secs(20);
            while killpg(Pid::from_raw(pid), None) != Err(Errno::ESRCH) {
                assert!(Instant::now() < deadline, "the machine lives on");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        within(async {
            let error = Machine::start(&["/nonexistent/qemu".into(), "-x y".into()]).unwrap_err();
            assert!(
                error
                    .chain()
                    .contains("failed to start `/nonexistent/qemu '-x y'`"),
                "{error:?}"
            );
        });
    }
}
