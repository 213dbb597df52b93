//! Collects a boot: its events, as they come, onto the disk and into a record.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::Write,
    time::Duration,
};

use protocol::GuestMessage;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    cell_dir::CellDir,
    last_lines::LastLines,
    line_times::LineTimes,
    record::{End, PhaseRecord, RunRecord, TimedFinding, TimedSplat},
};
use crate::{
    Result,
    drive::{Cause, Event as Driven, Shown, Stop, conclude, slept},
    error::Context,
    event::{Event, Watcher},
    plan::Cell,
    splat::{Scanner, Splat},
};

/// Splats of one title that are kept whole; a flood of them says no more.
const SPLATS_A_TITLE: usize = 64;
/// Splats that are kept whole.
const SPLATS: usize = 2048;
/// Findings, results and phases of each kind that are kept: far more than a plan has.
const KEPT: usize = 4096;
/// The file with what commands printed, as it came.
const OUTPUT: &str = "output.log";
/// fio's and commands' results, which may be large.
const RESULTS: usize = 64;
/// A console that was silent for so long has printed its last report to the end, as far as anybody can
/// tell who watches. The agent's beats, two a second, are when that is looked at.
const SILENCE: Duration = Duration::from_secs(1);

/// What is kept of a title's splats.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// How many.
    kept: usize,
    /// The last one's place in the record.
    last: usize,
}

/// Collects one boot.
pub struct Collector<'a> {
    dir: &'a CellDir,
    watcher: &'a dyn Watcher,
    console: File,
    events: File,
    scanner: Scanner,
    last: LastLines,
    times: LineTimes,
    titles: HashMap<String, Seen>,
    splats_seen: u64,
    /// Splats that look whole and may still grow, by the line that each starts at.
    glimpsed: BTreeMap<u64, Splat>,
    /// When the console last said something.
    console_at: Duration,
    fatal: Option<String>,
    finished: bool,
    record: RunRecord,
}

impl std::fmt::Debug for Collector<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("dir", self.dir)
            .finish_non_exhaustive()
    }
}

impl<'a> Collector<'a> {
    /// For a boot that is about to start.
    ///
    /// # Errors
    /// Its files cannot be made.
    pub fn new(dir: &'a CellDir, cell: &Cell, watcher: &'a dyn Watcher) -> Result<Self> {
        Ok(Self {
            console: dir.growing("console.log")?,
            events: dir.growing("events.ndjson")?,
            dir,
            watcher,
            scanner: Scanner::new(),
            last: LastLines::default(),
            times: LineTimes::default(),
            titles: HashMap::new(),
            splats_seen: 0,
            glimpsed: BTreeMap::new(),
            console_at: Duration::ZERO,
            fatal: None,
            finished: false,
            record: RunRecord::of(cell, End::Interrupted),
        })
    }

    /// Takes an event.
    ///
    /// # Errors
    /// The disk's.
    pub fn take(&mut self, at: Duration, event: Driven<'_>) -> Result<()> {
        match event {
            Driven::Console(bytes) => self.console(at, bytes)?,
            Driven::Message(message) => self.message(at, message)?,
            Driven::NoMessage(why) => self.log(at, "no-message", &json!({ "why": why }))?,
            Driven::Stopped(cause) => {
                // What a guest that hangs still answers would push them out.
                self.record.last_lines = self.last.lines();
                self.log(at, "stopped", &json!({ "why": words(cause) }))?;
            }
        }
        self.glimpse(at);
        Ok(())
    }

    /// Whether a splat came that is one of those wanted.
    pub fn showed(&self, wanted: &dyn Fn(&Splat) -> bool) -> bool {
        let kept = self.record.splats.iter().map(|timed| &timed.splat);
        kept.chain(self.glimpsed.values()).any(wanted)
    }

    /// Looks at what the scanner will only hand over once it is certain that no line is missing: that
    /// takes seconds of the guest's, or the next splat.
    fn glimpse(&mut self, at: Duration) {
        let silent = at.saturating_sub(self.console_at) >= SILENCE;
        let new =
            |start: u64, ended: bool| (ended || silent) && !self.glimpsed.contains_key(&start);
        for splat in self.scanner.pending(new) {
            self.tell(&splat);
            self.glimpsed.insert(splat.start_line, splat);
        }
    }

    /// Tells whoever watches of a new splat.
    fn tell(&mut self, splat: &Splat) {
        self.splats_seen += 1;
        self.watcher.event(&Event::Splat {
            cell: self.record.cell.id.clone(),
            title: splat.title.clone(),
            total: self.splats_seen,
        });
    }

    fn console(&mut self, at: Duration, bytes: &[u8]) -> Result<()> {
        self.console
            .write_all(bytes)
            .host(|| "failed to write console.log".into())?;
        self.record.console_bytes += bytes.len() as u64;
        self.console_at = at;
        self.last.feed(bytes);
        self.times.feed(at, bytes);
        let mut found = Vec::new();
        self.scanner.feed(bytes, &mut |splat| found.push(splat));
        found
            .into_iter()
            .try_for_each(|splat| self.splat(at, splat))
    }

    fn splat(&mut self, at: Duration, mut splat: Splat) -> Result<()> {
        if self.glimpsed.remove(&splat.start_line).is_none() {
            self.tell(&splat);
        }
        let room = self.record.splats.len();
        match self.titles.get(&splat.title) {
            Some(seen) if seen.kept >= SPLATS_A_TITLE || room >= SPLATS / 2 => {
                // Counted with the last of its title that was kept.
                let kept = &mut self.record.splats[seen.last];
                kept.count += 1;
                kept.splat.fatal |= splat.fatal;
                return Ok(());
            }
            // Half of the room is for titles not seen yet, so that no flood hides what follows it.
            None if room >= SPLATS => return Ok(()),
            _ => {}
        }
        let seen = self.titles.entry(splat.title.clone()).or_default();
        seen.kept += 1;
        seen.last = room;
        let number = self.record.splats.len() + 1;
        let file = self.dir.write_splat(number, &splat.class, &splat.text)?;
        self.log(at, "splat", &json!({ "title": splat.title, "file": file }))?;
        splat.text = Vec::new();
        self.record.splats.push(TimedSplat {
            at_s: self.times.of(splat.start_line).as_secs_f64(),
            file,
            count: 1,
            splat,
        });
        Ok(())
    }

    fn message(&mut self, at: Duration, message: &GuestMessage) -> Result<()> {
        // It has a file of its own.
        if !matches!(message, GuestMessage::Output { .. }) {
            self.log(at, "message", message)?;
        }
        self.keep(at.as_secs_f64(), message)?;
        self.watcher.event(&Event::Guest {
            cell: self.record.cell.id.clone(),
            message: message.clone(),
        });
        Ok(())
    }

    fn keep(&mut self, at_s: f64, message: &GuestMessage) -> Result<()> {
        let record = &mut self.record;
        match message {
            GuestMessage::Hello(hello) => {
                if hello.protocol == protocol::PROTOCOL && record.hello.is_none() {
                    record.hello = Some(hello.clone());
                    record.hello_s = Some(at_s);
                }
            }
            GuestMessage::PhaseStarted { index, phase } => {
                push(&mut record.phases, KEPT, || PhaseRecord {
                    index: *index,
                    name: phase.clone(),
                    started_s: at_s,
                    ended_s: None,
                    counters: Default::default(),
                    others: None,
                })
            }
            GuestMessage::Heartbeat { phase, counters } => {
                if let Some(running) = record.phases.last_mut()
                    && running.ended_s.is_none()
                    && running.name == *phase
                {
                    running.counters.clone_from(counters);
                }
            }
            GuestMessage::PhaseEnded {
                index, counters, ..
            } => {
                let running = record.phases.iter_mut().rev().find(|p| p.index == *index);
                if let Some(phase) = running {
                    phase.ended_s = Some(at_s);
                    phase.counters.clone_from(counters);
                }
            }
            GuestMessage::Finding(finding) => push(&mut record.findings, KEPT, || TimedFinding {
                at_s,
                finding: finding.clone(),
            }),
            GuestMessage::FioResult(result) => {
                if record.fio.len() < RESULTS {
                    self.dir.write_fio(record.fio.len(), &result.json)?;
                }
                push(&mut record.fio, RESULTS, || result.clone());
            }
            GuestMessage::Output { text } => self.dir.append(OUTPUT, text.as_bytes())?,
            GuestMessage::Slabs(slabs) => push(&mut record.slabs, RESULTS, || slabs.clone()),
            GuestMessage::ExecResult(result) => push(&mut record.exec, RESULTS, || result.clone()),
            GuestMessage::Detectors(detectors) => record.detectors.clone_from(detectors),
            GuestMessage::Finished => self.finished = true,
            GuestMessage::Fatal { message } => self.fatal = Some(message.clone()),
        }
        Ok(())
    }

    /// A line of `events.ndjson`.
    fn log(&mut self, at: Duration, event: &str, what: &impl Serialize) -> Result<()> {
        let failed = || "failed to write events.ndjson".into();
        let what: Value = serde_json::to_value(what).host(failed)?;
        let at_s = (at.as_secs_f64() * 1e3).round() / 1e3;
        let mut line = json!({ "at_s": at_s, "event": event });
        // An event's own fields come flat, a message as the protocol writes it.
        match what {
            Value::Object(fields) if event != "message" => {
                line.as_object_mut().expect("made as one").extend(fields);
            }
            what => line[event] = what,
        }
        let mut line = line.to_string();
        line.push('\n');
        self.events.write_all(line.as_bytes()).host(failed)
    }

    /// The boot has ended: writes and gives its record.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(mut self, cause: Cause, elapsed: Duration) -> Result<RunRecord> {
        let mut found = Vec::new();
        std::mem::take(&mut self.scanner).finish(&mut |splat| found.push(splat));
        found
            .into_iter()
            .try_for_each(|splat| self.splat(elapsed, splat))?;
        if let Some(said) = cause.stderr() {
            self.dir.write_stderr(said)?;
        }
        let shown = Shown {
            hello: self.record.hello.is_some(),
            finished: self.finished,
            fatal: self.fatal.take(),
            panic: self.last.panic().map(str::to_owned),
            console_bytes: self.record.console_bytes,
        };
        self.record.end = conclude(cause, &shown);
        self.record.elapsed_s = elapsed.as_secs_f64();
        if self.record.end == End::Finished {
            self.record.last_lines.clear();
        } else if self.record.last_lines.is_empty() {
            self.record.last_lines = self.last.lines();
        }
        self.dir.write_record(&self.record)?;
        Ok(self.record)
    }
}

fn push<T>(to: &mut Vec<T>, limit: usize, what: impl FnOnce() -> T) {
    if to.len() < limit {
        to.push(what());
    }
}

fn words(cause: &Cause) -> String {
    match cause {
        Cause::Exited(exit) => exit.words(),
        Cause::Halted(_) => "QEMU stopped the guest".into(),
        Cause::Slept(time) => slept(*time),
        Cause::Enough => "it has shown what it was run for".into(),
        Cause::Cancelled => "the user stopped it".into(),
        Cause::Stopped(Stop::Limit(_, why) | Stop::Lingers(why)) => why.clone(),
        Cause::Stopped(Stop::Protocol(theirs)) => format!("the agent speaks protocol {theirs}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Unwatched, plan::BASE};
    use protocol::Plan;

    fn splat(function: &str) -> String {
        let rule = "=".repeat(66);
        format!(
            "{rule}\nBUG: KASAN: slab-use-after-free in {function}+0x1/0x2\n\
             Read of size 4 at addr ffff888000000000 by task opener/7\n\
             Call Trace:\n {function}+0x1/0x2\n{rule}\n"
        )
    }

    fn cell() -> Cell {
        Cell {
            id: "c".into(),
            config: "kasan".into(),
            variant: BASE.into(),
            scenario: "race".into(),
            repeat: 1,
            plan: Plan::default(),
            memory_mib: 1,
            cpus: 1,
            append: vec![],
            purpose: crate::plan::Purpose::Loads,
        }
    }

    #[test]
    fn a_flood_of_one_title_is_counted_and_hides_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let dir = CellDir::create(temp.path(), "c").unwrap();
        let mut collector = Collector::new(&dir, &cell(), &Unwatched).unwrap();
        let flood = splat("flood").repeat(SPLATS_A_TITLE + 36) + &splat("other");
        for piece in flood.as_bytes().chunks(1000) {
            collector
                .take(Duration::ZERO, Driven::Console(piece))
                .unwrap();
        }
        let record = collector
            .finish(Cause::Cancelled, Duration::from_secs(1))
            .unwrap();
        let of = |function: &str| {
            let title = format!("KASAN: slab-use-after-free Read in {function}");
            let these = record.splats.iter().filter(|s| s.splat.title == title);
            these.fold((0, 0), |(kept, all), s| (kept + 1, all + s.count))
        };
        assert_eq!(of("flood"), (SPLATS_A_TITLE, SPLATS_A_TITLE as u64 + 36));
        assert_eq!(of("other"), (1, 1));
    }

    /// Titles of splats, as they are told.
    #[derive(Default)]
    struct Told(std::sync::Mutex<Vec<String>>);

    impl Watcher for Told {
        fn event(&self, event: &Event) {
            if let Event::Splat { title, .. } = event {
                self.0.lock().unwrap().push(title.clone());
            }
        }
    }

    #[test]
    fn a_splat_is_told_once_as_soon_as_it_looks_whole() {
        let temp = tempfile::tempdir().unwrap();
        let dir = CellDir::create(temp.path(), "c").unwrap();
        let told = Told::default();
        let mut collector = Collector::new(&dir, &cell(), &told).unwrap();
        let beat = GuestMessage::Heartbeat {
            phase: "race".into(),
            counters: Default::default(),
        };
        let mut at = |seconds: f64, event| {
            let at = Duration::from_secs_f64(seconds);
            collector.take(at, event).unwrap();
            let showed =
                |function| collector.showed(&|splat: &Splat| splat.title.contains(function));
            (showed("ends"), showed("trails_off"))
        };
        let (ends, trails_off) = (splat("ends"), splat("trails_off"));
        let trails_off = trails_off.trim_end_matches(['=', '\n']).to_owned() + "\n";
        let console = |text: &'static str| Driven::Console(text.as_bytes());
        assert_eq!(at(1.0, console(ends.leak())), (true, false));
        assert_eq!(at(2.0, console(trails_off.leak())), (true, false));
        assert_eq!(at(2.5, Driven::Message(&beat)), (true, false));
        assert_eq!(at(3.0, Driven::Message(&beat)), (true, true));
        let record = collector
            .finish(Cause::Enough, Duration::from_secs(3))
            .unwrap();
        let titles = ["ends", "trails_off"];
        let titles = titles.map(|f| format!("KASAN: slab-use-after-free Read in {f}"));
        assert_eq!(*told.0.lock().unwrap(), titles);
        let kept = record.splats.iter().map(|timed| timed.splat.title.clone());
        assert_eq!(kept.collect::<Vec<_>>(), titles);
    }

    #[test]
    fn what_a_command_printed_is_there_though_it_never_ended() {
        let temp = tempfile::tempdir().unwrap();
        let dir = CellDir::create(temp.path(), "c").unwrap();
        let mut collector = Collector::new(&dir, &cell(), &Unwatched).unwrap();
        for text in ["ok 1\n", "ok 2 \u{1b}[31m\n"] {
            let said = GuestMessage::Output { text: text.into() };
            collector
                .take(Duration::ZERO, Driven::Message(&said))
                .unwrap();
        }
        drop(collector);
        let path = temp.path().join("c").join(OUTPUT);
        let kept = std::fs::read_to_string(path).unwrap();
        assert_eq!(kept, "ok 1\nok 2 \u{1b}[31m\n");
    }
}
