//! What a run was asked for, by its command line (pure).

use crate::scenario::Profile;

/// The profile; empty where there is no command line.
pub(super) fn profile(command: &[String]) -> &str {
    match option(command, "--profile") {
        Some(name) => name,
        None if command.is_empty() => "",
        None => Profile::Quick.name(),
    }
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
}
