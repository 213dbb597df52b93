//! Lookup of a FUSE backing id against its removal, from many threads.
//!
//! Servers answer opens with ids that churners register and remove at that
//! moment; openers check what they then read. [`ledger`] keeps who was
//! registered when, so that every answer can be judged exactly.

mod apart;
mod churner;
mod ledger;
mod opener;
mod race;
mod refusal;
mod server;
mod slots;
mod tally;

pub(crate) use race::run;
