//! Pages of HTML: one file each, nothing of which comes from elsewhere.
//!
//! | file | job |
//! |---|---|
//! | `run.rs`, `run.html` | a run |
//! | `matrix.rs`, `matrix.html` | a matrix |
//! | `shell.rs`, `shell.html` | what is around every page |
//! | `view.rs`, `text.html`, `block.html` | a page's parts, as templates take them |
//! | `page.css`, `page.js` | how it looks, and what sorts and filters; all is there without the latter |

mod matrix;
mod run;
mod shell;
mod view;

pub(super) use matrix::render as matrix;
pub(super) use run::render as run;
#[cfg(test)]
pub(super) use shell::{SCRIPT, STYLE};
