//! The beat: at least one a second, with what the running phase has done.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use protocol::{Counters, GuestMessage};

use crate::{channel::Outbox, findings::Findings};

/// The contract asks for one a second; twice as often leaves room for a guest
/// whose two CPUs are busy with sanitizers.
const PERIOD: Duration = Duration::from_millis(500);

/// Something whose work can be counted while it runs.
pub(crate) trait Progress: Send + Sync {
    /// The counts so far.
    fn counters(&self) -> Counters;
}

type Running = Option<(String, Arc<dyn Progress>)>;

/// Says what the beats tell of.
#[derive(Clone)]
pub(crate) struct Heart(Arc<Mutex<Running>>);

impl Heart {
    /// Starts to beat.
    pub(crate) fn start(out: Outbox, findings: Findings) -> Result<Heart> {
        let heart = Heart(Arc::default());
        let watched = heart.clone();
        thread::Builder::new()
            .name("ktwin-beat".into())
            .spawn(move || {
                loop {
                    out.offer(&watched.message());
                    send_findings(&out, &findings);
                    thread::sleep(PERIOD);
                }
            })
            .context("start the heartbeat")?;
        Ok(heart)
    }

    /// Beats tell of this from now on.
    pub(crate) fn watch(&self, phase: &str, progress: Arc<dyn Progress>) {
        *self.running() = Some((phase.into(), progress));
    }

    /// Beats tell of no phase from now on.
    pub(crate) fn rest(&self) {
        *self.running() = None;
    }

    fn message(&self) -> GuestMessage {
        let running = self.running().clone();
        match running {
            Some((phase, progress)) => GuestMessage::Heartbeat {
                phase,
                counters: progress.counters(),
            },
            None => GuestMessage::Heartbeat {
                phase: String::new(),
                counters: Counters::new(),
            },
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what has gathered, waiting for a slow host if it must: a finding is
/// never dropped.
pub(crate) fn send_findings(out: &Outbox, findings: &Findings) {
    findings.hand_over(|finding| {
        let _ = out.send(&GuestMessage::Finding(finding));
    });
}
