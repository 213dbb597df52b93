//! `history`: what past runs said, asked across them.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use harness::{
    exit,
    history::{History, Kind, Rate, Series, Shift, Shifts, Sighting, Since, runs_below},
    report::escape::terminal_line,
};
use serde::Serialize;

use crate::ui;

/// What past runs said, in one database: history.sqlite in the cache, or the file in KTWIN_HISTORY.
///
/// `run` and `matrix run` record there what they ran; what ran elsewhere is imported.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask history import target/ktwin/runs target/ktwin/matrices\n  cargo xtask history since 'use-after-free in fuse_backing_lookup'\n  cargo xtask history rate fuse_backing --json\n  cargo xtask history trend 'fio read iops'\n  cargo xtask history shifts --measure 'instructions of'"
)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,

    /// One JSON value instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Take runs in; one that is there already stays as it is.
    #[command(after_help = "Example:\n  cargo xtask history import target/ktwin/runs")]
    Import {
        /// Run directories, or folders of some.
        #[arg(value_name = "DIR", required = true)]
        dirs: Vec<PathBuf>,
    },
    /// Since when a finding has been seen, and the last run before that.
    #[command(after_help = "Example:\n  cargo xtask history since 'data-race in fuse'")]
    Since {
        /// A part of its title.
        #[arg(value_name = "TITLE")]
        title: String,
    },
    /// How often a finding is seen, by kernel, patch and profile.
    #[command(after_help = "Example:\n  cargo xtask history rate 'data-race in fuse' --json")]
    Rate {
        /// A part of its title.
        #[arg(value_name = "TITLE")]
        title: String,

        /// All kernels and patches, and not those alone that ran last. With --json it is always all.
        #[arg(long)]
        all: bool,
    },
    /// How a measure went over the runs, series by series.
    ///
    /// Runs are of one series where they have in common the config, the scenario or program, the profile,
    /// the patch, the line of kernels (such as 7.3), and of the host its number of CPUs, the accelerator
    /// and QEMU's version: hosts that differ in nothing else are taken for one.
    #[command(after_help = "Example:\n  cargo xtask history trend 'fio read iops'")]
    Trend {
        /// A part of its name.
        #[arg(value_name = "MEASURE")]
        measure: String,

        /// All values, and not the newest of each series alone. With --json it is always all.
        #[arg(long)]
        all: bool,
    },
    /// On which nights measures shifted, between which kernels, and the command that finds the commit.
    #[command(
        after_help = "Examples:\n  cargo xtask history shifts\n  cargo xtask history shifts --measure 'instructions of' --least 2 --json"
    )]
    Shifts {
        /// A part of the measures' names; all measures without.
        #[arg(
            long,
            value_name = "MEASURE",
            default_value = "",
            hide_default_value = true
        )]
        measure: String,

        /// Leave out shifts of less than so many per cent of what was usual before.
        #[arg(long, value_name = "PERCENT", default_value_t = 0.5, value_parser = percent)]
        least: f64,
    },
}

/// So many values of a series are shown, and rates of a title.
const NEWEST: usize = 20;

fn newest(all: bool) -> usize {
    if all { usize::MAX } else { NEWEST }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1000.0).contains(&value) => Ok(value),
        _ => Err("give a number of per cent, from 0 to 1000".to_owned()),
    }
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let json = options.json;
    match options.action {
        Action::Import { dirs } => return import(&dirs, json),
        Action::Since { title } => show(json, &History::open()?.since(&title)?, since)?,
        Action::Rate { title, all } => {
            let rates = History::open()?.rate(&title, newest(all || json))?;
            show(json, &rates.rates, rate)?;
            if rates.left_out > 0 {
                ui::out(&format!("{} more, with --all", rates.left_out));
            }
        }
        Action::Trend { measure, .. } if json => {
            show(
                json,
                &History::open()?.trend(&measure, newest(true))?,
                trend,
            )?;
        }
        Action::Trend { measure, all } => {
            show(
                json,
                &History::open()?.series(&measure, newest(all))?,
                trend,
            )?;
        }
        Action::Shifts { measure, least } => shifts(json, &measure, least)?,
    }
    Ok(exit::PASS)
}

fn show<T: Serialize>(json: bool, answers: &[T], line: impl Fn(&T)) -> Result<()> {
    if json {
        ui::out(&serde_json::to_string_pretty(answers)?);
    } else {
        answers.iter().for_each(line);
    }
    Ok(())
}

/// What became of an import.
#[derive(Debug, Default, Serialize)]
struct Imported {
    new: usize,
    known: usize,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    run: PathBuf,
    why: String,
}

/// All that can go in goes in; what cannot is named, and makes it bad input.
fn import(dirs: &[PathBuf], json: bool) -> Result<u8> {
    let mut runs = Vec::new();
    for dir in dirs {
        runs.extend(runs_below(dir)?);
    }
    let mut history = History::open()?;
    let mut imported = Imported::default();
    for run in runs {
        match history.import(&run) {
            Ok(true) => imported.new += 1,
            Ok(false) => imported.known += 1,
            Err(error) if error.fault() == harness::Fault::Input => {
                let why = error.chain();
                imported.refused.push(Refused { run, why });
            }
            Err(error) => return Err(error.into()),
        }
    }
    if json {
        ui::out(&serde_json::to_string_pretty(&imported)?);
    } else {
        for refused in &imported.refused {
            ui::say(&terminal_line(&format!("refused: {}", refused.why)));
        }
        ui::out(&format!(
            "{} new, {} already there, {} refused, in {}",
            imported.new,
            imported.known,
            imported.refused.len(),
            history.path().display()
        ));
    }
    Ok(match imported.refused.is_empty() {
        true => exit::PASS,
        false => exit::USAGE,
    })
}

fn since(one: &Since) {
    let row = |word: &str, seen: &Sighting| {
        let status = seen.status.as_deref().unwrap_or("not seen");
        line(&format!(
            "  {word:6}  {}  {}  {} {}  {}: {status}  {}",
            seen.started,
            seen.kernel,
            seen.config,
            what(&seen.scenario, &seen.profile, &seen.program),
            seen.variant,
            seen.folder
        ));
    };
    line(&format!(
        "{}, seen in {} comparison(s)",
        one.title, one.seen
    ));
    if let Some(before) = &one.before {
        row("before", before);
    }
    row("first", &one.first);
    row("last", &one.last);
}

fn rate(one: &Rate) {
    line(&format!(
        "{:>4} of {:<4}  {}  {} {}  {}  {}  {}",
        one.seen,
        one.of,
        one.kernel,
        one.config,
        what(&one.scenario, &one.profile, &one.program),
        one.accel,
        side(&one.variant, &one.patch),
        one.title
    ));
}

fn trend(series: &Series) {
    line(&place(&series.kind));
    if series.older > 0 {
        line(&format!("  {} older ones, with --all", series.older));
    }
    let unit = terminal_line(&series.kind.unit);
    let (mut last, mut kernel) = ("", String::new());
    let mut lines = Vec::new();
    for point in &series.points {
        if point.kernel != last {
            (last, kernel) = (&point.kernel, terminal_line(&point.kernel));
        }
        let started = terminal_line(&point.started);
        lines.push(format!(
            "  {started}  {kernel:10}  {:>14.3} {unit}",
            point.value
        ));
    }
    // Thousands of values are one write.
    ui::out(&lines.join("\n"));
}

fn place(kind: &Kind) -> String {
    format!(
        "{}, {} {}, {}.*, {}, {} CPUs, {}, QEMU {}",
        kind.measure,
        kind.config,
        what(&kind.scenario, &kind.profile, &kind.program),
        kind.line,
        side(&kind.variant, &kind.patch),
        kind.cpus,
        kind.accel,
        kind.qemu
    )
}

fn shifts(json: bool, measure: &str, least: f64) -> Result<()> {
    let mut all = History::open()?.shifts(measure)?;
    for one in &mut all {
        let counts = |shift: &Shift| shift.share.is_none_or(|share| share.abs() * 100.0 >= least);
        one.shifts.retain(counts);
    }
    if json {
        return show(json, &all, |_| ());
    }
    let quiet = |one: &&Shifts| one.shifts.is_empty() && !one.too_few;
    let (quiet, few) = (
        all.iter().filter(quiet).count(),
        all.iter().filter(|one| one.too_few).count(),
    );
    all.iter()
        .filter(|one| !one.shifts.is_empty())
        .for_each(shifted);
    ui::out(&format!(
        "{} series shifted, {quiet} did not, {few} have too few nights to tell",
        all.len() - quiet - few
    ));
    Ok(())
}

fn shifted(one: &Shifts) {
    line(&format!("{}, {} nights", place(&one.kind), one.nights));
    for shift in &one.shifts {
        shift_lines(shift, &one.kind.unit);
    }
}

fn shift_lines(shift: &Shift, unit: &str) {
    let share = shift
        .share
        .map_or_else(String::new, |share| format!("{:+.1} %, ", share * 100.0));
    let interval = shift.by95.map_or_else(String::new, |[low, high]| {
        format!(" (95 %: {low:+.3} to {high:+.3})")
    });
    let when = match shift.earliest == shift.latest {
        true => String::new(),
        false => format!(", or between {} and {}", shift.earliest, shift.latest),
    };
    line(&format!(
        "  {}{when}: {share}{:+.3} {unit}{interval}",
        shift.night, shift.by
    ));
    for (word, side) in [("before", &shift.before), ("after", &shift.after)] {
        line(&format!(
            "    {word:6}  {}  {} {}  {:.3} {unit} over {} nights  {}",
            side.night, side.kernel, side.commit, side.median, side.nights, side.folder
        ));
    }
    match (&shift.bisect, &shift.why_not) {
        (Some(command), _) => line(&format!("    {command}")),
        (None, why_not) => line(&format!(
            "    no bisect: {}",
            why_not.as_deref().unwrap_or_default()
        )),
    }
}

/// What ran, and for how long: the scenario's name is the same of every program.
fn what(scenario: &str, profile: &str, program: &str) -> String {
    let program = match program {
        "" => String::new(),
        program => format!("({program})"),
    };
    let words = [scenario, profile, &program].into_iter();
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Which side, with a few letters of its patch's hash.
fn side(variant: &str, patch: &str) -> String {
    if variant.is_empty() {
        return "base".to_owned();
    }
    let patch: String = patch.chars().take(8).collect();
    format!("{variant} ({patch})")
}

/// Titles and names come from consoles and run directories.
fn line(text: &str) {
    ui::out(&terminal_line(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_told_apart() {
        let table = [
            (("fio", "quick", ""), "fio quick"),
            (("fio", "full", ""), "fio full"),
            (
                ("command", "quick", "./a 'b c'"),
                "command quick (./a 'b c')",
            ),
            // Of old runs it is not known.
            (("fio", "", ""), "fio"),
        ];
        for ((scenario, profile, program), expected) in table {
            assert_eq!(what(scenario, profile, program), expected);
        }
    }
}
