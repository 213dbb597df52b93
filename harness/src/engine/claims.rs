//! The runs that a patch's claims are measured by.

use std::path::Path;

use crate::{
    Result,
    cache::Cache,
    cancel::Cancel,
    claims::{Claims, Run, Runs},
    engine::{self, Request, VariantSpec, Variants, Workload},
    event::{Event, Watcher},
    judge::verdict::{Outcome, Verdict},
    patch::Chooser,
    report,
};

/// Makes the runs that the claims named need, one after the other; `request` holds what they share.
/// With a folder in `request.out` each has a folder of its own there, and one that ended is not made
/// again.
///
/// # Errors
/// What ends a run before there is anything to compare.
pub fn measure_claims(
    claims: &Claims,
    request: &Request,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
    choose: &mut Chooser<'_>,
) -> Result<Runs> {
    let mut runs = Runs::new();
    for (name, run) in &claims.runs {
        let needed = claims.claims.iter().flat_map(|claim| &claim.checks);
        if !needed.into_iter().any(|check| check.figure.run == *name) || cancel.is_cancelled() {
            continue;
        }
        let out = request.out.as_ref().map(|out| out.join(name));
        if let Some(dir) = &out
            && let Some(verdict) = made(dir, run)?
        {
            let note = format!("{name}: taken from {}", dir.display());
            watcher.event(&Event::Note(note));
            runs.insert(name.clone(), (verdict, dir.clone()));
            continue;
        }
        let request = Request {
            configs: vec![run.config.clone()],
            variants: Variants::Named(variants(claims, run)),
            workload: Workload::Scenario(run.scenario.clone()),
            profile: run.profile,
            out,
            ..request.clone()
        };
        watcher.event(&Event::Note(format!(
            "{name}: {} with scenario {}",
            run.config, run.scenario
        )));
        let done = engine::run(&request, cache, cancel, watcher, choose)?;
        runs.insert(name.clone(), (done.verdict, done.dir));
    }
    Ok(runs)
}

fn variants(claims: &Claims, run: &Run) -> Vec<VariantSpec> {
    let own = [claims.variant.clone()];
    let names = match run.variants.as_slice() {
        [] => &own[..],
        names => names,
    };
    let named = names.iter().map(|name| VariantSpec {
        name: name.clone(),
        patches: claims.patch.clone().filter(|_| *name == claims.variant),
    });
    named.collect()
}

/// The verdict of a run that has ended there.
fn made(dir: &Path, run: &Run) -> Result<Option<Verdict>> {
    if !dir.join("verdict.json").exists() {
        return Ok(None);
    }
    let verdict = report::read_verdict(dir)?;
    let same = verdict.comparisons.iter().all(|comparison| {
        let name = run.scenario.rsplit('/').next().unwrap_or_default();
        comparison.config == run.config && comparison.scenario == name
    });
    let ended = !matches!(
        verdict.outcome,
        Outcome::Interrupted | Outcome::Infrastructure
    );
    if same && ended && !verdict.comparisons.is_empty() {
        return Ok(Some(verdict));
    }
    let what = format!(
        "{} holds another run, or one that did not end",
        dir.display()
    );
    Err(crate::Error::input(what).mend("name another folder, or remove that one"))
}
