//! Memory: KASAN, KFENCE, KMSAN, KCSAN, UBSAN, kmemleak, SLUB, page and user-copy checks.

use super::{
    super::guilty::{Guilty, Pick, Step, TRACE},
    row::{Format, IN_TRACE, NAMED, ROW, Role, WARNED},
};

const BAD_ACCESS: &[&str] = &["bad-access in {func}"];

/// KASAN with hardware tags reports from within the fault's handling.
const KASAN: Guilty = Guilty {
    skip: &["kernel_fault", "tag_check", "mem_abort", "^el1_", "^el1h_"],
    ..NAMED
};

const KFENCE: Guilty = Guilty {
    steps: &[Step::Named, Step::Frames],
    ..NAMED
};

/// KMSAN prints the stack right away, then where the value was stored and created.
const KMSAN: Guilty = Guilty {
    steps: &[Step::Frames],
    otherwise: &[],
    // A message on its way out, or any cipher's inner loop, tells nothing.
    skip: &[
        "alloc_skb",
        "netlink_ack",
        "netlink_rcv_skb",
        "_encrypt$",
        "^(?:crypto|cipher|drbg|rng)_",
    ],
    pick: Pick::First,
};

const UBSAN: Guilty = Guilty {
    skip: &["ubsan", "overflow"],
    ..IN_TRACE
};

const LEAK: Guilty = Guilty {
    steps: &[
        Step::Find(r"backtrace(?: \(crc [[:xdigit:]]*\))?:"),
        Step::Frames,
    ],
    otherwise: &[],
    skip: &[
        "kmemleak",
        "mmap",
        "kmem",
        "slab",
        "alloc",
        "create_object",
        "idr_get",
        "list_lru_init",
        "kv?asprintf",
        "pcpu_create",
        "str[n]?dup",
        "memdup",
    ],
    pick: Pick::First,
};

/// The page's last user is the one to ask; who found it bad is chance.
const PAGE_OWNER: Guilty = Guilty {
    steps: &[Step::Find("page last allocated"), Step::Frames],
    otherwise: &[],
    skip: &[
        "(?:free|put|get|update|release)_page",
        "free_unref",
        "^_*folio",
        "truncate_inode_pages",
        "page_frag_free",
        "alloc",
        "vmap",
        "page_owner",
    ],
    pick: Pick::First,
};

pub(super) const ROWS: &[Format] = &[
    Format {
        needle: "BUG: KASAN:",
        header: r"BUG: KASAN: (?:double-free or invalid-free|double-free|invalid-free) in {F}",
        class: "kasan",
        title: "KASAN: invalid-free in {func}",
        alternatives: &["invalid-free in {func}"],
        guilty: Some(Guilty {
            skip: &["slab_", "kfree", "vunmap", "vfree"],
            ..NAMED
        }),
        ..ROW
    },
    Format {
        needle: "BUG: KASAN:",
        header: r"BUG: KASAN: (?P<what>[a-z-]+) in {F}",
        body: &[r"(?P<access>Read|Write) (?:of size|at addr) [0-9a-f]+"],
        class: "kasan",
        title: "KASAN: {what} {access} in {func}",
        alternatives: BAD_ACCESS,
        guilty: Some(KASAN),
        ..ROW
    },
    Format {
        needle: "BUG: KASAN:",
        header: r"BUG: KASAN: (?P<what>[a-z-]+) on address",
        body: &[r"(?P<access>Read|Write) of size [0-9]+"],
        class: "kasan",
        title: "KASAN: {what} {access}",
        ..ROW
    },
    // Hardware tags in asynchronous mode: the fault is known, the access is not.
    Format {
        needle: "BUG: KASAN:",
        header: r"BUG: KASAN: invalid-access\s*$",
        class: "kasan",
        title: "KASAN: invalid-access",
        ..ROW
    },
    Format {
        needle: "BUG: KASAN:",
        header: r"BUG: KASAN: (?P<line>.* in {F}.*|.*)",
        class: "kasan",
        title: "KASAN: {line}",
        cut: Some("the header is not followed by the access"),
        ..ROW
    },
    Format {
        needle: "BUG: KMSAN:",
        header: r"BUG: KMSAN: (?P<what>kernel-usb-infoleak[a-z-]*) in {F}",
        class: "kmsan",
        title: "KMSAN: {what} in {func}",
        guilty: Some(Guilty {
            skip: &[
                "alloc_skb",
                "usb_(?:submit_urb|start_wait_urb|bulk_msg|interrupt_msg|control_msg)",
            ],
            ..KMSAN
        }),
        traced: false,
        ..ROW
    },
    Format {
        needle: "BUG: KMSAN:",
        header: r"BUG: KMSAN: (?P<what>[a-z-]+) in {F}",
        class: "kmsan",
        title: "KMSAN: {what} in {func}",
        alternatives: BAD_ACCESS,
        guilty: Some(KMSAN),
        traced: false,
        ..ROW
    },
    Format {
        needle: "BUG: KCSAN:",
        header: r"BUG: KCSAN: (?P<line>.*)",
        class: "kcsan",
        title: "KCSAN: {line}",
        traced: false,
        ..ROW
    },
    Format {
        needle: "BUG: KFENCE:",
        header: r"BUG: KFENCE: (?P<what>use-after-free|out-of-bounds|invalid) (?P<access>read|write) in {F}",
        class: "kfence",
        title: "KFENCE: {what} {access} in {func}",
        alternatives: BAD_ACCESS,
        guilty: Some(KFENCE),
        traced: false,
        ..ROW
    },
    Format {
        needle: "BUG: KFENCE:",
        header: r"BUG: KFENCE: invalid free in {F}",
        class: "kfence",
        title: "KFENCE: invalid free in {func}",
        alternatives: &["invalid-free in {func}"],
        guilty: Some(KFENCE),
        traced: false,
        ..ROW
    },
    Format {
        needle: "BUG: KFENCE:",
        header: r"BUG: KFENCE: (?P<what>[a-z -]+) in {F}",
        class: "kfence",
        title: "KFENCE: {what} in {func}",
        guilty: Some(KFENCE),
        traced: false,
        ..ROW
    },
    Format {
        needle: "UBSAN: ",
        header: r"UBSAN: Undefined behaviour in",
        class: "ubsan",
        title: "UBSAN: undefined-behaviour in {func}",
        guilty: Some(UBSAN),
        ..ROW
    },
    Format {
        needle: "UBSAN: ",
        header: r"UBSAN: (?P<what>array-index-out-of-bounds) in ",
        class: "ubsan",
        title: "UBSAN: {what} in {func}",
        alternatives: BAD_ACCESS,
        guilty: Some(UBSAN),
        ..ROW
    },
    Format {
        needle: "UBSAN: ",
        header: r"UBSAN: (?P<what>.*?) in ",
        class: "ubsan",
        title: "UBSAN: {what} in {func}",
        guilty: Some(UBSAN),
        ..ROW
    },
    Format {
        needle: "BUG: memory leak",
        header: r"BUG: memory leak",
        class: "memleak",
        title: "memory leak in {func}",
        guilty: Some(LEAK),
        ..ROW
    },
    // As /sys/kernel/debug/kmemleak prints it, and kmemleak with `verbose`.
    Format {
        needle: "unreferenced object ",
        header: r"^(?:kmemleak: )?unreferenced object(?: \(percpu\))? 0x[0-9a-f]+ \(size \d+\):",
        class: "memleak",
        title: "memory leak in {func}",
        guilty: Some(LEAK),
        ..ROW
    },
    Format {
        needle: "new suspected memory leaks",
        header: r"^kmemleak: \d+ new suspected memory leaks",
        class: "memleak",
        title: "kmemleak: new suspected memory leaks",
        traced: false,
        ..ROW
    },
    Format {
        needle: "BUG: Bad page ",
        header: r"BUG: Bad page (?P<what>state|cache)",
        class: "bug",
        title: "BUG: Bad page {what} in {func}",
        guilty: Some(PAGE_OWNER),
        ..ROW
    },
    Format {
        needle: "BUG: Bad page ",
        header: r"BUG: Bad page map",
        class: "bug",
        title: "BUG: Bad page map",
        ..ROW
    },
    Format {
        needle: "BUG: Bad rss-counter state",
        header: r"BUG: Bad rss-counter state",
        class: "bug",
        title: "BUG: Bad rss-counter state",
        traced: false,
        ..ROW
    },
    Format {
        needle: "BUG: non-zero ",
        header: r"BUG: non-zero (?P<what>\w+) on freeing mm",
        class: "bug",
        title: "BUG: non-zero {what} on freeing mm",
        traced: false,
        ..ROW
    },
    // SLUB: `BUG kmalloc-64 (Not tainted): Poison overwritten`.
    Format {
        needle: "BUG ",
        header: r"^BUG (?:<unknown>|[0-9A-Za-z][\w:.-]*) *(?:\([^)]*\) ?)*: (?P<what>[A-Z][A-Za-z -]+|(?:objects|inuse) \d+ > max \d+|page slab pointer corrupt)",
        class: "bug",
        title: "BUG: {what}",
        ..ROW
    },
    // Since 2025 such a report ends in a warning.
    Format {
        needle: "WARNING: ",
        header: r"WARNING: .*mm/slub\.c:\d+ (?:at )?(?:object_err|_*slab_err|slab_pad_check|list_slab_objects)\b",
        class: "bug",
        title: "WARNING: slab bug in {func}",
        guilty: Some(Guilty {
            skip: &[
                "^object_err$",
                "^_*slab_err$",
                "^check_(?:slab|object|bytes)",
                "^slab_pad_check$",
                "^list_slab_objects$",
                "^on_freelist$",
                "^(?:free|alloc)_(?:debug|consistency)_",
                "^free_to_partial_list$",
                "^alloc_single_from_",
                "^get_from_partial",
                "^_*refill_objects",
                "^validate_slab",
            ],
            ..WARNED
        }),
        role: Role::Sequel,
        ..ROW
    },
    // What is left of such a report when its first line was lost.
    Format {
        needle: "INFO: ",
        header: r"INFO: (?P<what>Freed|Allocated) in (?P<func>\w+)",
        class: "other",
        title: "INFO: {what} in {func} age=NUM cpu=NUM pid=NUM",
        cut: Some("the report's first line is missing"),
        role: Role::Aftermath,
        ..ROW
    },
    Format {
        needle: "kernel BUG at ",
        header: r"kernel BUG at mm/usercopy\.c",
        class: "usercopy",
        title: "BUG: bad usercopy in {func}",
        guilty: Some(Guilty {
            skip: &["usercopy", "__check"],
            ..IN_TRACE
        }),
        ..ROW
    },
    Format {
        needle: "kernel BUG at ",
        header: r"kernel BUG at lib/list_debug\.c",
        class: "list-corruption",
        title: "BUG: corrupted list in {func}",
        alternatives: BAD_ACCESS,
        guilty: Some(Guilty {
            steps: &[TRACE, Step::Frames],
            ..IN_TRACE
        }),
        ..ROW
    },
];
