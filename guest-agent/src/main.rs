//! PID 1 in the guest: says hello, gets a plan, runs its loads, reports, and
//! restarts the machine.

mod channel;
mod crew;
mod detectors;
mod disks;
mod findings;
mod fs;
mod heartbeat;
mod init;
mod job;
mod kcsan;
mod kmemleak;
mod kmsg;
mod load;
mod mounts;
mod reap;
mod shell;
mod stop;
mod sys;
mod tools;

use std::{process::ExitCode, sync::mpsc::Receiver, thread};

use anyhow::{Context, Result};
use protocol::{GuestMessage, Hello, HostMessage, PROTOCOL, Plan};

use crate::{
    channel::Outbox, detectors::Presence, findings::Findings, heartbeat::Heart, stop::Stop,
};

fn main() -> ExitCode {
    if nix::unistd::getpid().as_raw() != 1 {
        // Started by mistake on a real machine: touch nothing.
        return ExitCode::from(2);
    }
    init::catch_panics();
    if let Err(error) = live() {
        kmsg::mark(&format!("fatal: {error:#}"));
    }
    init::power_off()
}

/// Everything between the first mount and the power switch.
fn live() -> Result<()> {
    mounts::early()?;
    if shell::is_wanted() {
        return shell::run();
    }
    let (out, messages) = channel::open()?;
    init::report_panics_to(&out);
    out.send(&GuestMessage::Hello(hello()))?;
    let done = serve(&out, messages);
    out.flush();
    if let Err(error) = &done {
        out.fatal(&format!("{error:#}"));
    }
    done
}

fn hello() -> Hello {
    let kernel = nix::sys::utsname::uname()
        .map(|name| {
            format!(
                "{} {}",
                name.release().to_string_lossy(),
                name.version().to_string_lossy()
            )
        })
        .unwrap_or_default();
    Hello {
        protocol: PROTOCOL,
        kernel,
        agent: env!("CARGO_PKG_VERSION").into(),
    }
}

fn serve(out: &Outbox, messages: Receiver<Result<HostMessage>>) -> Result<()> {
    mounts::late()?;
    init::settle();
    reap::start()?;
    let findings = Findings::default();
    let heart = Heart::start(out.clone(), findings.clone())?;
    let presence = detectors::presence();
    let stop = Stop::default();
    if let Some(plan) = wait_for_plan(&messages)? {
        listen(messages, stop.clone())?;
        let went_on = run(&plan, presence, out, &findings, &heart, &stop)?;
        if went_on {
            init::write_back(&findings);
        }
    }
    heartbeat::send_findings(out, &findings);
    out.send(&GuestMessage::Detectors(detectors::states(presence)))?;
    out.send(&GuestMessage::Finished)
}

/// The plan; none if the host says stop instead.
fn wait_for_plan(messages: &Receiver<Result<HostMessage>>) -> Result<Option<Plan>> {
    match messages.recv().context("the channel's reader is gone")?? {
        HostMessage::Plan(plan) => Ok(Some(plan)),
        HostMessage::Stop => Ok(None),
    }
}

/// Watches for the host's stop while loads run. A host that says anything else
/// now, or nothing that can be read, wants no more either.
fn listen(messages: Receiver<Result<HostMessage>>, stop: Stop) -> Result<()> {
    thread::Builder::new()
        .name("ktwin-listen".into())
        .spawn(move || {
            let _ = messages.recv();
            stop.set();
        })
        .context("start to listen to the host")?;
    Ok(())
}

/// Runs the plan; false where something of it is stuck, which was reported then.
fn run(
    plan: &Plan,
    presence: Presence,
    out: &Outbox,
    findings: &Findings,
    heart: &Heart,
    stop: &Stop,
) -> Result<bool> {
    if plan.phases.is_empty() {
        return Ok(true);
    }
    tools::lay_out()?;
    kcsan::watch_longer()?;
    let instrumented = detectors::instrumented(presence);
    for (index, phase) in plan.phases.iter().enumerate() {
        if stop.is_set() {
            break;
        }
        let name = phase.load.name();
        let context = load::run::Context {
            phase: name,
            seed: plan.seed,
            out,
            findings,
            heart,
            instrumented,
            stop,
        };
        let went_on = load::run::phase(&context, index, phase)
            .with_context(|| format!("run phase {name}"))?;
        if !went_on {
            // What is stuck holds memory and locks: a leak scan would report both, and a sync hang.
            return Ok(false);
        }
    }
    if stop.is_set() {
        return Ok(true);
    }
    if let Err(error) = kmemleak::scan_twice(findings) {
        // It can disable itself at any time; the detectors' states tell the host.
        kmsg::mark(&format!("scan for leaks: {error:#}"));
    }
    Ok(true)
}
