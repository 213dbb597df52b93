//! `WARN()` and its kin: the ones with a meaning of their own, then all others.

use super::{
    super::guilty::Guilty,
    row::{Format, ROW, Role, WARNED},
};

const USB: &[&str] = &["usb_(?:submit_urb|start_wait_urb|bulk_msg|interrupt_msg|control_msg)"];

/// Helpers that warn of what their callers did: put a file once too often, slept under RCU.
const HELPERS: &[&str] = &[
    "^__file_ref_",
    "^fput",
    "^__fput_sync$",
    "^rcuref_",
    "^rcu_note_context_switch$",
    r"^(?:_*|io_|preempt_)schedule(?:_common|_hrtimeout.*|_idle|_irq|_notrace|_preempt_disabled|_rtlock|_timeout.*)?$",
];

/// A WARN row; they differ in header, name and what to pass over.
const fn warn(
    header: &'static str,
    class: &'static str,
    title: &'static str,
    skip: &'static [&'static str],
) -> Format {
    Format {
        needle: "WARNING: ",
        header,
        class,
        title,
        guilty: Some(Guilty { skip, ..WARNED }),
        ..ROW
    }
}

// `WARNING: CPU: 0 PID: 1 at lib/refcount.c:28 refcount_warn_saturate+0x1/0x2` since 2017,
// `WARNING: lib/refcount.c:28 at refcount_warn_saturate+0x1/0x2, CPU#0: comm/1` since 2025.
pub(super) const ROWS: &[Format] = &[
    warn(
        r"WARNING: .*lib/debugobjects\.c.* (?:debug_print|debug_check|at)",
        "odebug",
        "WARNING: ODEBUG bug in {func}",
        &[
            "debug_", "rcu", "hrtimer_", "timer_", "work_", "percpu_", "vunmap", "vfree",
            "__free_", "kobject_",
        ],
    ),
    warn(
        r"WARNING: .*mm/usercopy\.c.* (?:usercopy_warn|at)",
        "usercopy",
        "WARNING: bad usercopy in {func}",
        &["usercopy", "__check"],
    ),
    warn(
        r"WARNING: .*lib/kobject\.c.* (?:kobject_|at)",
        "warning",
        "WARNING: kobject bug in {func}",
        &["kobject_"],
    ),
    warn(
        r"WARNING: .*fs/proc/generic\.c.* (?:proc_register|at)",
        "warning",
        "WARNING: proc registration bug in {func}",
        &["proc_"],
    ),
    warn(
        r"WARNING: .*lib/refcount\.c.* (?:refcount_|at)",
        "refcount",
        "WARNING: refcount bug in {func}",
        &["refcount", "kobject_"],
    ),
    warn(
        r"WARNING: .*(?:fs/file\.c.*file_ref_|lib/rcuref\.c.* (?:rcuref_|at))",
        "refcount",
        "WARNING: refcount bug in {func}",
        HELPERS,
    ),
    // With CONFIG_BUG_ON_DATA_CORRUPTION it is a BUG.
    Format {
        alternatives: &["bad-access in {func}"],
        ..warn(
            r"WARNING: .*lib/list_debug\.c.* (?:__list_|at)",
            "list-corruption",
            "BUG: corrupted list in {func}",
            &[],
        )
    },
    warn(
        r"WARNING: .*kernel/locking/lockdep\.c.*lock_",
        "lockdep",
        "WARNING: locking bug in {func}",
        &["lock_sock", "release_sock"],
    ),
    warn(
        r"WARNING: .*mm/.*\.c.* k?.?malloc",
        "warning",
        "WARNING: kmalloc bug in {func}",
        &["kmalloc", "krealloc", "slab", "kmem"],
    ),
    warn(
        r"WARNING: .*mm/vmalloc\.c.*__vmalloc_node",
        "warning",
        "WARNING: zero-size vmalloc in {func}",
        &[],
    ),
    warn(
        r"WARNING: .* usb_submit_urb",
        "warning",
        "WARNING in {func}/usb_submit_urb",
        USB,
    ),
    warn(
        r"WARNING: .* at {SRC} {F}",
        "warning",
        "WARNING in {func}",
        HELPERS,
    ),
    warn(
        r"WARNING: (?:\[.*\] )?{SRC} at ",
        "warning",
        "WARNING in {func}",
        HELPERS,
    ),
    // Without CONFIG_DEBUG_BUGVERBOSE the kernel does not know the line.
    warn(r"WARNING: at {F}", "warning", "WARNING in {func}", HELPERS),
    Format {
        needle: "WARNING: ",
        header: r"WARNING: kernel stack regs at [0-9a-f]+ in [^ ]* has bad '(?P<what>[^']+)' value",
        class: "warning",
        title: "WARNING: kernel stack regs has bad '{what}' value",
        traced: false,
        ..ROW
    },
    Format {
        needle: "WARNING: ",
        header: r"WARNING: kernel stack frame pointer .* has bad value",
        class: "warning",
        title: "WARNING: kernel stack frame pointer has bad value",
        traced: false,
        ..ROW
    },
    Format {
        needle: "WARNING:",
        header: r"WARNING:\s*$",
        class: "warning",
        title: "WARNING: corrupted",
        cut: Some("the header is empty"),
        role: Role::Stamped,
        ..ROW
    },
    // The kernel warns in its own words too; only a stack tells those from remarks.
    Format {
        needle: "WARNING: ",
        header: r"^(?P<line>WARNING: .+)",
        class: "warning",
        title: "{line}",
        role: Role::Maybe,
        ..ROW
    },
];
