//! Patches: every form that a user may hand in, read into one series.
//!
//! | step | module |
//! |---|---|
//! | bytes to mails | `mbox`, `mail`, `head`, `flowed`, `html`, `page`, `subject` |
//! | mails to one series | `candidate`, `choose`, `load` |
//! | text to changes | `reader`, `hunk`, `name`, `diff` |
//! | changes to a tree | `apply`, `farm`, `reject` |
//! | changes to the kernel's own code | `kernel_code` |

mod apply;
mod candidate;
mod choose;
mod diff;
mod farm;
mod flowed;
mod head;
mod html;
mod hunk;
mod kernel_code;
mod load;
mod mail;
mod mbox;
mod name;
mod page;
mod reader;
mod reject;
mod series;
mod subject;

pub use apply::{apply, check};
pub use choose::{Ambiguous, Choice, Chooser, remembering};
pub(crate) use farm::{link as link_farm, make_way};
pub use head::MailHead;
pub(crate) use kernel_code::is_kernel_code;
pub(crate) use load::{LARGEST, is_patchs_name};
pub use load::{load, load_choosing};
pub use reject::{Misfit, Rejection};
pub use series::{FileChange, Hunk, Patch, Series};
