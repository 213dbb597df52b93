//! Cuts reports out of a console log, fed in pieces of any size, in bounded memory.

use std::collections::VecDeque;

use super::{
    formats::{self, Format, Role},
    line::{Caller, Line},
    open::{Numbered, Open, banner},
    phase::{self, Mark},
    prefilter,
    types::Splat,
};

/// Longer lines are cut; what is cut off is not looked at.
const MAX_LINE: usize = 16 << 10;
/// Lines before a header among which its banner is looked for.
const LOOK_BACK: usize = 32;
/// Reports being printed at once.
const MAX_OPEN: usize = 64;
/// Bytes of finished reports that may wait for an earlier one to finish.
const MAX_WAITING: usize = 8 << 20;

/// Finds the reports in a console log. Feed it the log's bytes as they come; it hands over each
/// report, in the order in which they begin, once no line can change it any more.
///
/// How the log is cut into pieces makes no difference to what comes out.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The line that has not ended yet.
    partial: Vec<u8>,
    /// How many lines ended so far.
    lines: u64,
    /// The last lines, for banners.
    before: VecDeque<Vec<u8>>,
    open: Vec<Open>,
    /// Finished, but an earlier one is still open; each with the line of its header, by which
    /// they are in order.
    waiting: Vec<(u64, Splat)>,
    waiting_bytes: usize,
    /// Up to where reports that finished lately have taken their callers' lines; no banner
    /// reaches back over that.
    taken: Vec<(Caller, u64)>,
    phase: Option<String>,
}

impl Scanner {
    /// A scanner at the log's beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the log and gives every report that is complete by now to `found`.
    pub fn feed(&mut self, bytes: &[u8], found: &mut impl FnMut(Splat)) {
        let mut rest = bytes;
        if !self.partial.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let room = MAX_LINE.saturating_sub(self.partial.len());
            let piece = &rest[..end.unwrap_or(rest.len())];
            self.partial
                .extend_from_slice(&piece[..piece.len().min(room)]);
            let Some(end) = end else { return };
            let line = std::mem::take(&mut self.partial);
            self.block(&line, found);
            rest = &rest[end + 1..];
        }
        match memchr::memrchr(b'\n', rest) {
            Some(end) => {
                self.block(&rest[..end], found);
                rest = &rest[end + 1..];
            }
            None if rest.is_empty() => return,
            None => {}
        }
        self.partial
            .extend_from_slice(&rest[..rest.len().min(MAX_LINE)]);
    }

    /// The log ends here: gives what is left to `found`.
    pub fn finish(mut self, found: &mut impl FnMut(Splat)) {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            self.block(&line, found);
        }
        for open in &mut self.open {
            open.log_ends_at(self.lines);
        }
        while !self.open.is_empty() {
            self.close(0);
        }
        self.hand_over(found);
    }

    /// The reports that may still grow, as they look so far: for whoever watches a guest. Those that
    /// are `wanted` by the line that they start at, and whether they said that they end.
    pub fn pending(&self, wanted: impl Fn(u64, bool) -> bool) -> Vec<Splat> {
        let open = self.open.iter();
        let open = open.filter(|open| wanted(open.start(), open.ended));
        let open = open.filter_map(|open| Some((open.header(), open.close()?)));
        let waiting = self.waiting.iter();
        let waiting = waiting.filter(|(_, splat)| wanted(splat.start_line, true));
        let mut splats: Vec<(u64, Splat)> = open.chain(waiting.cloned()).collect();
        splats.sort_by_key(|(header, _)| *header);
        splats.into_iter().map(|(_, splat)| splat).collect()
    }

    /// Takes whole lines, without the last line's end.
    fn block(&mut self, block: &[u8], found: &mut impl FnMut(Splat)) {
        let mut at = 0;
        while at <= block.len() {
            if self.open.is_empty() {
                // Nothing but a header matters: jump to the next line that may be one.
                let Some(hit) = prefilter::find(&block[at..]) else {
                    self.lines += 1 + memchr::memchr_iter(b'\n', &block[at..]).count() as u64;
                    break;
                };
                let start = memchr::memrchr(b'\n', &block[at..at + hit]).map_or(at, |n| at + n + 1);
                self.lines += memchr::memchr_iter(b'\n', &block[at..start]).count() as u64;
                at = start;
            }
            let end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |n| at + n);
            self.lines += 1;
            self.line(&block[..at], &block[at..end]);
            self.hand_over(found);
            at = end + 1;
        }
        self.remember(block);
    }

    /// Takes one line; `block` is what stands before it.
    fn line(&mut self, block: &[u8], raw: &[u8]) {
        let number = self.lines;
        let raw = &raw[..raw.len().min(MAX_LINE)];
        let line = Numbered {
            number,
            raw,
            line: Line::parse(raw),
        };
        self.settle(&line);
        let text = &*line.line.text;
        if prefilter::find(text.as_bytes()).is_some() {
            match phase::read(text) {
                Some(Mark::Begin(name)) => self.phase = Some(name.to_owned()),
                Some(Mark::End(_)) => self.phase = None,
                None => {}
            }
            if let Some(matched) = formats::matching(text).next() {
                let format = matched.format;
                if self.header(format, &line, block) {
                    return;
                }
            }
        }
        let mut at = 0;
        while at < self.open.len() {
            if self.open[at].listens_to(line.line.caller) && !self.open[at].take(&line) {
                self.close(at);
            } else {
                at += 1;
            }
        }
    }

    /// Takes a header; false when it is a line like any other here.
    fn header(&mut self, format: &'static Format, line: &Numbered<'_>, block: &[u8]) -> bool {
        let caller = line.line.caller;
        let mine = self.open.iter().position(|open| open.caller == caller);
        if mine.is_some_and(|at| self.open[at].absorbs(format)) {
            return false;
        }
        if format.role == Role::Aftermath && format.cut.is_some() && !self.open.is_empty() {
            return false;
        }
        let before = self.lines_before(block, line.number);
        if format.role == Role::Reboot && before.iter().all(|line| is_boot_chatter(&line.line.text))
        {
            return false;
        }
        let own: Vec<Numbered<'_>> = before
            .into_iter()
            .filter(|line| line.line.caller == caller)
            .collect();
        let banner = banner(&own);
        let start = banner.first().map_or(line.number, |line| line.number);
        let open = Open::new(format, banner, line, self.phase.as_deref());
        if let Some(at) = mine {
            self.open[at].cut_at(start);
            self.close(at);
        }
        if self.open.len() >= MAX_OPEN {
            self.close(0);
        }
        self.open.push(open);
        true
    }

    /// The last lines before line `number`, oldest first, without those of finished reports.
    fn lines_before<'a>(&'a self, block: &'a [u8], number: u64) -> Vec<Numbered<'a>> {
        let block = block.strip_suffix(b"\n").unwrap_or(block);
        let inside = if block.is_empty() {
            Vec::new()
        } else {
            last_lines(block)
        };
        let mut raws: Vec<&[u8]> = self.before.iter().map(Vec::as_slice).collect();
        raws.extend(inside);
        let skip = raws.len().saturating_sub(LOOK_BACK);
        let count = raws.len() as u64;
        raws.into_iter()
            .enumerate()
            .skip(skip)
            .map(|(at, raw)| Numbered {
                number: number - count + at as u64,
                raw,
                line: Line::parse(raw),
            })
            .filter(|line| {
                let mine = |(caller, end): &(Caller, u64)| {
                    *caller == line.line.caller && line.number <= *end
                };
                !self.taken.iter().any(mine)
            })
            .collect()
    }

    /// Keeps the block's last lines for the banners of the next one.
    fn remember(&mut self, block: &[u8]) {
        for raw in last_lines(block) {
            if self.before.len() == LOOK_BACK {
                self.before.pop_front();
            }
            self.before.push_back(raw.to_vec());
        }
    }

    /// Closes what can grow no more.
    fn settle(&mut self, line: &Numbered<'_>) {
        let mut at = 0;
        while at < self.open.len() {
            if self.open[at].is_over(line) {
                self.close(at);
            } else {
                at += 1;
            }
        }
    }

    fn close(&mut self, at: usize) {
        let open = self.open.remove(at);
        let recent = self.lines.saturating_sub(LOOK_BACK as u64);
        self.taken.retain(|(_, end)| *end >= recent);
        self.taken.push((open.caller, open.end()));
        if let Some(splat) = open.close() {
            self.waiting_bytes += splat.text.len();
            let header = open.header();
            let at = self.waiting.partition_point(|(other, _)| *other <= header);
            self.waiting.insert(at, (header, splat));
        }
        if self.waiting_bytes > MAX_WAITING && !self.open.is_empty() {
            self.close(0);
        }
    }

    /// Gives away what no earlier report holds up.
    fn hand_over(&mut self, found: &mut impl FnMut(Splat)) {
        if self.waiting.is_empty() {
            return;
        }
        let bound = self.open.iter().map(Open::header).min().unwrap_or(u64::MAX);
        let ready = self
            .waiting
            .iter()
            .take_while(|(header, _)| *header < bound)
            .count();
        for (_, splat) in self.waiting.drain(..ready) {
            self.waiting_bytes -= splat.text.len();
            found(splat);
        }
    }
}

/// What firmware, boot loaders and the kernel's own loader print before the kernel proper.
fn is_boot_chatter(text: &str) -> bool {
    const CHATTER: &[&str] = &[
        "SeaBIOS",
        "iPXE",
        "Booting from",
        "GRUB",
        "EFI",
        "early console",
        "input_data",
        "input_len",
        "output",
        "kernel_total_size",
        "needed_size",
        "trampoline",
        "KASLR",
        "Physical KASLR",
        "Decompressing Linux",
        "Parsing ELF",
        "CPUs found",
        "Total RAM",
        "drive ",
        "virtio",
        "found virtio",
        "PCI",
        "VBE",
        "Machine UUID",
        "Press ",
        "Select item",
        "Loading ",
        "Failed to get",
    ];
    let text = text.trim();
    text.is_empty() || CHATTER.iter().any(|start| text.starts_with(start))
}

/// The last lines of a block, oldest first, cut like any other line.
fn last_lines(block: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = memchr_rsplit(block)
        .take(LOOK_BACK)
        .map(|line| &line[..line.len().min(MAX_LINE)])
        .collect();
    lines.reverse();
    lines
}

fn memchr_rsplit(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(block);
    std::iter::from_fn(move || {
        let bytes = rest?;
        match memchr::memrchr(b'\n', bytes) {
            Some(at) => {
                rest = Some(&bytes[..at]);
                Some(&bytes[at + 1..])
            }
            None => {
                rest = None;
                Some(bytes)
            }
        }
    })
}
