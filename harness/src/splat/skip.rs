//! Functions that are never the guilty one: they detect, report, or do what any caller asks for.
//!
//! A reader of stacks passes over them without thinking; the first function that is not here is
//! the one that a title names. Each entry is a regular expression, searched anywhere in the name.

use std::sync::LazyLock;

use regex::Regex;

use super::types::Splat;

impl Splat {
    /// For a report that is not whole and names no function, the first of its stack that is not
    /// plumbing: titles like `WARNING in corrupted` are any bug's.
    pub(crate) fn unnamed(&self) -> Option<&str> {
        if self.corrupted.is_none() || !self.functions.is_empty() {
            return None;
        }
        let reliable = self.stacks.first()?.iter().filter(|one| !one.unreliable);
        let mut functions = reliable.map(|frame| frame.function.as_str());
        functions.find(|function| !is_plumbing(function))
    }
}

/// Whether the function is one of those.
pub(super) fn is_plumbing(function: &str) -> bool {
    static ALL: LazyLock<Regex> = LazyLock::new(|| {
        let parts: Vec<&str> = GROUPS
            .iter()
            .flat_map(|group| group.iter().copied())
            .collect();
        Regex::new(&parts.join("|")).expect("the lists hold valid patterns")
    });
    ALL.is_match(function)
}

const GROUPS: &[&[&str]] = &[
    SANITIZERS,
    REPORTING,
    TRAPS,
    ALLOCATORS,
    PAGE_CACHE,
    LOCKS,
    LOCKDEP,
    ATOMICS,
    STRINGS,
    USER_COPIES,
    CONTAINERS,
    PRINTING,
    WORK_AND_TIMERS,
    DRIVER_CORE,
    USB_CORE,
    IO_PORTS,
    REFERENCES,
    UNWINDING,
];

const SANITIZERS: &[&str] = &[
    "__sanitizer",
    "__asan",
    "__hwasan",
    "hwasan",
    "kasan",
    "__msan",
    "kmsan",
    "kcsan_setup_watchpoint",
    "__tsan",
    "check_memory_region",
    "kcsan_(?:check|found)",
    "__kcsan",
    "kfence_(?:report|handle|guarded|protect)",
    "read_word_at_a_time",
    "(?:read|write)_once_.*nocheck",
    "print_address_description",
    "print_report",
    "__ubsan",
    "ubsan_epilogue",
];

const REPORTING: &[&str] = &[
    "panic",
    "report_bug",
    "fixup_bug",
    "warn_slowpath",
    "warn_alloc",
    "warn_bogus",
    "__warn",
    "assertfail",
    "show_stack",
    "dump_stack",
    "walk_stack",
    "dump_backtrace",
    "print_tainted",
    "^get_taint$",
    "__fortify_report",
    "debug_object",
    "(?:timer|work)_is_static_object",
    "check_(?:heap_)?object",
    "__phys_addr",
];

const TRAPS: &[&str] = &[
    "invalid_op",
    "do_error",
    "_trap$",
    "do_trap",
    "program_check_(?:exception|common)",
    "do_(?:kernel|translation)_fault",
    "do_mem_abort",
    "el1_abort",
    "el1h_64_sync",
    "_indirect_thunk_",
];

const ALLOCATORS: &[&str] = &[
    "alloc_page",
    "k?v?[mzc]alloc",
    "krealloc",
    "kmem_cache",
    "allocate_slab",
    "__alloc_frozen_pages",
    "slab_",
    "^kv?free$",
    "kfree_skb",
];

const PAGE_CACHE: &[&str] = &[
    "folio_(?:alloc|unlock)",
    "filemap_alloc_folio",
    "__filemap_get_folio",
    "find_or_create_page",
    "do_read_cache_folio",
    "read_cache_page",
    "pagecache_get_page",
    "grab_cache_page_write_begin",
    "^(?:un)?lock_page",
    "find_lock_entries",
    "truncate_inode_pages_range",
];

const LOCKS: &[&str] = &[
    "spin_(?:un|try)?lock",
    "raw_spin_rq",
    "(?:read|write)_(?:un|try)?lock",
    "^down$",
    "down_(?:read|write|trylock)",
    "up_(?:read|write)",
    "^_*mutex_",
    "^rt_mutex_",
    "owner_on_cpu",
    "osq_(?:un)?lock",
    "bh_(?:en|dis)able",
    "seqprop_assert",
    "__wake_up",
    "^complete$",
    "wait_for_completion",
    "finish_wait",
    "lock_timer_base",
    "cleanup_srcu_struct",
];

const LOCKDEP: &[&str] = &[
    "lockdep",
    "lock_(?:acquire|release|class)",
    "mark_lock",
    "(?:reacquire|mark)_held_locks",
    "print_unlock",
    "print_usage_bug",
    "imbalance_bug",
    "perf_trace",
    "(?:trace|lockdep)_(?:hard|soft)irq",
    "might_(?:fault|sleep)",
    "__might_resched",
];

const ATOMICS: &[&str] = &[
    "atomic(?:64)?_(?:dec|inc|read|set|or|xor|and|add|sub|fetch|xchg|cmpxchg|try)",
    "(?:set|clear|change|test)_bit",
    "^refcount_",
    "^kref_",
    "ref_tracker",
];

const STRINGS: &[&str] = &[
    "mem(?:cpy|cmp|set|chr|move|dup)",
    "str(?:cmp|ncmp|cpy|lcpy|ncpy|scpy|len|str|nstr|nlen|chr|dup|ndup)",
    "^crc\\d+",
    "crc_itu_t",
];

const USER_COPIES: &[&str] = &[
    "copy_(?:to|from)_(?:user|iter)",
    "copy_(?:page|folio)_(?:to|from)_iter",
    "^copy(?:in|out)$",
    "(?:put|get)_user",
    "extract_(?:user|iter)_to_sg",
];

const CONTAINERS: &[&str] = &[
    "list_(?:add|del|replace|move|splice)",
    "^(?:__)?rb_",
    "^klist_",
    "xas_(?:start|load|find)",
    "rhashtable_lookup",
    "ida_free",
];

const PRINTING: &[&str] = &[
    "string",
    "pointer",
    "sn?printf",
    "scnprintf",
    "kv?asprintf",
    "printk",
    "va_format",
    "dev_(?:info|notice|warn|err|alert|crit|emerg)",
    "hex_dump_to_buffer",
    "print_hex_dump",
];

const WORK_AND_TIMERS: &[&str] = &[
    "del_timer",
    "__timer_delete_sync",
    "__mod_timer",
    "sk_stop_timer_sync",
    "flush_work",
    "__cancel_work_timer",
    "cancel_work_sync",
    "try_to_grab_pending",
    "(?:flush|drain|destroy)_workqueue",
    "queue_work",
    "insert_work",
    "queue_delayed_work",
    "kthread_stop",
];

const DRIVER_CORE: &[&str] = &[
    "kobject_",
    "add_uevent_var",
    "get_device_parent",
    "device_(?:add|del|unregister|destroy|release)",
    "devres_release_all",
    "device_(?:for_each_child|remove_file)",
    "hwrng_unregister",
    "i2c_del_adapter",
    "__unregister_client",
    "rollback_registered",
    "unregister_netdev",
    "sysfs_remove",
    "tty_unregister_device",
    "^put_device$",
];

const USB_CORE: &[&str] = &[
    "dummy_urb_enqueue",
    "usb_kill_(?:anchored_)?urb",
    "usb_control_msg",
    "usb_(?:hcd_)?submit_urb",
];

const IO_PORTS: &[&str] = &["(?:read|write)[bwlq]$", "logic_(?:in|out)"];

const REFERENCES: &[&str] = &[
    "^iput$",
    "^iput_final$",
    "^ihold$",
    "drop_nlink",
    "fast_dput",
    "dput",
];

const UNWINDING: &[&str] = &["stack_trace_(?:consume_entry|save)", "arch_stack_walk"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splat::Frame;

    #[test]
    fn a_report_without_a_name_goes_by_its_stack() {
        let frame = |function: &str, unreliable| Frame {
            function: function.into(),
            unreliable,
            ..Frame::default()
        };
        let torn = Splat {
            corrupted: Some("no function to blame".into()),
            stacks: vec![vec![
                frame("dump_stack", false),
                frame("stale", true),
                frame("f", false),
            ]],
            ..Splat::default()
        };
        assert_eq!(torn.unnamed(), Some("f"));
        let named = Splat {
            functions: vec!["g".into()],
            ..torn.clone()
        };
        let whole = Splat {
            corrupted: None,
            ..torn.clone()
        };
        let bare = Splat {
            stacks: vec![],
            ..torn
        };
        for splat in [named, whole, bare] {
            assert_eq!(splat.unnamed(), None, "{splat:?}");
        }
    }

    #[test]
    fn plumbing_is_passed_and_work_is_not() {
        for name in [
            "__asan_load8",
            "_raw_spin_lock_irqsave",
            "mutex_lock_nested",
            "kmalloc_trace",
            "memcpy",
            "dump_stack_lvl",
        ] {
            assert!(is_plumbing(name), "{name}");
        }
        for name in [
            "fuse_backing_lookup",
            "ip6_fragment",
            "ext4_mb_init",
            "vfs_read",
        ] {
            assert!(!is_plumbing(name), "{name}");
        }
    }
}
