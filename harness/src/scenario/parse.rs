//! A scenario's text, read; errors name file, line, column, the line itself and the mend.

use std::path::Path;

use super::{nearest::did_you_mean, raw::RawScenario, types::Scenario};
use crate::{Error, Result};

/// Columns of a quoted line that are shown on either side of the error.
const SHOWN: usize = 60;

/// Reads a scenario's text; `file` is what errors name, and where its patches are looked for.
///
/// # Errors
/// Bad input: what is wrong, and where.
pub fn parse(text: &str, file: &Path) -> Result<Scenario> {
    let raw: RawScenario =
        serde_yaml::from_str(text).map_err(|error| explain(&error, text, file))?;
    Ok(Scenario {
        about: about(text),
        file: file.to_owned(),
        ..raw.into()
    })
}

/// The comment at the top, as one line.
fn about(text: &str) -> String {
    let words: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        .flat_map(str::split_whitespace)
        .collect();
    words.join(" ")
}

/// serde's words, and ours.
const WORDS: [(&str, &str); 3] = [
    ("unknown field", "unknown key"),
    ("missing field", "missing key"),
    ("duplicate field", "duplicate key"),
];

/// serde's error with our words around it.
pub(crate) fn explain(error: &serde_yaml::Error, text: &str, file: &Path) -> Error {
    let location = error.location().map(|at| (at.line(), at.column()));
    let whole = error.to_string();
    let cause = location
        .and_then(|(line, column)| whole.strip_suffix(&format!(" at line {line} column {column}")))
        .unwrap_or(&whole);
    let say = |cause: String, (from, to): (&str, &str)| cause.replace(from, to);
    let cause = WORDS.into_iter().fold(cause.to_owned(), say);
    let mend = mend(&cause);
    let mut message = match location {
        Some((line, column)) => {
            format!(
                "{}:{line}:{column}: {cause}{}",
                file.display(),
                quote(text, line, column)
            )
        }
        None => format!("{}: {cause}", file.display()),
    };
    // The list of keys is in the mend, nearest first.
    if let Some(end) = message.find(", expected one of `")
        && mend.is_some()
    {
        let rest = message[end..]
            .find('\n')
            .map(|at| message[end + at..].to_owned());
        message.truncate(end);
        message.push_str(&rest.unwrap_or_default());
    }
    let error = Error::input(message);
    match mend {
        Some(mend) => error.mend(mend),
        None => error.mend("scenarios/README.md explains every key"),
    }
}

/// For an unknown key, the nearest known ones. serde's message is
/// ``unknown field `x`, expected one of `a`, `b` `` or ``..., expected `a` or `b` ``.
fn mend(cause: &str) -> Option<String> {
    if cause.contains("duplicate key `") {
        return Some("remove one of the two".to_owned());
    }
    let (_, rest) = cause.split_once("unknown key `")?;
    let (key, rest) = rest.split_once("`, expected ")?;
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    Some(did_you_mean(key, known))
}

/// The line with a mark below the column, both cut to what fits.
fn quote(text: &str, line: usize, column: usize) -> String {
    let Some(content) = text.lines().nth(line.saturating_sub(1)) else {
        return String::new();
    };
    let at = column.saturating_sub(1);
    let from = at.saturating_sub(SHOWN);
    let shown: String = content
        .chars()
        .skip(from)
        .take(2 * SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = line.to_string();
    format!(
        "\n  {number} | {shown}\n  {:width$} | {:at$}^",
        "",
        "",
        width = number.len(),
        at = at - from
    )
}

#[cfg(test)]
mod tests {
    use protocol::Corner;

    use super::*;
    use crate::scenario::{Count, GuestSpec, LoadSpec};

    const GOOD: &str = "\
# What it proves,
# in two lines.
name: race
subject: fuse-backing
covers: [fs/fuse]
variants: [ida-hashtable]
requires: [FUSE_FS, FUSE_PASSTHROUGH]
guest: {memory: 2G, cpus: 2}
loads:
  - backing-race: {servers: 3, openers: 3, churners: 2, ids: 64, files: 512}
  - fio: {store: ext4, jobs: profile, engine: io_uring, pattern: randrw, block: 4k}
  - exec: {command: [./repro, --fast], expect: 0}
accepted:
  - {title: 'KCSAN: data-race in a / b', reason: known, until: 2027-01-31}
stall: ['f+0x25:300us']
";

    fn read(text: &str) -> Result<Scenario> {
        parse(text, Path::new("s/race.yaml"))
    }

    #[test]
    fn the_contracts_file() {
        let scenario = read(GOOD).unwrap();
        assert_eq!(scenario.about, "What it proves, in two lines.");
        assert_eq!(scenario.name, "race");
        assert_eq!(
            scenario.guest,
            GuestSpec {
                memory_mib: 2048,
                cpus: 2
            }
        );
        assert_eq!(scenario.accepted[0].until, "2027-01-31");
        assert_eq!(scenario.stalls[0].to_string(), "f+0x25:300us");
        let [
            LoadSpec::BackingRace(race),
            LoadSpec::Fio(fio),
            LoadSpec::Exec(exec),
        ] = &scenario.loads[..]
        else {
            panic!("{:?}", scenario.loads);
        };
        assert_eq!((race.sizes.ids, race.seconds), (64, None));
        assert_eq!(fio.jobs, Count::Profile);
        assert_eq!(exec.command, ["./repro", "--fast"]);
    }

    #[test]
    fn what_may_be_left_out() {
        let scenario =
            read("name: a\nsubject: b\ncovers: []\nloads: [{fio: {}}, {backing-race: {}}]\n")
                .unwrap();
        assert_eq!(scenario.guest.memory_mib, 2048);
        assert_eq!(scenario.loads.len(), 2);
        assert!(scenario.variants.is_empty() && scenario.accepted.is_empty());
    }

    #[test]
    fn corners_and_the_kernels_that_they_need() {
        let head = "name: a\nsubject: b\ncovers: []\n";
        let good = "kconfig: [CONFIG_FAILSLAB=y, '# CONFIG_X is not set']\n\
                    overlays: {base: overlays/a.patch}\n\
                    loads: [{refusals: {}}, {init-race: {mounts: 5, skip-watch: 200}}]\n";
        let scenario = read(&format!("{head}{good}")).unwrap();
        assert_eq!(
            scenario.kconfig,
            ["CONFIG_FAILSLAB=y", "# CONFIG_X is not set"]
        );
        assert_eq!(scenario.overlays["base"], "overlays/a.patch");
        let race = Corner::InitRace {
            mounts: 5,
            racers: 2,
            skip_watch: Some(200),
        };
        assert_eq!(
            scenario.loads,
            [Corner::Refusals, race].map(LoadSpec::Corner)
        );
        let loads = "loads: [{refusals: {}}]\n";
        for (broken, rest, told) in [
            ("kconfig: [FAILSLAB=y]", loads, "a line of Kconfig's"),
            ("overlays: {base: ../a.patch}", loads, "a relative path"),
            (
                "loads: [{refusals: {rounds: 1}}]",
                "",
                "unknown key `rounds`",
            ),
            ("loads: [{cursor: {limit: 1}}]", "", "from 8 to 4096"),
        ] {
            let error = read(&format!("{head}{broken}\n{rest}"));
            let chain = error.unwrap_err().chain();
            assert!(chain.contains(told), "{broken}: {chain}");
        }
    }

    #[test]
    fn numbers_of_ids_ascend_each_once() {
        let of = |ids: &str| {
            read(&format!(
                "name: a\nsubject: b\ncovers: []\nloads:\n  - memory: {{ids: {ids}}}\n"
            ))
        };
        let memory = |ids: &[u32]| LoadSpec::Memory(protocol::Memory { ids: ids.to_vec() });
        assert_eq!(of("[10, 1, 10]").unwrap().loads, [memory(&[1, 10])]);
        let chain = of("[]").unwrap_err().chain();
        assert!(
            chain.starts_with("s/race.yaml:5:13: loads[0].memory: `ids` names no number"),
            "{chain}"
        );
        assert!(chain.contains("such as [1000]"), "{chain}");
        let many: Vec<u32> = (1..=25).collect();
        let chain = of(&format!("{many:?}")).unwrap_err().chain();
        assert!(chain.contains("names 25 numbers"), "{chain}");
        assert!(chain.contains("at 24 at most"), "{chain}");
    }

    #[test]
    fn functions_are_called_otherwise_than_what_is_counted_anyway() {
        let of = |functions: &str| {
            read(&format!(
                "name: s\nsubject: x\ncovers: [fs/fuse]\nloads:\n  - operations: {{functions: {functions}}}\n"
            ))
        };
        assert!(of("{lookup: fuse_backing_lookup}").is_ok());
        let chain = of("{lookup: a, open: fuse_open}").unwrap_err().chain();
        assert!(chain.contains("`open` is counted as it is"), "{chain}");
        let many: Vec<String> = (0..10).map(|n| format!("f{n}: g{n}")).collect();
        let of_many = |n: usize| of(&format!("{{{}}}", many[..n].join(", ")));
        assert!(of_many(9).is_ok());
        let chain = of_many(10).unwrap_err().chain();
        assert!(chain.contains("10 functions, and 9 can be"), "{chain}");
    }

    /// One field of the good file broken at a time: (what, by what, message's head, mend's part).
    #[test]
    fn broken_files() {
        let table: &[(&str, &str, &str, &str)] = &[
            (
                "servers: 3",
                "servrs: 3",
                "s/race.yaml:10:20: loads[0].backing-race: unknown key `servrs`\n  10 |   - backing-race: {servrs: 3, ",
                "did you mean servers? known: servers, openers, churners, ids, files, seconds",
            ),
            (
                "covers:",
                "cover:",
                "s/race.yaml:5:1: unknown key `cover`\n  5 | cover: [fs/fuse]\n    | ^",
                "did you mean covers?",
            ),
            (
                "  - fio:",
                "  - foi:",
                "s/race.yaml:11:5: loads[1]: unknown key `foi`",
                "did you mean fio? known: backing-race, fio, exec",
            ),
            (
                "servers: 3",
                "servers: many",
                "s/race.yaml:10:29: loads[0].backing-race.servers: invalid type: string \"many\", expected a whole number from 1 to 256",
                "README",
            ),
            (
                "servers: 3",
                "servers: 0",
                "s/race.yaml:10:29: loads[0].backing-race.servers: invalid value: integer `0`, expected a whole number from 1 to 256",
                "README",
            ),
            (
                "servers: 3",
                "servers: -1",
                "s/race.yaml:10:29: loads[0].backing-race.servers: invalid type: integer `-1`, expected a whole number",
                "README",
            ),
            (
                "memory: 2G",
                "memory: 2 gigabytes",
                "s/race.yaml:8:17: guest.memory: invalid value: string \"2 gigabytes\", expected a size of whole mebibytes such as 512M or 2G",
                "README",
            ),
            (
                "memory: 2G",
                "memory: 1M",
                "s/race.yaml:8:17: guest.memory: invalid value: string \"1M\", expected a size from 128M to 64G",
                "README",
            ),
            (
                "jobs: profile",
                "jobs: some",
                "s/race.yaml:11:30: loads[1].fio.jobs: invalid value: string \"some\", expected a whole number from 1 to 256, or the word `profile`",
                "README",
            ),
            (
                "store: ext4",
                "store: ext3",
                "s/race.yaml:11:18: loads[1].fio.store: unknown variant `ext3`, expected `ext4` or `tmpfs`",
                "README",
            ),
            (
                "pattern: randrw",
                "pattern: random",
                "loads[1].fio.pattern: invalid value: string \"random\", expected one of read,",
                "README",
            ),
            (
                "[./repro, --fast]",
                "[]",
                "a command needs a program to run",
                "README",
            ),
            (
                "[FUSE_FS,",
                "[CONFIG_FUSE_FS,",
                "requires[0]: invalid value: string \"CONFIG_FUSE_FS\", expected a Kconfig symbol without CONFIG_",
                "README",
            ),
            (
                "[fs/fuse]",
                "[../etc]",
                "covers[0]: invalid value: string \"../etc\", expected a relative path",
                "README",
            ),
            (
                "until: 2027-01-31",
                "until: someday",
                "accepted[0].until: invalid value: string \"someday\", expected a day as YYYY-MM-DD",
                "README",
            ),
            (
                ", until: 2027-01-31",
                "",
                "s/race.yaml:14:5: accepted[0]: missing key `until`",
                "README",
            ),
            (
                "f+0x25:300us",
                "f",
                "stall `f`: no duration; write FUNCTION:300us",
                "README",
            ),
            ("name: race\n", "", "missing key `name`", "README"),
            (
                "name: race\n",
                "name: race\nname: race\n",
                "s/race.yaml:3:1: duplicate key `name`",
                "remove one of the two",
            ),
            (
                "cpus: 2}",
                "cpus: 2, cpus: 3}",
                "guest: duplicate key `cpus`",
                "remove one of the two",
            ),
            ("guest: {", "guest: [", "s/race.yaml:", "README"),
        ];
        for (from, to, head, mend) in table {
            assert!(GOOD.contains(from), "{from}");
            let error = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Input);
            assert!(
                error.chain().contains(head),
                "{from} -> {to}: {}",
                error.chain()
            );
            assert!(
                error.mending().unwrap_or("").contains(mend),
                "{from} -> {to}: {:?}",
                error.mending()
            );
        }
    }

    #[test]
    fn files_that_are_no_scenario() {
        for (text, head) in [
            ("", "s/race.yaml"),
            ("just words", "s/race.yaml:1:1: invalid type: string"),
            ("[]", "s/race.yaml:1:1: invalid type: sequence"),
            ("a: &a [*a]", "s/race.yaml"),
            ("name: \u{7f}\u{1b}[31m", "s/race.yaml"),
            ("loads: [{fio: {}, exec: {}}]", "s/race.yaml"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.chain().contains(head), "{text:?}: {}", error.chain());
            assert!(!error.chain().contains('\u{1b}'), "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_error() {
        let text = format!("name: {}", "x ".repeat(500));
        let chain = read(&text).unwrap_err().chain();
        assert!(
            chain.lines().all(|line| line.chars().count() < 1200),
            "{chain}"
        );
        assert_eq!(quote("abcdef", 1, 4), "\n  1 | abcdef\n    |    ^");
        let long = "y".repeat(1000);
        let shown = quote(&long, 1, 500);
        assert!(shown.len() < 300, "{shown}");
    }
}
