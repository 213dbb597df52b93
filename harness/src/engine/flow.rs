//! A run from end to end: sources, kernels, boots, verdict.

use std::{
    path::PathBuf,
    time::{Instant, SystemTime},
};

use crate::{
    Error, Fault, Result,
    cache::Cache,
    cancel::Cancel,
    collect::RunDir,
    engine::{
        Home, Request, Variants,
        check::{Sourced, sourced},
        compare::{Comparing, Sides},
        date, failures,
        guests::Guests,
        kernels::Kernels,
        seen::Seen,
        subject::Subject,
    },
    event::{Event, Watcher},
    judge::{
        self, RunFacts,
        verdict::{Comparison, Host, Kernel, Outcome, Patch, Verdict},
    },
    patch::Chooser,
    report,
    scenario::judges_costs,
    source::Ways,
};

/// What a run leaves.
#[derive(Debug)]
pub struct Done {
    /// The verdict, as in `verdict.json`.
    pub verdict: Verdict,
    /// The run directory.
    pub dir: PathBuf,
}

/// Runs it all. `choose` is asked where a patch's file holds several versions.
///
/// # Errors
/// Bad input, whenever it is found, unless what was compared before it says more; and what ends a run
/// before there is anything to compare: a host that lacks something, an interruption. From then on
/// everything else is in the verdict.
pub fn run(
    request: &Request,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
    choose: &mut Chooser<'_>,
) -> Result<Done> {
    let clock = Clock {
        began: Instant::now(),
        started: SystemTime::now(),
    };
    let home = Home::here();
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    let Sourced {
        configs,
        stacks,
        subject,
        source,
        overlay,
    } = sourced(&home, request, ways, choose)?;
    let dir = RunDir::create(
        request.out.as_deref(),
        &home.runs(),
        &configs,
        request.seed,
        clock.started,
    )?;
    watcher.event(&Event::Note(format!("seed {}", request.seed)));
    watcher.event(&Event::RunDir(dir.path().to_owned()));
    let guests = Guests::prepare(
        request,
        &request.profile.phases(&subject.scenario),
        &subject.scenario.stalls,
        ways,
    )?;
    let kernels =
        Kernels::new(request, stacks, &subject, source, ways, dir.path())?.overlaid(overlay);
    let mut run = Run {
        request,
        subject: &subject,
        ways,
        dir,
        guests,
        kernels,
        clock,
    };
    let done = run.all(&configs)?;
    let ended = run.dir.done(done.verdict.outcome);
    stands_all_the_same(done.verdict.outcome, ended, watcher)?;
    Ok(done)
}

/// Whether what other configs came to is to be told, though one was refused for the user's own input:
/// where it says more than that.
fn stands(nothing: bool, outcome: Outcome) -> bool {
    !nothing && matches!(outcome, Outcome::Interrupted | Outcome::Regression)
}

/// A disk that is full at the end takes no verdict with it that says more than that.
fn stands_all_the_same(outcome: Outcome, written: Result<()>, watcher: &dyn Watcher) -> Result<()> {
    match (outcome, written) {
        (Outcome::Interrupted | Outcome::Regression | Outcome::Untestable, Err(error)) => {
            watcher.event(&Event::Warning(error.chain()));
            Ok(())
        }
        (_, written) => written,
    }
}

/// When the run began.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    started: SystemTime,
}

struct Run<'a> {
    request: &'a Request,
    subject: &'a Subject,
    ways: Ways<'a>,
    dir: RunDir,
    guests: Guests<'a>,
    kernels: Kernels<'a>,
    clock: Clock,
}

impl Run<'_> {
    fn all(&mut self, configs: &[String]) -> Result<Done> {
        let mut comparisons: Vec<Comparison> = Vec::new();
        // What the user has to mend is no outcome of a comparison's.
        let mut refused: Option<Error> = None;
        let mut left = configs.iter();
        for config in left.by_ref() {
            let these = match self.config(configs, config) {
                Ok(these) => these,
                // Of many kernels the others may take the very same input.
                Err(error) if error.fault() == Fault::Input && !self.request.one_of_many => {
                    refused.get_or_insert(error);
                    match self.request.keep_going {
                        true => continue,
                        false => break,
                    }
                }
                Err(error) => self.failed(config, &error),
            };
            for one in &these {
                let what = format!("{} {}", one.config, one.variant);
                self.ways.watcher.event(&Event::Judged {
                    what,
                    outcome: one.outcome,
                });
            }
            comparisons.extend(these);
            // On disk at once: what is cut off later has lost nothing.
            let so_far = self.verdict(comparisons.clone());
            let written = report::write(&so_far, self.dir.path());
            stands_all_the_same(so_far.outcome, written, self.ways.watcher)?;
            let outcome = crate::exit::combine(comparisons.iter().map(|c| c.outcome));
            let go_on = self.request.keep_going && outcome != Outcome::Interrupted;
            if outcome != Outcome::Pass && !go_on {
                break;
            }
        }
        let skipped: Vec<&str> = left.map(String::as_str).collect();
        if !skipped.is_empty() && !self.ways.cancel.is_cancelled() {
            let text = format!(
                "not run, as a config before did not pass: {} (--keep-going runs all)",
                skipped.join(", ")
            );
            self.ways.watcher.event(&Event::Note(text));
        }
        if let Some(error) = refused {
            let outcome = crate::exit::combine(comparisons.iter().map(|c| c.outcome));
            if !stands(comparisons.is_empty(), outcome) {
                return Err(error);
            }
            let text = failures::reason(&error);
            self.ways.watcher.event(&Event::Warning(text));
        }
        let verdict = self.verdict(comparisons);
        let written = report::write(&verdict, self.dir.path());
        stands_all_the_same(verdict.outcome, written, self.ways.watcher)?;
        Ok(Done {
            verdict,
            dir: self.dir.path().to_owned(),
        })
    }

    /// Every comparison of one config.
    fn config(&mut self, configs: &[String], config: &str) -> Result<Vec<Comparison>> {
        if let Some(rejected) = self.all_rejected(config)? {
            return Ok(rejected);
        }
        let base = self.kernels.compared_base(config)?;
        let subject = self.subject;
        let alone = matches!(self.request.variants, Variants::None);
        let seen = match &base {
            Ok(image) => Seen::of(self.ways.cache, image),
            Err(_) => Seen::default(),
        };
        let base_image = base.clone();
        let builds = base.is_ok();
        let mut sides = Sides::new(config, base, seen, alone);
        for variant in &subject.variants {
            let built = match builds {
                true => self.kernels.variant(config, variant)?,
                false => self.kernels.without_base(config, variant)?,
            };
            let structures = match (&base_image, &built) {
                (Ok(base), Ok((image, touched))) if judges_costs(config) => {
                    let images = [base, image];
                    self.kernels.structures(config, variant, touched, images)?
                }
                _ => Vec::new(),
            };
            sides.add(variant, built, structures);
        }
        if let Some(image) = sides.any_image() {
            self.guests.settle(image)?;
        }
        let comparing = Comparing {
            request: self.request,
            configs,
            scenario: &self.subject.scenario,
            kernels: &self.kernels,
            guests: &self.guests,
            dir: self.dir.path(),
            ways: self.ways,
            today: date::today(),
        };
        comparing.run(sides)
    }

    /// Where no variant's patches apply, there is nothing to build base for.
    fn all_rejected(&mut self, config: &str) -> Result<Option<Vec<Comparison>>> {
        let Subject { scenario, variants } = self.subject;
        let mut rejected = Vec::new();
        for variant in variants {
            let Some(broken) = self.kernels.rejected(config, variant)? else {
                return Ok(None);
            };
            rejected.push(judge::untestable(
                config,
                &scenario.name,
                &variant.name,
                &broken,
            ));
        }
        Ok(Some(rejected).filter(|all| !all.is_empty()))
    }

    /// The comparisons of a config that could not be run.
    fn failed(&self, config: &str, error: &Error) -> Vec<Comparison> {
        let outcome = match error.fault() {
            Fault::Interrupted => Outcome::Interrupted,
            Fault::Untestable | Fault::Input => Outcome::Untestable,
            Fault::Infrastructure => Outcome::Infrastructure,
        };
        let reason = failures::reason(error);
        let names = match self.subject.variants.as_slice() {
            [] => vec![crate::plan::BASE.to_owned()],
            variants => variants.iter().map(|v| v.name.clone()).collect(),
        };
        let scenario = &self.subject.scenario.name;
        names
            .iter()
            .map(|name| judge::unjudged(outcome, config, scenario, name, &reason))
            .collect()
    }

    fn verdict(&self, comparisons: Vec<Comparison>) -> Verdict {
        let facts = RunFacts {
            kernel: Kernel {
                version: self.kernels.source().version.clone(),
                source: self.kernels.source().origin.clone(),
                tree_hash: self.kernels.source().hash.clone(),
                commit: self.kernels.source().identity.commit().map(str::to_owned),
            },
            patch: self
                .subject
                .variants
                .first()
                .map(|v| Patch::of(&v.series))
                .unwrap_or_default(),
            host: Host {
                cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
                accel: self.guests.accel_name(),
                qemu: self.guests.qemu_version(),
            },
            seed: self.request.seed,
            started: date::rfc3339(self.clock.started),
            elapsed_s: self.clock.began.elapsed().as_secs_f64(),
            command: self.request.command.clone(),
        };
        judge::verdict(facts, comparisons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Unwatched;

    #[test]
    fn bad_input_is_told_unless_a_config_before_it_says_more() {
        for (nothing, outcome, expected) in [
            (true, Outcome::Infrastructure, false),
            (false, Outcome::Pass, false),
            (false, Outcome::Inconclusive, false),
            (false, Outcome::Infrastructure, false),
            (false, Outcome::Untestable, false),
            (false, Outcome::Regression, true),
            (false, Outcome::Interrupted, true),
        ] {
            assert_eq!(stands(nothing, outcome), expected, "{nothing} {outcome:?}");
        }
    }

    #[test]
    fn a_full_disk_takes_no_regression_with_it() {
        let full = || Err(Error::infrastructure("no space left"));
        for (outcome, stands) in [
            (Outcome::Regression, true),
            (Outcome::Untestable, true),
            (Outcome::Pass, false),
            (Outcome::Inconclusive, false),
        ] {
            let told = stands_all_the_same(outcome, full(), &Unwatched);
            assert_eq!(told.is_ok(), stands, "{outcome:?}");
            assert!(stands_all_the_same(outcome, Ok(()), &Unwatched).is_ok());
        }
    }
}
