//! Marks in the kernel's own log, so that every splat knows its phase.

use std::{
    fs::{self, OpenOptions},
    io::Write,
};

use protocol::KMSG_PREFIX;

/// Writes one line to the kernel log. A mark that cannot be written is no
/// reason to fail: the phase still reaches the host through the channel.
pub(crate) fn mark(text: &str) {
    if let Ok(mut kmsg) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // One write is one record; 6 is the level that the console still shows.
        let _ = kmsg.write_all(format!("<6>{KMSG_PREFIX}{text}\n").as_bytes());
    }
}

/// Marks the beginning of a phase.
pub(crate) fn phase_begin(name: &str) {
    mark(&format!("phase {name} begin"));
}

/// Marks the end of a phase.
pub(crate) fn phase_end(name: &str) {
    mark(&format!("phase {name} end"));
}

/// Has the kernel print the stacks of blocked tasks, and of what runs on each CPU meanwhile, where it was
/// built with the magic keys.
pub(crate) fn stacks() {
    for key in ["w", "l"] {
        let _ = fs::write("/proc/sysrq-trigger", key);
    }
}
