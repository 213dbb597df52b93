//! Collecting: what a boot said, on disk and as a record.

pub mod record;
