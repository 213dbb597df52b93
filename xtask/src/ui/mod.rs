//! What the user sees: results on stdout, progress and messages on stderr.

mod choose;
mod paint;
mod print;
mod progress;

pub(crate) use choose::chooser;
pub(crate) use paint::Paint;
pub(crate) use print::{ask, out, print_error, say, warn};
pub(crate) use progress::Progress;
