//! What a run's boots left in its directory: how each ended, and its splats with their traces.

use std::path::Path;

use serde::Deserialize;

use super::{
    inside::Folder,
    page::{Text, Tone},
};
use crate::{
    collect::record::{End, TimedSplat},
    judge::verdict::Finding,
    plan::Cell,
};

/// Boots that are read.
const MAX_BOOTS: usize = 1_000;
/// No record is longer.
const MAX_RECORD: u64 = 64 << 20;
/// No decoded trace is longer.
const MAX_TRACE: u64 = 256 << 10;
/// Bytes of traces that a report shows in all; others are left to their files.
const MAX_TRACES: usize = 2 << 20;
/// Lines that a boot which ended badly shows of its console.
const LAST_LINES: usize = 20;
/// A boot's files that a reader may want, where they are there.
const FILES: [&str; 7] = [
    "console.log",
    "output.log",
    "cell.json",
    "record.json",
    "events.ndjson",
    "fio.json",
    "stalls.ndjson",
];

/// One boot.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Boot {
    /// Its folder's name: letters, digits, `-_.+`.
    pub(super) id: String,
    pub(super) config: String,
    pub(super) variant: String,
    pub(super) scenario: String,
    /// How it ended, and why.
    pub(super) end: Text,
    pub(super) why: String,
    /// In seconds; none for a boot that was cut off.
    pub(super) elapsed_s: Option<f64>,
    pub(super) splats: Vec<BootSplat>,
    /// The console's end, of a boot that ended badly.
    pub(super) last_lines: Vec<String>,
    /// Those of [`FILES`] that it has.
    pub(super) files: Vec<&'static str>,
}

/// A splat that it showed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BootSplat {
    pub(super) title: String,
    pub(super) class: String,
    pub(super) at_s: f64,
    pub(super) count: u64,
    pub(super) phase: String,
    /// Below the boot's folder.
    pub(super) file: String,
    /// Its stacks with source lines; its own lines where those are not known.
    pub(super) trace: Vec<Line>,
    /// Whether source lines are known.
    pub(super) decoded: bool,
    /// As the console had it.
    pub(super) raw: Vec<String>,
    /// Why it is not whole.
    pub(super) corrupted: Option<String>,
    titles: Vec<String>,
}

/// A line of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: LineKind,
    pub(super) text: String,
}

/// What a line of a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    /// What the stack below it is.
    Heading,
    /// A function.
    Frame,
    /// Where in the source it is.
    Place,
    /// The same, in a line that the patch wrote.
    Patched,
    /// Any other.
    Plain,
}

/// What is read of a record.
#[derive(Debug, Deserialize)]
struct Record {
    cell: Cell,
    end: End,
    elapsed_s: f64,
    splats: Vec<TimedSplat>,
    last_lines: Vec<String>,
}

/// What is read of a boot that has no record.
#[derive(Debug, Deserialize)]
struct Begun {
    cell: Cell,
}

/// Every boot in a run's directory, in the order of their names; what cannot be read is left out.
pub(super) fn read(run: &Path) -> Vec<Boot> {
    let Ok(folder) = Folder::open(run) else {
        return Vec::new();
    };
    let mut room = MAX_TRACES;
    let names = folder.folders().into_iter().take(MAX_BOOTS);
    names
        .filter_map(|name| boot(&folder, name, &mut room))
        .collect()
}

/// The splat that a finding's evidence is, and its boot.
pub(super) fn evidence<'b>(
    boots: &'b [Boot],
    finding: &Finding,
) -> Option<(&'b Boot, &'b BootSplat)> {
    boots.iter().find_map(|boot| {
        let file = finding.evidence.strip_prefix(&boot.id)?.strip_prefix('/')?;
        let splat = boot.splats.iter().find(|splat| splat.file == file)?;
        Some((boot, splat))
    })
}

impl BootSplat {
    /// Its trace as text, with the patch's lines marked; so many lines at most.
    pub(super) fn text(&self, most: usize) -> String {
        let lines = self.trace.iter().take(most).map(|line| {
            let indent = match line.kind {
                LineKind::Heading | LineKind::Plain => "",
                LineKind::Frame => "  ",
                LineKind::Place => "      ",
                LineKind::Patched => "    + ",
            };
            format!("{indent}{}\n", line.text)
        });
        let mut text: String = lines.collect();
        if self.trace.len() > most {
            text.push_str("...\n");
        }
        text
    }
}

impl Boot {
    /// Whether it took part in a comparison, as this kernel.
    pub(super) fn is_of(&self, config: &str, scenario: &str, kernel: &str) -> bool {
        (
            self.config.as_str(),
            self.scenario.as_str(),
            self.variant.as_str(),
        ) == (config, scenario, kernel)
    }

    /// Its splats that a finding counts, by their numbers.
    pub(super) fn showing(&self, finding: &Finding) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.splats.len())
            .filter(|at| self.splats[*at].titles.contains(&finding.title))
            .collect();
        // Other splats may share the title: the evidence is the finding's own.
        all.sort_by_key(|at| finding.evidence != format!("{}/{}", self.id, self.splats[*at].file));
        all
    }
}

fn boot(run: &Folder, id: String, room: &mut usize) -> Option<Boot> {
    let read = |name: &str| run.read(&format!("{id}/{name}"), MAX_RECORD).ok();
    let files = FILES.into_iter();
    let files = files
        .filter(|name| run.has(&format!("{id}/{name}")))
        .collect();
    let record = read("record.json").and_then(|json| serde_json::from_slice::<Record>(&json).ok());
    let Some(record) = record else {
        let begun: Begun = serde_json::from_slice(&read("cell.json")?).ok()?;
        return Some(Boot {
            config: begun.cell.config,
            variant: begun.cell.variant,
            scenario: begun.cell.scenario,
            end: Text::toned("cut off", Tone::Doubt),
            why: String::new(),
            elapsed_s: None,
            splats: Vec::new(),
            last_lines: Vec::new(),
            files,
            id,
        });
    };
    let (end, why) = ended(&record.end);
    let lines = match end.tone {
        Tone::Plain => 0,
        _ => LAST_LINES,
    };
    let skipped = record.last_lines.len().saturating_sub(lines);
    let splats = record.splats.into_iter();
    Some(Boot {
        config: record.cell.config,
        variant: record.cell.variant,
        scenario: record.cell.scenario,
        end,
        why,
        elapsed_s: Some(record.elapsed_s),
        splats: splats.map(|timed| splat(run, &id, timed, room)).collect(),
        last_lines: record.last_lines.into_iter().skip(skipped).collect(),
        files,
        id,
    })
}

fn ended(end: &End) -> (Text, String) {
    let (word, tone, why) = match end {
        End::Finished => ("finished", Tone::Plain, ""),
        End::BootFailed { why } => ("did not boot", Tone::Bad, why.as_str()),
        End::Watchdog { why, .. } => ("stopped", Tone::Bad, why.as_str()),
        End::Died {
            why,
            panicked: true,
        } => ("panicked", Tone::Bad, why.as_str()),
        End::Died { why, .. } => ("died", Tone::Bad, why.as_str()),
        End::Infrastructure { why } => ("infrastructure", Tone::Doubt, why.as_str()),
        End::Interrupted => ("interrupted", Tone::Doubt, ""),
    };
    (Text::toned(word, tone), why.to_owned())
}

fn splat(run: &Folder, id: &str, timed: TimedSplat, room: &mut usize) -> BootSplat {
    let TimedSplat {
        at_s,
        file,
        count,
        splat,
    } = timed;
    let decoded = file.strip_suffix(".txt").and_then(|stem| {
        let text = run
            .read(&format!("{id}/{stem}.decoded.txt"), MAX_TRACE)
            .ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    });
    let raw = String::from_utf8_lossy(&splat.text).into_owned();
    let size = raw.len() + decoded.as_ref().map_or(0, String::len);
    let fits = size <= *room;
    if fits {
        *room -= size;
    }
    let decoded = decoded.filter(|_| fits);
    let raw: Vec<String> = match fits {
        true => raw.lines().map(str::to_owned).collect(),
        false => Vec::new(),
    };
    let trace = match &decoded {
        Some(text) => trace(text),
        None => {
            let plain = |text: &String| Line {
                kind: LineKind::Plain,
                text: text.clone(),
            };
            raw.iter().map(plain).collect()
        }
    };
    let titles = [splat.title.clone()].into_iter().chain(splat.alternatives);
    BootSplat {
        titles: titles.collect(),
        title: splat.title,
        class: splat.class,
        at_s,
        count,
        phase: splat.phase.unwrap_or_default(),
        decoded: decoded.is_some(),
        file,
        trace,
        raw,
        corrupted: splat.corrupted,
    }
}

/// The lines of a decoded splat, as it lies on disk; its title and the note at its end are left out.
fn trace(text: &str) -> Vec<Line> {
    let lines = text.lines().skip(1).filter(|line| !line.is_empty());
    let lines = lines.map(|line| {
        let (kind, text) = if let Some(place) = line.strip_prefix("    + ") {
            (LineKind::Patched, place)
        } else if let Some(place) = line.strip_prefix("      ") {
            (LineKind::Place, place)
        } else if let Some(frame) = line.strip_prefix("  ") {
            (LineKind::Frame, frame)
        } else if line.ends_with(':') {
            (LineKind::Heading, line)
        } else {
            (LineKind::Plain, line)
        };
        Line {
            kind,
            text: text.to_owned(),
        }
    });
    lines.filter(|line| line.kind != LineKind::Plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoded_lines() {
        use LineKind::{Frame, Heading, Patched, Place};
        let text =
            "KASAN: x\n\nstack:\n  f+0x10\n      fs/x.c:3 g\n    + fs/x.c:9 f\n\n+ marks lines\n";
        let lines = trace(text);
        let lines: Vec<(LineKind, &str)> = lines
            .iter()
            .map(|line| (line.kind, line.text.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                (Heading, "stack:"),
                (Frame, "f+0x10"),
                (Place, "fs/x.c:3 g"),
                (Patched, "fs/x.c:9 f"),
            ]
        );
    }
}
