//! A matrix as Slurm's job arrays (pure): the scripts, and what `sbatch` is given with them.
//!
//! One array builds, a task for each group of cells that share a base kernel; each group's cells are an
//! array that begins when its build has ended, however that ended: a kernel that does not build is what
//! its cells have to tell. Options are words of `sbatch`'s own command line, so nothing has to be quoted
//! for its directives; every value in a script is quoted by [`crate::host::quote`].

use std::path::Path;

use super::{plan::Plan, types::Slurm};
use crate::{Error, Result, host::quote};

/// A build's limit where the matrix file gives none, in seconds.
const BUILD_S: u64 = 2 * 3600;
/// What a job takes besides its cell, in seconds.
const SLACK_S: u64 = 600;

/// What jobs need to know.
pub(super) struct Setup<'a> {
    /// The matrix's folder, which every node sees.
    pub dir: &'a Path,
    /// What it runs.
    pub plan: &'a Plan,
    /// What the cluster is asked for.
    pub slurm: &'a Slurm,
    /// This program, which every node sees.
    pub program: &'a Path,
    /// Where it is run.
    pub top: &'a Path,
    /// The cache, which every node should see.
    pub cache: &'a Path,
    /// Runs each cell instead of the engine, if there is one.
    pub runner: Option<&'a Path>,
}

/// A job array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// Its name; its script and its logs are called so.
    pub name: String,
    /// Its script.
    pub script: String,
    /// What `sbatch` is given before the script's path.
    pub options: Vec<String>,
}

impl Setup<'_> {
    /// The array that builds these groups' kernels.
    ///
    /// # Errors
    /// Bad input: a path that `sbatch` cannot be given.
    pub(super) fn build(&self, groups: &[usize]) -> Result<Job> {
        let limit = self.slurm.build_s.unwrap_or(BUILD_S);
        let words = r#"--group "$SLURM_ARRAY_TASK_ID" --build"#;
        self.job("build".to_owned(), groups, limit, words, None)
    }

    /// The array that runs cells of a group, after the task of the build job that is for it.
    ///
    /// # Errors
    /// As [`Setup::build`].
    pub(super) fn cells(&self, group: usize, cells: &[usize], build: Option<u64>) -> Result<Job> {
        let budget = &self.plan.budget;
        let most = u64::from(budget.attempts + budget.confirm);
        let limit = budget.cell_s * most + SLACK_S;
        let words = format!(r#"--group {group} --cell "$SLURM_ARRAY_TASK_ID""#);
        let after = build.map(|job| format!("--dependency=afterany:{job}_{group}"));
        self.job(format!("cells-{group}"), cells, limit, &words, after)
    }

    fn job(
        &self,
        name: String,
        tasks: &[usize],
        limit_s: u64,
        words: &str,
        after: Option<String>,
    ) -> Result<Job> {
        let log = format!("{}/{name}-%a.log", pattern(&self.dir.join("slurm"))?);
        let numbers: Vec<String> = tasks.iter().map(usize::to_string).collect();
        let at_once = self.slurm.at_once.map(|n| format!("%{n}"));
        let mut options = vec![
            "--parsable".to_owned(),
            format!("--job-name=ktwin-{}-{name}", self.plan.name),
            format!(
                "--array={}{}",
                numbers.join(","),
                at_once.unwrap_or_default()
            ),
            format!("--time={}", limit_s.div_ceil(60)),
            "--requeue".to_owned(),
            "--open-mode=append".to_owned(),
            format!("--output={log}"),
            format!("--chdir={}", word(self.top)?),
        ];
        let own = [
            self.slurm
                .partition
                .as_ref()
                .map(|name| format!("--partition={name}")),
            self.slurm
                .account
                .as_ref()
                .map(|name| format!("--account={name}")),
            self.slurm.memory_mib.map(|mib| format!("--mem={mib}M")),
            self.slurm
                .cpus
                .map(|cpus| format!("--cpus-per-task={cpus}")),
            after,
        ];
        options.extend(own.into_iter().flatten());
        options.extend(self.slurm.options.iter().cloned());
        let runner = match self.runner {
            Some(runner) => format!(" --runner {}", quote(word(runner)?)),
            None => String::new(),
        };
        let script = format!(
            "#!/bin/sh\n\
             # A task of `cargo xtask matrix submit`'s: which one is in SLURM_ARRAY_TASK_ID.\n\
             set -eu\n\
             KTWIN_CACHE={}\n\
             export KTWIN_CACHE\n\
             exec {} matrix task {} {words}{runner}\n",
            quote(word(self.cache)?),
            quote(word(self.program)?),
            quote(word(self.dir)?),
        );
        Ok(Job {
            name,
            script,
            options,
        })
    }
}

/// A path as a word.
fn word(path: &Path) -> Result<&str> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(char::is_control));
    text.ok_or_else(|| {
        let what = format!("{} cannot stand in a job's script", path.display());
        Error::input(what).mend("use a folder whose name is UTF-8 without control characters")
    })
}

/// A folder in a pattern of `sbatch`'s for file names.
fn pattern(folder: &Path) -> Result<String> {
    let text = word(folder)?;
    if text.contains('\\') {
        // It would turn the patterns off.
        let error = Error::input(format!("{text} cannot hold a job's logs"));
        return Err(error.mend("use a folder without a backslash in its name"));
    }
    Ok(text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cancel::Cancel, host::Cmd, matrix::plan::tests::of};

    const TEXT: &str = "\
name: m
kernels: [locked]
patches: [a, b]
configs: [kasan, plain]
scenarios: [race]
budget: {cell: 1h, attempts: 2}
";

    fn with<T>(dir: &str, slurm: &Slurm, does: impl FnOnce(&Setup<'_>) -> T) -> T {
        let plan = of(TEXT).unwrap();
        does(&Setup {
            dir: Path::new(dir),
            plan: &plan,
            slurm,
            program: Path::new("/p/xtask"),
            top: Path::new("/p"),
            cache: Path::new("/c"),
            runner: None,
        })
    }

    #[test]
    fn arrays_their_limits_and_what_they_wait_for() {
        let slurm = Slurm {
            partition: Some("night".into()),
            memory_mib: Some(4096),
            at_once: Some(3),
            options: vec!["--qos=low".into()],
            ..Slurm::default()
        };
        let job = with("/s/m", &slurm, |setup| setup.cells(1, &[0, 2], Some(77))).unwrap();
        assert_eq!(
            job.options,
            [
                "--parsable",
                "--job-name=ktwin-m-cells-1",
                "--array=0,2%3",
                "--time=130",
                "--requeue",
                "--open-mode=append",
                "--output=/s/m/slurm/cells-1-%a.log",
                "--chdir=/p",
                "--partition=night",
                "--mem=4096M",
                "--dependency=afterany:77_1",
                "--qos=low",
            ]
        );
        let job = with("/s/m", &slurm, |setup| setup.build(&[0, 1])).unwrap();
        assert!(job.options.contains(&"--array=0,1%3".to_owned()));
        assert!(job.options.contains(&"--time=120".to_owned()));
        assert!(
            !job.options
                .iter()
                .any(|option| option.starts_with("--dependency"))
        );
    }

    /// The shell takes a script's words as they were meant, whatever they hold.
    #[test]
    fn values_in_scripts_are_quoted() {
        let temp = tempfile::tempdir().unwrap();
        let echo = temp.path().join("it's $(id) `id` \"x\" ;&|.sh");
        std::fs::write(
            &echo,
            "#!/bin/sh\nfor word; do printf '<%s>' \"$word\"; done\n",
        )
        .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&echo, mode).unwrap();
        let plan = of(TEXT).unwrap();
        let dir = "/s/$HOME 'a' \"b\" \\ %a * ~";
        let setup = Setup {
            dir: Path::new("/s"),
            plan: &plan,
            slurm: &Slurm::default(),
            program: &echo,
            top: Path::new("/p"),
            cache: Path::new("/c/$(touch /tmp/x)"),
            runner: Some(Path::new(dir)),
        };
        let job = setup.build(&[0]).unwrap();
        let ran = Cmd::new("sh")
            .arg("-c")
            .arg(&job.script)
            .env("SLURM_ARRAY_TASK_ID", "5");
        let said = ran.run_ok(&Cancel::new()).unwrap().text();
        assert_eq!(
            said,
            format!("<matrix><task></s><--group><5><--build><--runner><{dir}>")
        );
    }

    #[test]
    fn paths_that_cannot_be_given() {
        let none = Slurm::default();
        let log = |dir: &str| with(dir, &none, |setup| setup.build(&[0]));
        let options = log("/s/100%").unwrap().options;
        assert!(
            options.contains(&"--output=/s/100%%/slurm/build-%a.log".to_owned()),
            "{options:?}"
        );
        for bad in ["/s/a\nb", "/s/a\\b"] {
            assert_eq!(log(bad).unwrap_err().fault(), crate::Fault::Input);
        }
    }
}
