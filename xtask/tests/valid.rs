//! What the programs that reports and job definitions are for say of them, where those programs are.
//!
//! | what | judged by | found by |
//! |---|---|---|
//! | JUnit | `xmllint` and Jenkins' `junit-10.xsd` | `PATH`; `KTWIN_JUNIT_XSD` |
//! | KCIDB | the Python package `kcidb-io` | `KTWIN_PYTHON`, else `python3` |
//! | KTAP | the kernel's `kunit.py` | `KTWIN_KERNEL_TREE`, else a tree in the cache |
//! | mail | `git send-email` | `PATH` |
//! | job definitions | `check-jsonschema`, with SchemaStore's schemas | `KTWIN_CHECK_JSONSCHEMA`, else `PATH` |

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use harness::{
    cache::{Cache, Kind},
    host::doctor,
};

/// The exit code of a program that lacks what it needs.
const LACKS: i32 = 77;

/// A sample, and one whose every text means harm.
const RUNS: [&str; 2] = ["sample", "hostile"];

const KCIDB: &str = "\
import json, sys
try:
    from kcidb_io.schema import V5_3
except ImportError:
    sys.exit(77)
with open(sys.argv[1], encoding='utf-8') as file:
    V5_3.validate_exactly(json.load(file))
";

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn golden(run: &str, ending: &str) -> PathBuf {
    top().join(format!("harness/tests/golden/report/{run}.{ending}"))
}

/// A program that the environment names, or else of this name.
fn named(variable: &str, program: &str) -> Option<PathBuf> {
    let given = env::var_os(variable).map(PathBuf::from);
    given.or_else(|| doctor::find(program))
}

#[expect(
    clippy::print_stdout,
    reason = "a skipped test says so where its result stands"
)]
fn not_run(what: &str, lacks: &str) {
    println!("NOT RUN: {what}: {lacks}");
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{err}")
}

#[test]
fn junit_is_as_jenkins_has_it() {
    let (Some(xmllint), Some(schema)) = (
        doctor::find("xmllint"),
        env::var_os("KTWIN_JUNIT_XSD").map(PathBuf::from),
    ) else {
        return not_run(
            "JUnit by its schema",
            "xmllint, or KTWIN_JUNIT_XSD with the path of junit-10.xsd",
        );
    };
    let by_schema = |report: &Path| {
        let mut xmllint = Command::new(&xmllint);
        xmllint
            .args(["--nonet", "--noout", "--schema"])
            .arg(&schema);
        xmllint.arg(report).output().unwrap()
    };
    for run in RUNS {
        let output = by_schema(&golden(run, "junit.xml"));
        assert!(output.status.success(), "{run}: {}", said(&output));
    }
    // It does refuse what is none.
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.xml");
    fs::write(&other, "<testsuites><case/></testsuites>").unwrap();
    assert!(!by_schema(&other).status.success());
}

#[test]
fn kcidb_takes_its_reports() {
    let Some(python) = named("KTWIN_PYTHON", "python3") else {
        return not_run("KCIDB by its package", "python3");
    };
    let by_package = |report: &Path| {
        let mut python = Command::new(&python);
        python
            .args(["-B", "-c", KCIDB])
            .arg(report)
            .output()
            .unwrap()
    };
    for run in RUNS {
        let output = by_package(&golden(run, "kcidb.json"));
        if output.status.code() == Some(LACKS) {
            return not_run(
                "KCIDB by its package",
                "kcidb-io, or KTWIN_PYTHON that has it",
            );
        }
        assert!(output.status.success(), "{run}: {}", said(&output));
    }
    assert!(!by_package(&golden("sample", "json")).status.success());
}

/// A kernel tree with the parser of the kernel's own tests.
fn kunit() -> Option<PathBuf> {
    let given = env::var_os("KTWIN_KERNEL_TREE").map(PathBuf::from);
    let cached = || {
        let trees = Cache::open().ok()?.folder(Kind::Tree);
        let trees = fs::read_dir(trees).ok()?.flatten();
        Some(trees.map(|tree| tree.path()).collect::<Vec<_>>())
    };
    let trees = given.map_or_else(|| cached().unwrap_or_default(), |tree| vec![tree]);
    let parsers = trees.into_iter();
    let mut parsers = parsers.map(|tree| tree.join("tools/testing/kunit/kunit.py"));
    parsers.find(|parser| parser.is_file())
}

#[test]
fn the_kernels_parser_reads_ktap_as_it_is_meant() {
    let (Some(python), Some(kunit)) = (named("KTWIN_PYTHON", "python3"), kunit()) else {
        return not_run("KTAP by kunit.py", "python3, or KTWIN_KERNEL_TREE");
    };
    for run in RUNS {
        let report = golden(run, "ktap");
        let mut parse = Command::new(&python);
        // A tree of the cache is never written to.
        let parse = parse.arg("-B").arg(&kunit).arg("parse").arg(&report);
        let text = said(&parse.output().unwrap());
        assert!(!text.contains("[ERROR]"), "{run}: {text}");
        let ours = fs::read_to_string(&report).unwrap();
        let count = |begin: &str| {
            let lines = ours.lines().filter_map(|line| line.strip_prefix("  "));
            lines.filter(|line| line.starts_with(begin)).count()
        };
        let (passed, failed) = (count("ok "), count("not ok "));
        let mut expected = format!("Ran {} tests:", passed + failed);
        if passed > 0 {
            expected += &format!(" passed: {passed},");
        }
        expected += &format!(" failed: {failed}");
        assert!(text.contains(&expected), "{run}: {expected}: {text}");
    }
}

#[test]
fn job_definitions_are_by_their_systems_schemas() {
    let Some(check) = named("KTWIN_CHECK_JSONSCHEMA", "check-jsonschema") else {
        return not_run("job definitions by schemas", "check-jsonschema");
    };
    let dir = tempfile::tempdir().unwrap();
    let systems: [(&str, &[&str]); 2] = [
        ("github", &["vendor.github-workflows"]),
        (
            "gitlab",
            &["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
        ),
    ];
    for (system, schema) in systems {
        let by_schema = |text: &str| {
            let file = dir.path().join("definition.yml");
            fs::write(&file, text).unwrap();
            let mut check = Command::new(&check);
            check.arg("--builtin-schema").args(schema);
            check.arg(file).output().unwrap()
        };
        for shards in ["1", "4"] {
            let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
            xtask.current_dir(top()).env("KTWIN_CACHE", dir.path());
            xtask.args(["matrix", "ci", "scenarios/matrices/nightly.yaml"]);
            let printed = xtask.args(["--format", system, "--shards", shards]);
            let printed = String::from_utf8(printed.output().unwrap().stdout).unwrap();
            let output = by_schema(&printed);
            assert!(output.status.success(), "{system}: {}", said(&output));
        }
        assert!(
            !by_schema("cells: {script: {}}\njobs: []\n")
                .status
                .success()
        );
    }
}

/// Whom the mailer would send an answer to: those of the patch's mail, and nobody that a hostile header
/// would add.
#[test]
fn the_mailer_finds_whom_an_answer_is_for() {
    let output = Command::new("git")
        .args(["-c", "user.name=A Tester", "-c", "user.email=t@example.org"])
        .args(["send-email", "--dry-run", "--confirm=never"])
        .args(["--suppress-cc=self", "--smtp-server=/bin/true"])
        .arg(golden("hostile", "eml"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = said(&output);
    if text.contains("is not a git command") {
        return not_run("mail by the mailer", "git send-email");
    }
    assert!(output.status.success(), "{text}");
    let to = text
        .lines()
        .find_map(|line| line.strip_prefix("Sendmail: "));
    assert_eq!(
        to,
        Some("/bin/true -i a@example.org b@example.org"),
        "{text}"
    );
    for header in ["Bcc:", "Tested-by:"] {
        let stands = text.lines().any(|line| line.starts_with(header));
        assert!(!stands, "{header}: {text}");
    }
}
