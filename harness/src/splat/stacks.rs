//! The stacks of a report: those of the fault or race itself, and those that only explain.

use std::{borrow::Cow, mem};

use super::{
    frame::Kind,
    pattern,
    text::Entry,
    types::{Frame, Place},
};

/// A report's stacks, in its order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Stacks {
    /// Of the access or fault.
    pub(super) fault: Vec<Vec<Frame>>,
    /// Of what happened before: allocations, frees, locks taken.
    pub(super) context: Vec<Vec<Frame>>,
}

/// Behind such a line stands a stack of the thing itself.
const FAULT: &str = r"Call [Tt]race:|Backtrace:|^ *backtrace(?: \(crc .*\))?:$|^(?:read|write|race|assert no) .* (?:by|on cpu|at unknown)|^(?:Use-after-free|Out-of-bounds|Invalid|Corrupted|Memory)[a-z -]* (?:read|write|of|at)";

/// Behind such a line stands one that explains.
const CONTEXT: &str = r"^(?:Allocated|Freed)(?: by task \d+[^:]*)?:|^(?:INFO: )?(?:Allocated|Freed) in |^Uninit was|^(?:Last|Second to last) potentially related|^page last |allocated by task \d+|freed by task \d+|^ *-> #\d|^which became|^the first lock|state was registered at:$|^Local variable|^Object was|^Preemption disabled at|lock-.*usage.*:$|^ *\.\.\.";

/// Behind such a line RCU dumps what holds up its own kthread, call trace and all.
const STARVED: &str =
    r"RCU grace-period kthread stack dump:$|Stack dump where RCU GP kthread last ran:$";

/// Behind such a line a CPU is dumped, call trace and all; an idle one is not. The first one is the
/// one that is stuck, unless its stack stands above already.
const NMI: &str = r"^NMI backtrace for cpu \d+(?P<idle> skipped)?";

/// A dump that explains: to it belongs the next call trace too, unless it was of a CPU in user
/// space, which has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Dump {
    Announced,
    Begun,
    #[default]
    Over,
}

/// Reads the stacks of a report whose header is `lines[0]`.
pub(super) fn read(lines: &[Entry]) -> Stacks {
    let fault = pattern::cached(Cow::Borrowed(FAULT));
    let context = pattern::cached(Cow::Borrowed(CONTEXT));
    let starved = pattern::cached(Cow::Borrowed(STARVED));
    let nmi = pattern::cached(Cow::Borrowed(NMI));
    let mut all = Stacks::default();
    let mut stack: Vec<Frame> = Vec::new();
    let mut inlined: Vec<Place> = Vec::new();
    let mut explains = false;
    let mut dump = Dump::Over;
    let mut is_starved = false;
    for line in &lines[lines.len().min(1)..] {
        match &line.kind {
            Kind::Frame(frame) => {
                // arm64's trace begins with the counter that stands above it.
                if stack.len() == 1
                    && stack[0].exact
                    && (&stack[0].symbol, stack[0].offset) == (&frame.symbol, frame.offset)
                {
                    continue;
                }
                let mut frame = frame.clone();
                let own = mem::replace(&mut frame.places, mem::take(&mut inlined));
                frame.places.extend(own);
                stack.push(frame);
            }
            Kind::Call(callee, _) => stack.push(callee.clone()),
            Kind::Inlined(place) => inlined.push(place.clone()),
            Kind::Pc(Some(frame)) => stack.push(frame.clone()),
            Kind::Pc(None) => {}
            Kind::Text => {
                // Both repeat what was said: the end its registers, a panic its stack.
                if line.text.starts_with("---[ end ")
                    || line.text.contains("Kernel panic - not syncing")
                {
                    break;
                }
                let begins = if fault.is_match(&line.text) {
                    let of_dump = mem::take(&mut dump) != Dump::Over;
                    // The program counter is the first frame of the trace behind it.
                    if stack.len() == 1 && stack[0].exact && explains == of_dump {
                        continue;
                    }
                    Some(of_dump)
                } else if let Some(cpu) = nmi.captures(&line.text) {
                    all.take(&mut stack, explains);
                    let is_other = dump != Dump::Over || !all.fault.is_empty();
                    dump = match cpu.name("idle") {
                        None if is_other => Dump::Announced,
                        _ => Dump::Over,
                    };
                    Some(dump != Dump::Over)
                } else if starved.is_match(&line.text) {
                    is_starved = true;
                    dump = Dump::Announced;
                    Some(true)
                } else if context.is_match(&line.text) {
                    Some(true)
                } else if line.text.starts_with("CPU: ") {
                    // Registers or a trace follow, whatever was told before them.
                    dump = match dump {
                        Dump::Announced => Dump::Begun,
                        Dump::Begun | Dump::Over => Dump::Over,
                    };
                    Some(dump != Dump::Over)
                } else {
                    line.text.trim().is_empty().then_some(explains)
                };
                if let Some(next) = begins {
                    all.take(&mut stack, explains);
                    explains = next;
                }
            }
        }
    }
    all.take(&mut stack, explains);
    if is_starved && all.fault.is_empty() {
        // No CPU and no task held up the grace period: this is all that there is to the stall.
        mem::swap(&mut all.fault, &mut all.context);
    }
    all
}

impl Stacks {
    fn take(&mut self, stack: &mut Vec<Frame>, explains: bool) {
        let stack = mem::take(stack);
        if !stack.is_empty() {
            if explains {
                self.context.push(stack)
            } else {
                self.fault.push(stack)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
        let lines: Vec<Entry> = text.lines().map(|line| Entry::new(1, line)).collect();
        let all = read(&lines);
        let names = |stacks: &[Vec<Frame>]| {
            stacks
                .iter()
                .map(|s| s.iter().map(|f| f.function.clone()).collect())
                .collect()
        };
        (names(&all.fault), names(&all.context))
    }

    #[test]
    fn the_two_sides_of_a_race_are_two_stacks() {
        let (fault, context) = shape(
            "BUG: KCSAN: data-race in a / b\n\nwrite to 0xff of 8 bytes by task 1 on cpu 0:\n a+0x1/0x2\n c+0x1/0x2\n\nread to 0xff of 8 bytes by task 2 on cpu 1:\n b+0x1/0x2\n\nReported by",
        );
        assert_eq!(
            (fault, context),
            (vec![vec!["a".into(), "c".into()], vec!["b".into()]], vec![])
        );
    }

    #[test]
    fn allocation_explains_and_the_counter_leads_its_trace() {
        let (fault, context) = shape(
            "BUG: x\nRIP: 0010:f+0x1/0x2\nRAX: 1\nCall Trace:\n g+0x1/0x2\n\nAllocated by task 7:\n k+0x1/0x2\n\nFreed by task 8:\n l+0x1/0x2",
        );
        assert_eq!(fault, [["f", "g"]]);
        assert_eq!(context, [["k"], ["l"]]);
    }

    #[test]
    fn a_stuck_cpus_function_leads_its_stack_and_other_cpus_explain() {
        let dump = |cpu: u32, [at, caller]: [&str; 2]| {
            format!(
                "CPU: {cpu} UID: 0 PID: 7\nRIP: 0010:{at}+0x1/0x2\nCall Trace:\n {caller}+0x1/0x2\n"
            )
        };
        let irqs = "irq event stamp: 2\nhardirqs last  enabled at (1): [<ff>] e+0x1/0x2\nsoftirqs last disabled at (2): [<ff>] d+0x1/0x2\n";
        let stuck = dump(1, ["f", "g"]);
        let others = format!(
            "NMI backtrace for cpu 0\n{}NMI backtrace for cpu 2 skipped: idling at h+0x1/0x2\nNMI backtrace for cpu 3\n{}",
            dump(0, ["k", "l"]),
            dump(3, ["m", "n"]),
        );
        for own in [
            "",
            "Sending NMI from CPU 0 to CPUs 1:\nNMI backtrace for cpu 1\n",
        ] {
            let (fault, context) = shape(&format!("BUG: x\n{irqs}{own}{stuck}{others}"));
            assert_eq!(fault, [["f", "g"]], "{own}");
            assert_eq!(context, [["k", "l"], ["m", "n"]], "{own}");
        }
    }

    #[test]
    fn what_starves_rcus_kthread_explains_unless_nothing_else_stalls() {
        let kthread = "rcu: RCU grace-period kthread stack dump:\ntask:rcu_preempt\nCall Trace:\n w+0x1/0x2\nrcu: Stack dump where RCU GP kthread last ran:\nNMI backtrace for cpu 1\nCPU: 1 UID: 0\nRIP: 0010:k+0x1/0x2\nCall Trace:\n l+0x1/0x2\n";
        let own = "CPU: 0 UID: 0\nRIP: 0010:f+0x1/0x2\nCall Trace:\n g+0x1/0x2\n";
        let starved = vec![vec!["w"], vec!["k", "l"]];
        let (fault, context) = shape(&format!("rcu: INFO: x\n{kthread}{own}"));
        assert_eq!(fault, [["f", "g"]]);
        assert_eq!(context, starved);
        assert_eq!(shape(&format!("rcu: INFO: x\n{kthread}")).0, starved);
        let (in_user_space, _) = kthread.rsplit_once("RIP").unwrap();
        let (fault, context) = shape(&format!(
            "rcu: INFO: x\n{in_user_space}RIP: 0033:0x7f1d\n{own}"
        ));
        assert_eq!(fault, [["f", "g"]]);
        assert_eq!(context, starved[..1]);
    }
}
