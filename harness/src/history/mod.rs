//! History: what past runs said, in one database that answers questions across them.
//!
//! | file | job |
//! |---|---|
//! | `schema.rs` | the tables, by version, and how an older database becomes the newest |
//! | `derived.rs` | the tables that questions read, made from what runs said |
//! | `store.rs` | the database, opened with suspicion and shared by writers |
//! | `find.rs` | run directories below a folder |
//! | `import.rs`, `write.rs` | a run directory goes in, once; its rows |
//! | `asked.rs` | what a run was asked for (pure) |
//! | `change.rs` | outcomes that are others than the last time |
//! | `told.rs` | which runs somebody has been told of |
//! | `notify.rs` | the user's command that hears of them |
//! | `ask.rs`, `rate.rs`, `trend.rs` | the questions: since when, how often, and how measures went |
//! | `took.rs` | how long cells take, by what past ones took |
//! | `segment.rs` | where a series of values shifts (pure) |
//! | `simulate.rs` | histories without runs, to measure all that with |
//! | `shifts.rs` | shifts by night and kernel, and how each is bisected (pure but for its question) |

mod ask;
mod asked;
mod change;
mod derived;
mod find;
mod import;
mod notify;
mod rate;
mod schema;
mod segment;
mod shifts;
pub mod simulate;
mod store;
mod told;
mod took;
mod trend;
mod write;

pub use ask::{Sighting, Since};
pub use change::Change;
pub use find::runs_below;
pub use notify::{Message, NOTIFY, notify};
pub use rate::{Rate, Rates};
pub use shifts::{Shift, Shifts, Side, shifts};
pub use store::{History, NAMED, file};
pub use took::Past;
pub use trend::{Kind, Point, Series};
