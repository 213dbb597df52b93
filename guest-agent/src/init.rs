//! What any PID 1 owes: limits, loopback, the last words, the power switch.

use std::{
    panic,
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use nix::{
    sys::{
        reboot::{RebootMode, reboot},
        resource::{Resource, setrlimit},
    },
    unistd,
};

use protocol::FindingKind;

use crate::{channel::Outbox, crew, findings::Findings, kmsg, sys};

/// A filesystem that is stuck must not keep the guest from ending: the host waits three times as long, 45 s
/// and more.
const SYNC_WITHIN: Duration = Duration::from_secs(15);
/// How long all that loads wrote may take to reach the disk: less than the host waits for an agent
/// that does nothing but beat, which is a minute and more.
const WRITTEN_WITHIN: Duration = Duration::from_secs(45);

/// The thread that writes everything back.
const SYNC: &str = "sync";

/// Where a panic reports to, once there is a channel.
static LAST_WORDS: OnceLock<Outbox> = OnceLock::new();

/// Loads hold thousands of open files, and io_uring locks memory.
const LIMITS: &[(Resource, u64)] = &[
    (Resource::RLIMIT_NOFILE, 1 << 19),
    (Resource::RLIMIT_MEMLOCK, nix::libc::RLIM_INFINITY),
    (Resource::RLIMIT_NPROC, nix::libc::RLIM_INFINITY),
];

/// Sets limits, brings the loopback interface up.
pub(crate) fn settle() {
    for &(resource, limit) in LIMITS {
        // The old limit stays where a kernel refuses; a load that needs more says so itself.
        let _ = setrlimit(resource, limit, limit);
    }
    // A kernel without networking has no loopback, and needs none.
    let _ = sys::interface_up(c"lo");
}

/// From now on a panic anywhere reports and restarts the guest. Without this
/// the kernel would panic over its dead PID 1, and that would look like a
/// kernel's fault.
pub(crate) fn catch_panics() {
    panic::set_hook(Box::new(|info| {
        let text = format!("agent panicked: {info}");
        kmsg::mark(&text.replace('\n', " "));
        if let Some(out) = LAST_WORDS.get() {
            out.fatal(&text);
        }
        power_off();
    }));
}

/// Panics report here.
pub(crate) fn report_panics_to(out: &Outbox) {
    let _ = LAST_WORDS.set(out.clone());
}

/// Writes everything back while that can still be told of; one that does not end is a finding.
pub(crate) fn write_back(findings: &Findings) {
    if within(WRITTEN_WITHIN, SYNC, unistd::sync).is_none() {
        let limit = WRITTEN_WITHIN.as_secs();
        findings.report(FindingKind::Hang, "the final sync does not end", || {
            let stands = crew::where_they_stand(crew::SELF, |name| name == SYNC);
            format!("sync() did not return within {limit} s\n{stands}")
        });
        kmsg::stacks();
    }
}

/// Writes everything back, and restarts: with `-no-reboot` that ends QEMU, and
/// microvm has no other way to end.
pub(crate) fn power_off() -> ! {
    within(SYNC_WITHIN, SYNC, unistd::sync);
    if unistd::getpid().as_raw() == 1 {
        let _ = reboot(RebootMode::RB_AUTOBOOT);
    }
    // Reached only where the kernel refused; the host's deadline ends QEMU then.
    std::process::exit(1)
}

/// Runs something that may hang, in a thread of that name; none if it has not ended in time.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, wait) = mpsc::sync_channel(1);
    let worker = thread::Builder::new().name(name.into());
    worker.spawn(move || drop(done.send(work()))).ok()?;
    wait.recv_timeout(limit).ok()
}
