//! CPU exceptions in the kernel: bad accesses, BUG(), division, stack overflow; x86, arm, arm64.

use super::{
    super::guilty::{Guilty, Pick, Step},
    row::{AT_PC, Format, ROW, Role},
};

const BAD_ACCESS: &[&str] = &["bad-access in {func}"];

const ONLY_PC: Guilty = Guilty {
    steps: &[Step::Pc],
    otherwise: &[],
    skip: &[],
    pick: Pick::First,
};

const OVERFLOW: Guilty = Guilty {
    pick: Pick::Anchor,
    ..AT_PC
};

/// An oops row: the function at the program counter.
const fn oops(needle: &'static str, header: &'static str, title: &'static str) -> Format {
    Format {
        needle,
        header,
        class: "oops",
        title,
        alternatives: BAD_ACCESS,
        guilty: Some(AT_PC),
        ..ROW
    }
}

pub(super) const ROWS: &[Format] = &[
    oops(
        "BUG: ",
        r"BUG: (?:unable to handle kernel paging request|unable to handle page fault for address|Unable to handle kernel data access)",
        "BUG: unable to handle kernel paging request in {func}",
    ),
    oops(
        "BUG: ",
        r"BUG: (?:unable to handle kernel|[kK]ernel) NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference in {func}",
    ),
    Format {
        needle: "BUG: ",
        header: r"BUG: [uU]nable to handle kernel",
        class: "oops",
        title: "BUG: unable to handle kernel",
        cut: Some("the header is cut off"),
        ..ROW
    },
    Format {
        needle: "stack guard page was hit at",
        header: r"BUG: .*stack guard page was hit at",
        class: "stack-overflow",
        title: "BUG: stack guard page was hit in {func}",
        alternatives: &["stack-overflow in {func}"],
        guilty: Some(OVERFLOW),
        ..ROW
    },
    oops(
        "Unable to handle kernel ",
        r"Unable to handle kernel (?P<what>paging request|NULL pointer dereference|access to user memory)",
        "BUG: unable to handle kernel {what} in {func}",
    ),
    oops(
        "Unable to handle kernel ",
        r"Unable to handle kernel (?P<what>.*?) at virtual address",
        "BUG: unable to handle kernel {what} in {func}",
    ),
    oops(
        "general protection fault",
        r"general protection fault.*:",
        "general protection fault in {func}",
    ),
    oops(
        "stack segment",
        r"stack segment: ",
        "stack segment fault in {func}",
    ),
    Format {
        alternatives: &[],
        guilty: Some(ONLY_PC),
        ..oops("divide", r"divide[ _]error: ", "divide error in {func}")
    },
    Format {
        alternatives: &[],
        ..oops("int3: ", r"\bint3: [0-9]", "int3 in {func}")
    },
    // BUG() traps here too; then its own header came first.
    Format {
        alternatives: &[],
        guilty: Some(ONLY_PC),
        role: Role::Aftermath,
        ..oops(
            "invalid opcode: ",
            r"invalid opcode: ",
            "invalid opcode in {func}",
        )
    },
    Format {
        alternatives: &[],
        guilty: Some(ONLY_PC),
        role: Role::Aftermath,
        ..oops(
            "PANIC: double fault",
            r"PANIC: double fault",
            "PANIC: double fault in {func}",
        )
    },
    Format {
        role: Role::Aftermath,
        ..oops(
            "Internal error:",
            r"Internal error:",
            "Internal error in {func}",
        )
    },
    oops(
        "Unhandled fault:",
        r"Unhandled fault:",
        "Unhandled fault in {func}",
    ),
    Format {
        alternatives: &[],
        ..oops(
            "Alignment trap:",
            r"Alignment trap:",
            "Alignment trap in {func}",
        )
    },
    Format {
        needle: "kernel BUG at ",
        header: r"kernel BUG at (?P<where>.*)",
        class: "bug",
        title: "kernel BUG in {func}",
        // The sk_buff helpers check what their callers did.
        guilty: Some(Guilty {
            skip: &["^skb_"],
            ..AT_PC
        }),
        ..ROW
    },
    Format {
        needle: "Kernel BUG",
        header: r"Kernel BUG (?P<where>.*)",
        class: "bug",
        title: "kernel BUG {where}",
        ..ROW
    },
    Format {
        needle: "rust_kernel: panicked",
        header: r"rust_kernel: panicked at ",
        body: &[r"^(?P<what>.+)$"],
        class: "bug",
        title: "{what} in {func}",
        guilty: Some(Guilty {
            steps: &[super::super::guilty::TRACE, Step::Frames],
            otherwise: &[],
            skip: &["rust_begin_unwind", "^core::panicking", "^<?core::"],
            pick: Pick::First,
        }),
        ..ROW
    },
    // Whatever else x86 dies of; most faults print a header of their own first.
    Format {
        alternatives: &[],
        role: Role::Sequel,
        ..oops(
            "Oops: ",
            r"^Oops: (?P<what>[^:]+): [0-9a-f]{4} \[#",
            "Oops: {what} in {func}",
        )
    },
];
