//! Runs the command line and reads its verdict.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use harness::judge::verdict::{Comparison, Finding, Kind, Outcome, Status, Verdict};

/// The command, from the project's top.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .current_dir(top())
        .env("NO_COLOR", "1")
        // What tests run is no part of the user's history.
        .env("KTWIN_HISTORY", "")
        .env_remove("KTWIN_NOTIFY")
        .stdin(Stdio::null());
    command
}

/// The project's top.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A planted bug's patch, as an argument of `--variant`.
pub(crate) fn planted(name: &str) -> String {
    format!("{name}={}", planted_file(name).display())
}

/// A planted bug's patch.
pub(crate) fn planted_file(name: &str) -> PathBuf {
    top().join(format!("scenarios/fuse-backing/planted/{name}.patch"))
}

/// A run that ended with a verdict.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) verdict: Verdict,
    pub(crate) dir: tempfile::TempDir,
}

/// Whether the long tests were asked for; says aloud that this one is not run. That is no pass.
#[expect(
    clippy::print_stdout,
    reason = "a skipped test says so where its result stands"
)]
pub(crate) fn full(what: &str) -> bool {
    let asked = env::var_os("KTWIN_TEST_FULL").is_some();
    if !asked {
        println!("NOT RUN: {what}: `cargo xtask test --full` runs it");
    }
    asked
}

/// Runs `run` with `--json` into a folder of its own, on the kernel that the tests use.
pub(crate) fn run(args: &[&str]) -> Run {
    run_on(&["--locked"], args)
}

/// The same on another kernel.
pub(crate) fn run_on(kernel: &[&str], args: &[&str]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut command = command();
    // The first word is the subcommand's config; a command after `--` must stay last.
    let split = args.iter().position(|a| *a == "--").unwrap_or(args.len());
    command
        .arg("run")
        .args(&args[..split])
        .args(kernel)
        .args(["--json", "--keep-going", "--out"])
        .arg(&out);
    command.args(&args[split..]).stderr(Stdio::inherit());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let verdict = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{args:?} gave no verdict ({e}): {text}"));
    Run {
        code: output.status.code().unwrap(),
        verdict,
        dir,
    }
}

/// Runs any subcommand.
pub(crate) fn plain(args: &[&str]) -> Output {
    command().args(args).output().unwrap()
}

impl Run {
    /// The comparison of a variant.
    pub(crate) fn of(&self, variant: &str) -> &Comparison {
        let found = self
            .verdict
            .comparisons
            .iter()
            .find(|c| c.variant == variant);
        found.unwrap_or_else(|| panic!("no comparison of {variant}: {:#?}", self.verdict))
    }

    /// The comparison of a variant ended so.
    pub(crate) fn ended(&self, variant: &str, outcome: Outcome) {
        let comparison = self.of(variant);
        assert_eq!(comparison.outcome, outcome, "{variant}: {comparison:#?}");
    }

    /// A variant's finding of this kind and class whose title holds `title`, with this status.
    pub(crate) fn found(
        &self,
        variant: &str,
        kind: Kind,
        class: &str,
        title: &str,
        status: Status,
    ) -> &Finding {
        let comparison = self.of(variant);
        let fits = |f: &&Finding| {
            f.kind == kind && f.class == class && f.title.contains(title) && f.status == status
        };
        let finding = comparison.findings.iter().find(fits);
        let finding = finding.unwrap_or_else(|| {
            panic!(
                "{variant}: no {status:?} {kind:?} of class {class} with {title:?}: {comparison:#?}"
            )
        });
        assert!(finding.count > 0, "{finding:?}");
        let evidence = self.dir.path().join("run").join(&finding.evidence);
        assert!(
            evidence.exists(),
            "{variant}: the evidence {} is missing",
            evidence.display()
        );
        finding
    }

    /// Nothing on this variant is new or unconfirmed.
    pub(crate) fn clean(&self, variant: &str) {
        let comparison = self.of(variant);
        let mine = |f: &&Finding| matches!(f.status, Status::New | Status::Unconfirmed);
        let first = comparison.findings.iter().find(mine);
        assert!(first.is_none(), "{variant}: {first:#?}");
    }
}
