//! Drives a running machine: hands on what it says, sends the plan, and ends it when told to.

use std::{
    io,
    process::ExitStatus,
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};
use protocol::{GuestMessage, Hello, HostMessage, Plan, encode};
use tokio::{io::AsyncReadExt, net::UnixStream, time::MissedTickBehavior};

use super::{
    conclude::{Cause, Exit},
    limits::Limits,
    lines::{Line, Lines},
    watchdog::{Heard, Stop, Watchdog},
};
use crate::{
    Error, Result, boot::machine::Machine, cancel::Cancel, collect::record::Limit, error::Context,
};

/// How often the clock and the user's wish are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long after its last look at the clock ktwin itself was stopped (Ctrl-Z and fg, a host that
/// swaps), and did not merely wait for a processor.
const STALLED: Duration = Duration::from_secs(2);
/// How long the last words of an ended QEMU may take.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Limits that end a guest whose kernel may still listen.
const HANGS: [Limit; 4] = [
    Limit::Silence,
    Limit::NoBeat,
    Limit::NoProgress,
    Limit::Cell,
];
/// The magic keys for blocked tasks and for the CPUs' stacks, a break on the serial line before each:
/// what QEMU's multiplexer makes of Ctrl-A and b.
const ASKS: [&[u8]; 2] = [b"\x01bw", b"\x01bl"];
/// How long the answer may take: a screen or two, printed by a sanitizer's kernel.
const ANSWERS: Duration = Duration::from_secs(3);
/// How long a console is silent that has no more to say.
const QUIET: Duration = Duration::from_secs(1);
/// How much is read at once.
const CHUNK: usize = 64 << 10;
/// How much of QEMU's stderr is kept: its end.
const STDERR: usize = 16 << 10;

/// Something that the machine said or did.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// Bytes of console, as they came.
    Console(&'a [u8]),
    /// A message of the agent's.
    Message(&'a GuestMessage),
    /// A line of the agent's that is none, and why.
    NoMessage(&'a str),
    /// What stopped the machine; only what was under way by then may still come.
    Stopped(&'a Cause),
}

/// How long the host has slept since it was booted: none of it is in the clock that everything here
/// goes by, and all of it in an emulated guest's.
fn asleep() -> Duration {
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    let awake = read(ClockId::CLOCK_MONOTONIC);
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(awake)
}

/// Whether a machine is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// It is.
    On,
    /// It has shown what it was run for.
    Enough,
}

/// Whoever takes a machine's events, with the time since its start; an error of it ends the machine.
pub type Observer<'a> = &'a mut dyn FnMut(Duration, Event<'_>) -> Result<Go>;

/// Drives a machine until it has ended, and says what stopped it. A restored one has said `hello`
/// before.
///
/// # Errors
/// The host's, or the observer's. The machine is then ended when it is dropped.
pub async fn drive(
    machine: &mut Machine,
    plan: &Plan,
    hello: Option<&Hello>,
    limits: &Limits,
    cancel: &Cancel,
    observer: Observer<'_>,
) -> Result<Cause> {
    let plan_line =
        encode(&HostMessage::Plan(plan.clone())).host(|| "failed to write the plan".into())?;
    let mut drive = Drive {
        started: machine.started,
        looked: machine.started.elapsed(),
        asleep: asleep(),
        watchdog: Watchdog::new(limits.clone(), plan),
        lines: Lines::new(limits.agent_line),
        plan: plan_line,
        outbox: Vec::new(),
        stopped: None,
        console_at: machine.started,
        asked: (0, machine.started),
        observer,
    };
    if let Some(hello) = hello {
        let message = Box::new(GuestMessage::Hello(hello.clone()));
        drive.line(Line::Message(message, 0))?;
    }
    let mut open = Open {
        console: true,
        agent: true,
        stderr: true,
    };
    let mut stderr = Vec::new();
    let mut status = None;
    let (mut console_buffer, mut agent_buffer, mut stderr_buffer) =
        (vec![0; CHUNK], vec![0; CHUNK], vec![0; 4096]);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            read = machine.console.read(&mut console_buffer), if open.console => match length(read)? {
                0 => open.console = false,
                n => drive.console(&console_buffer[..n])?,
            },
            read = machine.agent.read(&mut agent_buffer), if open.agent => match length(read)? {
                0 => open.agent = false,
                n => drive.agent(&agent_buffer[..n])?,
            },
            read = machine.stderr.read(&mut stderr_buffer), if open.stderr => match length(read)? {
                0 => open.stderr = false,
                n => keep_end(&mut stderr, &stderr_buffer[..n]),
            },
            _ = tick.tick() => drive.look(cancel)?,
            ended = machine.process.wait(), if status.is_none() => status = Some((ended?, Instant::now())),
        }
        drive.send(&machine.agent)?;
        drive.ask(&machine.console);
        if drive.is_to_end() && status.is_none() {
            machine.process.kill();
        }
        let Some((exit, since)) = status else {
            continue;
        };
        // QEMU is gone; what it said last may still lie in the sockets.
        if !open.any() || since.elapsed() > LAST_WORDS {
            let stderr = String::from_utf8_lossy(&stderr).into_owned();
            return drive.end(exit, stderr, open);
        }
    }
}

struct Drive<'a> {
    started: Instant,
    /// When the clock was last looked at.
    looked: Duration,
    /// How long the host had slept when it began.
    asleep: Duration,
    watchdog: Watchdog,
    lines: Lines,
    plan: Vec<u8>,
    outbox: Vec<u8>,
    stopped: Option<Cause>,
    /// When the console last said something.
    console_at: Instant,
    /// How many questions the guest was asked about what hangs, and when it was the last.
    asked: (usize, Instant),
    observer: Observer<'a>,
}

impl Drive<'_> {
    fn console(&mut self, bytes: &[u8]) -> Result<()> {
        let at = self.started.elapsed();
        self.console_at = Instant::now();
        if matches!(
            self.stopped,
            Some(Cause::Stopped(Stop::Limit(Limit::Console, _)))
        ) {
            // What floods us is worth no more than its limit.
            return Ok(());
        }
        self.observe(at, Event::Console(bytes))?;
        self.hear(at, Heard::Console(bytes.len()))
    }

    fn agent(&mut self, bytes: &[u8]) -> Result<()> {
        let mut lines = Vec::new();
        self.lines.feed(bytes, &mut |line| lines.push(line));
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    fn line(&mut self, line: Line) -> Result<()> {
        let at = self.started.elapsed();
        match line {
            Line::Message(message, bytes) => {
                if matches!(&*message, GuestMessage::Hello(hello) if hello.protocol == protocol::PROTOCOL)
                {
                    self.outbox.append(&mut self.plan);
                }
                self.observe(at, Event::Message(&message))?;
                self.hear(at, Heard::Message(&message, bytes))
            }
            Line::NoMessage(why) => {
                self.observe(at, Event::NoMessage(&why))?;
                self.hear(at, Heard::NoMessage(&why))
            }
        }
    }

    fn observe(&mut self, at: Duration, event: Event<'_>) -> Result<()> {
        match (self.observer)(at, event)? {
            Go::On => Ok(()),
            Go::Enough => self.stop(at, Cause::Enough),
        }
    }

    fn hear(&mut self, at: Duration, heard: Heard<'_>) -> Result<()> {
        match self.watchdog.hear(at, heard) {
            Some(stop) => self.stop(at, Cause::Stopped(stop)),
            None => Ok(()),
        }
    }

    /// Looks at the user's wish and at the clock. After a stall of our own the guest's words wait to be
    /// read, and none of them may be the watchdogs' reason.
    fn look(&mut self, cancel: &Cancel) -> Result<()> {
        let at = self.started.elapsed();
        if cancel.is_cancelled() {
            return self.stop(at, Cause::Cancelled);
        }
        let slept = asleep().saturating_sub(self.asleep);
        if slept > STALLED {
            return self.stop(at, Cause::Slept(slept));
        }
        let gap = at.saturating_sub(self.looked);
        self.looked = at;
        if gap > STALLED {
            self.watchdog.shift(at, gap);
            return Ok(());
        }
        match self.watchdog.check(at) {
            Some(stop) => self.stop(at, Cause::Stopped(stop)),
            None => Ok(()),
        }
    }

    /// Asks a guest that hangs what its tasks and CPUs do, one after the other: its serial line holds
    /// one break at a time. A kernel that no longer listens answers nothing.
    fn ask(&mut self, console: &UnixStream) {
        let hangs = matches!(&self.stopped, Some(Cause::Stopped(Stop::Limit(limit, _))) if HANGS.contains(limit));
        let (asked, _) = self.asked;
        if let Some(question) = ASKS.get(asked).filter(|_| hangs)
            && (asked == 0 || self.has_answered())
        {
            self.asked = (asked + 1, Instant::now());
            // Bytes that a full socket does not take are a question less.
            let _ = console.try_write(question);
        }
    }

    /// Whether the last question was answered, or will not be.
    fn has_answered(&self) -> bool {
        let (_, asked_at) = self.asked;
        asked_at.max(self.console_at).elapsed() > QUIET || asked_at.elapsed() > ANSWERS
    }

    /// Whether it has been stopped, and has had the time to answer.
    fn is_to_end(&self) -> bool {
        let answers = match self.asked {
            (0, _) => false,
            (asked, _) => asked < ASKS.len() || !self.has_answered(),
        };
        self.stopped.is_some() && !answers
    }

    /// Only the first cause counts.
    fn stop(&mut self, at: Duration, cause: Cause) -> Result<()> {
        if self.stopped.is_none() {
            (self.observer)(at, Event::Stopped(&cause))?;
            self.stopped = Some(cause);
        }
        Ok(())
    }

    /// Sends what waits, as much as the guest takes.
    fn send(&mut self, agent: &UnixStream) -> Result<()> {
        while !self.outbox.is_empty() {
            match agent.try_write(&self.outbox) {
                Ok(n) => drop(self.outbox.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // QEMU is ending; its end says more.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => self.outbox.clear(),
                Err(e) => {
                    return Err(Error::infrastructure("failed to write to the agent").because(e));
                }
            }
        }
        Ok(())
    }

    fn end(mut self, exit: ExitStatus, stderr: String, open: Open) -> Result<Cause> {
        if open.console || open.agent {
            return Err(Error::infrastructure(
                "QEMU's descendants did not end with it",
            ));
        }
        let said = stderr.clone();
        if self.stopped.is_none() {
            let exit = Exit::new(exit, stderr);
            self.stop(self.started.elapsed(), Cause::Exited(exit))?;
        }
        self.stopped
            .map(|cause| cause.told(&said))
            .ok_or_else(|| Error::infrastructure("a boot without an end"))
    }
}

/// Which of QEMU's ends still have something to say.
#[derive(Debug, Clone, Copy)]
struct Open {
    console: bool,
    agent: bool,
    stderr: bool,
}

impl Open {
    fn any(self) -> bool {
        self.console || self.agent || self.stderr
    }
}

/// A socket whose other end was killed with unread bytes says so by an error; that is its end too.
fn length(read: io::Result<usize>) -> Result<usize> {
    match read {
        Ok(n) => Ok(n),
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        Err(e) => Err(e).host(|| "failed to read from QEMU".into()),
    }
}

fn keep_end(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    if kept.len() > 2 * STDERR {
        kept.drain(..kept.len() - STDERR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A drive of a machine that started `started` seconds ago and whose clock was looked at `looked`
    /// seconds after.
    fn drive(started: u64, looked: u64, observer: Observer<'_>) -> Drive<'_> {
        let limits = Limits {
            boot_s: 30.0,
            silence_s: 20.0,
            beat_s: 20.0,
            progress_s: 20.0,
            idle_s: 20.0,
            power_off_s: 20.0,
            cell_s: 60.0,
            console_bytes: 1000,
            agent_line: 1000,
            agent_bytes: 1000,
        };
        Drive {
            started: Instant::now() - Duration::from_secs(started),
            looked: Duration::from_secs(looked),
            asleep: asleep(),
            watchdog: Watchdog::new(limits.clone(), &Plan::default()),
            lines: Lines::new(limits.agent_line),
            plan: Vec::new(),
            outbox: Vec::new(),
            stopped: None,
            console_at: Instant::now(),
            asked: (0, Instant::now()),
            observer,
        }
    }

    #[test]
    fn a_stall_of_our_own_is_no_hang() {
        let cancel = Cancel::new();
        let mut observer = |_: Duration, _: Event<'_>| Ok(Go::On);
        let mut stalled = drive(300, 10, &mut observer);
        for _ in 0..3 {
            stalled.look(&cancel).unwrap();
            assert_eq!(stalled.stopped, None);
        }
        // Silence that we did listen to is one.
        let mut observer = |_: Duration, _: Event<'_>| Ok(Go::On);
        let mut listened = drive(300, 299, &mut observer);
        listened.look(&cancel).unwrap();
        let stopped = listened.stopped;
        assert!(
            matches!(stopped, Some(Cause::Stopped(Stop::Limit(..)))),
            "{stopped:?}"
        );
    }
}
