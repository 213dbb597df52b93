//! A connection that never asked for passthrough: it has no ids, and must
//! refuse every call about them and every answer that names one.

use std::{fs::File, os::fd::AsFd, path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use nix::errno::Errno;
use protocol::FindingKind;

use super::{
    churner::Churn,
    race,
    server::{Answer, Server, file_name},
    slots::Slots,
    tally::{Count, Tally},
};
use crate::{findings::Findings, fs::mount::Mounted, load::outcome::unlike, sys};

/// The id that a first registration would get.
const FIRST: u32 = 1;

/// Mounts without passthrough, tries what must be refused, unmounts. Gives
/// back who got stuck.
pub(super) fn run(
    tally: &Arc<Tally>,
    findings: &Findings,
    slots: &Arc<Slots>,
    at: &Path,
    limit: Duration,
) -> Result<Vec<String>> {
    slots.clear();
    let answers: Arc<[Answer]> = Arc::new([Answer::default()]);
    // Without a device nobody churns: the server only answers.
    let churn = Arc::new(Churn::new(
        slots.clone(),
        tally.clone(),
        findings.clone(),
        0,
    ));
    let server = Server {
        seed: 0,
        churn,
        answers,
        unasked: Some(FIRST),
    };
    let mounted = Mounted::new(server, at, 1)?;
    let device = mounted.device().as_fd();
    let file = race::any_file(slots)?;
    let opened = File::open(at.join(file_name(0)));
    let tried = [
        (
            "BACKING_OPEN",
            Errno::EPERM,
            sys::backing_open(device, file.as_fd()).map(drop),
        ),
        (
            "BACKING_CLOSE",
            Errno::EPERM,
            sys::backing_close(device, FIRST),
        ),
        (
            "open",
            Errno::EIO,
            opened.map(drop).map_err(|error| sys::errno_of(&error)),
        ),
    ];
    for (call, wanted, got) in tried {
        let call = format!("{call} without passthrough");
        if let Some(title) = unlike(&call, Err(wanted), got) {
            tally.add(Count::Errors);
            findings.report(FindingKind::WrongData, &title, || {
                "the connection never negotiated FUSE_PASSTHROUGH".into()
            });
        }
    }
    let stuck = mounted.end(limit);
    tally.add(Count::Mounts);
    Ok(stuck)
}
