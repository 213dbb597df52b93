//! Functions by which a stuck stack is named: where the kernel hands over to a subsystem, and what
//! a sleeping task waits for.

use std::sync::LazyLock;

use regex::Regex;

/// Where the kernel hands over to a subsystem: the caller above one of these names what a stuck
/// CPU was really doing, whatever function of the loop the tick happened to interrupt.
pub(super) fn is_anchor(function: &str) -> bool {
    static ALL: LazyLock<Regex> = LazyLock::new(|| {
        let parts: Vec<&str> = ANCHORS
            .iter()
            .flat_map(|group| group.iter().copied())
            .collect();
        Regex::new(&parts.join("|")).expect("the lists hold valid patterns")
    });
    ALL.is_match(function)
}

const ANCHORS: &[&[&str]] = &[
    // System call entry, and its callers in case a name changes.
    &[
        "do_syscall_",
        "do_fast_syscall_",
        "sysenter_dispatch",
        "tracesys_phase2",
        "el0_svc_handler",
        "invoke_syscall",
        "ret_fast_syscall",
    ],
    // Interrupts, timers, deferred work, threads.
    &[
        "do_softirq",
        "handle_softirqs",
        "call_timer_fn",
        "_run_timers",
        "run_timer_softirq",
        "hrtimer_run",
        "run_ksoftirqd",
        "tasklet_(?:hi_)?action",
        "process_one_work",
        "smpboot_thread_fn",
        "^kthread$",
        "start_secondary",
        "cpu_startup_entry",
        "ret_from_fork",
        "smp_call_function",
        "netif_receive_skb",
    ],
    // System calls that mean little without the object that they act on.
    &[
        "vfs_(?:read|write|iter_read|iter_write|ioctl|open)",
        "do_iter_(?:read|write)",
        "call_(?:read|write)_iter",
        "new_sync_(?:read|write)",
        "do_iter_readv_writev",
        "ksys_ioctl",
        "compat_ioctl",
        "compat_sys_ioctl",
        "blkdev_(?:driver_)?ioctl",
        "^call_mmap",
        "mmap_region",
        "do_mmap",
        "do_dentry_open",
    ],
    &[
        "^sock_(?:sendmsg|recvmsg|release|mmap|do_ioctl|ioctl)",
        "^__sock_release",
        "^setsockopt$",
        "(?:kernel|sock_common)_setsockopt",
        "^listen$",
        "kernel_listen",
        "sk_common_release",
        "^accept$",
        "kernel_accept",
        "^compat_sock_ioctl",
        "^(?:nf|rt)netlink_rcv_msg",
        "^netlink_dump",
        "^(?:sys_)?(?:socketpair|connect|ioctl)",
    ],
    // Faults, and what runs on the way back to user space.
    &[
        "__do_fault",
        "do_page_fault",
        "do_user_addr_fault",
        "exc_page_fault",
        "^page_fault$",
        "__fput",
        "task_work_run",
        "exit_to_usermode",
    ],
];

/// What a sleeping task goes through before it sleeps; never why it sleeps.
pub(super) const SLEEPING: &[&str] = &[
    "sched",
    "_lock",
    "_slowlock",
    "down",
    "rwsem",
    "completion",
    "kthread",
    "wait",
    "synchronize",
    "context_switch",
    "__switch_to",
    "cancel_delayed_work",
    "rcu_barrier",
];

/// Hangs on these come from one culprit elsewhere: the victims go under one name, the second
/// column, or the function's own where that is empty.
pub(super) const COMMON_HANGS: &[(&str, &str)] = &[
    ("rtnl_lock", ""),
    ("synchronize_rcu", "synchronize_rcu"),
    ("synchronize_srcu", "synchronize_rcu"),
    ("synchronize_net", "synchronize_rcu"),
    ("synchronize_sched", "synchronize_rcu"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatchers_are_anchors_and_handlers_are_not() {
        for name in [
            "do_syscall_64",
            "vfs_write",
            "process_one_work",
            "kthread",
            "handle_softirqs",
            "do_user_addr_fault",
            "exc_page_fault",
        ] {
            assert!(is_anchor(name), "{name}");
        }
        for name in ["fuse_dev_write", "kthread_stop"] {
            assert!(!is_anchor(name), "{name}");
        }
    }
}
