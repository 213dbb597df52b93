//! Reports: a verdict for the terminal, as Markdown, as JSON.
//!
//! | file | job |
//! |---|---|
//! | `page.rs` | what a page is made of, whatever shows it |
//! | `content.rs`, `words.rs` | a verdict as a page |
//! | `term.rs`, `md.rs` | a page in one format each |
//! | `escape.rs` | the one way of foreign text into each |
//! | `format.rs` | the table of formats |
//! | `lcov.rs` | which lines of a patch ran, for tools that read lcov's format |
//! | `store.rs` | reports in a run directory, written and read back |

mod content;
pub mod escape;
mod format;
mod lcov;
mod md;
mod page;
mod store;
mod term;
mod words;

#[cfg(test)]
mod tests;

pub use format::{Format, render};
pub use store::{read_verdict, write};
pub use words::outcome_word;
