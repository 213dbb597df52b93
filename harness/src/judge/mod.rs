//! Judging: what the findings of base and variant, side by side, say about the patch.
//!
//! | file | job |
//! |---|---|
//! | `verdict.rs` | the shape of `verdict.json` |
//! | `compare.rs` | one comparison: everything below put together |
//! | `unjudged.rs` | comparisons without boots |
//! | `observe.rs`, `ends.rs` | a boot's record to what it showed |
//! | `followed.rs` | whether a boot showed the one finding that is followed |
//! | `frames.rs` | the frames of a splat that count |
//! | `groups.rs` | observations of both sides that are the same finding |
//! | `known.rs` | what base is known to show, earlier boots included |
//! | `status.rs`, `fisher.rs` | new, unconfirmed, common or fixed |
//! | `touched.rs`, `related.rs`, `csource.rs` | what a patch touches, and what handles the same structures |
//! | `conditions.rs` | what must have happened for a pass |
//! | `unable.rs` | commands that fail alike on both sides for want of something |
//! | `ran.rs` | what of the patch's code ran, or why that is not known |
//! | `uncompared.rs` | costs that one side lacks |
//! | `measures.rs` | costs side by side |
//! | `instructions.rs`, `memory.rs` | what counted operations cost, and what ids take in memory |
//! | `structures.rs` | sizes of structures side by side, and the slab caches that serve them |
//! | `throughput.rs`, `ranks.rs` | what boots allow to say about throughput |
//! | `rates.rs` | rates of rare events, and what none of them means |
//! | `assemble.rs` | the whole run's verdict |

mod able;
mod assemble;
mod compare;
mod conditions;
mod csource;
mod ends;
mod fisher;
mod followed;
mod frames;
mod groups;
mod instructions;
mod known;
mod measures;
mod memory;
mod moves;
mod observe;
mod ran;
mod ranks;
pub mod rates;
mod related;
mod status;
mod structures;
mod throughput;
mod touched;
mod unable;
mod uncompared;
mod unjudged;
pub mod verdict;

#[cfg(test)]
mod compare_tests;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod followed_tests;
#[cfg(test)]
mod known_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod outcome_tests;
#[cfg(test)]
mod touched_tests;

pub use assemble::{RunFacts, verdict};
pub(crate) use compare::is_by_chance;
pub use compare::{JudgeInput, Judged, Proof, judge};
pub use followed::{Bound, Followed, Shown, When};
pub(crate) use measures::median;
pub use measures::{is_throughput, judged_throughput};
pub(crate) use ranks::{interval_of_many, shift};
pub use structures::changed as changed_structures;
pub use throughput::{EMULATED_LAYOUT, Rules, is_layouts, variance as log_variance};
pub use touched::Touched;
pub use unjudged::{Broken, broken_base, unjudged, untestable};
