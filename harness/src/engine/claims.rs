//! The runs that a patch's claims are measured by.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    cache::Cache,
    cancel::Cancel,
    claims::{Claims, Run, Runs},
    engine::{
        self, Home, Request, VariantSpec, Variants, Workload,
        check::{Sourced, sourced},
    },
    error::Context,
    event::{Event, Watcher},
    judge::verdict::{Outcome, Verdict},
    patch::Chooser,
    report,
    source::Ways,
};

/// Beside a run's files: what the run was made of.
const FILE: &str = "claims-run.json";

/// What makes a run the one that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    config: String,
    scenario: String,
    profile: String,
    /// The hash of base's source.
    kernel: String,
    /// Each variant's name, and the SHA-256 of its patches.
    variants: Vec<(String, String)>,
}

/// Makes the runs that the claims named need, one after the other; `request` holds what they share.
/// With a folder in `request.out` each has a folder of its own there, and one that ended is not made
/// again; one of another kernel, patch, scenario or profile is an error.
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
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    let mut runs = Runs::new();
    for (name, run) in &claims.runs {
        let needed = claims.claims.iter().flat_map(|claim| &claim.checks);
        if !needed.into_iter().any(|check| check.figure.run == *name) || cancel.is_cancelled() {
            continue;
        }
        let out = request.out.as_ref().map(|out| out.join(name));
        let request = Request {
            configs: vec![run.config.clone()],
            variants: Variants::Named(variants(claims, run)),
            workload: Workload::Scenario(run.scenario.clone()),
            profile: run.profile,
            out,
            ..request.clone()
        };
        let identity = match &request.out {
            Some(_) => Some(identity(&request, run, ways, choose)?),
            None => None,
        };
        if let (Some(dir), Some(identity)) = (&request.out, &identity)
            && let Some(verdict) = made(dir, identity)?
        {
            let note = format!("{name}: taken from {}", dir.display());
            watcher.event(&Event::Note(note));
            runs.insert(name.clone(), (verdict, dir.clone()));
            continue;
        }
        watcher.event(&Event::Note(format!(
            "{name}: {} with scenario {}",
            run.config, run.scenario
        )));
        let done = engine::run(&request, cache, cancel, watcher, choose)?;
        if let Some(identity) = &identity {
            let path = done.dir.join(FILE);
            let json =
                serde_json::to_vec_pretty(identity).host(|| "failed to write JSON".into())?;
            fs::write(&path, json).host(|| format!("failed to write {}", path.display()))?;
        }
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

fn identity(
    request: &Request,
    run: &Run,
    ways: Ways<'_>,
    choose: &mut Chooser<'_>,
) -> Result<Identity> {
    let Sourced {
        subject, source, ..
    } = sourced(&Home::here(), request, ways, choose)?;
    let variants = subject.variants.into_iter();
    Ok(Identity {
        config: run.config.clone(),
        scenario: subject.scenario.name,
        profile: run.profile.name().to_owned(),
        kernel: source.hash,
        variants: variants.map(|one| (one.name, one.series.sha256)).collect(),
    })
}

/// The verdict of a run that has ended there; none where there is none.
fn made(dir: &Path, wanted: &Identity) -> Result<Option<Verdict>> {
    if !dir.join("verdict.json").exists() {
        return Ok(None);
    }
    let verdict = report::read_verdict(dir)?;
    let why = match (fs::read(dir.join(FILE)), verdict.outcome) {
        (_, Outcome::Interrupted | Outcome::Infrastructure) => "one that did not end".to_owned(),
        (Err(_), _) => "one that was not made for claims".to_owned(),
        (Ok(json), _) => match serde_json::from_slice::<Identity>(&json) {
            Ok(was) => match differs(&was, wanted) {
                None => return Ok(Some(verdict)),
                Some(what) => format!("one of {what}"),
            },
            Err(_) => "one of which is not known what it was made of".to_owned(),
        },
    };
    let what = format!("{} holds another run, {why}", dir.display());
    Err(Error::input(what).mend("name another folder, or remove that one"))
}

/// What of one run is another's, in words.
fn differs(was: &Identity, wanted: &Identity) -> Option<String> {
    let names = |of: &Identity| -> Vec<String> {
        of.variants.iter().map(|(name, _)| name.clone()).collect()
    };
    let rows = [
        ("config", &was.config, &wanted.config),
        ("scenario", &was.scenario, &wanted.scenario),
        ("profile", &was.profile, &wanted.profile),
    ];
    let other = rows.into_iter().find(|(_, was, wanted)| was != wanted);
    if let Some((what, was, _)) = other {
        return Some(format!("{what} {was}"));
    }
    match was {
        _ if was.kernel != wanted.kernel => Some("another kernel".into()),
        _ if names(was) != names(wanted) => Some(format!("variant {}", names(was).join(", "))),
        _ if was.variants != wanted.variants => Some("another patch of that name".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_anything_else_is_another() {
        let wanted = Identity {
            config: "plain".into(),
            scenario: "memory".into(),
            profile: "quick".into(),
            kernel: "hash".into(),
            variants: vec![("ida".into(), "abc".into())],
        };
        type Change = fn(&mut Identity);
        let table: [(Change, Option<&str>); 7] = [
            (|_| {}, None),
            (|one| one.config = "kasan".into(), Some("config kasan")),
            (|one| one.scenario = "race".into(), Some("scenario race")),
            (|one| one.profile = "full".into(), Some("profile full")),
            (|one| one.kernel = "other".into(), Some("another kernel")),
            (|one| one.variants[0].0 = "v1".into(), Some("variant v1")),
            (
                |one| one.variants[0].1 = "def".into(),
                Some("another patch of that name"),
            ),
        ];
        for (change, told) in table {
            let mut was = wanted.clone();
            change(&mut was);
            assert_eq!(differs(&was, &wanted).as_deref(), told);
        }
    }

    #[test]
    fn a_folder_without_a_run_of_claims_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = Identity {
            config: "plain".into(),
            scenario: "race".into(),
            profile: "quick".into(),
            kernel: "hash".into(),
            variants: vec![],
        };
        assert_eq!(made(dir.path(), &wanted).unwrap(), None);
        let mut verdict = crate::report::fixtures::sample();
        let mut told = |outcome, json: Option<&Identity>| {
            verdict.outcome = outcome;
            let text = serde_json::to_string(&verdict).unwrap();
            fs::write(dir.path().join("verdict.json"), text).unwrap();
            if let Some(json) = json {
                fs::write(dir.path().join(FILE), serde_json::to_vec(json).unwrap()).unwrap();
            }
            match made(dir.path(), &wanted) {
                Ok(verdict) => verdict.map_or("none".to_owned(), |_| "taken".into()),
                Err(error) => error.to_string(),
            }
        };
        assert!(told(Outcome::Pass, None).ends_with("one that was not made for claims"));
        assert!(told(Outcome::Interrupted, None).ends_with("one that did not end"));
        assert_eq!(told(Outcome::Pass, Some(&wanted)), "taken");
        let other = Identity {
            kernel: "other".into(),
            ..wanted.clone()
        };
        assert!(told(Outcome::Pass, Some(&other)).ends_with("one of another kernel"));
    }
}
