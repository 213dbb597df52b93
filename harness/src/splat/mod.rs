//! Splats: every kernel report in a console log, cut out, titled and classed.
//!
//! | step | module |
//! |---|---|
//! | find lines that may begin a report | `prefilter`, `formats` |
//! | take a line apart: time stamp, caller, text | `line` |
//! | gather a report's lines | [`Scanner`], `open` |
//! | read its frames and stacks | `frame`, `names`, `text`, `stacks` |
//! | find the guilty function | `guilty`, `skip`, `anchor` |
//! | give it a title | `report`, `title` |
//! | add source lines, with the kernel's debug information | [`Symbolizer`] |
//! | tell whether two are the same bug | [`Key`] |
//!
//! Feed a live console to a [`Scanner`], a file to [`scan_reader`]; what comes out is the same.

mod anchor;
mod formats;
mod frame;
mod guilty;
mod key;
mod line;
mod names;
mod open;
mod pattern;
mod phase;
mod prefilter;
mod ranges;
mod read;
mod report;
mod scanner;
mod skip;
mod stacks;
mod symbolize;
mod text;
mod title;
mod types;

pub use formats::classes;
pub use key::Key;
pub use prefilter::needles;
pub use ranges::Ranges;
pub use read::{scan_bytes, scan_reader};
pub use scanner::Scanner;
pub use symbolize::Symbolizer;
pub(crate) use symbolize::{normal, relative};
pub use types::{Frame, Place, Splat};
