//! How a boot ended, as a finding.

use super::{observe::Rule, verdict::Kind};
use crate::collect::record::{End, Limit, RunRecord};

/// A bad end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadEnd {
    pub(super) kind: Kind,
    pub(super) class: String,
    pub(super) title: String,
    pub(super) rule: Rule,
    /// Seen on both sides, it is the host's fault.
    pub(super) host_if_common: bool,
    /// A path in the cell's folder.
    pub(super) evidence: String,
    pub(super) detail: String,
}

/// The title of a boot that failed without a splat.
const NO_HELLO: &str = "the kernel did not reach the agent's hello";

/// What a watchdog after hello says.
struct Row {
    limit: Limit,
    title: &'static str,
    rule: Rule,
    host_if_common: bool,
}

/// Every watchdog that can end a boot after hello.
const WATCHDOGS: [Row; 8] = [
    Row {
        limit: Limit::NoBeat,
        title: "the kernel prints and the agent does not beat",
        rule: Rule::AtOnce,
        host_if_common: false,
    },
    Row {
        limit: Limit::NoProgress,
        title: "the agent beats and its load does no work",
        rule: Rule::AtOnce,
        host_if_common: false,
    },
    Row {
        limit: Limit::Silence,
        title: "neither kernel nor agent says anything",
        rule: Rule::AtOnce,
        host_if_common: false,
    },
    Row {
        limit: Limit::Cell,
        title: "the boot did not end in time",
        rule: Rule::Candidate,
        host_if_common: true,
    },
    Row {
        limit: Limit::Boot,
        title: "the boot did not end in time",
        rule: Rule::Candidate,
        host_if_common: true,
    },
    Row {
        limit: Limit::Console,
        title: "the console overflowed",
        rule: Rule::Candidate,
        host_if_common: true,
    },
    Row {
        limit: Limit::AgentLine,
        title: "the agent sent what is no message",
        rule: Rule::Candidate,
        host_if_common: true,
    },
    Row {
        limit: Limit::PowerOff,
        title: "the guest does not power off",
        rule: Rule::AtOnce,
        host_if_common: true,
    },
];

/// Whether a busy host's guest may end so, too: a watchdog ended it.
pub(super) fn may_be_a_limits(title: &str) -> bool {
    let mut titles = WATCHDOGS.iter().map(|row| row.title).chain([NO_HELLO]);
    titles.any(|one| title.ends_with(one))
}

/// The bad end of a boot, if it is the kernel's: none for one that finished, that the host broke
/// or the user stopped, and for a panic whose splat says it already.
pub(super) fn of(record: &RunRecord) -> Option<BadEnd> {
    let hello = record.hello.is_some();
    match &record.end {
        End::Finished | End::Infrastructure { .. } | End::Interrupted => None,
        End::BootFailed { why } => Some(boot_failed(record, why)),
        End::Watchdog { why, .. } | End::Died { why, .. } if !hello => {
            Some(boot_failed(record, why))
        }
        End::Died { panicked: true, .. } if tells_of_it(record) => None,
        End::Died {
            why,
            panicked: true,
        } => Some(BadEnd {
            kind: Kind::Splat,
            class: "panic".into(),
            ..after_hello(record, "kernel panic", Rule::Candidate, false, why)
        }),
        End::Died { why, .. } => Some(after_hello(
            record,
            "the guest ended before its plan",
            Rule::Candidate,
            true,
            why,
        )),
        End::Watchdog { limit, why } => {
            let row = WATCHDOGS.iter().find(|row| row.limit == *limit)?;
            Some(after_hello(
                record,
                row.title,
                row.rule,
                row.host_if_common,
                why,
            ))
        }
    }
}

/// Does a splat hold the panic, or an oops that led to it? A race or a warning before it is another
/// finding.
fn tells_of_it(record: &RunRecord) -> bool {
    record.splats.iter().any(|timed| timed.splat.fatal)
}

/// No hello: the first splat says why, where there is one.
fn boot_failed(record: &RunRecord, why: &str) -> BadEnd {
    let splat = record.splats.first();
    BadEnd {
        kind: Kind::BootFailed,
        class: splat.map_or("boot-failed".into(), |timed| timed.splat.class.clone()),
        title: splat.map_or(NO_HELLO.into(), |timed| timed.splat.title.clone()),
        rule: Rule::AtOnce,
        host_if_common: true,
        evidence: splat.map_or("console.log".into(), |timed| timed.file.clone()),
        detail: why.to_owned(),
    }
}

fn after_hello(
    record: &RunRecord,
    title: &str,
    rule: Rule,
    host_if_common: bool,
    why: &str,
) -> BadEnd {
    let running = record.phases.iter().rfind(|phase| phase.ended_s.is_none());
    BadEnd {
        kind: Kind::Hang,
        class: "hang".into(),
        title: match running {
            Some(phase) => format!("{}: {title}", phase.name),
            None => title.to_owned(),
        },
        rule,
        host_if_common,
        evidence: "console.log".into(),
        detail: why.to_owned(),
    }
}
