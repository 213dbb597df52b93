//! A report that is still being printed: which lines are its own, and when it is over.

use super::{
    formats::{self, Format, Role},
    frame::Kind,
    line::{Caller, Line},
    report,
    text::{self, Entry},
    types::Splat,
};

/// A report takes no more lines than this.
const MAX_LINES: usize = 4_000;
/// ... and no more bytes.
const MAX_BYTES: usize = 256 << 10;
/// Log lines behind its last own line after which nothing more is expected.
const QUIET_LINES: u64 = 400;
/// The same where lines say whose they are: other CPUs' reports may come in between.
const QUIET_TOLD_APART: u64 = 4_000;
/// Its caller's other lines after which nothing more is expected.
const QUIET_OWN: usize = 80;
/// Seconds of kernel time, likewise.
const QUIET_S: f64 = 30.0;
/// The same for a report that said that it ends.
const ENDED_LINES: u64 = 60;
const ENDED_S: f64 = 5.0;
/// Lines into a report within which a fault may be the reporter's own.
const NESTED_LINES: usize = 20;
/// Between `<NAME>` and `</NAME>` x86-64 prints the frames of a stack.
const STACK_MARKS: &[&str] = &["TASK", "IRQ", "NMI", "SOFTIRQ", "ENTRY_TRAMPOLINE"];
/// What a kernel says that dies, or that ends the task that made it fault.
const DEATHS: &[&str] = &["Kernel panic - not syncing", "Oops: ", "Internal error: "];
/// No report spans more of the log.
const MAX_SPAN: u64 = 20_000;

/// One report in the making.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) format: &'static Format,
    pub(super) caller: Caller,
    lines: Vec<Entry>,
    /// Where each line ends in `raw`.
    ends: Vec<usize>,
    raw: Vec<u8>,
    header: usize,
    /// How many of the lines are certainly the report's.
    own: usize,
    own_time: Option<f64>,
    time: Option<f64>,
    phase: Option<String>,
    /// The kernel died of it, or the task that it is about.
    fatal: bool,
    /// It said that it ends.
    pub(super) ended: bool,
    /// Another report began before this one ended.
    interrupted: bool,
    /// The log ended in the middle of a stack of its.
    cut_off: bool,
    /// It asked other CPUs for their stacks, so their lines are its own.
    asks_cpus: bool,
}

/// A line of the log with its number.
#[derive(Debug, Clone)]
pub(super) struct Numbered<'a> {
    pub(super) number: u64,
    pub(super) raw: &'a [u8],
    pub(super) line: Line<'a>,
}

impl Open {
    pub(super) fn new(
        format: &'static Format,
        banner: &[Numbered<'_>],
        header: &Numbered<'_>,
        phase: Option<&str>,
    ) -> Self {
        let mut open = Self {
            format,
            caller: header.line.caller,
            lines: Vec::new(),
            ends: Vec::new(),
            raw: Vec::new(),
            header: banner.len(),
            own: 0,
            own_time: header.line.time,
            time: header.line.time,
            phase: phase.map(str::to_owned),
            fatal: format.class == "oops",
            ended: false,
            interrupted: false,
            cut_off: false,
            asks_cpus: false,
        };
        for line in banner.iter().chain([header]) {
            open.push(line);
        }
        open.own = open.lines.len();
        open
    }

    pub(super) fn start(&self) -> u64 {
        self.lines[0].number
    }

    pub(super) fn end(&self) -> u64 {
        self.lines[self.own - 1].number
    }

    /// The number of the line that says what it is.
    pub(super) fn header(&self) -> u64 {
        self.lines[self.header].number
    }

    /// Whether a header of that format, from the same caller, is part of this report all the same.
    pub(super) fn absorbs(&self, format: &Format) -> bool {
        let last = &self.lines[self.lines.len() - 1];
        let same_class = self.format.class == format.class;
        // Symbolized logs repeat the header for each function inlined there.
        if same_class && last.text.ends_with("[inline]") {
            return true;
        }
        // One finding may have two headlines: `BUG: memory leak`, `unreferenced object`.
        if same_class
            && self.format.traced
            && self.lines.len() == self.header + 1
            && self.format.needle != format.needle
        {
            return true;
        }
        match format.role {
            Role::Aftermath => true,
            // A task that died of an oops does nothing of its own any more.
            Role::Sequel => !self.ended || (self.fatal && format.class == "panic"),
            Role::Maybe | Role::Stamped => !self.ended,
            // A detector that crashes while it reports: the fault's stack is the report's.
            Role::Report => {
                self.told_apart()
                    && self.format.traced
                    && !formats::vague(self.format)
                    && self.lines.len() - self.header < NESTED_LINES
                    && !self.lines[self.header..]
                        .iter()
                        .any(|line| !matches!(line.kind, Kind::Text))
            }
            Role::Reboot => false,
        }
    }

    /// Whether the kernel says which task each line is from.
    fn told_apart(&self) -> bool {
        matches!(self.caller, Caller::Task(_) | Caller::Cpu(_))
    }

    /// Whether this report waits for lines of that caller.
    pub(super) fn listens_to(&self, caller: Caller) -> bool {
        self.caller == caller || (self.asks_cpus && matches!(caller, Caller::Cpu(_)))
    }

    /// Whether nothing more can be expected at this point of the log.
    pub(super) fn is_over(&self, line: &Numbered<'_>) -> bool {
        let number = line.number;
        let (lines, seconds) = if self.ended {
            (ENDED_LINES, ENDED_S)
        } else if self.told_apart() {
            (QUIET_TOLD_APART, QUIET_S)
        } else {
            (QUIET_LINES, QUIET_S)
        };
        // Only its own caller's clock: lines of other CPUs may be out of order.
        let time = line.line.time.filter(|_| self.listens_to(line.line.caller));
        let quiet = match (time, self.own_time) {
            (Some(now), Some(then)) => now - then > seconds || now - then < -1.0,
            _ => false,
        };
        quiet
            || number.saturating_sub(self.end()) > lines
            || number.saturating_sub(self.start()) > MAX_SPAN
            || self.lines.len() - self.own > QUIET_OWN
            || self.lines.len() >= MAX_LINES
            || self.raw.len() >= MAX_BYTES
    }

    /// Takes a line of a caller that it listens to; false when the line belongs to the next report.
    pub(super) fn take(&mut self, line: &Numbered<'_>) -> bool {
        let text = &*line.line.text;
        let rule = is_rule(text);
        if self.ended && (rule || is_cut_here(text)) {
            return false;
        }
        self.push(line);
        let entry = &self.lines[self.lines.len() - 1];
        if text::belongs(&entry.text, &entry.kind) {
            self.own = self.lines.len();
            self.own_time = line.line.time.or(self.own_time);
        }
        if text.contains("Sending NMI from CPU") || text.contains("Sending NMI to all CPUs") {
            self.asks_cpus = true;
        }
        let closes =
            rule && text.starts_with('=') && self.framed() && self.lines.len() > self.header + 4;
        self.ended |= closes || text.starts_with("---[ end ");
        true
    }

    /// Whether a rule ends this kind of report, as the sanitizers print it.
    fn framed(&self) -> bool {
        matches!(
            self.format.class,
            "kasan" | "kcsan" | "kfence" | "kmsan" | "ubsan"
        )
    }

    /// The log ends with this line: a stack that it ends in the middle of is not whole.
    pub(super) fn log_ends_at(&mut self, number: u64) {
        let marks = self.lines.iter().rev().filter_map(|line| {
            let mark = line.text.trim().strip_suffix('>')?.strip_prefix('<')?;
            let (ends, name) = mark
                .strip_prefix('/')
                .map_or((false, mark), |name| (true, name));
            STACK_MARKS.contains(&name).then_some(!ends)
        });
        self.cut_off = self.end() == number && marks.into_iter().next() == Some(true);
    }

    /// Gives up the lines from `number` on: they are the next report's banner.
    pub(super) fn cut_at(&mut self, number: u64) {
        self.interrupted = !self.ended;
        let keep = self
            .lines
            .iter()
            .position(|line| line.number >= number)
            .unwrap_or(self.lines.len());
        let keep = keep.max(self.header + 1);
        self.lines.truncate(keep);
        self.own = self.own.min(keep);
        while self.own > self.header + 1 && self.lines[self.own - 1].text.trim().is_empty() {
            self.own -= 1;
        }
    }

    /// The report, unless it turned out to be none.
    pub(super) fn close(&self) -> Option<Splat> {
        let lines = &self.lines[..self.own];
        if formats::unsure(self.format, self.caller != Caller::Bare)
            && !lines
                .iter()
                .any(|line| matches!(line.kind, Kind::Frame(_) | Kind::Call(..)))
        {
            return None;
        }
        let mut splat = report::read(&lines[self.header..], self.told_apart());
        if self.interrupted && self.framed() && self.header > 0 && splat.corrupted.is_none() {
            splat.corrupted = Some("another report begins before this one ends".to_owned());
        }
        if self.cut_off && splat.corrupted.is_none() {
            splat.corrupted = Some("the log ends in the middle of a stack".to_owned());
        }
        splat.fatal = self.fatal;
        splat.start_line = self.start();
        splat.end_line = self.end();
        splat.time_s = self.time;
        splat.phase.clone_from(&self.phase);
        splat.text = self.raw[..self.ends[self.own - 1]].to_vec();
        Some(splat)
    }

    fn push(&mut self, line: &Numbered<'_>) {
        let text = &line.line.text;
        self.fatal |= DEATHS.iter().any(|death| text.contains(death));
        self.lines.push(Entry::new(line.number, text));
        self.raw.extend_from_slice(line.raw);
        self.raw.push(b'\n');
        self.ends.push(self.raw.len());
    }
}

/// The lines before a header that are part of its report, from those printed by the same caller,
/// oldest first: the rule above it, or `cut here` and the message behind that.
pub(super) fn banner<'l, 'a>(before: &'l [Numbered<'a>]) -> &'l [Numbered<'a>] {
    if let Some(at) = before.iter().rposition(|line| is_cut_here(&line.line.text))
        && before[at..]
            .iter()
            .all(|line| !line.line.text.starts_with("---[ end "))
    {
        let with_reason = at > 0 && explains(&before[at - 1].line.text);
        return &before[at - usize::from(with_reason)..];
    }
    let mut at = before.len();
    while at > 0 && (is_rule(&before[at - 1].line.text) || explains(&before[at - 1].line.text)) {
        at -= 1;
    }
    &before[at..]
}

fn is_rule(text: &str) -> bool {
    text.len() >= 10 && (text.bytes().all(|b| b == b'=') || text.bytes().all(|b| b == b'-'))
}

fn is_cut_here(text: &str) -> bool {
    text.contains("[ cut here ]")
}

/// A message that the kernel prints right before the header of the report that it is about.
fn explains(text: &str) -> bool {
    const BEFORE: &[&str] = &[
        "list_add ",
        "list_del ",
        "list_add corruption",
        "list_del corruption",
        "kasan: ",
        "usercopy: ",
    ];
    BEFORE.iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::super::scan_bytes;

    #[test]
    fn a_report_says_whether_the_kernel_died() {
        let warning = "WARNING: fs/f.c:1 at f+0x1/0x2\nCall Trace:\n f+0x1/0x2\n";
        let oops = "BUG: kernel NULL pointer dereference, address: 0\n";
        for (log, fatal) in [
            (warning.to_owned(), false),
            (format!("{warning}Kernel panic - not syncing: x\n"), true),
            (format!("{warning}Oops: bounds: 0000 [#1] SMP\n"), true),
            (format!("{oops}Oops: Oops: 0000 [#1] SMP\n"), true),
            (oops.to_owned(), true),
        ] {
            let splats = scan_bytes(log.as_bytes());
            assert_eq!(splats.len(), 1, "{log}");
            assert_eq!(splats[0].fatal, fatal, "{log}");
        }
    }
}
