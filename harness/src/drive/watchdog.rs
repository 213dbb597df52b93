//! The watchdogs: fed with what a guest says and with the clock, they say when to end it (pure).

use std::time::Duration;

use protocol::{Counters, GuestMessage, Load, PROTOCOL, Plan};

use super::limits::{Limits, seconds};
use crate::collect::record::Limit;

/// What a watchdog hears.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heard<'a> {
    /// So many bytes of console.
    Console(usize),
    /// A message in a line of so many bytes.
    Message(&'a GuestMessage, usize),
    /// A line of the agent's that is none, and why.
    NoMessage(&'a str),
}

/// Why a guest is to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A limit, in words with its size.
    Limit(Limit, String),
    /// The agent speaks another protocol.
    Protocol(u32),
    /// The plan is done, but the guest does not power off; in words with the limit's size.
    Lingers(String),
}

/// All watchdogs of a boot. Times are counted from QEMU's start.
#[derive(Debug)]
pub(super) struct Watchdog {
    limits: Limits,
    /// What the boot's own limits count from: QEMU's start, and what nobody listened later.
    began: Duration,
    /// For each phase of the plan: do its counters move by themselves?
    counts: Vec<bool>,
    console_bytes: u64,
    agent_bytes: u64,
    hello: bool,
    finished: Option<Duration>,
    /// The running phase, and whether its counters are watched.
    phase: Option<(String, bool)>,
    counters: Counters,
    console_at: Duration,
    agent_at: Duration,
    progress_at: Duration,
}

/// Does a load's count move all the time while it works? A command may well sleep.
fn counts(load: &Load) -> bool {
    match load {
        Load::BackingRace(_) | Load::Fio(_) | Load::Corner(_) => true,
        // Time goes by instructions there: the agent's beats may be far apart.
        Load::Exec(_) | Load::Operations(_) | Load::Memory(_) | Load::Idle => false,
    }
}

impl Watchdog {
    /// At QEMU's start.
    pub(super) fn new(limits: Limits, plan: &Plan) -> Self {
        Self {
            limits,
            began: Duration::ZERO,
            counts: plan.phases.iter().map(|p| counts(&p.load)).collect(),
            console_bytes: 0,
            agent_bytes: 0,
            hello: false,
            finished: None,
            phase: None,
            counters: Counters::new(),
            console_at: Duration::ZERO,
            agent_at: Duration::ZERO,
            progress_at: Duration::ZERO,
        }
    }

    /// Takes what was heard at a time.
    pub(super) fn hear(&mut self, at: Duration, heard: Heard<'_>) -> Option<Stop> {
        match heard {
            Heard::Console(bytes) => {
                self.console_at = at;
                self.console_bytes += bytes as u64;
                let limit = self.limits.console_bytes;
                (self.console_bytes > limit).then(|| {
                    let why = format!("the console printed more than {limit} bytes");
                    Stop::Limit(Limit::Console, why)
                })
            }
            Heard::NoMessage(why) => Some(Stop::Limit(Limit::AgentLine, why.into())),
            Heard::Message(message, bytes) => {
                self.agent_at = at;
                self.agent_bytes += bytes as u64;
                let limit = self.limits.agent_bytes;
                if self.agent_bytes > limit {
                    let why = format!("the agent said more than {limit} bytes");
                    return Some(Stop::Limit(Limit::AgentLine, why));
                }
                self.message(at, message)
            }
        }
    }

    fn message(&mut self, at: Duration, message: &GuestMessage) -> Option<Stop> {
        let mut progress = true;
        match message {
            GuestMessage::Hello(hello) if hello.protocol != PROTOCOL => {
                return Some(Stop::Protocol(hello.protocol));
            }
            GuestMessage::Hello(_) if self.hello => {
                return Some(Stop::Limit(
                    Limit::AgentLine,
                    "the agent said hello twice".into(),
                ));
            }
            GuestMessage::Hello(_) => self.hello = true,
            _ if !self.hello => {
                let why = "the agent's first message was no hello".into();
                return Some(Stop::Limit(Limit::AgentLine, why));
            }
            GuestMessage::PhaseStarted { index, phase } => {
                let watched = self.counts.get(*index).copied().unwrap_or(false);
                self.phase = Some((phase.clone(), watched));
                self.counters.clear();
            }
            GuestMessage::PhaseEnded { .. } => self.phase = None,
            GuestMessage::Heartbeat { counters, .. } => {
                progress = *counters != self.counters;
                self.counters.clone_from(counters);
            }
            GuestMessage::Finished | GuestMessage::Fatal { .. } => {
                // A guest that says it again has no more time for that.
                self.finished.get_or_insert(at);
            }
            _ => {}
        }
        if progress {
            self.progress_at = at;
        }
        None
    }

    /// Leaves out of every count what passed until `now` while nobody listened: what the guest said
    /// meanwhile is still to be heard.
    pub(super) fn shift(&mut self, now: Duration, gap: Duration) {
        let clocks = [
            &mut self.began,
            &mut self.console_at,
            &mut self.agent_at,
            &mut self.progress_at,
        ];
        for clock in clocks.into_iter().chain(&mut self.finished) {
            // What was heard since then is no further on than now.
            *clock = (*clock + gap).min(now);
        }
    }

    /// Looks at the clock.
    pub(super) fn check(&self, at: Duration) -> Option<Stop> {
        let limits = &self.limits;
        let since = |then: Duration| at.saturating_sub(then);
        let over = |then: Duration, limit: f64| since(then) >= seconds(limit);
        let stop = |limit, why| Some(Stop::Limit(limit, why));
        if let Some(finished) = self.finished {
            return over(finished, limits.power_off_s).then(|| {
                let limit = limits.power_off_s;
                Stop::Lingers(format!(
                    "the guest did not power off within {limit} s of its last word"
                ))
            });
        }
        if over(self.began, limits.cell_s) {
            let why = format!("the boot did not end within {} s", limits.cell_s);
            return stop(Limit::Cell, why);
        }
        let quiet = over(self.console_at, limits.silence_s);
        if quiet && over(self.agent_at, limits.silence_s) {
            let who = match (self.hello, self.console_bytes) {
                (true, _) => "neither console nor agent said anything",
                (false, 0) => "the kernel said nothing",
                (false, _) => "before hello, the console said nothing more",
            };
            let why = format!("{who} for {} s", limits.silence_s);
            return stop(Limit::Silence, why);
        }
        if !self.hello {
            let why = format!("no hello from the agent within {} s", limits.boot_s);
            return if over(self.began, limits.boot_s) {
                stop(Limit::Boot, why)
            } else {
                None
            };
        }
        if over(self.agent_at, limits.beat_s) {
            let why = format!(
                "the console went on, and the agent did not beat for {} s",
                limits.beat_s
            );
            return stop(Limit::NoBeat, why);
        }
        match &self.phase {
            Some((phase, true)) if over(self.progress_at, limits.progress_s) => {
                let why = format!(
                    "the counters of {phase:?} stood still for {} s",
                    limits.progress_s
                );
                stop(Limit::NoProgress, why)
            }
            None if over(self.progress_at, limits.idle_s) => {
                let why = format!(
                    "the agent did nothing but beat between phases for {} s",
                    limits.idle_s
                );
                stop(Limit::NoProgress, why)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
