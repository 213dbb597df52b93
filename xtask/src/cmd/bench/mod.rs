//! `bench`: the project's own figures, as ratios measured side by side.

mod alike;
mod bisect;
mod boot;
mod build;
mod history;
mod html;
mod memory;
mod quick;
mod race;
mod rate;
mod shifts;
mod splats;

use anyhow::Result;
use clap::{Args, ValueEnum};
use harness::{
    cache::Cache,
    cancel::Cancel,
    engine::{Home, Kernel, Lab, Request, Stalls},
    exit,
};

use crate::{host, ui};

/// The project's own figures, as ratios measured side by side.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench            all of them\n  cargo xtask bench boot rate\n\nMeasure on an idle machine. A figure that is missed is shown and does not fail the command."
)]
pub(crate) struct Options {
    /// Which; all without.
    #[arg(value_enum)]
    names: Vec<Name>,

    /// Install missing host packages without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// CPU time of base's and the variant's kernel builds, from an empty cache.
    Build,
    /// QEMU's start to the agent's hello, and against virtme-ng where it is installed.
    Boot,
    /// Memory that reading a 100 MB console log takes.
    Memory,
    /// The page of a matrix of 500 cells: its size, and how long it takes to open in Chromium where that
    /// is installed.
    Html,
    /// How fast console logs are read, against ripgrep where it is installed.
    Splats,
    /// The load's rate, against a minimal C program doing the same.
    Rate,
    /// How much sooner and more often a rare use-after-free shows when vCPUs are held where its
    /// patch says. Takes up to an hour; figures are shown as they are known.
    Race,
    /// What the right patch's kernel shows while vCPUs are held, and the load's rate while the lines
    /// that ran are watched. Takes ten minutes.
    Right,
    /// How often a kernel is called better or worse than itself in throughput. Takes a quarter of an
    /// hour.
    Alike,
    /// Trials that bisect takes, against plain bisect and what any search must take, in simulated
    /// histories of 10 to 10,000 commits. Takes some minutes.
    Bisect,
    /// How soon a shift in a measure is seen in simulated histories, and how often one that is none,
    /// against Apache Otava where it is installed (`KTWIN_OTAVA` names it). Takes some minutes.
    Shifts,
    /// How long `history` takes to answer, over 100,000 simulated cells.
    History,
    /// `run kasan --profile quick` with its kernels in the cache.
    Quick,
}

/// What every figure is measured with.
struct Bench<'a> {
    home: &'a Home,
    cache: &'a Cache,
    cancel: &'a Cancel,
    progress: &'a ui::Progress,
}

impl Bench<'_> {
    /// Kernels and boots for one request.
    fn lab<'l>(&'l self, request: &'l Request) -> Result<Lab<'l>> {
        let lab = Lab::new(self.home, request, self.cache, self.cancel, self.progress)?;
        Ok(lab)
    }

    /// Shows a figure as soon as it is known: some take an hour.
    fn show(&self, figure: &Figure) {
        self.progress.out(&figure.line());
    }
}

/// One figure.
struct Figure {
    what: String,
    measured: f64,
    unit: &'static str,
    /// The bound, and on which side of it is good; none for context.
    reach: Option<Reach>,
}

#[derive(Clone, Copy)]
enum Reach {
    AtMost(f64),
    AtLeast(f64),
}

pub(crate) fn run(options: Options) -> Result<u8> {
    let cancel = host::cancel_on_signals()?;
    let cache = Cache::open()?;
    host::prepare(&cache, &cancel, options.yes)?;
    let names = if options.names.is_empty() {
        Name::value_variants().to_vec()
    } else {
        options.names
    };
    let home = Home::here();
    for name in names {
        let progress = ui::Progress::new();
        let bench = Bench {
            home: &home,
            cache: &cache,
            cancel: &cancel,
            progress: &progress,
        };
        let figures = match name {
            Name::Build => build::measure(&bench)?,
            Name::Boot => boot::measure(&bench)?,
            Name::Memory => memory::measure()?,
            Name::Html => html::measure()?,
            Name::Splats => splats::measure()?,
            Name::Rate => rate::measure(&bench)?,
            Name::Race => {
                race::planted(&bench)?;
                Vec::new()
            }
            Name::Right => race::right(&bench)?,
            Name::Alike => alike::measure(&bench)?,
            Name::Bisect => {
                bisect::measure(&bench)?;
                Vec::new()
            }
            Name::Shifts => {
                shifts::measure(&bench)?;
                Vec::new()
            }
            Name::History => history::measure(&bench)?,
            Name::Quick => quick::measure()?,
        };
        figures.iter().for_each(|figure| bench.show(figure));
        progress.finish();
    }
    Ok(exit::PASS)
}

impl Figure {
    fn new(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            measured,
            unit,
            reach: None,
        }
    }

    fn at_most(mut self, bound: f64) -> Self {
        self.reach = Some(Reach::AtMost(bound));
        self
    }

    fn at_least(mut self, bound: f64) -> Self {
        self.reach = Some(Reach::AtLeast(bound));
        self
    }

    fn line(&self) -> String {
        let paint = ui::Paint::stdout();
        let (reached, bound) = match self.reach {
            None => {
                return format!(
                    "      {:58} {:>10.3} {}",
                    self.what, self.measured, self.unit
                );
            }
            Some(Reach::AtMost(bound)) => (self.measured <= bound, format!("at most {bound}")),
            Some(Reach::AtLeast(bound)) => (self.measured >= bound, format!("at least {bound}")),
        };
        let mark = if reached {
            paint.green("good")
        } else {
            paint.red("miss")
        };
        format!(
            "{mark}  {:58} {:>10.3} {:4} ({bound})",
            self.what, self.measured, self.unit
        )
    }
}

/// A request on the kernel that the tests use.
fn request() -> Request {
    Request {
        kernel: Kernel::Locked,
        stalls: Stalls::Off,
        ..Request::default()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }
}
