//! Bisect: which commit brought a finding that shows only now and then.
//!
//! | file | job |
//! |---|---|
//! | `history.rs` | the commits in question, and what lies in each one's history |
//! | `belief.rs` | how likely each is the culprit, and how often the finding shows |
//! | `choose.rs` | the commit whose trials tell most for their cost |
//! | `search.rs` | both ends confirmed, then trials until one commit is sure enough |
//! | `bounds.rs` | what any search must take, and what plain bisect takes |
//! | `simulate.rs` | searches without kernels |
//!
//! All of it is pure; `engine::bisect` makes the kernels and the trials.

mod belief;
pub mod bounds;
mod choose;
mod history;
mod search;
pub mod simulate;

pub use choose::Costs;
pub use history::History;
pub use search::{Aim, Answer, Next, Point, Search, Tally, Unconfirmed};
