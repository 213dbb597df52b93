//! What is compared, and what exercises it: scenario and variants of a request.

use std::path::{Path, PathBuf};

use crate::{
    Error, Result,
    engine::{Home, Request, Variants, Workload},
    patch::{self, Chooser, Series},
    plan::BASE,
    scenario::{self, LoadSpec, Scenario, did_you_mean},
};

/// One variant.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) series: Series,
}

/// Scenario and variants.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) scenario: Scenario,
    /// Empty where one kernel is looked at alone, and where the variant comes from a git revision.
    pub(super) variants: Vec<Variant>,
}

pub(super) fn resolve(home: &Home, request: &Request, choose: &mut Chooser<'_>) -> Result<Subject> {
    let mut scenario = match &request.workload {
        Workload::Default => scenario::find(scenario::DEFAULT, &home.scenarios())?,
        Workload::Scenario(name) => scenario::find(name, &home.scenarios())?,
        Workload::Command(command) => Scenario::of_command(command.clone()),
    };
    locate_programs(&mut scenario);
    let variants = match &request.variants {
        Variants::None | Variants::SinceRev(_) => Vec::new(),
        Variants::Patch(inputs) => {
            let stem = inputs
                .first()
                .and_then(|p| p.file_stem())
                .map(|s| s.to_string_lossy().into_owned());
            vec![read(plain(&stem.unwrap_or_default()), inputs, choose)?]
        }
        Variants::Named(specs) => {
            let mut variants = Vec::new();
            for spec in specs {
                let path = match &spec.patches {
                    Some(path) => path.clone(),
                    None => own(home, &scenario, &spec.name)?,
                };
                variants.push(read(spec.name.clone(), &[path], choose)?);
            }
            variants
        }
        Variants::Scenarios if scenario.variants.is_empty() => {
            let error = Error::input(format!("{} has no variant of its own", scenario.name));
            return Err(error.mend("give --patch FILE, --base REV or --no-patch"));
        }
        Variants::Scenarios => {
            let mut variants = Vec::new();
            for name in &scenario.variants {
                variants.push(read(name.clone(), &[own(home, &scenario, name)?], choose)?);
            }
            variants
        }
    };
    distinct(&variants)?;
    Ok(Subject { scenario, variants })
}

/// A scenario's program with a slash lies beside the scenario; the user's own command names its program
/// as any command does.
fn locate_programs(scenario: &mut Scenario) {
    let Some(folder) = scenario.file.parent() else {
        return;
    };
    for load in &mut scenario.loads {
        if let LoadSpec::Exec(exec) = load
            && let Some(program) = exec.command.first_mut().filter(|p| p.contains('/'))
        {
            *program = folder.join(&*program).display().to_string();
        }
    }
}

/// A patch outside of what the default scenario exercises needs another one, or a command.
///
/// # Errors
/// Bad input, naming what lies outside.
pub(super) fn check_covers(request: &Request, subject: &Subject) -> Result<()> {
    let Subject { scenario, variants } = subject;
    if request.workload != Workload::Default || scenario.covers.is_empty() {
        return Ok(());
    }
    for variant in variants {
        let outside = variant.series.outside(&scenario.covers);
        if !outside.is_empty() {
            let message = format!(
                "{} touches {}, which scenario {} does not exercise (it covers {})",
                variant.name,
                outside.join(", "),
                scenario.name,
                scenario.covers.join(", ")
            );
            return Err(Error::input(message).mend(
                "name a scenario with --scenario, or run a program of yours in the guest: \
                 cargo xtask run ... -- COMMAND",
            ));
        }
    }
    Ok(())
}

fn read(name: String, inputs: &[PathBuf], choose: &mut Chooser<'_>) -> Result<Variant> {
    if name == BASE || name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        let error = Error::input(format!("{name:?} cannot be a variant's name"));
        return Err(error.mend("use letters, digits, - _ . +, and not `base`: --variant NAME=FILE"));
    }
    Ok(Variant {
        name,
        series: patch::load_choosing(inputs, choose)?,
    })
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.+".contains(c)
}

/// A file's name as a variant's.
fn plain(stem: &str) -> String {
    let name: String = stem
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() || name == BASE {
        "patch".into()
    } else {
        name.chars().take(60).collect()
    }
}

/// The patches of a variant that the subject brings along.
fn own(home: &Home, scenario: &Scenario, name: &str) -> Result<PathBuf> {
    let give = format!("give its patches: --variant {name}=FILE");
    if scenario.subject.is_empty() {
        let error = Error::input(format!(
            "scenario {} has no subject to take variant {name:?} from",
            scenario.name
        ));
        return Err(error.mend(give));
    }
    let subject = home.subject(&scenario.subject);
    let known = known(&subject);
    match known.iter().find(|(n, _)| n == name) {
        Some((_, path)) => Ok(path.clone()),
        None => {
            let near = did_you_mean(name, known.iter().map(|(n, _)| n.as_str()));
            let error = Error::input(format!("no variant {name:?} in {}", scenario.subject));
            Err(error.mend(format!("{near}; or {give}")))
        }
    }
}

/// A subject's variants and planted bugs, by name.
pub(super) fn known(subject: &Path) -> Vec<(String, PathBuf)> {
    let mut known = Vec::new();
    for folder in ["patches", "planted"] {
        let Ok(entries) = std::fs::read_dir(subject.join(folder)) else {
            continue;
        };
        for path in entries.filter_map(|e| e.ok().map(|e| e.path())) {
            let patch = path.is_dir() || path.extension().is_some_and(|e| e == "patch");
            if let Some(stem) = path.file_stem().filter(|_| patch) {
                known.push((stem.to_string_lossy().into_owned(), path));
            }
        }
    }
    known.sort();
    known
}

fn distinct(variants: &[Variant]) -> Result<()> {
    for (at, variant) in variants.iter().enumerate() {
        if variants[..at].iter().any(|v| v.name == variant.name) {
            let error = Error::input(format!("two variants are called {}", variant.name));
            return Err(error.mend("give each its own name: --variant NAME=FILE"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenarios_program_lies_beside_it() {
        let program = |file: &str, program: &str| {
            let mut scenario = Scenario::of_command(vec![program.into()]);
            scenario.file = file.into();
            locate_programs(&mut scenario);
            match &scenario.loads[0] {
                LoadSpec::Exec(exec) => exec.command[0].clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(program("/s/x.yaml", "./repro"), "/s/./repro");
        assert_eq!(program("/s/x.yaml", "/bin/sh"), "/bin/sh");
        assert_eq!(program("/s/x.yaml", "true"), "true");
        assert_eq!(program("", "./repro"), "./repro");
    }
}
