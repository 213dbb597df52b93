//! Reports: a verdict for the terminal, as Markdown, HTML, JSON, and what CI systems and lists read.
//!
//! | file | job |
//! |---|---|
//! | `page.rs` | what a page is made of, whatever shows it |
//! | `content.rs`, `costs.rs`, `words.rs` | a verdict as a page |
//! | `claims.rs` | what came of a patch's claims as a page |
//! | `matrix.rs`, `actions.rs` | what became of a matrix as a page, and as GitHub's annotations |
//! | `term.rs`, `md.rs` | a page in one format each |
//! | `boots.rs`, `inside.rs` | what a run's boots left, read with suspicion |
//! | `html/` | a run as a page of HTML |
//! | `junit.rs`, `ktap.rs`, `kcidb.rs` | a verdict as tests, for programs |
//! | `mail.rs` | a verdict as an answer to the patch's mail |
//! | `plots.rs`, `plot/` | what there is to plot, and plots as SVG |
//! | `escape.rs` | the one way of foreign text into each |
//! | `format.rs` | the table of formats |
//! | `lcov.rs` | which lines of a patch ran, for tools that read lcov's format |
//! | `store.rs` | reports in a run directory, written and read back |

mod actions;
mod boots;
mod claims;
mod content;
mod costs;
pub mod escape;
mod format;
mod html;
mod inside;
mod junit;
mod kcidb;
mod ktap;
mod lcov;
mod mail;
mod matrix;
mod md;
mod page;
mod plot;
mod plots;
mod store;
mod term;
mod words;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
pub(crate) mod tests;

pub use actions::annotations;
pub use format::{
    Format, render, render_claims, render_forecast, render_left, render_matrix, render_status,
};
pub(crate) use inside::Folder;
pub use mail::Identity;
pub(crate) use store::VERDICT;
pub use store::{has_verdict, read_matrix, read_verdict, write};
pub(crate) use words::figure;
pub use words::outcome_word;
