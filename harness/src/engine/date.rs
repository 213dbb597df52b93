//! Dates in UTC, as reports and folder names have them.

use std::time::SystemTime;

use jiff::Timestamp;

/// `2026-01-02T03:04:05Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    // A clock beyond the calendar's end is shown as its beginning.
    let stamp = Timestamp::try_from(time).unwrap_or_default();
    stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-01-02`.
pub(crate) fn today() -> String {
    Timestamp::now().strftime("%Y-%m-%d").to_string()
}
