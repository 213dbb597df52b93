//! Panics, reboots, leaked devices, and `BUG:` lines that have no row of their own.

use super::{
    super::guilty::{Guilty, Pick, Step, TRACE},
    row::{Format, IN_TRACE, ROW, Role},
};

/// A panic row.
const fn panic(header: &'static str, title: &'static str) -> Format {
    Format {
        needle: "Kernel panic - not syncing",
        header,
        class: "panic",
        title,
        role: Role::Sequel,
        ..ROW
    }
}

/// A panic that only ever follows another report; alone, that report was lost.
const fn aftermath(header: &'static str, title: &'static str) -> Format {
    Format {
        cut: Some("the report before the panic is missing"),
        role: Role::Aftermath,
        ..panic(header, title)
    }
}

const STACK_END: Guilty = Guilty {
    steps: &[TRACE, Step::Frames],
    otherwise: &[],
    skip: &["schedule", "retint_kernel"],
    pick: Pick::Anchor,
};

pub(super) const ROWS: &[Format] = &[
    // The stack is broken: a trace is a matter of luck.
    Format {
        traced: false,
        ..panic(
            r"Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: {F}",
            "kernel panic: stack is corrupted in {func}",
        )
    },
    Format {
        guilty: Some(Guilty {
            skip: &["stack_chk"],
            ..IN_TRACE
        }),
        ..panic(
            r"Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: [a-f0-9]+",
            "kernel panic: stack is corrupted in {func}",
        )
    },
    Format {
        alternatives: &["stack-overflow in {func}"],
        guilty: Some(STACK_END),
        ..panic(
            r"Kernel panic - not syncing: corrupted stack end detected inside scheduler",
            "kernel panic: corrupted stack end in {func}",
        )
    },
    Format {
        class: "stack-overflow",
        alternatives: &["stack-overflow in {func}"],
        guilty: Some(Guilty {
            steps: &[TRACE, Step::Frames],
            otherwise: &[],
            skip: &["bad_stack"],
            pick: Pick::Anchor,
        }),
        ..panic(
            r"Kernel panic - not syncing: kernel stack overflow",
            "kernel stack overflow in {func}",
        )
    },
    panic(
        r"Kernel panic - not syncing: Attempted to kill init!",
        "kernel panic: Attempted to kill init!",
    ),
    panic(
        r"Kernel panic - not syncing: Couldn't open N_TTY ldisc",
        "kernel panic: Couldn't open N_TTY ldisc",
    ),
    aftermath(
        r"Kernel panic - not syncing: Fatal exception",
        "kernel panic: Fatal exception",
    ),
    aftermath(
        r"Kernel panic - not syncing: (?:.*: )?panic_on_warn set",
        "kernel panic: panic_on_warn set",
    ),
    aftermath(
        r"Kernel panic - not syncing: hung_task: blocked tasks",
        "kernel panic: hung_task: blocked tasks",
    ),
    // A setting makes a panic of the report before it.
    Format {
        role: Role::Aftermath,
        ..panic(
            r"Kernel panic - not syncing: (?P<line>\S+ set \.\.\.|\w+: system warned too often)",
            "kernel panic: {line}",
        )
    },
    panic(
        r"Kernel panic - not syncing: (?P<line>.*)",
        "kernel panic: {line}",
    ),
    Format {
        needle: "Booting the kernel",
        header: r"^Booting the kernel",
        class: "reboot",
        title: "unexpected kernel reboot",
        traced: false,
        role: Role::Reboot,
        ..ROW
    },
    Format {
        needle: "unregister_netdevice: waiting for",
        header: r"unregister_netdevice: waiting for .* to become free",
        class: "netdev-leak",
        title: "unregister_netdevice: waiting for DEV to become free",
        traced: false,
        role: Role::Sequel,
        ..ROW
    },
    Format {
        needle: "VFS: Close: file count is 0",
        header: r"VFS: Close: file count is 0",
        class: "bug",
        title: "VFS: Close: file count is zero (use-after-free)",
        traced: false,
        ..ROW
    },
    Format {
        needle: "VFS: Busy inodes after unmount",
        header: r"VFS: Busy inodes after unmount",
        class: "bug",
        title: "VFS: Busy inodes after unmount (use-after-free)",
        traced: false,
        ..ROW
    },
    Format {
        needle: "BUG: Dentry ",
        header: r"BUG: Dentry .* still in use",
        body: &[],
        class: "bug",
        title: "BUG: Dentry still in use in unmount",
        ..ROW
    },
    Format {
        needle: "trusty: panic",
        header: r"trusty: panic.*ASSERT FAILED(?: at \(.*?\))?: *(?P<line>.*)",
        class: "other",
        title: "trusty: ASSERT FAILED: {line}",
        traced: false,
        ..ROW
    },
    Format {
        needle: "trusty: panic",
        header: r"trusty: panic \(.*?\): (?P<line>.+)",
        class: "other",
        title: "trusty: panic: {line}",
        traced: false,
        ..ROW
    },
    Format {
        needle: "BUG:",
        header: r"BUG:\s*$",
        class: "bug",
        title: "BUG: corrupted",
        cut: Some("the header is empty"),
        role: Role::Stamped,
        ..ROW
    },
    Format {
        needle: "BUG: ",
        header: r"^(?P<line>BUG: .+)",
        class: "bug",
        title: "{line}",
        role: Role::Stamped,
        ..ROW
    },
    Format {
        needle: "INFO:",
        header: r"INFO:\s*$",
        class: "other",
        title: "INFO: corrupted",
        cut: Some("the header is empty"),
        role: Role::Stamped,
        ..ROW
    },
    Format {
        needle: "INFO: ",
        header: r"^(?P<line>INFO: .+)",
        class: "other",
        title: "{line}",
        role: Role::Maybe,
        ..ROW
    },
];
