//! Keeps what several CPUs write from sharing a cache line.
//!
//! A line that two CPUs write in turn costs each of them more than the system
//! calls between the writes.

use std::ops::Deref;

/// A value on cache lines of its own; two, for CPUs fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
