//! Splats: every kernel report in a console log, cut out, titled and classed.

mod types;

pub use types::{Frame, Place, Splat};
