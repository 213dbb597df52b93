//! What a matrix file says, and its cells.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    engine::{self, Request, VariantSpec, Variants, Workload},
    judge::verdict::Outcome,
    scenario::Profile,
    source,
};

/// What separates the parts of a cell's id; no name in a matrix file holds it.
pub(super) const SEPARATOR: char = '+';

/// A matrix file.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Its name.
    pub name: String,
    /// The file, as an absolute path.
    pub file: PathBuf,
    /// Which kernels are base.
    pub kernels: Vec<Kernel>,
    /// What is compared with base.
    pub patches: Vec<Patch>,
    /// Config names.
    pub configs: Vec<String>,
    /// Scenarios by name or path.
    pub scenarios: Vec<Scenario>,
    /// How much time to spend.
    pub profiles: Vec<Profile>,
    /// Cells that are left out.
    pub exclude: Vec<Filter>,
    /// How long, and how often.
    pub budget: Budget,
    /// Failures that are known.
    pub expected: Vec<Expectation>,
    /// What cells are known to take, in seconds; for shards, which must not depend on the machine.
    pub durations: Vec<(Filter, f64)>,
    /// What a cluster is asked for.
    pub slurm: Slurm,
}

/// A kernel, by its name in the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub from: KernelFrom,
}

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelFrom {
    /// The newest Debian source package to which the patch applies.
    Newest,
    /// The package that the subject's `kernel.lock` names.
    Locked,
    /// A Debian source package by name.
    Package(String),
    /// A tree or a tarball; an absolute path.
    Path(PathBuf),
}

/// What is compared with base, by its name in the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub from: PatchFrom,
}

/// Where a patch comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatchFrom {
    /// The variant of this name that the scenario's subject brings along.
    Own,
    /// A diff, a folder of patches, an mbox; an absolute path.
    Path(PathBuf),
    /// What the kernel's git tree has checked out, against this revision.
    Since(String),
    /// No patch: the kernel alone.
    None,
}

/// A scenario of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// As `--scenario` takes it; a path is absolute.
    pub given: String,
    /// Its name, without its subject.
    pub name: String,
}

/// Which cells: those whose part is among the named, of every axis that is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Kernels by name.
    pub kernel: Option<Vec<String>>,
    /// Patches by name.
    pub patch: Option<Vec<String>>,
    /// Configs by name.
    pub config: Option<Vec<String>>,
    /// Scenarios by name.
    pub scenario: Option<Vec<String>>,
    /// Profiles by name.
    pub profile: Option<Vec<String>>,
}

impl Filter {
    /// Whether a cell is meant.
    pub fn holds(&self, cell: &Cell) -> bool {
        let axes = [
            &self.kernel,
            &self.patch,
            &self.config,
            &self.scenario,
            &self.profile,
        ];
        let fits = |(axis, part): (&Option<Vec<String>>, &str)| {
            axis.as_ref()
                .is_none_or(|names| names.iter().any(|name| name == part))
        };
        axes.into_iter().zip(cell.parts()).all(fits)
    }
}

/// How long, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Seconds after which a cell is stopped.
    pub cell_s: u64,
    /// Seconds after which no further cell is begun by one command; none for no limit.
    pub total_s: Option<u64>,
    /// How often a cell is begun that ends for the host's or the harness's sake.
    pub attempts: u32,
    /// How often a cell that did not pass is run again, to tell whether it is flaky. Its outcome stays.
    pub confirm: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            cell_s: 4 * 3600,
            total_s: None,
            attempts: 3,
            confirm: 0,
        }
    }
}

/// A failure that is known, and does not count until a date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// Whose.
    pub filter: Filter,
    /// How they end.
    pub outcome: Outcome,
    /// Titles of which the new and unconfirmed findings are; empty for any.
    pub titles: Vec<String>,
    /// Why.
    pub reason: String,
    /// The last day on which it does not count, `YYYY-MM-DD`.
    pub until: String,
}

/// What a cluster is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slurm {
    /// `--partition`.
    pub partition: Option<String>,
    /// `--account`.
    pub account: Option<String>,
    /// `--mem` of each job, in MiB.
    pub memory_mib: Option<u32>,
    /// `--cpus-per-task` of each job.
    pub cpus: Option<u32>,
    /// `--time` of a build job in seconds; cells' follows from their budget.
    pub build_s: Option<u64>,
    /// How many tasks of each array run at once: the builds are one array, and each base kernel's cells are
    /// one. It bounds no two arrays together.
    pub at_once: Option<u32>,
    /// More options for `sbatch`, a word each.
    pub options: Vec<String>,
}

/// One cell: one comparison of a patch with base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// `kernel+patch+config+scenario+profile`; a folder's name, too.
    pub id: String,
    /// The kernel.
    pub kernel: Kernel,
    /// The patch.
    pub patch: Patch,
    /// The config.
    pub config: String,
    /// The scenario.
    pub scenario: Scenario,
    /// How much time to spend: `quick`, `standard` or `full`.
    pub profile: String,
    /// What the patch's content was when the matrix was planned.
    pub content: Content,
}

/// What a cell's files held when the matrix was planned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// SHA-256 of the patch series; empty without, or where it comes from a git tree.
    pub patch: String,
    /// SHA-256 of the scenario's own lines of Kconfig; empty for none. Kernels that differ in them are
    /// built apart.
    pub kconfig: String,
    /// SHA-256 of the scenario's file; empty in a plan that does not know it.
    #[serde(default)]
    pub scenario: String,
    /// The commit that the kernel's git tree had checked out; empty where it comes from elsewhere, or in a
    /// plan that does not know it. Changes that are not committed are not in it.
    #[serde(default)]
    pub commit: String,
    /// The commit that a patch of a git tree's begins at; empty for any other, or in a plan that does not
    /// know it.
    #[serde(default)]
    pub since: String,
    /// SHA-256 of the kernel's lock or tarball; empty where no such file says what the kernel is, or in a
    /// plan that does not know it.
    #[serde(default)]
    pub kernel: String,
    /// SHA-256 of the config's fragments; empty in a plan that does not know it.
    #[serde(default)]
    pub config: String,
}

impl Content {
    /// Whether what was recorded once is another one by now; what was not recorded tells nothing.
    fn is_other(was: &str, now: &str) -> bool {
        !was.is_empty() && was != now
    }
}

impl Cell {
    /// What of the cell is another one in a newer plan, in words; none where it is the same.
    pub(super) fn changed(&self, newer: &Self) -> Option<String> {
        let bare = |cell: &Self| Self {
            content: Content::default(),
            ..cell.clone()
        };
        let (was, now) = (&self.content, &newer.content);
        let [kernel, patch, config, scenario, _] = self.parts();
        let other = Content::is_other;
        let now_is = |commit: &str| match commit {
            "" => "no commit".to_owned(),
            commit => format!("{commit:.12}"),
        };
        let causes = [
            (
                bare(self) != bare(newer),
                format!("the matrix file says something else of {}", self.id),
            ),
            (
                was.patch != now.patch,
                format!("the patch {patch} has changed"),
            ),
            (
                was.kconfig != now.kconfig || other(&was.scenario, &now.scenario),
                format!("the file of the scenario {scenario} has changed"),
            ),
            (
                other(&was.commit, &now.commit),
                format!(
                    "the tree of the kernel {kernel} had {:.12} checked out, and now has {}",
                    was.commit,
                    now_is(&now.commit)
                ),
            ),
            (
                other(&was.since, &now.since),
                format!(
                    "what {patch} is compared with was {:.12}, and now is {}",
                    was.since,
                    now_is(&now.since)
                ),
            ),
            (
                other(&was.kernel, &now.kernel),
                format!("the file of the kernel {kernel} has changed"),
            ),
            (
                other(&was.config, &now.config),
                format!("the config {config} has changed"),
            ),
        ];
        let mut causes = causes.into_iter();
        causes.find_map(|(is, cause)| is.then_some(cause))
    }

    /// The names that the id is made of.
    pub fn parts(&self) -> [&str; 5] {
        [
            &self.kernel.name,
            &self.patch.name,
            &self.config,
            &self.scenario.name,
            &self.profile,
        ]
    }

    /// What names the base kernel that it boots: cells with the same share it.
    pub fn base(&self) -> (&str, &str, &str) {
        (&self.kernel.name, &self.config, &self.content.kconfig)
    }

    /// What is asked of the engine; seed and folder are the caller's.
    pub fn request(&self) -> Request {
        let named = |patches: Option<PathBuf>| {
            let name = self.patch.name.clone();
            Variants::Named(vec![VariantSpec { name, patches }])
        };
        Request {
            configs: vec![self.config.clone()],
            kernel: match &self.kernel.from {
                KernelFrom::Newest => engine::Kernel::Newest,
                KernelFrom::Locked => engine::Kernel::Locked,
                KernelFrom::Package(name) => {
                    engine::Kernel::Source(source::Request::Package(name.clone()))
                }
                KernelFrom::Path(path) if path.is_dir() => {
                    engine::Kernel::Source(source::Request::Tree(path.clone()))
                }
                KernelFrom::Path(path) => {
                    engine::Kernel::Source(source::Request::Tarball(path.clone()))
                }
            },
            variants: match &self.patch.from {
                PatchFrom::Own => named(None),
                PatchFrom::Path(path) => named(Some(path.clone())),
                PatchFrom::Since(rev) => Variants::SinceRev(rev.clone()),
                PatchFrom::None => Variants::None,
            },
            workload: Workload::Scenario(self.scenario.given.clone()),
            profile: self.profile.parse().unwrap_or(Profile::Quick),
            keep_going: true,
            command: ["cargo", "xtask"]
                .map(str::to_owned)
                .into_iter()
                .chain(self.words())
                .collect(),
            ..Request::default()
        }
    }

    /// The same as the words after `cargo xtask`.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["run".to_owned(), self.config.clone()];
        let mut add = |option: &str, value: &str| words.extend([option, value].map(str::to_owned));
        match &self.kernel.from {
            KernelFrom::Newest => {}
            KernelFrom::Locked => add("--locked", ""),
            KernelFrom::Package(name) => add("--kernel", name),
            KernelFrom::Path(path) => add("--kernel", &path.display().to_string()),
        }
        match &self.patch.from {
            PatchFrom::Own => add("--variant", &self.patch.name),
            PatchFrom::Path(path) => {
                add(
                    "--variant",
                    &format!("{}={}", self.patch.name, path.display()),
                );
            }
            PatchFrom::Since(rev) => add("--base", rev),
            PatchFrom::None => add("--no-patch", ""),
        }
        add("--scenario", &self.scenario.given);
        add("--profile", &self.profile);
        words.retain(|word| !word.is_empty());
        words
    }
}
