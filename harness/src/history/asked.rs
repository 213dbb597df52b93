//! What a run was asked for, by its command line (pure).

use crate::{host::quote, scenario::Profile};

/// The profile; empty where there is no command line.
pub(super) fn profile(command: &[String]) -> &str {
    match option(command, "--profile") {
        Some(name) => name,
        None if command.is_empty() => "",
        None => Profile::Quick.name(),
    }
}

/// The kernel as it was named, which may be another one every night: `newest`, `locked`, a package, or
/// where a tree or a tarball lies; empty where there is no command line. `source` says where it came
/// from.
pub(super) fn kernel<'r>(command: &'r [String], source: &'r str) -> &'r str {
    let from = match (option(command, "--base"), source.rsplit_once(" at ")) {
        (Some(_), Some((tree, _))) => tree,
        _ => source,
    };
    match option(command, "--kernel") {
        // A tree's path depends on where the command was given.
        Some(named) if !source.starts_with(&format!("{named} ")) => from,
        Some(package) => package,
        None if words(command).any(|word| word == "--locked") => "locked",
        None if command.is_empty() => "",
        None => "newest",
    }
}

/// The program that ran instead of a scenario's loads, as a shell would take it; empty for none.
pub(super) fn program(command: &[String]) -> String {
    let program = command.iter().skip_while(|word| *word != "--").skip(1);
    program
        .map(|word| quote(word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The words that are ktwin's own.
fn words(command: &[String]) -> impl Iterator<Item = &String> {
    command.iter().take_while(|word| *word != "--")
}

/// An option's value, however it was given; empty where it lacks one.
fn option<'c>(command: &'c [String], name: &str) -> Option<&'c str> {
    let mut words = words(command);
    let given = words.find_map(|word| match word.strip_prefix(name)? {
        "" => Some(None),
        rest => rest.strip_prefix('=').map(Some),
    })?;
    Some(given.unwrap_or_else(|| words.next().map_or("", String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_stand_in_the_command() {
        let table = [
            ("", ""),
            ("cargo xtask run kasan", "quick"),
            (
                "cargo xtask run kasan --profile standard --seed 7",
                "standard",
            ),
            ("cargo xtask run --profile=full kasan", "full"),
            ("cargo xtask run kasan -- ./repro --profile full", "quick"),
            ("cargo xtask run kasan --profile", ""),
        ];
        for (command, expected) in table {
            assert_eq!(profile(&split(command)), expected, "{command}");
        }
    }

    fn split(command: &str) -> Vec<String> {
        command.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_kernel_has_the_same_name_every_night() {
        let package = "linux-source-7.3 7.3.4-1";
        let table = [
            ("", package, ""),
            ("cargo xtask run kasan", package, "newest"),
            ("cargo xtask run kasan --locked", package, "locked"),
            (
                "cargo xtask run --kernel linux-source-7.3 kasan",
                package,
                "linux-source-7.3",
            ),
            (
                "cargo xtask run kasan --kernel=.",
                "/src/linux",
                "/src/linux",
            ),
            (
                "cargo xtask run kasan --kernel . --base HEAD~3",
                "/src/a at b/linux at HEAD~3",
                "/src/a at b/linux",
            ),
            (
                "cargo xtask run kasan -- ./repro --locked",
                package,
                "newest",
            ),
        ];
        for (command, source, expected) in table {
            assert_eq!(kernel(&split(command), source), expected, "{command}");
        }
    }

    #[test]
    fn a_program_is_what_follows() {
        let mut command = split("cargo xtask run kasan --seed 7");
        assert_eq!(program(&command), "");
        command.extend(["--", "./repro", "a b", "--"].map(str::to_owned));
        assert_eq!(program(&command), "./repro 'a b' --");
    }
}
