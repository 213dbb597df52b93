//! Debug-only patches on top of what is compared: the classic temporary `udelay()`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    engine::{Request, subject::Subject},
    error::Context,
    judge::verdict::{Comparison, Outcome},
    patch::{self, Chooser, Series},
    plan::BASE,
    scenario::Scenario,
};

/// `FILE`, or `VARIANT=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The variant that it is put on, `base` among them; all without.
    pub variant: Option<String>,
    /// The patch.
    pub file: PathBuf,
}

impl Overlay {
    /// Reads the command line's form. A file of that very name, `=` and all, is one.
    pub fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, file)) if !PathBuf::from(text).exists() => Self {
                variant: Some(name.to_owned()),
                file: file.into(),
            },
            _ => Self {
                variant: None,
                file: text.into(),
            },
        }
    }

    fn is_for(&self, name: &str) -> bool {
        self.variant.as_deref().is_none_or(|own| own == name)
    }
}

/// Puts the scenario's overlays and the request's on the variants; gives base's.
///
/// # Errors
/// One names no variant, or is no patch; or a kernel has none though the scenario needs one.
pub(super) fn put(
    request: &Request,
    subject: &mut Subject,
    choose: &mut Chooser<'_>,
) -> Result<Option<Series>> {
    let overlays = all(request, &subject.scenario);
    check(request, subject, &overlays)?;
    for variant in &mut subject.variants {
        if let Some(overlay) = series(&overlays, &variant.name, choose)? {
            let own = variant.series.patches.drain(..);
            variant.series = Series::new(own.chain(overlay.patches).collect());
        }
    }
    series(&overlays, BASE, choose)
}

/// The scenario's overlays, which lie beside it, and then the request's.
fn all(request: &Request, scenario: &Scenario) -> Vec<Overlay> {
    let folder = scenario.file.parent().unwrap_or(Path::new(""));
    let own = scenario.overlays.iter().map(|(kernel, file)| Overlay {
        variant: Some(kernel.clone()),
        file: folder.join(file),
    });
    own.chain(request.overlays.iter().cloned()).collect()
}

fn check(request: &Request, subject: &Subject, overlays: &[Overlay]) -> Result<()> {
    let mut names: Vec<&str> = subject.variants.iter().map(|v| v.name.as_str()).collect();
    names.push(BASE);
    let known = |wanted: &&String| names.contains(&wanted.as_str());
    let mut wanted = request.overlays.iter().filter_map(|o| o.variant.as_ref());
    if let Some(unknown) = wanted.find(|wanted| !known(wanted)) {
        let error = Error::input(format!(
            "--overlay names no variant of this run: {unknown:?}"
        ));
        return Err(error.mend(format!("there are {}", names.join(", "))));
    }
    none_is_bare(subject, overlays)
}

/// Whether the files are there, and each kernel that is known by now has what a scenario with debug
/// overlays needs of it.
pub(super) fn foresee(request: &Request, subject: &Subject) -> Result<()> {
    let overlays = all(request, &subject.scenario);
    for overlay in &overlays {
        let file = &overlay.file;
        fs::metadata(file).input(|| format!("failed to read {}", file.display()))?;
    }
    none_is_bare(subject, &overlays)
}

fn none_is_bare(subject: &Subject, overlays: &[Overlay]) -> Result<()> {
    let variants = subject.variants.iter().map(|v| v.name.as_str());
    let mut names = variants.chain([BASE]);
    let bare = |name: &&str| !overlays.iter().any(|overlay| overlay.is_for(name));
    match names.find(bare) {
        Some(name) if !subject.scenario.overlays.is_empty() => {
            let scenario = &subject.scenario.name;
            let error = format!("scenario {scenario} has no debug overlay for {name}");
            Err(Error::input(error).mend(format!(
                "give one that does for it what those beside the scenario do: `{name}: FILE` among the \
                 scenario's `overlays`, or --overlay {name}=FILE where the command takes it"
            )))
        }
        _ => Ok(()),
    }
}

fn series(overlays: &[Overlay], name: &str, choose: &mut Chooser<'_>) -> Result<Option<Series>> {
    let own = overlays.iter().filter(|one| one.is_for(name));
    let files: Vec<PathBuf> = own.map(|one| one.file.clone()).collect();
    match files.is_empty() {
        true => Ok(None),
        false => patch::load_choosing(&files, choose).map(Some),
    }
}

/// What was compared is not what the patch makes: never a clean verdict on its own.
pub(super) fn note(request: &Request, scenario: &Scenario, comparison: &mut Comparison) {
    for overlay in &all(request, scenario) {
        let on = match &overlay.variant {
            None => "every kernel",
            Some(name) if *name == comparison.variant || *name == comparison.base => name,
            Some(_) => continue,
        };
        comparison.reasons.push(format!(
            "the debug overlay {} is on {on}: what it finds counts, and that it finds nothing does not",
            overlay.file.display()
        ));
        if comparison.outcome == Outcome::Pass {
            comparison.outcome = Outcome::Inconclusive;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::subject::Variant;

    fn subject(overlays: &[(&str, &str)], variants: &[&str]) -> Subject {
        let mut scenario = Scenario::of_command(vec!["true".into()]);
        scenario.file = "s/cursor.yaml".into();
        let own = overlays.iter().map(|(a, b)| ((*a).into(), (*b).into()));
        scenario.overlays = own.collect();
        Subject {
            scenario,
            variants: variants
                .iter()
                .map(|name| Variant {
                    name: (*name).into(),
                    series: Series::new(Vec::new()),
                })
                .collect(),
        }
    }

    #[test]
    fn a_scenarios_overlays_lie_beside_it_and_come_first() {
        let request = Request {
            overlays: vec![Overlay::parse("ida=b.patch")],
            ..Request::default()
        };
        let subject = subject(&[("ida", "overlays/a.patch")], &["ida"]);
        let all = all(&request, &subject.scenario);
        let files: Vec<&Path> = all.iter().map(|one| one.file.as_path()).collect();
        assert_eq!(
            files,
            [Path::new("s/overlays/a.patch"), Path::new("b.patch")]
        );
        assert!(all.iter().all(|one| one.is_for("ida")));
    }

    /// The scenario's overlays, the request's, and what is wrong with them.
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);

    #[test]
    fn every_kernel_needs_what_the_scenario_needs() {
        let both = [
            ("base", "a.patch"),
            ("ida", "a.patch"),
            ("other", "a.patch"),
        ];
        let table: [Row<'_>; 5] = [
            (&[], &[], ""),
            (&both, &[], ""),
            (&both[..2], &[], ""),
            (&both[..1], &["ida=b.patch"], ""),
            (
                &both[..1],
                &[],
                "scenario command has no debug overlay for ida",
            ),
        ];
        for (own, given, error) in table {
            let request = Request {
                overlays: given.iter().map(|text| Overlay::parse(text)).collect(),
                ..Request::default()
            };
            let subject = subject(own, &["ida"]);
            let all = all(&request, &subject.scenario);
            let checked = check(&request, &subject, &all);
            assert_eq!(
                checked
                    .map_err(|error| error.to_string())
                    .err()
                    .unwrap_or_default(),
                error,
                "{own:?} {given:?}"
            );
        }
        let request = Request {
            overlays: vec![Overlay::parse("other=b.patch")],
            ..Request::default()
        };
        let error = check(&request, &subject(&[], &["ida"]), &[]).unwrap_err();
        assert_eq!(error.mending(), Some("there are ida, base"));
    }

    #[test]
    fn a_file_that_is_not_there_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("d.patch");
        let request = Request {
            overlays: vec![Overlay::parse(&file.display().to_string())],
            ..Request::default()
        };
        let error = foresee(&request, &subject(&[], &["ida"])).unwrap_err();
        assert!(error.to_string().contains("d.patch"), "{error}");
        fs::write(&file, "").unwrap();
        foresee(&request, &subject(&[], &["ida"])).unwrap();
    }

    #[test]
    fn both_forms_are_read() {
        let table = [
            ("d.patch", None, "d.patch"),
            ("base=d.patch", Some("base"), "d.patch"),
            ("ida=a=b.patch", Some("ida"), "a=b.patch"),
        ];
        for (text, variant, file) in table {
            let overlay = Overlay::parse(text);
            assert_eq!(overlay.variant.as_deref(), variant, "{text}");
            assert_eq!(overlay.file, PathBuf::from(file), "{text}");
        }
        assert!(Overlay::parse("d.patch").is_for("x"));
        assert!(!Overlay::parse("base=d.patch").is_for("x"));
    }
}
