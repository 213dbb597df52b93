//! Kernel configs: fragments as asked for, `.config` as it came out, and why the two differ.

mod check;
mod enabled;
mod expr;
mod fragment;
mod left_out;
mod lines;
mod tree;

pub use check::{Lost, lost};
pub use enabled::Enabled;
pub use fragment::{ConfigText, Fragment, Request, Value};
pub use tree::Symbols;
