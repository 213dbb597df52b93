//! Standstill: RCU stalls, hung tasks, soft, hard and workqueue lockups.

use super::{
    super::guilty::{Guilty, Pick, Step, TRACE},
    row::{AT_PC, Format, IN_TRACE, ROW, Role},
};

/// The tick finds the stall; what it interrupted stands below its entry.
const TICK: &[Step] = &[Step::Find("apic_timer_interrupt"), Step::Pc, Step::Frames];
const OTHER_TICK: &[Step] = &[
    Step::Find("apic_timer_interrupt|Exception stack|el1h_64_irq"),
    Step::Frames,
];
/// The tick's own frames are left out, and what it interrupted is all there is.
const NO_TICK: &[Step] = &[Step::OwnPc, TRACE, Step::Frames];

const RCU: Guilty = Guilty {
    steps: TICK,
    otherwise: &[OTHER_TICK, NO_TICK],
    skip: &["apic_timer_interrupt", "rcu"],
    pick: Pick::Anchor,
};

/// Where the dump of a CPU begins.
const CPU: Step = Step::Find(r"^CPU: \d+ ");

/// Before the CPU that stalls comes the grace-period kthread where that is starved, and the CPU
/// that it last ran on.
const SELF_DETECTED: Guilty = Guilty {
    otherwise: &[
        OTHER_TICK,
        NO_TICK,
        &[
            Step::Find("Stack dump where RCU GP kthread last ran:"),
            CPU,
            CPU,
            Step::Pc,
            TRACE,
            Step::Frames,
        ],
        &[CPU, Step::Pc, TRACE, Step::Frames],
    ],
    ..RCU
};

const SOFT: Guilty = Guilty {
    pick: Pick::Anchor,
    ..AT_PC
};

const STALL: &[&str] = &["stall in {func}"];
const HANG: &[&str] = &["hang in {func}"];

pub(super) const ROWS: &[Format] = &[
    // Tasks that no grace period of RCU's tasks can pass: where the first one is.
    Format {
        needle: "INFO: rcu_tasks",
        header: r"INFO: rcu_tasks\w* detected stalls on tasks",
        class: "rcu-stall",
        title: "INFO: rcu detected stall in {func}",
        alternatives: STALL,
        guilty: Some(Guilty {
            skip: &["schedule"],
            ..IN_TRACE
        }),
        ..ROW
    },
    Format {
        needle: "INFO: rcu",
        header: r"INFO: rcu_\w+ self-detected stall",
        class: "rcu-stall",
        title: "INFO: rcu detected stall in {func}",
        alternatives: STALL,
        guilty: Some(SELF_DETECTED),
        ..ROW
    },
    Format {
        needle: "INFO: rcu",
        header: r"INFO: rcu_\w+ detected(?: expedited)? stall",
        class: "rcu-stall",
        title: "INFO: rcu detected stall in {func}",
        alternatives: STALL,
        guilty: Some(RCU),
        ..ROW
    },
    Format {
        needle: "kthread starved for ",
        header: r"^(?:rcu: )?(?:INFO: )?rcu_\w+ kthread starved for \d+ jiffies",
        class: "rcu-stall",
        title: "INFO: rcu kthread starved",
        alternatives: STALL,
        traced: false,
        role: Role::Sequel,
        ..ROW
    },
    Format {
        needle: "INFO: task ",
        header: r"INFO: task .* blocked .*for more than [0-9]+ seconds",
        class: "hang",
        title: "INFO: task hung in {func}",
        alternatives: HANG,
        guilty: Some(Guilty {
            steps: &[TRACE, Step::Frames],
            otherwise: &[],
            skip: &[],
            pick: Pick::Hung,
        }),
        ..ROW
    },
    Format {
        needle: "INFO: task ",
        header: r"INFO: task .* can't die for more than .* seconds",
        class: "hang",
        title: "INFO: task can't die in {func}",
        alternatives: HANG,
        guilty: Some(Guilty {
            steps: &[TRACE, Step::Frames],
            otherwise: &[],
            skip: &["schedule"],
            pick: Pick::First,
        }),
        ..ROW
    },
    // A task's name may hold anything, a line's end too.
    Format {
        needle: "INFO: task ",
        header: r"INFO: task ",
        body: &[r"blocked .*for more than [0-9]+ seconds"],
        class: "hang",
        title: "INFO: task hung in {func}",
        alternatives: HANG,
        guilty: Some(Guilty {
            steps: &[TRACE, Step::Frames],
            otherwise: &[],
            skip: &[],
            pick: Pick::Hung,
        }),
        role: Role::Maybe,
        ..ROW
    },
    Format {
        needle: "BUG: soft lockup",
        header: r"BUG: soft lockup",
        class: "lockup",
        title: "BUG: soft lockup in {func}",
        alternatives: STALL,
        guilty: Some(SOFT),
        ..ROW
    },
    Format {
        needle: "etected hard LOCKUP on cpu",
        header: r"atchdog detected hard LOCKUP on cpu",
        class: "lockup",
        title: "BUG: hard lockup in {func}",
        alternatives: STALL,
        guilty: Some(SOFT),
        ..ROW
    },
    Format {
        needle: "BUG: workqueue lockup",
        header: r"BUG: workqueue lockup",
        class: "lockup",
        title: "BUG: workqueue lockup",
        traced: false,
        ..ROW
    },
];
