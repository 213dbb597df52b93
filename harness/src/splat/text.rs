//! The lines of one report, read once, and what can be said of each alone.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    frame::{self, Kind},
    pattern,
};

/// One line of a report.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its number in the log, from 1.
    pub(super) number: u64,
    /// Without the console prefix.
    pub(super) text: String,
    pub(super) kind: Kind,
}

impl Entry {
    pub(super) fn new(number: u64, text: &str) -> Self {
        Self {
            number,
            text: text.to_owned(),
            kind: frame::read(text),
        }
    }

    /// Whether a stack begins behind this line.
    pub(super) fn starts_stack(&self) -> bool {
        stack_start(&self.text).is_some()
    }
}

/// The sort of stack that begins behind a line, as an index into [`STACK_STARTS`].
pub(super) fn stack_start(text: &str) -> Option<usize> {
    // Most lines are frames; they hold none of these letters' words.
    if !text.ends_with(':') && !text.contains("race") && !text.contains("Uninit") {
        return None;
    }
    static STARTS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        STACK_STARTS
            .iter()
            .map(|start| pattern::compile(start))
            .collect()
    });
    STARTS.iter().position(|start| start.is_match(text))
}

/// What stands above a stack. `stack backtrace:` is lockdep's headline for the line
/// `Call Trace:` that follows it.
pub(super) const STACK_STARTS: &[&str] = &[
    r"Call [Tt]race",
    // With CONFIG_KASAN_EXTRA_INFO: `Allocated by task 56 on cpu 0 at 12.345678s:`.
    r"Allocated(?: by task [0-9]+[^:]*)?:",
    r"Freed(?: by task [0-9]+[^:]*)?:",
    r"(?:^ *|[^k] )backtrace(?: \(crc [[:xdigit:]]*\))?:",
    r"Backtrace:",
    r"Uninit was stored to memory at",
];

/// Whether a line can be part of a report at all. Decides where a report ends, so it errs
/// towards yes for what only reports print.
pub(super) fn belongs(text: &str, kind: &Kind) -> bool {
    static PARTS: LazyLock<Regex> = LazyLock::new(|| pattern::compile(&REPORT_LINES.join("|")));
    !matches!(kind, Kind::Text) || stack_start(text).is_some() || PARTS.is_match(text)
}

const REPORT_LINES: &[&str] = &[
    // Rules around and between parts.
    r"^=+$",
    r"^-{8,}",
    r"^---\[ end",
    r"\[ cut here \]",
    // Whose report it is.
    r"^CPU: \d+ ",
    r"^Hardware name:",
    r"^Modules linked in:",
    r"^Tainted:",
    r"^Workqueue:",
    r"^Sched_ext:",
    r"^Process ",
    r"^task:",
    r"^Stack:",
    r"^Code: ",
    r"^Insn:",
    r"^Internal error",
    r"^Oops",
    r"^\[#\d+\]",
    // Registers.
    r"^(?:[RE][A-Z0-9]{1,2}|EFLAGS|[CDFG][SR][0-9]?|PKRU|ORIG_RAX|MSR|GPR\d\d|SP|pstate|sp|lr|x\d+|r\d+|NIP|LR) ?:",
    r"^[RE][A-Z0-9]{2}: [0-9a-f]{8,}",
    r"^r\d+:[0-9a-f]{8}",
    r"^FS: ",
    r"^Mem abort info",
    r"^  (?:ESR|EC|SET|EA|FSC|CM|ISV) ?=",
    r"^\[[0-9a-f]{16}\] (?:pgd|user)",
    r"^PGD ",
    r"^#PF:",
    r"^user pgtable:",
    r"^\*pgd = ",
    // Stacks.
    r"^ *</?(?:TASK|IRQ|NMI|EOI|SOFTIRQ|#)",
    r"stack backtrace:",
    r"^ *\(stack is not available\)",
    r"^stack trace:",
    // Memory.
    r"^(?:Read|Write) (?:of size|at addr)",
    r"^The buggy address",
    r"^Memory state around",
    r"^[ >]?[0-9a-f]{8,16}: ",
    r"^ +\^",
    r"^(?:Last|Second to last) potentially",
    r"^page[: ]",
    r"^flags: 0x",
    r"^raw: ",
    r"^head: ",
    r"page_owner",
    r"^which belongs to",
    r"^(?:freed|allocated) by",
    r"^The buggy",
    r"^kfence-#",
    r"^ *\d+-byte region",
    r"^located ",
    r"^Pointer tag",
    r"^Memory tag",
    r"^Bytes? \d+(?:-\d+)? of \d+",
    r"^Memory access of size",
    r"^Data copied to",
    r"^Local variable",
    r"^Uninit was",
    r"^unreferenced object",
    r"^  (?:comm|hex dump|backtrace)",
    r"^    [0-9a-f]{2} ",
    r"^(?:Object|Redzone|Padding|Slab|INFO: Slab|INFO: Object|INFO: Allocated|INFO: Freed|FIX) ?",
    // Races.
    r"^(?:read|write|race|assert|value changed|Reported by)",
    // Locks.
    r"lock(?:s)? held by",
    r"\bat: (?:\[<|[a-zA-Z_])",
    r"^ *#\d+: ",
    r"^ *-> #\d+",
    r"trying to (?:acquire|lock|release)",
    r"already holding lock",
    r"other info that might",
    r"Possible unsafe locking",
    r"^ +CPU\d",
    r"^ +(?:un|r|w|s|d)*[Ll]?ock\(",
    r"\*\*\* DEADLOCK",
    r"existing dependency chain",
    r"^(?:and|but|which|to a|the|hardirqs?|softirqs?|irq event|context-|no locks held|no more locks|stack)",
    r"^ *\[ *(?:WARNING|INFO|BUG)",
    r"^ *\{",
    r" at:$",
    r"^ *<Interrupt>",
    r"^rcu_scheduler_active",
    r"May be due to",
    r"^in_atomic|^preempt_count|^RCU nest depth|^Preemption disabled at|^BUG: ",
    r"^ *last function:|^ +preempt=0x|^caller is",
    // Stalls.
    r"^rcu:|^\t|^NMI backtrace|^Sending NMI|^Showing|^workqueue |^  pwq |^ +(?:in-flight|pending|inactive):|^pool \d|^Task dump",
    r"^.echo 0 >|^      Not tainted|^      Tainted|blocked for more than",
    r"Kernel panic - not syncing|^Kernel Offset|^Dumping ftrace|^Rebooting in|^SMP: |^KASAN: |^kasan: |^Lock depth|^note: ",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_reports_print_belongs() {
        for text in [
            "Call Trace:",
            " vfs_read+0x1/0x2",
            "RAX: 0000000000000061 RBX: 1ffff92000249b58",
            "</TASK>",
            "CPU: 1 PID: 3789 Comm: x",
            "Modules linked in:",
            "---[ end trace 0000000000000000 ]---",
            " ffff8880a1b2c300: fa fb fb fb",
            "2 locks held by x/12:",
            "==================",
        ] {
            assert!(belongs(text, &frame::read(text)), "{text}");
        }
        for text in [
            "EXT4-fs (sda1): mounted",
            "audit: type=1400",
            "usb 1-1: new device",
            "random: crng init done",
        ] {
            assert!(!belongs(text, &frame::read(text)), "{text}");
        }
    }
}
