//! The table of report formats: a row says how one kind of report begins, what it is called and
//! where its guilty function stands.
//!
//! A new format is a row here and a golden log under `tests/golden/splat/`.

mod fault;
mod lock;
mod memory;
mod misc;
mod row;
mod stall;
mod warning;

use std::collections::BTreeSet;

pub(super) use row::{Format, Role, matching, needles, unsure, vague};

/// Every row. Where several match a header, the first whose body is found too counts.
const TABLES: &[&[Format]] = &[
    memory::ROWS,
    lock::ROWS,
    stall::ROWS,
    warning::ROWS,
    fault::ROWS,
    misc::ROWS,
];

/// Every class that a report may have.
pub fn classes() -> BTreeSet<&'static str> {
    let rows = TABLES.iter().flat_map(|table| table.iter());
    rows.map(|row| row.class).collect()
}
