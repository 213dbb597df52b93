//! The engine: the pipeline's steps, one after the other, for one request.

mod bisect;
mod build;
pub mod catalogue;
mod check;
mod claims;
mod compare;
mod configs;
pub(crate) mod date;
mod emulator;
mod flow;
mod guests;
mod home;
mod kernels;
mod lab;
mod library;
mod overlay;
mod proof;
mod replay;
mod request;
mod seen;
mod shell;
mod spread;
mod subject;
mod symbols;
mod watching;

pub use bisect::{Asked, Commit, Ended, Found, Tried, bisect};
pub use build::build;
pub use check::{Foreseen, foresee};
pub use claims::measure_claims;
pub use flow::{Done, run};
pub use home::Home;
pub use lab::Lab;
pub use overlay::Overlay;
pub use replay::{Replayed, replay};
pub use request::{AccelChoice, Kernel, Request, Stalls, VariantSpec, Variants, Workload};
pub use shell::{Shell, prepare_shell};
