//! Scenarios: what is exercised, read from YAML.
//!
//! | file | job |
//! |---|---|
//! | `types.rs` | what a scenario says, as the rest of the engine sees it |
//! | `raw.rs`, `value.rs` | the YAML's shape, and the values in it that check themselves |
//! | `parse.rs` | text to scenario; errors with file, line, column and the line itself |
//! | `find.rs` | a scenario by name or path |
//! | `profile.rs` | the table of profiles, and loads resolved by it |
//! | `nearest.rs` | which known name a mistyped one may have meant |

mod find;
mod nearest;
mod parse;
mod profile;
mod raw;
mod types;
mod value;

pub use find::{Listed, find, list, load};
pub use nearest::{did_you_mean, nearest};
pub(crate) use parse::explain;
pub use parse::parse;
pub use profile::{Boots, PROFILES, ProfileRow, judges_costs};
pub use types::{
    Acceptance, Accepted, Count, DEFAULT, ExecSpec, FioSpec, GuestSpec, LoadSpec, Profile,
    RaceSpec, Scenario,
};
pub use value::parse_size_mib;
pub(crate) use value::{Date, Name, Size, Within, Words, is_name};
