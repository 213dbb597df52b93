//! Commands that end alike on both sides in a way that tells of no work done.

use std::collections::BTreeSet;

use protocol::Load;

use super::{
    conditions::finished,
    verdict::{Finding, Kind, Status},
};
use crate::collect::record::RunRecord;

/// Exit codes by which shells, the dynamic linker and the kernel's own selftests say that they ran
/// nothing, and what then likely is missing.
const NOTHING_RAN: [(i32, &str); 3] = [
    (
        4,
        "a selftest of the kernel's skips itself so; its output says what it lacks",
    ),
    (
        126,
        "a program that it calls likely may not be executed, or its interpreter is not in the guest",
    ),
    (
        127,
        "a program or a library that it calls is likely not in the guest",
    ),
];

/// What such commands of both sides' finished boots lack, a reason each.
pub(super) fn unable(
    variant: &str,
    base: &[RunRecord],
    boots: &[RunRecord],
    findings: &[Finding],
) -> Vec<String> {
    // What is accepted, or one side's alone, is told as that.
    let common = |finding: &Finding| {
        let failed = finding.kind == Kind::CommandFailed && finding.status == Status::Common;
        failed && finding.accepted.is_none()
    };
    if !findings.iter().any(common) {
        return Vec::new();
    }
    let both = &idle(base) & &idle(boots);
    let told = both.into_iter().map(|(_, how)| {
        format!("the command likely did not do its work on base and {variant}: {how}")
    });
    told.collect()
}

/// One side's commands that ended so, each by its place in the plan, with what it likely lacks.
fn idle(records: &[RunRecord]) -> BTreeSet<(usize, String)> {
    let mut idle = BTreeSet::new();
    for record in finished(records) {
        let phases = record.cell.plan.phases.iter();
        let expected = phases.filter_map(|phase| match &phase.load {
            Load::Exec(exec) => Some(exec.expect),
            _ => None,
        });
        let ended = expected.zip(&record.exec).enumerate();
        let unexpected = ended.filter_map(|(at, (expect, result))| {
            let code = result.code.filter(|code| *code != expect)?;
            Some((at, lacks(code)?))
        });
        idle.extend(unexpected);
    }
    idle
}

/// How a command ended that likely lacks something, and what. One that died of a signal may well have done
/// what it is for: reproducers often do.
fn lacks(code: i32) -> Option<String> {
    let (_, what) = NOTHING_RAN.iter().find(|(one, _)| *one == code)?;
    Some(format!("it exited with {code}: {what}"))
}
