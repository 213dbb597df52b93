//! History: what past runs said, in one database that answers questions across them.
//!
//! | file | job |
//! |---|---|
//! | `schema.rs` | the tables, by version, and how an older database becomes the newest |
//! | `store.rs` | the database, opened with suspicion and shared by writers |
//! | `find.rs` | run directories below a folder |
//! | `import.rs` | a run directory goes in, once |
//! | `ask.rs` | the questions |

mod ask;
mod find;
mod import;
mod schema;
mod store;

pub use ask::{Point, Rate, Series, Sighting, Since};
pub use find::runs_below;
pub use store::History;
