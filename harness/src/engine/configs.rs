//! Configs by name: which there are, and the fragments of one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    boot::settings::Machine,
    build::{ConfigText, Fragment},
    engine::{Home, Request},
    error::Context,
    host::quote,
    patch::is_patchs_name,
    scenario::{Scenario, did_you_mean},
};

/// The fragment under every config.
const BASE: &str = "base";
/// What `all` stands for, in this order.
pub(crate) const ALL: [&str; 4] = ["kasan", "kcsan", "lockdep", "plain"];
/// Fragments that serve the harness and are no config of their own.
const NO_CONFIGS: [&str; 2] = [BASE, Q35];
/// What a kernel needs besides on QEMU's q35.
const Q35: &str = "q35";

/// Every config's name.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).host(|| format!("failed to list {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "config"))
        .filter_map(|p| Some(p.file_stem()?.to_str()?.to_owned()))
        .filter(|name| !NO_CONFIGS.contains(&name.as_str()))
        .collect();
    names.sort();
    Ok(names)
}

/// The configs that a user named, each once.
///
/// # Errors
/// Bad input: an unknown name, with the nearest known.
pub(super) fn resolve(home: &Home, wanted: &[String]) -> Result<Vec<String>> {
    let known = names(&home.configs())?;
    let mut resolved: Vec<String> = Vec::new();
    for name in wanted {
        if name == "all" {
            resolved.extend(ALL.map(str::to_owned));
        } else if known.contains(name) {
            resolved.push(name.clone());
        } else {
            let with_all = known.iter().map(String::as_str).chain(["all"]);
            return Err(unknown(name, with_all));
        }
    }
    let mut seen = Vec::new();
    resolved.retain(|name| {
        let new = !seen.contains(name);
        seen.push(name.clone());
        new
    });
    Ok(resolved)
}

/// Refuses what names no config where each is named by itself: there `all` names none.
///
/// # Errors
/// Bad input: an unknown name, with the nearest known.
pub(super) fn each(home: &Home, wanted: &[String]) -> Result<()> {
    let known = names(&home.configs())?;
    match wanted.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(unknown(name, known.iter().map(String::as_str))),
        None => Ok(()),
    }
}

fn unknown<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Error {
    Error::input(format!("no config {name:?}")).mend(meant(name, known))
}

/// What may have been meant by a name that is no config's.
fn meant<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let path = Path::new(name);
    // The shell made several words of `--patch 000*.patch`, of which the option took the first.
    if path.is_file() || is_patchs_name(path) {
        return format!(
            "each patch wants a --patch of its own: --patch {}, or one --patch for their folder; a command \
             comes after --",
            quote(name)
        );
    }
    did_you_mean(name, known)
}

/// Each config's stack; every file is read here, once for all of a request's kernels. What is edited
/// while base is built must not reach the variant, and a pipe gives its lines to its first reader alone.
///
/// # Errors
/// A fragment cannot be read.
pub(super) fn stacks(
    home: &Home,
    names: &[String],
    request: &Request,
    scenario: &Scenario,
) -> Result<Vec<ConfigText>> {
    let own = users(&request.kconfig)?;
    let names = names.iter();
    names
        .map(|name| stack(home, name, request.machine, scenario, &own))
        .collect()
}

/// The user's fragments.
///
/// # Errors
/// Bad input: one cannot be read.
pub(super) fn users(files: &[PathBuf]) -> Result<Vec<Fragment>> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path);
        let text = text.input(|| format!("failed to read {}", path.display()))?;
        Ok(Fragment {
            name: path.display().to_string(),
            text,
        })
    };
    files.iter().map(read).collect()
}

/// A config's stack: base, its own, the machine's, the scenario's, the user's.
///
/// # Errors
/// A fragment cannot be read.
pub(super) fn stack(
    home: &Home,
    name: &str,
    machine: Machine,
    scenario: &Scenario,
    own: &[Fragment],
) -> Result<ConfigText> {
    let of_machine = match machine {
        Machine::Microvm => None,
        Machine::Q35 => Some(Q35),
    };
    let mut fragments = Vec::new();
    for part in [BASE, name].into_iter().chain(of_machine) {
        let path = home.configs().join(format!("{part}.config"));
        let text = fs::read_to_string(&path);
        let text = text.host(|| format!("failed to read {}", path.display()))?;
        fragments.push(Fragment {
            name: format!("{part}.config"),
            text,
        });
    }
    if !scenario.kconfig.is_empty() {
        fragments.push(Fragment {
            name: format!("scenario {}", scenario.name),
            text: scenario.kconfig.join("\n") + "\n",
        });
    }
    fragments.extend_from_slice(own);
    Ok(ConfigText {
        name: name.into(),
        fragments,
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsRawFd};

    use super::*;

    #[test]
    fn names_are_resolved_once_each() {
        let resolve = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).into()).collect();
            resolve(&Home::here(), &names)
        };
        assert_eq!(
            resolve(&["plain", "all"]).unwrap(),
            ["plain", "kasan", "kcsan", "lockdep"]
        );
        let error = resolve(&["kassan"]).unwrap_err();
        assert!(error.mending().unwrap().contains("kasan"), "{error:?}");
        assert_eq!(error.fault(), crate::Fault::Input);
    }

    #[test]
    fn all_is_known_where_several_are_run_at_once() {
        let home = Home::here();
        let names = |name: &str| [name.to_owned()];
        each(&home, &names("kasan")).unwrap();
        let offers = |error: Error| error.mending().unwrap().contains("all");
        assert!(offers(resolve(&home, &names("kassan")).unwrap_err()));
        for name in ["kassan", "all"] {
            assert!(!offers(each(&home, &names(name)).unwrap_err()), "{name}");
        }
    }

    #[test]
    fn a_patch_among_the_configs_was_meant_for_an_option() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("0002-x");
        fs::write(&file, "").unwrap();
        let there = file.to_str().unwrap();
        for (name, is_patch) in [
            ("0002-x.patch", true),
            ("a.diff", true),
            ("a.mbox", true),
            ("a.eml", true),
            (there, true),
            ("kassan", false),
            (dir.path().to_str().unwrap(), false),
        ] {
            let error = resolve(&Home::here(), &["kasan".into(), name.into()]).unwrap_err();
            let mend = error.mending().unwrap();
            let told = mend.contains(&format!("--patch {name}"));
            assert_eq!(
                (told, mend.contains("known: ")),
                (is_patch, !is_patch),
                "{mend}"
            );
        }
    }

    #[test]
    fn every_config_stands_on_base() {
        let scenario = Scenario::of_command(vec!["true".into()]);
        for name in ALL {
            for (machine, fragments) in [(Machine::Microvm, 2), (Machine::Q35, 3)] {
                let stack = stack(&Home::here(), name, machine, &scenario, &[]).unwrap();
                assert_eq!(stack.fragments.len(), fragments);
                assert!(stack.requests().is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn every_line_for_newer_kernels_is_left_out_on_the_oldest() {
        let scenario = Scenario::of_command(vec!["true".into()]);
        let mut all = 0;
        for name in ALL {
            let stack = stack(&Home::here(), name, Machine::Q35, &scenario, &[]).unwrap();
            let lines = stack.fragments.iter().flat_map(|f| f.text.lines());
            let marked = lines.filter(|line| line.starts_with("# since ")).count();
            let asked = |version| stack.of_version(version).requests().unwrap().len();
            assert_eq!(asked((99, 0)) - asked((6, 1)), marked, "{name}");
            all += marked;
        }
        assert!(all > 0);
    }

    #[test]
    fn a_scenarios_lines_come_after_the_configs_and_before_the_users() {
        let mut scenario = Scenario::of_command(vec!["true".into()]);
        scenario.kconfig = vec!["CONFIG_FAILSLAB=y".into()];
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own.config");
        fs::write(&own, "CONFIG_X=y\n").unwrap();
        let own = users(&[own]).unwrap();
        let stack = stack(&Home::here(), "plain", Machine::Microvm, &scenario, &own).unwrap();
        let texts: Vec<&str> = stack.fragments[2..]
            .iter()
            .map(|f| f.text.as_str())
            .collect();
        assert_eq!(texts, ["CONFIG_FAILSLAB=y\n", "CONFIG_X=y\n"]);
    }

    #[test]
    fn a_pipe_is_read_once_for_all_configs() {
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(b"CONFIG_X=y\n").unwrap();
        drop(write);
        let request = Request {
            kconfig: vec![format!("/dev/fd/{}", read.as_raw_fd()).into()],
            ..Request::default()
        };
        let scenario = Scenario::of_command(vec!["true".into()]);
        let names = ALL.map(str::to_owned);
        let stacks = stacks(&Home::here(), &names, &request, &scenario).unwrap();
        assert_eq!(stacks.len(), ALL.len());
        for stack in stacks {
            let last = stack.fragments.last().unwrap();
            assert_eq!(last.text, "CONFIG_X=y\n", "{}", stack.name);
        }
    }
}
