//! `run`: the main job.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use harness::{
    Error,
    boot::settings::Machine,
    cache::Cache,
    engine,
    engine::{AccelChoice, Kernel, Overlay, Request, Stalls, VariantSpec, Variants, Workload},
    exit,
    matrix::Left,
    patch,
    plugin::Spec,
    report::{self, Format},
    scenario::Profile,
    source,
};

use crate::{host, record, ui};

/// Build and boot base and variant, exercise both, and give a verdict.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) what: What,

    /// Hold a vCPU there for so long while a load runs, to widen a race: FUNCTION:300us,
    /// FUNCTION+0x25:300us or fs/fuse/backing.c:224:300us (that line of each kernel: where the patch
    /// moves it, name a function); may be given several times. Without, in the functions that the
    /// patch touches and those near them. Needs emulation. `off`: nowhere, and which lines of the
    /// patch run is not watched.
    #[arg(long, value_name = "SPEC|off", value_parser = stall, help_heading = "What is exercised")]
    stall: Vec<Stall>,

    /// How much time to spend.
    #[arg(long, value_enum, default_value_t = ProfileName::Quick, help_heading = "What is exercised")]
    profile: ProfileName,

    /// Boots a side, instead of the profile's number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "What is exercised")]
    repeat: Option<u32>,

    /// Seeds every random choice; printed, so that a run can be repeated.
    #[arg(long, value_name = "N", help_heading = "What is exercised")]
    seed: Option<u64>,

    /// Print the verdict as one JSON object, and nothing else, on stdout.
    #[arg(long, help_heading = "The run")]
    json: bool,

    /// The run directory, instead of one under target/ktwin/runs.
    #[arg(long, value_name = "DIR", help_heading = "The run")]
    out: Option<PathBuf>,

    /// Go on with the other configs after one that did not pass.
    #[arg(long, help_heading = "The run")]
    keep_going: bool,

    /// Exit with 125 instead of 3, 4 and 5, for `git bisect run`, and with 128 instead of 2, on which
    /// it stops.
    #[arg(long, help_heading = "The run")]
    bisect_exit: bool,

    #[command(flatten)]
    record: record::Recording,

    /// Run this program of the host's in the guest, as root, instead of a scenario's loads. Its
    /// libraries and the files that its arguments name are taken along.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask run kcsan --yes
  cargo xtask run kasan lockdep --patch fix.patch --profile standard
  cargo xtask run plain --variant old=v1.mbox --variant new=v2.mbox
  cargo xtask run kasan --kernel ~/linux --base v7.2 -- ./repro
  cargo xtask run all --patch my.mbox --notify 'jq -r .verdict.outcome | mail -s ktwin me'
  git bisect run sh -c 'cd ~/ktwin && cargo xtask run kasan --kernel ~/linux --no-patch \\
      --bisect-exit --no-history'";

/// Kernel, variants and guest: what `run` and `shell` share.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// kasan, kcsan, lockdep, plain (any of kernel-configs/), several of them, or `all`.
    #[arg(required = true, value_name = "CONFIG")]
    pub(crate) configs: Vec<String>,

    /// A kernel tree (a git checkout or an unpacked one; never written to), a tarball, or a Debian
    /// source package by name (linux-source-7.2). Without, the newest such package to which the
    /// patches apply.
    #[arg(
        long,
        value_name = "TREE|TARBALL|PACKAGE",
        help_heading = "Which kernel"
    )]
    pub(crate) kernel: Option<PathBuf>,

    /// In a git tree: base is REV, the variant what the tree has checked out.
    #[arg(long, value_name = "REV", requires = "kernel", conflicts_with_all = ["patch", "variant", "no_patch"], help_heading = "Which kernel")]
    pub(crate) base: Option<String>,

    /// Use the source package that the subject's kernel.lock names, as the project's tests do.
    #[arg(long, conflicts_with = "kernel", help_heading = "Which kernel")]
    pub(crate) locked: bool,

    /// A diff, a git-format-patch file, a folder of them, an mbox or a saved mail thread; several
    /// make one series.
    #[arg(long, value_name = "FILE|DIR|MBOX", conflicts_with_all = ["variant", "no_patch"], help_heading = "Which variants")]
    pub(crate) patch: Vec<PathBuf>,

    /// A variant of the scenario's by name, or NAME=PATCHES; may be given several times, all are
    /// compared with one base.
    #[arg(
        long,
        value_name = "NAME[=FILE|DIR|MBOX]",
        conflicts_with = "no_patch",
        help_heading = "Which variants"
    )]
    pub(crate) variant: Vec<String>,

    /// A debug-only patch (a temporary udelay() that widens a race) on top of that variant, or of
    /// every kernel, base among them. Such a run is never a clean verdict on its own.
    #[arg(long, value_name = "[VARIANT=]FILE", help_heading = "Which variants")]
    pub(crate) overlay: Vec<String>,

    /// One kernel alone: every unexpected finding counts.
    #[arg(long, help_heading = "Which variants")]
    pub(crate) no_patch: bool,

    /// A scenario by name or path.
    #[arg(long, value_name = "NAME|PATH", help_heading = "What is exercised")]
    pub(crate) scenario: Option<String>,

    /// The guest's memory, e.g. 2G.
    #[arg(long, value_name = "M", value_parser = memory, help_heading = "The guest")]
    pub(crate) memory: Option<u32>,

    /// The guest's vCPUs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "The guest")]
    pub(crate) cpus: Option<u32>,

    /// More for the kernel's command line.
    #[arg(
        long,
        value_name = "S",
        allow_hyphen_values = true,
        help_heading = "The guest"
    )]
    pub(crate) append: Vec<String>,

    /// Kconfig lines of your own, after the config's; may be given several times.
    #[arg(long, value_name = "FILE", help_heading = "The guest")]
    pub(crate) kconfig: Vec<PathBuf>,

    /// How guests run; auto takes KVM where a timed trial boot shows that it works.
    #[arg(long, value_enum, default_value_t = AccelName::Auto, help_heading = "The guest")]
    pub(crate) accel: AccelName,

    /// What is emulated around the processors: microvm boots quickest; q35 has PCI, for a QEMU
    /// without microvm and for patches to what hangs on that bus.
    #[arg(long, value_enum, default_value_t = MachineName::Microvm, help_heading = "The guest")]
    pub(crate) machine: MachineName,

    /// Install missing host packages without asking.
    #[arg(long, help_heading = "The run")]
    pub(crate) yes: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ProfileName {
    /// 20 s of hammer, 10 s of fio, one boot a side.
    Quick,
    /// 60 s of hammer, 30 s of fio; plain 4 boots a side, sanitizers 2.
    Standard,
    /// 300 s of each; up to 10 boots a side.
    Full,
}

/// `--stall`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stall {
    Off,
    At(Spec),
}

pub(crate) fn stall(text: &str) -> Result<Stall, String> {
    if text == "off" {
        return Ok(Stall::Off);
    }
    let spec = text.parse().map(Stall::At);
    spec.map_err(|e: Error| format!("{e}; {}", e.mending().unwrap_or_default()))
}

/// `off` takes what was given before it back.
pub(crate) fn stalls(given: &[Stall]) -> Stalls {
    let from = given.iter().rposition(|one| *one == Stall::Off);
    let rest = &given[from.map_or(0, |off| off + 1)..];
    let specs = rest.iter().filter_map(|one| match one {
        Stall::At(spec) => Some(spec.clone()),
        Stall::Off => None,
    });
    match (from, rest.is_empty()) {
        (None, true) => Stalls::Auto,
        (Some(_), true) => Stalls::Off,
        (_, false) => Stalls::At(specs.collect()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MachineName {
    Microvm,
    Q35,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum AccelName {
    Auto,
    Kvm,
    Tcg,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Quick => Profile::Quick,
            ProfileName::Standard => Profile::Standard,
            ProfileName::Full => Profile::Full,
        }
    }
}

impl From<MachineName> for Machine {
    fn from(name: MachineName) -> Self {
        match name {
            MachineName::Microvm => Machine::Microvm,
            MachineName::Q35 => Machine::Q35,
        }
    }
}

impl From<AccelName> for AccelChoice {
    fn from(name: AccelName) -> Self {
        match name {
            AccelName::Auto => AccelChoice::Auto,
            AccelName::Kvm => AccelChoice::Kvm,
            AccelName::Tcg => AccelChoice::Tcg,
        }
    }
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let code = compared(&options);
    if !options.bisect_exit {
        return code;
    }
    // git takes whatever is no skip for a bad commit, also where there was no verdict at all.
    Ok(exit::for_bisect(code.unwrap_or_else(|error| {
        ui::print_error(&error);
        crate::exit_code(&error)
    })))
}

/// Runs it all, shows the verdict, and gives its exit code.
fn compared(options: &Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let recorder = options.record.recorder()?;
    let request = request(options)?;
    let cache = Cache::open()?;
    let mut chooser = ui::chooser(&cancel);
    let mut chooser = patch::remembering(&mut chooser);
    // A misspelt name is told before anything is installed.
    let refused = engine::refuse(&request, &mut chooser);
    cancel.check()?;
    refused?;
    host::prepare(&cache, &cancel, options.what.yes)?;
    let progress = ui::Progress::new();
    let done = engine::run(&request, &cache, &cancel, &progress, &mut chooser);
    progress.finish();
    let done = done?;
    let left = Left::alone(&done.dir);
    recorder.record(&left, &progress);
    if options.json {
        ui::out(&serde_json::to_string(&done.verdict)?);
    } else {
        let format = Format::Term {
            colour: ui::Paint::stdout().is_on(),
        };
        ui::out(report::render(format, &done.verdict, &done.dir)?.trim_end());
    }
    recorder.tell(&left, &progress);
    Ok(exit::of_outcome(done.verdict.outcome))
}

pub(crate) fn request(options: &Options) -> Result<Request> {
    let workload = match (&options.what.scenario, options.command.is_empty()) {
        (Some(_), false) => {
            let error = Error::input("both --scenario and a command were given");
            return Err(error
                .mend("give one of them: a command runs instead of a scenario's loads")
                .into());
        }
        (Some(name), true) => Workload::Scenario(name.clone()),
        (None, false) => Workload::Command(options.command.clone()),
        (None, true) => Workload::Default,
    };
    Ok(Request {
        workload,
        profile: options.profile.into(),
        repeat: options.repeat,
        seed: options.seed.unwrap_or_else(fresh_seed),
        out: options.out.clone(),
        one_of_many: options.bisect_exit,
        keep_going: options.keep_going,
        command: command_line(),
        stalls: stalls(&options.stall),
        ..options.what.request()
    })
}

/// The command line, for reports: `cargo xtask run ...`.
fn command_line() -> Vec<String> {
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| word.to_string_lossy().into_owned());
    ["cargo".to_owned(), "xtask".to_owned()]
        .into_iter()
        .chain(words)
        .collect()
}

impl What {
    /// The parts of a request that are settled here; the rest at its defaults.
    pub(crate) fn request(&self) -> Request {
        Request {
            configs: self.configs.clone(),
            kernel: kernel(self.kernel.as_deref(), self.locked),
            variants: match (&self.base, self.no_patch) {
                (Some(rev), _) => Variants::SinceRev(rev.clone()),
                (None, true) => Variants::None,
                _ if !self.patch.is_empty() => Variants::Patch(self.patch.clone()),
                _ if !self.variant.is_empty() => {
                    Variants::Named(self.variant.iter().map(|v| VariantSpec::parse(v)).collect())
                }
                _ => Variants::Scenarios,
            },
            overlays: self.overlay.iter().map(|o| Overlay::parse(o)).collect(),
            memory_mib: self.memory,
            cpus: self.cpus,
            append: self
                .append
                .iter()
                .flat_map(|a| a.split_whitespace())
                .map(str::to_owned)
                .collect(),
            kconfig: self.kconfig.clone(),
            machine: self.machine.into(),
            accel: self.accel.into(),
            ..Request::default()
        }
    }
}

/// `--kernel`, `--locked`, or neither.
pub(crate) fn kernel(given: Option<&Path>, locked: bool) -> Kernel {
    match (given, locked) {
        (Some(path), _) if path.is_dir() => Kernel::Source(source::Request::Tree(path.to_owned())),
        (Some(path), _) => Kernel::Source(match path.to_str() {
            Some(name) if !path.exists() && source::is_package(name) => {
                source::Request::Package(name.to_owned())
            }
            _ => source::Request::Tarball(path.to_owned()),
        }),
        (None, true) => Kernel::Locked,
        (None, false) => Kernel::Newest,
    }
}

/// A size with K, M or G, as MiB.
pub(crate) fn memory(text: &str) -> Result<u32, String> {
    harness::scenario::parse_size_mib(text).map_err(|e| e.to_string())
}

/// The clock is random enough: a seed only has to differ from run to run.
pub(crate) fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    // Kept short, as people copy it.
    (now.as_nanos() as u64 ^ u64::from(std::process::id()) << 32) % 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::EXAMPLES;

    /// git runs it in the kernel's tree, where cargo knows of no xtask and exits with 101: a bad commit.
    #[test]
    fn git_bisect_is_told_to_run_it_in_ktwins_folder() {
        let at = EXAMPLES.find("git bisect run ");
        let words = |text: &str| {
            text.replace("\\\n", " ")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let example = words(&EXAMPLES[at.expect("an example for git bisect")..]);
        assert!(example.contains("run sh -c 'cd ~/ktwin && "), "{example}");
        let readme = words(include_str!("../../../README.md"));
        assert!(readme.contains(&example), "README has not: {example}");
    }
}
