//! `bisect`: the commit that brought a finding, however rarely it shows.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use harness::{
    Error,
    bisect::Aim,
    cache::Cache,
    engine::{self, AccelChoice, Asked, Ended, Found, Kernel, Request, Variants, Workload},
    exit,
    judge::{Bound, Followed, verdict::Kind},
    report::escape::{terminal, terminal_line},
    source::{self, Between},
};

use super::run;
use crate::{host, ui};

/// How often chance puts a figure past a bound that is well chosen.
const FIGURE_FALSE_ALARM: f64 = 0.02;
/// How often a host that is busy makes a guest pass a time limit.
const LIMIT_FALSE_ALARM: f64 = 0.02;
/// The rarest finding that can be followed, as a hit rate.
const RAREST: (f64, f64) = (0.005, 1.0);

/// The commit that brought a finding, however rarely it shows, and how sure that is.
///
/// `git bisect` believes every answer; a race that shows in one boot of five makes it lie. This weighs
/// every trial instead: it confirms both ends, then tries the commit that tells most for what its build
/// and trials cost, until one commit is sure enough. The tree is never written to. Every trial is on
/// disk at once: after Ctrl-C, a crash or a reboot the same command goes on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The config in which the finding shows: kasan, kcsan, lockdep, plain (any of kernel-configs/).
    #[arg(value_name = "CONFIG")]
    config: String,

    /// A git tree of the kernel.
    #[arg(long, value_name = "TREE", help_heading = "Which commits")]
    kernel: PathBuf,

    /// A commit that does not show the finding, in the history of the bad one.
    #[arg(long, value_name = "REV", help_heading = "Which commits")]
    good: String,

    /// A commit that shows it.
    #[arg(long, value_name = "REV", help_heading = "Which commits")]
    bad: String,

    /// Only commits that touch this file or folder; may be given several times. Before one of them is
    /// named, the commit right before it is tried too: what brought it may be one that touches none.
    #[arg(long, value_name = "P", help_heading = "Which commits")]
    path: Vec<String>,

    /// Follow the first parent of merges alone: what a merge brought counts as one commit.
    #[arg(long, help_heading = "Which commits")]
    first_parent: bool,

    /// The finding's title, as `run` or `splats` says it. vCPUs are held in the functions of its trace,
    /// where guests are emulated. Without this, --finding and --measure any finding of a kernel that
    /// runs counts and that the scenario does not accept, with a command its exit code among them.
    #[arg(long, value_name = "T", conflicts_with_all = ["finding", "measure"], help_heading = "What is followed")]
    title: Option<String>,

    /// Any finding of this kind.
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        conflicts_with = "measure",
        help_heading = "What is followed"
    )]
    finding: Option<FindingName>,

    /// A cost, as a verdict names it, that is past a bound: give --above or --below, half way between
    /// the good and the bad commit's figures.
    #[arg(
        long,
        value_name = "NAME",
        requires = "bound",
        help_heading = "What is followed"
    )]
    measure: Option<String>,

    /// Bad above this.
    #[arg(
        long,
        value_name = "N",
        group = "bound",
        requires = "measure",
        help_heading = "What is followed"
    )]
    above: Option<f64>,

    /// Bad below this.
    #[arg(
        long,
        value_name = "N",
        group = "bound",
        requires = "measure",
        help_heading = "What is followed"
    )]
    below: Option<f64>,

    /// How sure the answer must be.
    #[arg(long, value_name = "P", default_value_t = Aim::default().confidence, value_parser = confidence, help_heading = "What is followed")]
    confidence: f64,

    /// The rarest finding that is worth following: for how small a share of hits the bad commit is
    /// tried in vain before that is said.
    #[arg(long, value_name = "SHARE", default_value_t = Aim::default().rarest, value_parser = rarest, help_heading = "What is followed")]
    rarest: f64,

    /// A scenario by name or path.
    #[arg(
        long,
        value_name = "NAME|PATH",
        conflicts_with = "command",
        help_heading = "A trial"
    )]
    scenario: Option<String>,

    /// How much a trial does: how long its loads run, and how large fio's are. Trials are boots, as
    /// many as it takes.
    #[arg(long, value_enum, default_value_t = run::ProfileName::Quick, help_heading = "A trial")]
    profile: run::ProfileName,

    /// How long each load of a trial runs, in seconds, instead of what the profile says (quick: 20).
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "A trial")]
    seconds: Option<u64>,

    /// Hold a vCPU there while a load runs (see `run --help`), instead of where the title's trace
    /// says; `off`: nowhere.
    #[arg(long, value_name = "SPEC|off", value_parser = run::stall, help_heading = "A trial")]
    stall: Vec<run::Stall>,

    /// The guest's memory, e.g. 2G.
    #[arg(long, value_name = "M", value_parser = run::memory, help_heading = "A trial")]
    memory: Option<u32>,

    /// The guest's vCPUs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "A trial")]
    cpus: Option<u32>,

    /// More for the kernel's command line.
    #[arg(
        long,
        value_name = "S",
        allow_hyphen_values = true,
        help_heading = "A trial"
    )]
    append: Vec<String>,

    /// Kconfig lines of your own, after the config's; may be given several times.
    #[arg(long, value_name = "FILE", help_heading = "A trial")]
    kconfig: Vec<PathBuf>,

    /// How guests run; auto takes KVM where a timed trial boot shows that it works.
    #[arg(long, value_enum, default_value_t = run::AccelName::Auto, help_heading = "A trial")]
    accel: run::AccelName,

    /// What is emulated around the processors (see `run --help`).
    #[arg(long, value_enum, default_value_t = run::MachineName::Microvm, help_heading = "A trial")]
    machine: run::MachineName,

    /// Print what came of it as one JSON object, and nothing else, on stdout.
    #[arg(long, conflicts_with = "log", help_heading = "The bisect")]
    json: bool,

    /// Print a log that `git bisect replay` accepts, and nothing else, on stdout; it lies in the
    /// bisect's folder in any case.
    #[arg(long, help_heading = "The bisect")]
    log: bool,

    /// The bisect's folder, instead of one under target/ktwin/bisects.
    #[arg(long, value_name = "DIR", help_heading = "The bisect")]
    out: Option<PathBuf>,

    /// Install missing host packages without asking.
    #[arg(long, help_heading = "The bisect")]
    yes: bool,

    /// Run this program of the host's in the guest, as root, instead of a scenario's loads. Its exit
    /// code 125 skips the commit.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bisect --kernel ~/linux --good v7.2 --bad v7.3 kasan --scenario hammer \\
      --path fs/fuse --title 'KASAN: slab-use-after-free Read in fuse_backing_get'
  cargo xtask bisect --kernel ~/linux --good v7.2 --bad HEAD lockdep -- ./repro --fast
  cargo xtask bisect --kernel ~/linux --good v7.2 --bad HEAD plain --finding boot-failed
  cargo xtask bisect --kernel ~/linux --good v7.2 --bad HEAD plain --scenario operations \\
      --measure 'instructions of lookup' --above 140

Exit codes: 0 the commit is found; 3 it is one of several, or an end is not as it was said to be;
2 bad input; 4 the host's fault; 130 interrupted (the same command goes on).";

/// Kinds of findings that one kernel alone can show.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FindingName {
    Splat,
    WrongData,
    Leak,
    Hang,
    BootFailed,
    BuildFailed,
    CommandFailed,
}

impl FindingName {
    fn kind(self) -> Kind {
        match self {
            Self::Splat => Kind::Splat,
            Self::WrongData => Kind::WrongData,
            Self::Leak => Kind::Leak,
            Self::Hang => Kind::Hang,
            Self::BootFailed => Kind::BootFailed,
            Self::BuildFailed => Kind::BuildFailed,
            Self::CommandFailed => Kind::CommandFailed,
        }
    }
}

fn confidence(text: &str) -> Result<f64, String> {
    between(text, 0.5, 0.999_999)
}

fn rarest(text: &str) -> Result<f64, String> {
    between(text, RAREST.0, RAREST.1 - f64::EPSILON)
}

fn between(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("give a number from {least} to {most:.6}")),
    }
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let asked = asked(&options)?;
    let cache = Cache::open()?;
    host::prepare(&cache, &cancel, options.yes)?;
    let progress = ui::Progress::new();
    let found = engine::bisect(&asked, &cache, &cancel, &progress, options.out.clone());
    progress.finish();
    let found = found?;
    if options.json {
        ui::out(&serde_json::to_string(&found)?);
    } else if options.log {
        ui::out(found.log.trim_end());
    } else {
        ui::out(shown(&found).trim_end());
    }
    Ok(match found.outcome {
        Ended::Found => exit::PASS,
        Ended::Ambiguous | Ended::Unconfirmed => exit::INCONCLUSIVE,
        Ended::Interrupted => exit::INTERRUPTED,
    })
}

fn asked(options: &Options) -> Result<Asked> {
    let bound = match (options.above, options.below) {
        (Some(above), _) => Some(Bound::Above(above)),
        (None, below) => below.map(Bound::Below),
    };
    let followed = match (&options.title, options.finding, &options.measure, bound) {
        (Some(title), ..) => Followed::title(title)?,
        (None, Some(finding), ..) => Followed::Kind(finding.kind()),
        (None, None, Some(name), Some(bound)) => Followed::Measure {
            name: name.clone(),
            bound,
        },
        (None, None, ..) => Followed::Any,
    };
    let false_alarm = match followed {
        Followed::Measure { .. } => FIGURE_FALSE_ALARM,
        _ if followed.may_be_a_limits() => LIMIT_FALSE_ALARM,
        Followed::Title(_) | Followed::Kind(_) | Followed::Any => Aim::default().false_alarm,
    };
    if !options.kernel.is_dir() {
        let what = format!("no folder {}", options.kernel.display());
        return Err(Error::input(what)
            .mend("give a git tree with --kernel")
            .into());
    }
    let append = options.append.iter().flat_map(|one| one.split_whitespace());
    let workload = match (&options.scenario, options.command.is_empty()) {
        (Some(name), _) => Workload::Scenario(name.clone()),
        (None, false) => Workload::Command(options.command.clone()),
        (None, true) => Workload::Default,
    };
    Ok(Asked {
        request: Request {
            configs: vec![options.config.clone()],
            kernel: Kernel::Source(source::Request::Tree(options.kernel.clone())),
            variants: Variants::None,
            workload,
            profile: options.profile.into(),
            memory_mib: options.memory,
            cpus: options.cpus,
            append: append.map(str::to_owned).collect(),
            kconfig: options.kconfig.clone(),
            accel: AccelChoice::from(options.accel),
            machine: options.machine.into(),
            stalls: run::stalls(&options.stall),
            ..Request::default()
        },
        between: Between {
            good: options.good.clone(),
            bad: options.bad.clone(),
            paths: options.path.clone(),
            first_parent: options.first_parent,
        },
        followed,
        aim: Aim {
            confidence: options.confidence,
            rarest: options.rarest,
            false_alarm,
        },
        seconds: options.seconds,
    })
}

/// For a person.
fn shown(found: &Found) -> String {
    let paint = ui::Paint::stdout();
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    match &found.culprit {
        Some(culprit) => {
            line(format!("{}  {}", paint.green("FOUND"), culprit.commit));
            line(format!("  subject     {}", terminal_line(&culprit.subject)));
            line(format!("  author      {}", terminal_line(&culprit.author)));
            line(format!("  confidence  {}", percent(found.confidence)));
        }
        None => {
            let word = match found.outcome {
                Ended::Found | Ended::Ambiguous => "ONE OF SEVERAL",
                Ended::Unconfirmed => "UNCONFIRMED",
                Ended::Interrupted => "INTERRUPTED",
            };
            line(paint.red(word));
            for reason in &found.reasons {
                line(format!("  {}", terminal_line(reason)));
            }
            for one in &found.candidates {
                let subject = terminal_line(&one.subject);
                line(format!("  {:.12}  {subject}", one.commit));
            }
            if found.outcome == Ended::Ambiguous {
                line(format!("  confidence  {}", percent(found.confidence)));
            }
        }
    }
    if let Some(title) = &found.title {
        line(format!("  title       {}", terminal_line(title)));
    }
    line(format!("  hit rate    {:.2}", found.hit_rate));
    line(format!("  commits     {}", found.commits));
    line(format!("  folder      {}", found.dir.display()));
    if let Some(evidence) = &found.evidence {
        line(format!("  evidence    {}", evidence.display()));
    }
    line(String::new());
    line("  commit        hits  trials  has it".into());
    for tried in &found.trials {
        let end = match &tried.why {
            Some(why) if tried.skipped => format!("skipped: {}", terminal_line(why)),
            _ => percent(tried.has_it),
        };
        line(format!(
            "  {:.12}  {:>4}  {:>6}  {end}",
            tried.commit, tried.hits, tried.trials
        ));
    }
    if let Some(splat) = &found.splat {
        line(String::new());
        line(terminal(splat));
    }
    out
}
