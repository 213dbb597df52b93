//! Locks: lockdep, RCU's checks, spinlock and rwlock debugging, sleeping in atomic context.

use super::{
    super::guilty::{Guilty, Pick, Step, TRACE},
    row::{Format, IN_TRACE, ROW},
};

const AT: &str = r"at: (?:{PC} +)?{F}";

/// The lock wanted, the lock held, then the chain between them. A work item's own lock stands
/// for whatever the work item does.
const CIRCULAR: Guilty = Guilty {
    steps: &[Step::Find(AT), Step::Find(AT), Step::Frames],
    otherwise: &[],
    skip: &["process_one_work", "(?:flush|drain|destroy)_workqueue"],
    pick: Pick::First,
};

const UNLOCK: Guilty = Guilty {
    steps: &[Step::Find(r"{PC} +{F}"), TRACE, Step::Frames],
    otherwise: &[&[TRACE, Step::Frames]],
    ..IN_TRACE
};

const RCU_USAGE: Guilty = Guilty {
    skip: &["rcu", "kmem", "slab"],
    ..IN_TRACE
};

const SPINLOCK: Guilty = Guilty {
    skip: &["spin_", "_lock", "_unlock"],
    ..IN_TRACE
};

const PREEMPT: Guilty = Guilty {
    skip: &[
        "dump_stack",
        "preempt",
        "debug_",
        "processor_id",
        "this_cpu",
    ],
    ..IN_TRACE
};

/// Behind the colon comes the worker, which is no bug's.
const WORK_LEAK: Format = Format {
    needle: "BUG: workqueue leaked ",
    header: r"BUG: workqueue leaked (?P<what>lock or atomic|atomic, lock or RCU)",
    class: "lockdep",
    title: "BUG: workqueue leaked {what}",
    traced: false,
    ..ROW
};

/// Old kernels say `[ INFO: possible ... ]`, new ones `WARNING: possible ...`.
pub(super) const ROWS: &[Format] = &[
    Format {
        needle: "possible circular locking dependency detected",
        header: r"INFO: possible circular locking dependency detected",
        body: &["is trying to acquire lock", AT],
        class: "lockdep",
        title: "possible deadlock in {func}",
        ..ROW
    },
    Format {
        needle: "-unsafe lock order detected",
        header: r"INFO: \S+-safe -> \S+-unsafe lock order detected",
        body: &["is trying to acquire", AT],
        class: "lockdep",
        title: "possible deadlock in {func}",
        ..ROW
    },
    Format {
        needle: "possible circular locking dependency detected",
        header: r"WARNING: possible circular locking dependency detected",
        body: &["is trying to acquire lock"],
        class: "lockdep",
        title: "possible deadlock in {func}",
        guilty: Some(CIRCULAR),
        ..ROW
    },
    Format {
        needle: "possible irq lock inversion dependency detected",
        header: r"(?:INFO|WARNING): possible irq lock inversion dependency detected",
        body: &["just changed the state of lock", AT],
        class: "lockdep",
        title: "possible deadlock in {func}",
        ..ROW
    },
    Format {
        needle: "-unsafe lock order detected",
        header: r"WARNING: \S+-safe -> \S+-unsafe lock order detected",
        class: "lockdep",
        title: "possible deadlock in {func}",
        guilty: Some(Guilty {
            steps: &[Step::Find("which became .* at:"), Step::Frames],
            otherwise: &[],
            ..IN_TRACE
        }),
        ..ROW
    },
    Format {
        needle: "possible recursive locking detected",
        header: r"(?:INFO|WARNING): possible recursive locking detected",
        body: &["is trying to acquire lock", AT],
        class: "lockdep",
        title: "possible deadlock in {func}",
        ..ROW
    },
    Format {
        needle: "inconsistent lock state",
        header: r"WARNING: inconsistent lock state",
        body: &["takes", AT],
        class: "lockdep",
        title: "inconsistent lock state in {func}",
        guilty: Some(IN_TRACE),
        ..ROW
    },
    Format {
        needle: "inconsistent lock state",
        header: r"INFO: inconsistent lock state",
        body: &["takes", AT],
        class: "lockdep",
        title: "inconsistent lock state in {func}",
        ..ROW
    },
    Format {
        needle: "bad unlock balance detected!",
        header: r"(?P<level>BUG|WARNING): bad unlock balance detected!",
        class: "lockdep",
        title: "{level}: bad unlock balance in {func}",
        guilty: Some(UNLOCK),
        ..ROW
    },
    Format {
        needle: "held lock freed!",
        header: r"(?P<level>BUG|WARNING): held lock freed!",
        body: &[r"(?:at:(?: {PC})?|{PC}) +{F}"],
        class: "lockdep",
        title: "{level}: held lock freed in {func}",
        ..ROW
    },
    Format {
        needle: "still has locks held!",
        header: r"(?P<level>BUG|WARNING): .*still has locks held!",
        body: &[r"(?:at: (?:{PC} +)?|{PC} +){F}"],
        class: "lockdep",
        title: "{level}: still has locks held in {func}",
        ..ROW
    },
    Format {
        needle: "lock held when returning to user space",
        header: r"(?P<level>BUG|WARNING): lock held when returning to user space",
        body: &["leaving the kernel with locks still held", AT],
        class: "lockdep",
        title: "{level}: lock held when returning to user space in {func}",
        traced: false,
        ..ROW
    },
    Format {
        needle: "Nested lock was not taken",
        header: r"WARNING: Nested lock was not taken",
        class: "lockdep",
        title: "WARNING: nested lock was not taken in {func}",
        guilty: Some(super::row::WARNED),
        ..ROW
    },
    // The name that x86 gives to the same finding.
    Format {
        needle: "BUG: Invalid wait context",
        header: r"BUG: Invalid wait context",
        class: "lockdep",
        title: "WARNING: locking bug in {func}",
        guilty: Some(Guilty {
            skip: &["lock_sock", "release_sock"],
            ..IN_TRACE
        }),
        ..ROW
    },
    Format {
        needle: "trying to register non-static key",
        header: r"INFO: trying to register non-static key",
        class: "lockdep",
        title: "INFO: trying to register non-static key in {func}",
        guilty: Some(Guilty {
            skip: &["stack", "lock", "IRQ"],
            ..IN_TRACE
        }),
        ..ROW
    },
    Format {
        needle: "WARNING: ",
        header: r"WARNING: (?P<what>bad contention detected!|chain_key collision)",
        class: "lockdep",
        title: "WARNING: {what}",
        ..ROW
    },
    Format {
        needle: "BUG: ",
        header: r"BUG: (?:key [0-9a-fx]+ (?P<what>has not been registered!))",
        class: "lockdep",
        title: "BUG: lock class key {what}",
        ..ROW
    },
    // Lockdep's own limits; it is off from then on.
    Format {
        needle: "BUG: MAX_",
        header: r"BUG: (?P<what>MAX_\w+ too low!)",
        class: "lockdep",
        title: "BUG: {what}",
        ..ROW
    },
    Format {
        needle: "suspicious RCU usage",
        header: r"(?P<level>INFO|WARNING): suspicious RCU usage",
        body: &[r"{SRC}"],
        class: "rcu-usage",
        title: "{level}: suspicious RCU usage in {func}",
        guilty: Some(RCU_USAGE),
        ..ROW
    },
    Format {
        needle: "BUG: spinlock ",
        header: r"BUG: (?P<lock>spinlock) (?P<what>lockup suspected|already unlocked|recursion|cpu recursion|bad magic|wrong owner|wrong CPU|trylock failure on UP)",
        class: "lockdep",
        title: "BUG: {lock} {what} in {func}",
        guilty: Some(SPINLOCK),
        ..ROW
    },
    Format {
        needle: "BUG: rwlock ",
        header: r"BUG: (?P<lock>rwlock) (?P<what>lockup suspected|already unlocked|recursion|cpu recursion|bad magic|wrong owner|wrong CPU|trylock failure on UP)",
        class: "lockdep",
        title: "BUG: {lock} {what} in {func}",
        guilty: Some(SPINLOCK),
        ..ROW
    },
    // `last function: f` before 6.10, `preempt=0x00000001 lock=0->1 RCU=0->0 workfn=f` since.
    Format {
        body: &[r"(?:last function: |workfn=)(?P<func>[a-zA-Z0-9_]+)"],
        title: "BUG: workqueue leaked {what} in {func}",
        ..WORK_LEAK
    },
    Format {
        cut: Some("the line that names the function is missing"),
        ..WORK_LEAK
    },
    Format {
        needle: "BUG: sleeping function called from invalid context",
        header: r"BUG: sleeping function called from invalid context at ",
        class: "atomic-sleep",
        title: "BUG: sleeping function called from invalid context in {func}",
        guilty: Some(IN_TRACE),
        ..ROW
    },
    Format {
        needle: "BUG: scheduling while atomic",
        header: r"BUG: scheduling while atomic",
        class: "atomic-sleep",
        title: "BUG: scheduling while atomic in {func}",
        guilty: Some(Guilty {
            skip: &["schedule"],
            ..IN_TRACE
        }),
        ..ROW
    },
    Format {
        needle: "BUG: ",
        header: r"BUG: (?P<what>scheduling in a non-blocking section|assuming (?:atomic|non migratable) context)",
        class: "atomic-sleep",
        title: "BUG: {what} in {func}",
        guilty: Some(Guilty {
            skip: &["schedule", "__cant_"],
            ..IN_TRACE
        }),
        ..ROW
    },
    Format {
        needle: "BUG: using ",
        header: r"BUG: using (?P<what>[a-z_]+)\(\) in preemptible",
        class: "preempt",
        title: "BUG: using {what}() in preemptible code in {func}",
        guilty: Some(PREEMPT),
        ..ROW
    },
    Format {
        needle: "entered softirq ",
        header: r"^(?:softirq: )?huh, entered softirq \d+ \S+ \S+ with preempt_count",
        class: "preempt",
        title: "BUG: softirq handler changed preempt_count",
        traced: false,
        ..ROW
    },
];
