//! The shape of a file of claims, as serde reads it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::types::{Check, Claim, Claims, Expect, Figure, Run, Side, What};
use crate::{judge::verdict::Judgement, scenario::Profile};

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
                raw.check(&runs)
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

impl RawCheck {
    fn check(self, runs: &BTreeMap<String, Run>) -> Result<Check, String> {
        if !runs.contains_key(&self.run) {
            let known: Vec<&str> = runs.keys().map(String::as_str).collect();
            return Err(format!("no run {:?} among {}", self.run, known.join(", ")));
        }
        let wanted = [
            self.measure.map(What::Measure),
            self.count.map(What::Count),
            self.size.map(What::Size),
            self.slab.map(What::Slab),
            self.findings.map(What::Findings),
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
}
