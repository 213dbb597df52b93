//! Matrices that boot guests, and matrices on a cluster one of whose nodes is killed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use harness::{
    judge::verdict::Outcome,
    matrix::{Summary, summary::State},
};

use crate::{
    cluster::{Cluster, wait},
    ktwin::{command, full},
};

/// Both variants, counted: two boots of some seconds a cell.
const REAL: &str = "\
name: real
kernels: [locked]
patches: [ida-hashtable, ida-rhashtable]
configs: [plain]
scenarios: [operations]
";

/// Eight cells in two groups, run by a script.
const FAKE: &str = "\
name: fake
kernels: [locked]
patches: [ida-hashtable, ida-rhashtable]
configs: [kasan, plain]
scenarios: [race, hammer]
slurm: {cpus: 1, partition: all}
";

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(matrix: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("m.yaml"), matrix).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A matrix command, about the folder `out`.
    fn matrix(&self, verb: &str, out: &str, args: &[&str]) -> Command {
        let mut command = command();
        command.args(["matrix", verb]).arg(self.path("m.yaml"));
        command.arg("--out").arg(self.path(out)).args(args);
        command.stderr(Stdio::inherit());
        command
    }

    fn report(&self, out: &str) -> (i32, Summary) {
        let output = self.matrix("report", out, &["--json"]).output().unwrap();
        let summary = serde_json::from_slice(&output.stdout);
        let summary = summary.unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (output.status.code().unwrap(), summary)
    }

    /// Whether every cell has ended.
    fn all_ended(&self, out: &str) -> bool {
        let (_, summary) = self.report(out);
        summary.cells.iter().all(|cell| cell.state == State::Done)
    }

    /// How many runs of a cell came to their end.
    fn ended(&self, out: &str, cell: &str) -> usize {
        let runs = fs::read_dir(self.path(out).join("cells").join(cell));
        let state = |run: fs::DirEntry| fs::read_to_string(run.path().join("state.json")).ok();
        let states = runs.unwrap().flatten().filter_map(state);
        states.filter(|state| state.contains("done")).count()
    }
}

/// Killed in the middle of a boot and begun again, each cell ends once, as `run` would end it.
#[test]
fn a_matrix_goes_on_after_a_kill() {
    let bench = Bench::new(REAL);
    let mut run = bench
        .matrix("run", "out", &[])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let booting = || {
        let first = bench.path("out/cells/locked+ida-hashtable+plain+operations+quick/1");
        let boots = fs::read_dir(first).into_iter().flatten().flatten();
        boots
            .map(|boot| boot.path().join("console.log"))
            .any(|log| fs::metadata(log).is_ok_and(|log| log.len() > 0))
    };
    wait("a boot", Duration::from_secs(1800), booting);
    run.kill().unwrap();
    run.wait().unwrap();
    let output = bench.matrix("run", "out", &["--json"]).output().unwrap();
    let summary: Summary = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{summary:#?}");
    let brief: Vec<_> = summary
        .cells
        .iter()
        .map(|cell| (cell.outcome, cell.attempts, cell.cut_off))
        .collect();
    let pass = Some(Outcome::Pass);
    assert_eq!(brief, [(pass, 2, 1), (pass, 1, 0)]);
    for cell in &summary.cells {
        assert_eq!(bench.ended("out", &cell.id), 1);
        let measured = cell
            .measures
            .iter()
            .any(|m| m.name == "instructions of lookup");
        assert!(measured, "{cell:?}");
    }
    // A second command in the same folder has nothing left to do.
    let again = bench.matrix("run", "out", &[]).output().unwrap();
    assert_eq!(again.status.code(), Some(0));
    assert!(
        summary
            .cells
            .iter()
            .all(|cell| bench.ended("out", &cell.id) == 1)
    );
}

/// Of a matrix on two nodes every cell ends once, when a node goes with all that runs there, and when its
/// daemon alone goes and its tasks run on while Slurm begins them elsewhere.
#[test]
fn a_cluster_loses_no_cell_and_counts_none_twice() {
    if !full("a matrix on a cluster of two nodes") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path());
    let bench = Bench::new(FAKE);
    fs::write(bench.path("runner"), include_str!("../runner.sh")).unwrap();
    fs::set_permissions(bench.path("runner"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(bench.path("seconds"), "4").unwrap();
    let runner = bench.path("runner");
    let by_script = ["--runner", runner.to_str().unwrap()];

    submit(&bench, &cluster, "lost", &by_script);
    // What is on its way is not handed over twice.
    let second = submitting(&bench, &cluster.conf(), "lost", &by_script);
    assert_eq!(second.status.code(), Some(2));
    wait("a cell on n1", Duration::from_secs(60), || {
        is_begun(&bench, "lost") && cluster.is_busy("n1")
    });
    cluster.kill_node("n1");
    jobs_end(&bench, &cluster, "lost", &by_script);
    let cut_off = each_ended_once(&bench, "lost");
    assert!(cut_off > 0, "the node ran nothing");

    cluster.node("n1");
    cluster.all_up();
    // Long enough for Slurm to give the node up, and to begin the cell on the other while it still runs.
    fs::write(bench.path("seconds-n1"), "90").unwrap();
    fs::write(bench.path("seconds"), "1").unwrap();
    submit(&bench, &cluster, "deaf", &by_script);
    wait("a cell on n1", Duration::from_secs(60), || {
        is_begun(&bench, "deaf") && cluster.is_busy("n1")
    });
    cluster.kill_daemon("n1");
    jobs_end(&bench, &cluster, "deaf", &by_script);
    let cut_off = each_ended_once(&bench, "deaf");
    assert_eq!(cut_off, 0, "what ran on was begun twice");
    assert!(begun_anew(&bench, "deaf"), "Slurm began no task anew");

    cluster.node("n1");
    cluster.all_up();
    let real = Bench::new(&format!("{REAL}slurm: {{cpus: 1}}\n"));
    submit(&real, &cluster, "real", &[]);
    wait("real cells", Duration::from_secs(3600), || {
        real.all_ended("real")
    });
    let logs = ["build-0.log", "cells-0-0.log", "cells-0-1.log"];
    for log in logs {
        let log = real.path("real/slurm").join(log);
        assert!(log.is_file(), "{}", log.display());
    }
    each_ended_once(&real, "real");
}

/// Every cell passed, in one run that came to its end; how many were cut off.
fn each_ended_once(bench: &Bench, out: &str) -> u32 {
    let (code, summary) = bench.report(out);
    assert_eq!(
        (code, summary.outcome),
        (0, Some(Outcome::Pass)),
        "{summary:#?}"
    );
    for cell in &summary.cells {
        assert_eq!(bench.ended(out, &cell.id), 1, "{cell:?}");
    }
    summary.cells.iter().map(|cell| cell.cut_off).sum()
}

fn submit(bench: &Bench, cluster: &Cluster, out: &str, args: &[&str]) {
    let output = submitting(bench, &cluster.conf(), out, args);
    assert!(output.status.success(), "{output:?}");
}

fn submitting(bench: &Bench, conf: &Path, out: &str, args: &[&str]) -> Output {
    let mut command = bench.matrix("submit", out, &["--engine", "slurm"]);
    if !args.is_empty() {
        // What the script takes is not what such cells take.
        command.env("KTWIN_CACHE", bench.path("cache"));
    }
    command.args(args).env("SLURM_CONF", conf).output().unwrap()
}

/// Waits until no job waits or runs; nothing is left to hand over then.
fn jobs_end(bench: &Bench, cluster: &Cluster, out: &str, args: &[&str]) {
    wait("the jobs' end", Duration::from_secs(240), || {
        !cluster.has_jobs()
    });
    let nothing = submitting(bench, &cluster.conf(), out, args);
    assert!(
        nothing.status.success() && nothing.stdout.is_empty(),
        "{nothing:?}"
    );
}

/// Whether a task's log has the beginnings of two.
fn begun_anew(bench: &Bench, out: &str) -> bool {
    let logs = fs::read_dir(bench.path(out).join("slurm"))
        .unwrap()
        .flatten();
    let logs = logs.filter(|file| {
        file.path()
            .extension()
            .is_some_and(|ending| ending == "log")
    });
    let texts = logs.map(|log| fs::read_to_string(log.path()).unwrap());
    texts
        .into_iter()
        .any(|text| text.matches("matrix in ").count() > 1)
}

/// Whether a cell was begun.
fn is_begun(bench: &Bench, out: &str) -> bool {
    let cells = fs::read_dir(bench.path(out).join("cells"))
        .into_iter()
        .flatten()
        .flatten();
    cells
        .map(|cell| cell.path().join("1"))
        .any(|run| run.is_dir())
}
