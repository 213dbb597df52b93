//! Sizes of structures, as a compiler's debug information says them.
//!
//! | file | job |
//! |---|---|
//! | `sizes.rs` | the sizes in one object file |
//! | `sources.rs` | the source files that have to be compiled to see them all |

mod sizes;
mod sources;

pub use sizes::{Size, sizes};
pub use sources::sources;
