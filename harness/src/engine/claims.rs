//! The runs that a patch's claims are measured by.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    cache::Cache,
    cancel::Cancel,
    claims::{Claims, Run, Runs},
    collect::{self, State},
    engine::{
        self, Home, Request, VariantSpec, Variants, Workload,
        check::{Sourced, sourced},
    },
    error::Context,
    event::{Event, Watcher},
    hash::file_sha256,
    judge::verdict::{Outcome, Verdict},
    patch::{self, Chooser},
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
    /// The SHA-256 of the scenario's file.
    loads: String,
    /// The SHA-256 of what is put on base, if anything is.
    overlay: Option<String>,
}

/// The runs that were made, and what ended it where that was before all were.
#[derive(Debug)]
pub struct Made {
    /// By the runs' names.
    pub runs: Runs,
    /// Why the next one was not.
    pub failed: Option<Error>,
}

/// Makes the runs that the claims named need, one after the other; `request` holds what they share.
/// With a folder in `request.out` each has a folder of its own there, and one that ended is not made
/// again; one of another kernel, patch, scenario or profile is an error. One that did not end is moved
/// aside and made again. A question about a file is asked once.
///
/// # Errors
/// Bad input, as it is seen before the first of them.
pub fn measure_claims(
    claims: &Claims,
    request: &Request,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
    choose: &mut Chooser<'_>,
) -> Result<Made> {
    let choose: &mut Chooser<'_> = &mut patch::remembering(choose);
    let needed = |name: &str| {
        let mut checks = claims.claims.iter().flat_map(|claim| &claim.checks);
        checks.any(|check| check.figure.run == name)
    };
    let own = claims.runs.iter().filter(|(name, _)| needed(name));
    let own: Vec<(&String, &Run, Request)> = own
        .map(|(name, run)| (name, run, asked(claims, request, name, run)))
        .collect();
    // What the last of them would be refused for must not come out hours later.
    for (name, _, request) in &own {
        let foreseen = engine::foresee(request, choose);
        cancel.check()?;
        foreseen.map_err(|error| in_run(name, error))?;
    }
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    let mut runs = Runs::new();
    for (name, run, request) in own {
        if cancel.is_cancelled() {
            break;
        }
        match make(name, run, &request, ways, choose) {
            Ok(made) => runs.insert(name.clone(), made),
            Err(error) => {
                return Ok(Made {
                    runs,
                    failed: Some(in_run(name, error)),
                });
            }
        };
    }
    Ok(Made { runs, failed: None })
}

/// Says in which of the runs it was.
fn in_run(name: &str, error: Error) -> Error {
    let outer = Error::new(
        error.fault(),
        format!("the claims' run {name} was not made"),
    );
    let outer = match error.mending() {
        Some(mend) => outer.mend(mend),
        None => outer,
    };
    outer.because(error)
}

/// What one run asks for.
fn asked(claims: &Claims, request: &Request, name: &str, run: &Run) -> Request {
    Request {
        configs: vec![run.config.clone()],
        variants: Variants::Named(variants(claims, run)),
        workload: Workload::Scenario(run.scenario.clone()),
        profile: run.profile,
        out: request.out.as_ref().map(|out| out.join(name)),
        ..request.clone()
    }
}

/// Makes one run, or takes the one that lies there.
fn make(
    name: &str,
    run: &Run,
    request: &Request,
    ways: Ways<'_>,
    choose: &mut Chooser<'_>,
) -> Result<(Verdict, PathBuf)> {
    let note = |text: String| ways.watcher.event(&Event::Note(text));
    let identity = match &request.out {
        Some(_) => Some(identity(request, run, ways, choose)?),
        None => None,
    };
    if let (Some(dir), Some(identity)) = (&request.out, &identity) {
        if let Some(aside) = make_way(dir, identity)? {
            note(format!(
                "{name}: what was begun there did not come to its end; its files are in {}",
                aside.display()
            ));
        }
        if let Some(verdict) = made(dir, identity)? {
            note(format!("{name}: taken from {}", dir.display()));
            return Ok((verdict, dir.clone()));
        }
    }
    note(format!(
        "{name}: {} with scenario {}",
        run.config, run.scenario
    ));
    let done = engine::run(request, ways.cache, ways.cancel, ways.watcher, choose)?;
    if let Some(identity) = &identity {
        let path = done.dir.join(FILE);
        let json = serde_json::to_vec_pretty(identity).host(|| "failed to write JSON".into())?;
        fs::write(&path, json).host(|| format!("failed to write {}", path.display()))?;
    }
    Ok((done.verdict, done.dir))
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
        subject,
        source,
        overlay,
        ..
    } = sourced(&Home::here(), request, ways, choose)?;
    let variants = subject.variants.into_iter();
    let file = &subject.scenario.file;
    Ok(Identity {
        config: run.config.clone(),
        loads: file_sha256(file)?,
        overlay: overlay.map(|series| series.sha256),
        scenario: subject.scenario.name,
        profile: run.profile.name().to_owned(),
        kernel: source.hash,
        variants: variants.map(|one| (one.name, one.series.sha256)).collect(),
    })
}

/// Moves a run that did not end out of the way, unless it is known to be another; gives where it is now.
fn make_way(dir: &Path, wanted: &Identity) -> Result<Option<PathBuf>> {
    let was = fs::read(dir.join(FILE)).ok();
    let was = was.and_then(|json| serde_json::from_slice::<Identity>(&json).ok());
    if was.is_some_and(|was| differs(&was, wanted).is_some()) {
        return Ok(None);
    }
    let unfinished = match collect::state(dir) {
        Ok(State::Interrupted | State::CutOff) => true,
        Ok(State::Done) => report::read_verdict(dir)?.outcome == Outcome::Infrastructure,
        Ok(State::Running) | Err(_) => false,
    };
    if !unfinished {
        return Ok(None);
    }
    let mut numbered = (1..).map(|n| dir.with_added_extension(format!("unfinished-{n}")));
    let free = numbered.find(|path| !path.exists());
    let aside = free.unwrap_or_else(|| dir.to_owned());
    fs::rename(dir, &aside).host(|| format!("failed to move {}", dir.display()))?;
    Ok(Some(aside))
}

/// The verdict of a run that has ended there; none where there is none.
fn made(dir: &Path, wanted: &Identity) -> Result<Option<Verdict>> {
    if !dir.join("verdict.json").exists() {
        return Ok(None);
    }
    let verdict = report::read_verdict(dir)?;
    let why = match fs::read(dir.join(FILE)) {
        Err(_) => "one that was not made for claims".to_owned(),
        Ok(json) => match serde_json::from_slice::<Identity>(&json) {
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
        _ if was.loads != wanted.loads => Some("what the scenario was before it changed".into()),
        _ if was.overlay != wanted.overlay => Some("another overlay on base".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::RunDir;

    fn wanted() -> Identity {
        Identity {
            config: "plain".into(),
            scenario: "memory".into(),
            profile: "quick".into(),
            kernel: "hash".into(),
            variants: vec![("ida".into(), "abc".into())],
            loads: "text".into(),
            overlay: None,
        }
    }

    #[test]
    fn a_run_of_anything_else_is_another() {
        let wanted = wanted();
        type Change = fn(&mut Identity);
        let table: [(Change, Option<&str>); 9] = [
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
            (
                |one| one.loads = "ids: [1]".into(),
                Some("what the scenario was before it changed"),
            ),
            (
                |one| one.overlay = Some("abc".into()),
                Some("another overlay on base"),
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
        let wanted = wanted();
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
        assert_eq!(told(Outcome::Pass, Some(&wanted)), "taken");
        let other = Identity {
            kernel: "other".into(),
            ..wanted.clone()
        };
        assert!(told(Outcome::Pass, Some(&other)).ends_with("one of another kernel"));
    }

    #[test]
    fn a_run_that_did_not_end_is_moved_aside() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("memory");
        let run = |outcome: Option<Outcome>| {
            let began = std::time::SystemTime::now();
            let mut run = RunDir::create(Some(&dir), temp.path(), &[], 1, began).unwrap();
            let Some(outcome) = outcome else { return };
            let mut verdict = crate::report::fixtures::sample();
            verdict.outcome = outcome;
            let text = serde_json::to_string(&verdict).unwrap();
            fs::write(dir.join("verdict.json"), text).unwrap();
            run.done(outcome).unwrap();
        };
        assert_eq!(make_way(&dir, &wanted()).unwrap(), None, "nothing is there");
        let mut asides = Vec::new();
        for outcome in [
            None,
            Some(Outcome::Interrupted),
            Some(Outcome::Infrastructure),
        ] {
            run(outcome);
            asides.extend(make_way(&dir, &wanted()).unwrap());
            assert!(!dir.exists(), "{outcome:?}");
        }
        let names = [1, 2, 3].map(|n| temp.path().join(format!("memory.unfinished-{n}")));
        assert_eq!(asides, names);
        run(None);
        let other = Identity {
            kernel: "other".into(),
            ..wanted()
        };
        fs::write(dir.join(FILE), serde_json::to_vec(&other).unwrap()).unwrap();
        assert_eq!(make_way(&dir, &wanted()).unwrap(), None, "another's");
        fs::remove_dir_all(&dir).unwrap();
        run(Some(Outcome::Regression));
        assert_eq!(make_way(&dir, &wanted()).unwrap(), None, "it ended");
    }
}
