//! Nothing: the guest is left to itself, or to the host.

use std::{sync::Arc, time::Duration};

use super::run::{Context, Ended};
use crate::job::CpuTime;

/// Waits for the time to pass.
pub(crate) fn run(load: &Context<'_>, time: Duration) -> Ended {
    let progress = Arc::new(CpuTime::default());
    load.heart.watch(load.phase, progress.clone());
    load.stop.sleep(time);
    Ended {
        progress,
        stuck: Vec::new(),
    }
}
