//! One phase of the plan: marks around it, its load, what it left behind.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use protocol::{FindingKind, GuestMessage, Load, Phase};

use super::{backing_race, corner, exec, fio, idle, memory, operations};
use crate::{
    channel::Outbox,
    crew,
    findings::Findings,
    heartbeat::{Heart, Progress, send_findings},
    kmsg,
    stop::Stop,
};

/// What every load gets.
pub(crate) struct Context<'a> {
    /// The phase's name.
    pub(crate) phase: &'a str,
    /// Seeds its random choices.
    pub(crate) seed: u64,
    /// The way to the host.
    pub(crate) out: &'a Outbox,
    /// Where it reports what it sees go wrong.
    pub(crate) findings: &'a Findings,
    /// What the beats tell of.
    pub(crate) heart: &'a Heart,
    /// Whether the kernel has detectors built in.
    pub(crate) instrumented: bool,
    /// Set when the host wants the end.
    pub(crate) stop: &'a Stop,
}

/// How a load ended.
pub(crate) struct Ended {
    /// Its counters.
    pub(crate) progress: Arc<dyn Progress>,
    /// Threads, and programs, that did not come back.
    pub(crate) stuck: Vec<String>,
}

/// Runs a phase. False if something got stuck, so that nothing should follow.
pub(crate) fn phase(context: &Context<'_>, index: usize, phase: &Phase) -> Result<bool> {
    let name = context.phase.to_owned();
    kmsg::phase_begin(&name);
    context.out.send(&GuestMessage::PhaseStarted {
        index,
        phase: name.clone(),
    })?;
    let time = Duration::from_secs(phase.seconds);
    let ended = match &phase.load {
        Load::BackingRace(sizes) => backing_race::run(context, sizes, time),
        Load::Fio(wanted) => fio::run(context, wanted, time),
        Load::Exec(wanted) => exec::run(context, wanted, time),
        Load::Operations(wanted) => operations::run(context, wanted),
        Load::Memory(wanted) => memory::run(context, wanted),
        Load::Corner(wanted) => corner::run::run(context, wanted, time),
        Load::Idle => Ok(idle::run(context, time)),
    };
    context.heart.rest();
    kmsg::phase_end(&name);
    if let Ok(Ended { stuck, .. }) = &ended
        && !stuck.is_empty()
    {
        report_stuck(context, stuck);
    }
    // Before an error ends the boot.
    send_findings(context.out, context.findings);
    let ended = ended?;
    context.out.send(&GuestMessage::PhaseEnded {
        index,
        phase: name,
        counters: ended.progress.counters(),
    })?;
    Ok(ended.stuck.is_empty())
}

fn report_stuck(context: &Context<'_>, stuck: &[String]) {
    let title = format!("threads of {} did not come back", context.phase);
    context.findings.report(FindingKind::Hang, &title, || {
        let stands = crew::where_they_stand(crew::SELF, |name| is_part(name, stuck));
        format!("{}\n{stands}", stuck.join(", "))
    });
    kmsg::stacks();
}

/// Whether a thread is one of those that are stuck, or a server that they may wait for. The kernel shows
/// the beginning of a name.
fn is_part(name: &str, stuck: &[String]) -> bool {
    let is_stuck = |stuck: &String| stuck.starts_with(name) && !name.is_empty();
    name.starts_with("fuse") || stuck.iter().any(is_stuck)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{fs::mount::UNMOUNT, init};

    #[test]
    fn an_unmount_that_hangs_is_shown() {
        let (end, ends) = mpsc::channel::<()>();
        let hangs = move || {
            let _ = ends.recv();
        };
        assert_eq!(
            init::within(Duration::from_millis(200), UNMOUNT, hangs),
            None
        );
        let stands = crew::where_they_stand(crew::SELF, |name| is_part(name, &[UNMOUNT.into()]));
        assert!(stands.starts_with("umount (S): waits in"), "{stands}");
        drop(end);
        assert!(is_part(
            "a-long-name-tha",
            &["a-long-name-that-is-cut".into()]
        ));
        assert!(!is_part("ktwin-beat", &[UNMOUNT.into()]));
    }
}
