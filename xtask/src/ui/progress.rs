//! The engine's events as they come: bars on a terminal, one line a step elsewhere.

use std::{
    collections::{HashMap, HashSet},
    io::{self, IsTerminal},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use harness::{
    event::{Event, Progress as Amount, Step, Watcher},
    report::escape,
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use protocol::{Counters, GuestMessage};

use super::{Paint, out, say};

/// Counters worth a place in a line of live rates, most telling first.
const RATES: [&str; 5] = ["lookups", "misses", "removes", "overlaps", "ios"];

/// Watches a run for a person.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    paint: Paint,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: HashMap<(Step, String), ProgressBar>,
    cells: HashMap<String, CellState>,
}

struct CellState {
    started: Instant,
    expected: Duration,
    phase: String,
    last: Option<(Instant, Counters)>,
    rates: String,
    splats: u64,
    /// Titles that were said already: a race may report one thousands of times.
    said: HashSet<String>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        Self {
            bars,
            paint: Paint::stderr(),
            state: Mutex::default(),
        }
    }

    /// A line on stdout, above whatever goes on.
    pub(crate) fn out(&self, line: &str) {
        match &self.bars {
            Some(_) => {
                self.finish();
                out(line);
            }
            None => out(line),
        }
    }

    /// Takes the bars off the screen, for what is printed next; those that go on come back.
    pub(crate) fn finish(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that went away keeps its bars.
            let _ = bars.clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // As of all that goes there: a terminal that went away is no reason to end.
            Some(bars) => drop(bars.println(text)),
            None => say(text),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, step: Step, what: &str) {
        let text = format!("{} {}", verb(step), escape::terminal_line(what));
        let Some(bars) = &self.bars else {
            return say(&text);
        };
        let bar = bars.add(ProgressBar::new_spinner());
        bar.set_style(spinner());
        bar.set_message(text);
        bar.enable_steady_tick(Duration::from_millis(120));
        self.lock().steps.insert((step, what.to_owned()), bar);
    }

    fn advance(&self, step: Step, what: &str, amount: &Amount) {
        let state = self.lock();
        let Some(bar) = state.steps.get(&(step, what.to_owned())) else {
            return;
        };
        let left = amount
            .left
            .map(|d| format!(", about {} left", span(d)))
            .unwrap_or_default();
        match amount.total {
            Some(total) if amount.unit == "B" => {
                bar.set_style(style(
                    "{spinner} {msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}",
                ));
                bar.set_length(total);
            }
            Some(total) => {
                bar.set_style(style("{spinner} {msg} {wide_bar} {pos}/{len}"));
                bar.set_length(total);
            }
            None => bar.set_style(style("{spinner} {msg} {pos}")),
        }
        bar.set_message(format!(
            "{} {}{left}",
            verb(step),
            escape::terminal_line(what)
        ));
        bar.set_position(amount.done);
    }

    fn end(&self, step: Step, what: &str, how: &str) {
        if let Some(bar) = self.lock().steps.remove(&(step, what.to_owned())) {
            bar.finish_and_clear();
        }
        let what = escape::terminal_line(what);
        self.line(&format!(
            "{} {what}: {}",
            self.paint.green(done(step)),
            escape::terminal_line(how)
        ));
    }

    fn guest(&self, cell: &str, message: &GuestMessage) {
        let mut note = None;
        {
            let mut state = self.lock();
            let Some(seen) = state.cells.get_mut(cell) else {
                return;
            };
            match message {
                GuestMessage::Hello(hello) => {
                    seen.phase = "booted".into();
                    let kernel = hello.kernel.split_whitespace().next().unwrap_or_default();
                    note = Some(format!(
                        "agent of {kernel} says hello after {}",
                        span(seen.started.elapsed())
                    ));
                }
                GuestMessage::PhaseStarted { phase, .. } => {
                    seen.phase.clone_from(phase);
                    seen.last = None;
                    seen.rates.clear();
                    note = Some(format!("{phase} begins"));
                }
                GuestMessage::Heartbeat { counters, .. } => seen.beat(counters),
                GuestMessage::Finding(finding) => note = Some(finding.title.clone()),
                GuestMessage::Fatal { message } => note = Some(message.clone()),
                _ => {}
            }
        }
        if let Some(note) = note.filter(|_| {
            self.bars.is_none() || !matches!(message, GuestMessage::PhaseStarted { .. })
        }) {
            self.line(&format!(
                "  {}: {}",
                escape::terminal_line(cell),
                escape::terminal_line(&note)
            ));
        }
        self.show(cell);
    }

    /// Redraws a cell's bar: its phase, rates, splats and the time left.
    fn show(&self, cell: &str) {
        let state = self.lock();
        let (Some(bar), Some(seen)) = (
            state.steps.get(&(Step::Cell, cell.to_owned())),
            state.cells.get(cell),
        ) else {
            return;
        };
        let left = seen.expected.saturating_sub(seen.started.elapsed());
        let splats = match seen.splats {
            0 => "no splats".to_owned(),
            1 => self.paint.red("1 splat"),
            n => self.paint.red(&format!("{n} splats")),
        };
        let (phase, rates) = (escape::terminal_line(&seen.phase), &seen.rates);
        bar.set_message(format!(
            "{}: {phase} {rates} {splats}, about {} left",
            escape::terminal_line(cell),
            span(left)
        ));
    }
}

impl CellState {
    fn new(expected: Duration) -> Self {
        Self {
            started: Instant::now(),
            expected,
            phase: "booting".into(),
            last: None,
            rates: String::new(),
            splats: 0,
            said: HashSet::new(),
        }
    }

    /// Counts a splat; is its title a new one?
    fn is_new(&mut self, title: &str, total: u64) -> bool {
        self.splats = total;
        self.said.insert(title.to_owned())
    }

    fn beat(&mut self, counters: &Counters) {
        let now = Instant::now();
        if let Some((then, before)) = &self.last {
            let seconds = now.duration_since(*then).as_secs_f64().max(0.001);
            let rate = |name: &&str| {
                let grown = counters
                    .get(*name)?
                    .saturating_sub(*before.get(*name).unwrap_or(&0));
                Some(format!("{name} {:.0}/s", grown as f64 / seconds))
            };
            self.rates = RATES.iter().filter_map(rate).collect::<Vec<_>>().join(", ");
        }
        self.last = Some((now, counters.clone()));
    }
}

impl Watcher for Progress {
    fn event(&self, event: &Event) {
        match event {
            Event::Note(text) => self.line(&escape::terminal_line(text)),
            Event::Warning(text) => {
                self.line(&format!(
                    "{} {}",
                    self.paint.yellow("warning:"),
                    escape::terminal_line(text)
                ));
            }
            Event::Started { step, what } => self.begin(*step, what),
            Event::Advanced {
                step,
                what,
                progress,
            } => self.advance(*step, what, progress),
            Event::Ended { step, what, how } => self.end(*step, what, how),
            Event::Booting { cell, expected } => {
                self.lock()
                    .cells
                    .insert(cell.clone(), CellState::new(*expected));
                self.show(cell);
            }
            Event::Guest { cell, message } => self.guest(cell, message),
            Event::Splat { cell, title, total } => {
                if self
                    .lock()
                    .cells
                    .get_mut(cell)
                    .is_some_and(|seen| seen.is_new(title, *total))
                {
                    let (cell, title) = (escape::terminal_line(cell), escape::terminal_line(title));
                    self.line(&format!("  {cell}: {} {title}", self.paint.red("splat")));
                }
                self.show(cell);
            }
            Event::Judged { what, outcome } => {
                self.line(&format!(
                    "judged {}: {}",
                    escape::terminal_line(what),
                    harness::report::outcome_word(*outcome)
                ));
            }
            Event::RunDir(path) => self.line(&format!("results go to {}", path.display())),
        }
    }
}

fn verb(step: Step) -> &'static str {
    words(step).0
}

fn done(step: Step) -> &'static str {
    words(step).1
}

fn words(step: Step) -> (&'static str, &'static str) {
    match step {
        Step::Source => ("fetching", "source"),
        Step::Agent => ("building the", "built the"),
        Step::Tools => ("packing", "tools"),
        Step::Build => ("building", "built"),
        Step::Accel => ("trying", "tried"),
        Step::Cell => ("booting", "ran"),
    }
}

fn spinner() -> ProgressStyle {
    style("{spinner} {wide_msg} {elapsed}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        _ => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_from_two_beats() {
        let mut seen = CellState::new(Duration::from_secs(30));
        seen.beat(&Counters::from([("lookups".into(), 10)]));
        assert_eq!(seen.rates, "");
        seen.last = Some((
            Instant::now() - Duration::from_secs(2),
            Counters::from([("lookups".into(), 10)]),
        ));
        seen.beat(&Counters::from([("lookups".into(), 110)]));
        assert_eq!(seen.rates, "lookups 50/s");
    }

    #[test]
    fn spans_read_well() {
        for (ms, text) in [(1500, "1.5 s"), (42_000, "42 s"), (150_000, "3 min")] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
    }
}
