//! What of the patch's code ran in the variant's boots, or why that is not known (pure).

use super::{compare::JudgeInput, conditions::finished};
use crate::{plan::is_watched, plugin::Coverage};

/// Functions that a reason names.
const NAMED: usize = 4;

/// Over all of the variant's boots; none where there is no code of a patch's to watch, and where no
/// boot got to its end and none was watched.
pub(super) fn coverage(input: &JudgeInput<'_>) -> Option<Coverage> {
    let mut seen = input.boots.iter().filter_map(|one| one.coverage.as_ref());
    let mut all = seen.next().cloned();
    for one in seen {
        all.get_or_insert_default().add(one);
    }
    let told = |one: &Coverage| !one.lines.is_empty() || !one.functions.is_empty();
    let has_code = input.touched.is_some_and(|touched| touched.has_code());
    let asked = has_code && !input.alone && finished(input.boots).next().is_some();
    if asked && !all.as_ref().is_some_and(told) {
        all.get_or_insert_default().unwatched = Some(unwatched(input).to_owned());
    }
    all
}

/// Why a patch was not tried, if none of its code ran.
pub(super) fn nothing(coverage: &Coverage) -> Option<String> {
    let owned = coverage.lines.len();
    if owned > 0 {
        return (coverage.executed() == 0).then(|| {
            format!(
                "none of the patch's {owned} lines that own code ran: the load does not reach them"
            )
        });
    }
    if coverage.functions.is_empty() || coverage.entered() > 0 {
        return None;
    }
    let names: Vec<&str> = coverage.functions.keys().map(String::as_str).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "none of the functions that the patch touches ran ({}{more}): the load does not reach them",
        names[..names.len().min(NAMED)].join(", ")
    ))
}

/// Why a patch that leaves the kernel as it was has not been tried, if it was not. Where lines that it wrote own code,
/// that code does what base's did, and has been tried.
pub(super) fn unchanged(config: &str, coverage: Option<&Coverage>) -> Option<String> {
    let owns = coverage.is_some_and(|coverage| !coverage.lines.is_empty());
    (!owns).then(|| {
        format!(
            "the patch makes no other kernel of {config}, in code or data: is what it changes under an \
             option that is off?"
        )
    })
}

fn unwatched<'a>(input: &JudgeInput<'a>) -> &'a str {
    let mut phases = input.boots.iter().flat_map(|one| &one.cell.plan.phases);
    if !phases.any(|phase| is_watched(&phase.load)) {
        return "no load is watched";
    }
    if let Some(why) = input.unwatched {
        return why;
    }
    let functions = input.touched.map(|touched| touched.functions().count());
    match functions {
        None | Some(0) => "it touches no function",
        Some(_) => "this kernel has none of the functions that it touches",
    }
}
