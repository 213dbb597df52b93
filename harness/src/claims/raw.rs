//! The shape of a file of claims, as serde reads it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::{
    findings,
    types::{Among, Check, Claim, Claims, Expect, Figure, Run, Side, What},
};
use crate::{
    judge::verdict::Judgement,
    scenario::{Profile, did_you_mean},
};

/// A run's name has so many characters at most.
const LONGEST: usize = 64;
/// The config whose kernels' structures are measured: detectors would add to them.
const STRUCTURES_IN: &str = "plain";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClaims {
    variant: String,
    patch: Option<PathBuf>,
    runs: BTreeMap<String, RawRun>,
    claims: Vec<RawClaim>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRun {
    config: String,
    scenario: String,
    #[serde(default)]
    variants: Vec<String>,
    #[serde(default)]
    profile: RawProfile,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawProfile {
    #[default]
    Quick,
    Standard,
    Full,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaim {
    id: String,
    text: String,
    checks: Vec<RawCheck>,
}

/// The keys of a check; which go together is settled in [`RawCheck::check`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCheck {
    run: String,
    variant: Option<String>,
    measure: Option<String>,
    count: Option<String>,
    size: Option<String>,
    slab: Option<String>,
    findings: Option<Vec<String>>,
    #[serde(default, rename = "in")]
    files: Vec<String>,
    of: Option<RawSide>,
    over: Option<RawOther>,
    about: Option<f64>,
    within: Option<f64>,
    is: Option<f64>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    below: Option<RawOther>,
    says: Option<Vec<Judgement>>,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOther {
    measure: String,
    of: RawSide,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawSide {
    Base,
    Variant,
    Ratio,
    Difference,
}

impl From<RawSide> for Side {
    fn from(raw: RawSide) -> Self {
        match raw {
            RawSide::Base => Self::Base,
            RawSide::Variant => Self::Variant,
            RawSide::Ratio => Self::Ratio,
            RawSide::Difference => Self::Difference,
        }
    }
}

impl From<RawOther> for (What, Side) {
    fn from(raw: RawOther) -> Self {
        (What::Measure(raw.measure), raw.of.into())
    }
}

impl From<RawRun> for Run {
    fn from(raw: RawRun) -> Self {
        Self {
            config: raw.config,
            scenario: raw.scenario,
            variants: raw.variants,
            profile: match raw.profile {
                RawProfile::Quick => Profile::Quick,
                RawProfile::Standard => Profile::Standard,
                RawProfile::Full => Profile::Full,
            },
        }
    }
}

impl RawClaims {
    /// The claims; an error names the claim, its check and what is wrong with it.
    pub(super) fn claims(self) -> Result<Claims, String> {
        let runs: BTreeMap<String, Run> = self
            .runs
            .into_iter()
            .map(|(name, run)| (name, run.into()))
            .collect();
        for (name, run) in &runs {
            check_run(name, run)?;
        }
        if self.claims.is_empty() {
            return Err("it claims nothing".into());
        }
        let mut claims: Vec<Claim> = Vec::new();
        for RawClaim { id, text, checks } in self.claims {
            if claims.iter().any(|known| known.id == id) {
                return Err(format!("there are two claims {id}"));
            }
            if checks.is_empty() {
                return Err(format!("claim {id} has no checks"));
            }
            let numbered = checks.into_iter().zip(1..);
            let checks = numbered.map(|(raw, number)| {
                raw.check(&runs, &self.variant)
                    .map_err(|cause| format!("claim {id}, check {number}: {cause}"))
            });
            let checks = checks.collect::<Result<_, _>>()?;
            claims.push(Claim { id, text, checks });
        }
        Ok(Claims {
            variant: self.variant,
            patch: self.patch,
            runs,
            claims,
        })
    }
}

/// A run's name is its folder's, and each has one config.
fn check_run(name: &str, run: &Run) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(plain) {
        return Err(format!(
            "run {name:?}: its folder is called so: 1 to {LONGEST} letters, digits, `-` and `_`"
        ));
    }
    match run.config.as_str() {
        "all" => Err(format!(
            "run {name}: name one config, and another run for another"
        )),
        _ => Ok(()),
    }
}

impl RawCheck {
    fn check(self, runs: &BTreeMap<String, Run>, own: &str) -> Result<Check, String> {
        let Some(run) = runs.get(&self.run) else {
            let known: Vec<&str> = runs.keys().map(String::as_str).collect();
            return Err(format!("no run {:?} among {}", self.run, known.join(", ")));
        };
        let variant = self.variant.as_deref().unwrap_or(own);
        let compared = match run.variants.as_slice() {
            [] => variant == own,
            names => names.iter().any(|name| name == variant),
        };
        if !compared {
            return Err(format!("the run {} does not compare {variant}", self.run));
        }
        self.means_something()?;
        self.can_be(&run.config)?;
        let wanted = [
            self.measure.map(What::Measure),
            self.count.map(What::Count),
            self.size.map(What::Size),
            self.slab.map(What::Slab),
            self.findings.map(|classes| {
                What::Findings(Among {
                    classes,
                    files: self.files,
                })
            }),
        ];
        let mut wanted = wanted.into_iter().flatten();
        let (Some(what), None) = (wanted.next(), wanted.next()) else {
            return Err("it wants one of `measure`, `count`, `size`, `slab` and `findings`".into());
        };
        let findings = matches!(what, What::Findings(_));
        let expectations = [
            self.about.map(|value| match self.within {
                Some(within) => Ok(Expect::About(value, within)),
                None => Err("`about` wants `within`, in percent"),
            }),
            self.is.map(|value| Ok(Expect::About(value, 0.0))),
            match (self.at_least, self.at_most) {
                (Some(least), Some(most)) => Some(Ok(Expect::Between(least, most))),
                (Some(least), None) => Some(Ok(Expect::AtLeast(least))),
                (None, Some(most)) => Some(Ok(Expect::AtMost(most))),
                (None, None) => None,
            },
            self.below.map(|raw| {
                let (what, side) = raw.into();
                Ok(Expect::Below(what, side))
            }),
            self.says.map(|says| Ok(Expect::Says(says))),
            findings.then_some(Ok(Expect::NoneNew)),
        ];
        let mut expectations = expectations.into_iter().flatten();
        let (Some(expect), None) = (expectations.next(), expectations.next()) else {
            return Err(match findings {
                true => "of `findings` nothing can be expected but that none is new".into(),
                false => {
                    "it wants one of `about`, `is`, `at_least` and `at_most`, `below` and `says`"
                        .into()
                }
            });
        };
        if let Expect::Between(least, most) = expect.as_ref().unwrap_or(&Expect::NoneNew)
            && least > most
        {
            return Err("`at_least` is more than `at_most`".into());
        }
        Ok(Check {
            figure: Figure {
                run: self.run,
                variant: self.variant,
                what,
                side: self.of.map_or(Side::Variant, Side::from),
                over: self.over.map(<(What, Side)>::from),
            },
            expect: expect?,
            why: self.why,
        })
    }

    /// Keys that would change nothing are mistakes.
    fn means_something(&self) -> Result<(), String> {
        let figure = self.says.is_none() && self.findings.is_none();
        let figures = [
            self.about,
            self.within,
            self.is,
            self.at_least,
            self.at_most,
        ];
        let rows = [
            (
                self.within.is_some() && self.about.is_none(),
                "`within` goes with `about`",
            ),
            (
                self.of.is_some() && !figure,
                "`of` goes with a figure that is compared",
            ),
            (
                self.over.is_some() && !figure,
                "`over` goes with a figure that is compared",
            ),
            (
                !self.files.is_empty() && self.findings.is_none(),
                "`in` goes with `findings`",
            ),
            (
                self.files
                    .iter()
                    .any(|start| start.is_empty() || start.starts_with(['/', '.'])),
                "`in` wants paths in the kernel's tree, as `fs/fuse/`",
            ),
            (
                self.says.as_ref().is_some_and(Vec::is_empty),
                "`says` names no judgement: worse, better, equivalent or unclear",
            ),
            (
                self.says.is_some() && self.measure.is_none(),
                "`says` goes with `measure`: nothing else is judged",
            ),
            (
                self.within.is_some_and(|within| within < 0.0),
                "`within` is less than nothing; write so many percent",
            ),
            (
                figures
                    .into_iter()
                    .flatten()
                    .any(|figure| !figure.is_finite()),
                "a figure is none that anything can be compared with",
            ),
        ];
        match rows.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, cause)) => Err(cause.into()),
            None => Ok(()),
        }
    }

    /// What no run in this config could ever tell is a mistake, too.
    fn can_be(&self, config: &str) -> Result<(), String> {
        let sized = self.size.is_some() || self.slab.is_some();
        if sized && config != STRUCTURES_IN {
            return Err(format!(
                "structures are measured in {STRUCTURES_IN}, and the run {} is in {config}",
                self.run
            ));
        }
        let known = findings::classes();
        for class in self.findings.iter().flatten() {
            if !known.contains(class.as_str()) {
                let near = did_you_mean(class, known.iter().copied());
                return Err(format!("no finding is of class {class:?}; {near}"));
            }
        }
        Ok(())
    }
}
