//! A matrix file, read; errors name the place, the cause and the mend.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    raw::{Known, RawMatrix, SEVERAL},
    types::{Expectation, Filter, Kernel, KernelFrom, Matrix, Patch, PatchFrom, Scenario},
};
use crate::{
    Error, Result,
    engine::ALL_CONFIGS,
    error::Context,
    judge::verdict::Outcome,
    scenario::{Profile, explain, is_name},
};

/// No matrix file is longer.
const MAX_BYTES: u64 = 1 << 20;

/// The matrix in a file; what it names by path lies beside it.
///
/// # Errors
/// Bad input: what is wrong, and where.
pub fn load(path: &Path) -> Result<Matrix> {
    let doing = || format!("failed to read {}", path.display());
    let about = fs::metadata(path).input(doing)?;
    if !about.is_file() || about.len() > MAX_BYTES {
        let error = Error::input(format!("{} is no matrix file", path.display()));
        return Err(error.mend("name a YAML file such as scenarios/matrices/nightly.yaml"));
    }
    let text = fs::read_to_string(path).input(doing)?;
    parse(&text, &std::path::absolute(path).input(doing)?)
}

pub(super) fn parse(text: &str, file: &Path) -> Result<Matrix> {
    let raw: RawMatrix = serde_yaml::from_str(text).map_err(|error| {
        let explained = explain(&error, text, file);
        match error.to_string().contains(SEVERAL) {
            true => explained.mend(format!("name each: {}", ALL_CONFIGS.join(", "))),
            false => explained,
        }
    })?;
    let matrix = matrix(raw, file);
    matrix.map_err(|wrong| {
        let error = Error::input(format!("{}: {}", file.display(), wrong.what));
        match wrong.mend {
            Some(mend) => error.mend(mend),
            None => error,
        }
    })
}

/// What is wrong in a file whose shape is right.
struct Wrong {
    what: String,
    mend: Option<String>,
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Self { what, mend: None }
    }
}

fn matrix(raw: RawMatrix, file: &Path) -> Result<Matrix, Wrong> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let beside = |path: PathBuf| folder.join(path);
    let mut kernels = Vec::new();
    for given in raw.kernels {
        let (name, from) = given.kernel()?;
        let from = match from {
            KernelFrom::Path(path) => KernelFrom::Path(beside(path)),
            other => other,
        };
        kernels.push(Kernel { name, from });
    }
    let mut patches = Vec::new();
    for given in raw.patches {
        let (name, from) = given.patch()?;
        let from = match from {
            PatchFrom::Path(path) => PatchFrom::Path(beside(path)),
            other => other,
        };
        patches.push(Patch { name, from });
    }
    let scenarios = raw
        .scenarios
        .into_iter()
        .map(|given| scenario(&given.0, folder));
    let scenarios: Vec<Scenario> = scenarios.collect::<Result<_, _>>()?;
    let profiles = match raw.profiles.is_empty() {
        true => vec![Profile::Quick],
        false => {
            let read = |name: &crate::scenario::Name| {
                name.0.parse::<Profile>().map_err(|error| Wrong {
                    what: error.to_string(),
                    mend: error.mending().map(str::to_owned),
                })
            };
            raw.profiles.iter().map(read).collect::<Result<_, _>>()?
        }
    };
    let configs: Vec<String> = raw.configs.into_iter().map(|name| name.0).collect();
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let known = Known::from([
        ("kernel", kernels.iter().map(|k| k.name.clone()).collect()),
        ("patch", patches.iter().map(|p| p.name.clone()).collect()),
        ("config", configs.clone()),
        (
            "scenario",
            scenarios.iter().map(|s| s.name.clone()).collect(),
        ),
        (
            "profile",
            names(&profiles.iter().map(|p| p.name()).collect::<Vec<_>>()),
        ),
    ]);
    for (axis, names) in &known {
        if names.is_empty() {
            return Err(format!("it names no {axis}").into());
        }
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(format!("two are called {axis} {name}").into());
            }
        }
    }
    let checked = |filter: Filter| match filter.unknown(&known) {
        None => Ok(filter),
        Some((what, mend)) => Err(Wrong {
            what,
            mend: Some(mend),
        }),
    };
    let filters = raw.exclude.into_iter().map(|filter| checked(filter.into()));
    let exclude = filters.collect::<Result<_, _>>()?;
    let mut expected = Vec::new();
    for raw in raw.expected {
        if matches!(raw.outcome, Outcome::Pass | Outcome::Interrupted) {
            let what = "only `regression`, `inconclusive`, `infrastructure` and `untestable` can be \
                        expected: a pass needs no excuse";
            return Err(what.to_owned().into());
        }
        expected.push(Expectation {
            filter: checked(raw.cells.into())?,
            outcome: raw.outcome,
            titles: raw.titles,
            reason: raw.reason.0,
            until: raw.until.0,
        });
    }
    let mut durations = Vec::new();
    for raw in raw.durations {
        durations.push((checked(raw.cells.into())?, raw.takes.0 as f64));
    }
    Ok(Matrix {
        name: raw.name.0,
        file: file.to_owned(),
        kernels,
        patches,
        configs,
        scenarios,
        profiles,
        exclude,
        budget: raw.budget.into(),
        expected,
        durations,
        slurm: raw.slurm.into(),
    })
}

/// A path ends in `.yaml` or `.yml` and lies beside the file; anything else is a name. Cells' folders are
/// called after it.
fn scenario(given: &str, folder: &Path) -> Result<Scenario, Wrong> {
    let path = Path::new(given);
    let is_path = path
        .extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml");
    let name = match is_path {
        true => path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned()),
        false => given.rsplit('/').next().map(str::to_owned),
    };
    let name = name.unwrap_or_default();
    if !is_name(&name) {
        return Err(Wrong {
            what: format!("no cell can be called after the scenario {given:?}"),
            mend: Some(
                "call its file by 64 letters, digits, dots, dashes and underscores at most, the first of \
                 them a letter or a digit"
                    .to_owned(),
            ),
        });
    }
    Ok(Scenario {
        given: match is_path {
            true => folder.join(path).display().to_string(),
            false => given.to_owned(),
        },
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
name: nightly
kernels: [locked, {name: mine, path: linux}]
patches: [ida-hashtable, none, {name: new, path: new.mbox}, {name: tip, since: v7.2}]
configs: [kasan, plain]
scenarios: [race, boot/smoke, own.yaml]
profiles: [quick, full]
exclude:
  - {patch: [none], config: [plain]}
budget: {cell: 90m, total: 8h, attempts: 2, confirm: 1}
expected:
  - {cells: {config: [kasan]}, outcome: inconclusive, reason: known, until: 2027-01-31}
durations:
  - {cells: {profile: [full]}, takes: 2h}
slurm: {partition: night, memory: 4G, cpus: 2, build-time: 1h, at-once: 4, options: [--qos=low]}
";

    #[test]
    fn a_file_is_read() {
        let matrix = parse(GOOD, Path::new("/m/nightly.yaml")).unwrap();
        assert_eq!(matrix.kernels[1].from, KernelFrom::Path("/m/linux".into()));
        let from: Vec<&PatchFrom> = matrix.patches.iter().map(|p| &p.from).collect();
        assert_eq!(
            from,
            [
                &PatchFrom::Own,
                &PatchFrom::None,
                &PatchFrom::Path("/m/new.mbox".into()),
                &PatchFrom::Since("v7.2".into())
            ]
        );
        let names: Vec<&str> = matrix.scenarios.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["race", "smoke", "own"]);
        assert_eq!(matrix.scenarios[2].given, "/m/own.yaml");
        assert_eq!(
            (matrix.budget.cell_s, matrix.budget.total_s),
            (5400, Some(28_800))
        );
        assert_eq!(matrix.durations[0].1, 7200.0);
        assert_eq!(matrix.slurm.memory_mib, Some(4096));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            (
                "name: nightly",
                "nmae: nightly",
                "unknown key `nmae`",
                "did you mean name?",
            ),
            ("name: nightly", "name: ../x", "a name of letters", ""),
            (
                "kernels: [locked,",
                "kernels: [lockd,",
                "neither `newest` nor `locked`",
                "",
            ),
            (
                "path: linux}",
                "paht: linux}",
                "unknown key `paht`",
                "did you mean path?",
            ),
            (
                "patches: [ida-hashtable,",
                "patches: [7,",
                "a name, or a map such as",
                "",
            ),
            (
                "path: new.mbox}",
                "path: new.mbox, since: v7}",
                "one of `path` and `since`",
                "",
            ),
            ("[kasan, plain]", "[]", "it names no config", ""),
            (
                "[kasan, plain]",
                "[kasan, plain, kasan]",
                "two are called config kasan",
                "",
            ),
            (
                "[kasan, plain]",
                "[kasan, all]",
                "m.yaml:4:10: configs: `all` is several configs, and a cell has one",
                "name each: kasan, kcsan, lockdep, plain",
            ),
            (
                "own.yaml",
                "./my race.yaml",
                "no cell can be called after the scenario \"./my race.yaml\"",
                "call its file by",
            ),
            ("own.yaml", "a+b.yaml", "called after the scenario", ""),
            ("own.yaml", "-x.yaml", "called after the scenario", ""),
            ("smoke", "race", "two are called scenario race", ""),
            (
                "[quick, full]",
                "[quik, full]",
                "unknown profile `quik`",
                "did you mean quick?",
            ),
            (
                "{patch: [none]",
                "{patch: [nome]",
                "no patch \"nome\" in this",
                "did you mean none?",
            ),
            (
                "cells: {config: [kasan]}",
                "cells: {config: [kcsan]}",
                "no config \"kcsan\"",
                "kasan",
            ),
            ("cell: 90m", "cell: 90", "a time from 1s to 168h", ""),
            ("cell: 90m", "cell: 0s", "a time from 1s to 168h", ""),
            ("total: 8h", "total: 800h", "a time from 1s to 168h", ""),
            (
                "attempts: 2",
                "attempts: 0",
                "a whole number from 1 to 20",
                "",
            ),
            (
                "outcome: inconclusive",
                "outcome: pass",
                "a pass needs no excuse",
                "",
            ),
            (
                "outcome: inconclusive",
                "outcome: fail",
                "unknown variant `fail`",
                "",
            ),
            (
                "until: 2027-01-31",
                "until: soon",
                "a day as YYYY-MM-DD",
                "",
            ),
            ("reason: known, ", "", "missing key `reason`", ""),
            ("reason: known, ", "reason: ' ', ", "some words", ""),
            ("--qos=low", "qos", "an option such as --qos=low", ""),
        ];
        for (from, to, said, mend) in table {
            assert!(GOOD.contains(from), "{from}");
            let error = parse(&GOOD.replacen(from, to, 1), Path::new("m.yaml")).unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Input);
            assert!(error.chain().contains(said), "{said}: {}", error.chain());
            assert!(
                error.mending().unwrap_or("").contains(mend),
                "{mend}: {error:?}"
            );
        }
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(error.chain().contains("is no matrix file"), "{error:?}");
        let large = dir.path().join("large.yaml");
        let file = fs::File::create(&large).unwrap();
        file.set_len(MAX_BYTES + 1).unwrap();
        assert!(
            load(&large)
                .unwrap_err()
                .chain()
                .contains("is no matrix file")
        );
        assert!(load(&dir.path().join("gone")).is_err());
    }
}
