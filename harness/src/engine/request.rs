//! What one run is asked to do.

use std::path::PathBuf;

use crate::{
    boot::settings::Machine, build::Origin, engine::Overlay, plugin::Spec, scenario::Profile,
    source,
};

/// Everything that the command line settles.
#[derive(Debug, Clone)]
pub struct Request {
    /// Config names, or `all`.
    pub configs: Vec<String>,
    /// Which kernel is base.
    pub kernel: Kernel,
    /// What is compared with it.
    pub variants: Variants,
    /// Debug-only patches on top of what is compared.
    pub overlays: Vec<Overlay>,
    /// What is exercised.
    pub workload: Workload,
    /// How much time to spend.
    pub profile: Profile,
    /// Boots a side, instead of the profile's.
    pub repeat: Option<u32>,
    /// Seeds every random choice.
    pub seed: u64,
    /// The guest's memory in MiB, instead of the scenario's.
    pub memory_mib: Option<u32>,
    /// vCPUs, instead of the scenario's.
    pub cpus: Option<u32>,
    /// More for the kernel's command line, a parameter each.
    pub append: Vec<String>,
    /// The user's own Kconfig fragments.
    pub kconfig: Vec<PathBuf>,
    /// How guests run.
    pub accel: AccelChoice,
    /// What is emulated around their processors.
    pub machine: Machine,
    /// Where vCPUs are held, under emulation.
    pub stalls: Stalls,
    /// The run directory, instead of one under `target/ktwin/runs`.
    pub out: Option<PathBuf>,
    /// The kernel is one of many commits that are tried one after the other: what its tree lacks is no
    /// mistake of the user's, and makes it untestable.
    pub one_of_many: bool,
    /// Go on after a config that did not pass.
    pub keep_going: bool,
    /// The command line that asks for all this, to be shown to readers; empty where there is none.
    pub command: Vec<String>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            configs: Vec::new(),
            kernel: Kernel::Newest,
            variants: Variants::Scenarios,
            overlays: Vec::new(),
            workload: Workload::Default,
            profile: Profile::Quick,
            repeat: None,
            seed: 0,
            memory_mib: None,
            cpus: None,
            append: Vec::new(),
            kconfig: Vec::new(),
            accel: AccelChoice::Auto,
            machine: Machine::Microvm,
            stalls: Stalls::Auto,
            out: None,
            one_of_many: false,
            keep_going: false,
            command: Vec::new(),
        }
    }
}

/// Which kernel is base.
#[derive(Debug, Clone)]
pub enum Kernel {
    /// A tree or tarball of the user's.
    Source(source::Request),
    /// The newest Debian source package to which the patches apply.
    Newest,
    /// The package that the subject's `kernel.lock` names.
    Locked,
}

impl Kernel {
    /// Where the source comes from.
    pub(super) fn origin(&self) -> Origin<'_> {
        match self {
            Self::Source(source::Request::Tree(path) | source::Request::Tarball(path)) => {
                Origin::Path(path)
            }
            Self::Source(source::Request::Package(_) | source::Request::Debian(_))
            | Self::Newest
            | Self::Locked => Origin::Archive,
        }
    }
}

/// What is compared with base.
#[derive(Debug, Clone)]
pub enum Variants {
    /// The scenario's own.
    Scenarios,
    /// One series, of these inputs.
    Patch(Vec<PathBuf>),
    /// Several, by name.
    Named(Vec<VariantSpec>),
    /// What the git tree has checked out, against this revision of it.
    SinceRev(String),
    /// Nothing: one kernel alone.
    None,
}

/// `NAME`, or `NAME=PATCHES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantSpec {
    /// The variant's name.
    pub name: String,
    /// Its patches; none for a variant of the scenario's.
    pub patches: Option<PathBuf>,
}

impl VariantSpec {
    /// Reads the command line's form.
    pub fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, patches)) => Self {
                name: name.into(),
                patches: Some(patches.into()),
            },
            None => Self {
                name: text.into(),
                patches: None,
            },
        }
    }
}

/// What is exercised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workload {
    /// The default scenario; its `covers:` must hold the patch.
    Default,
    /// A scenario by name or path.
    Scenario(String),
    /// A program of the user's with its arguments.
    Command(Vec<String>),
}

/// Where vCPUs are held while a load other than fio runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stalls {
    /// In the functions that a patch touches and those near them, where guests are emulated.
    Auto,
    /// There only.
    At(Vec<Spec>),
    /// Nowhere; which lines of a patch run is watched all the same.
    Nowhere,
    /// Nowhere, and nothing is watched either.
    Off,
}

/// How guests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccelChoice {
    /// KVM where a timed trial boot shows that it works.
    Auto,
    /// KVM, or an error.
    Kvm,
    /// Emulation.
    Tcg,
}
