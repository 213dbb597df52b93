//! New, unconfirmed, common or fixed: the verdict's four statuses, and why.

use super::{
    able::Able,
    compare::JudgeInput,
    conditions::boots,
    fisher::{Hits, could_settle, p_value, significant},
    groups::Group,
    known::Known,
    observe::Rule,
    rates,
    verdict::Status,
};

/// As sure as one wants to be that something is fixed.
const SURE: f64 = 0.99;

/// A finding's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) status: Status,
    pub(super) why: String,
    /// Further boots within the budget could make it new.
    pub(super) settles: bool,
}

/// The status of a group of observations.
pub(super) fn of(group: &Group<'_>, known: &Known, input: &JudgeInput<'_>) -> Judged {
    let able = Able::of(input, group);
    let base = Hits {
        hits: Group::hits(&group.base),
        boots: able.base.max(Group::hits(&group.base)),
    };
    let variant = Hits {
        hits: Group::hits(&group.variant),
        boots: able.variant.max(Group::hits(&group.variant)),
    };
    let settled = |status, why: String| Judged {
        status,
        why,
        settles: false,
    };
    if input.alone {
        return settled(Status::New, "one kernel alone: every finding counts".into());
    }
    if input.unchanged {
        let why = format!(
            "in {} of {} of base, {} of {} of the variant, whose kernel is the same in code and data",
            base.hits,
            of_boots(base),
            variant.hits,
            of_boots(variant)
        );
        return settled(Status::Common, why);
    }
    match (base.hits, variant.hits) {
        (0, _) => {}
        (hits, 0) => {
            let why = format!(
                "in {} of {} of base, none of {} of the variant: {}",
                hits,
                of_boots(base),
                of_boots(variant),
                fixed(base, variant)
            );
            return settled(Status::Fixed, why);
        }
        (hits, on_variant) => {
            let why = format!(
                "in {hits} of {} of base, {on_variant} of {} of the variant",
                of_boots(base),
                of_boots(variant)
            );
            return settled(Status::Common, why);
        }
    }
    let counts = format!(
        "in {} of {} of the variant, none of {} of base",
        variant.hits,
        of_boots(variant),
        of_boots(base)
    );
    if let Some(why) = known.explains(group) {
        return settled(Status::Common, format!("{counts}; {why}"));
    }
    let mut own = group.variant.iter().filter(|seen| !known.akin(seen));
    // Without a boot of base nothing is the patch's for certain.
    if let Some(frame) = own.find_map(|seen| seen.touched.as_ref())
        && base.boots > 0
    {
        return settled(Status::New, format!("the patch touches {frame}; {counts}"));
    }
    let rule = |wanted: Rule| group.variant.iter().any(|seen| seen.rule == wanted);
    let certain = rule(Rule::AtOnce) || rule(Rule::EveryBoot) && variant.hits == variant.boots;
    if certain && base.boots > 0 {
        return settled(Status::New, counts);
    }
    if significant(variant, base) {
        let p = p_value(variant, base);
        return settled(Status::New, format!("{counts}: p = {p:.3}"));
    }
    let settles = could_settle(variant, base, input.reruns_left);
    let left = match settles {
        true => "further boots may settle it",
        false => "no boots are left that could settle it",
    };
    let akin = group.variant.iter().any(|seen| known.akin(seen));
    let whose = match akin {
        _ if base.boots == 0 => "no boot of base could have shown it",
        true => "base shows one of these accesses racing with the same function at another line",
        false => "no frame in the patch",
    };
    Judged {
        status: Status::Unconfirmed,
        why: format!("{counts}, {whose}; {left}"),
        settles,
    }
}

/// How sure it is that what base showed is gone, and what would make it surer: `fixed, 97.1 %; 2 more
/// boots without it make 99 %`.
fn fixed(base: Hits, variant: Hits) -> String {
    let (hits, of, tries) = (base.hits.into(), base.boots.into(), variant.boots.into());
    let sure = rates::gone(hits, of, tries);
    let known = format!("fixed, {:.1} %", sure * 100.0);
    if sure >= SURE {
        return known;
    }
    match rates::tries_for(hits, of, SURE) {
        Some(wanted) => format!(
            "{known}; {} without it make {:.0} %",
            more_boots(wanted.saturating_sub(tries)),
            SURE * 100.0
        ),
        None => known,
    }
}

fn more_boots(count: u64) -> String {
    match count {
        1 => "1 more boot".to_owned(),
        _ => format!("{count} more boots"),
    }
}

fn of_boots(hits: Hits) -> String {
    boots(usize::try_from(hits.boots).unwrap_or(usize::MAX))
}
