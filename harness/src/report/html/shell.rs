//! What is around every page: its style, its script, and a policy that runs no other.

use std::sync::LazyLock;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use crate::report::page::Text;

pub(in crate::report) const STYLE: &str = include_str!("page.css");
pub(in crate::report) const SCRIPT: &str = include_str!("page.js");

/// Only our own script runs, known by its hash; nothing is fetched. Were a text to get through the
/// escaping, it would still do nothing.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64.encode(&Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'"
    )
});

/// The frame of a page.
pub(super) struct Shell {
    /// For the window and its tab.
    pub(super) title: String,
    /// The outcome's word.
    pub(super) outcome: Text,
    /// What it is about.
    pub(super) about: Text,
    /// What there is to filter: `findings, boots and splats`.
    pub(super) sifts: &'static str,
}

impl Shell {
    pub(super) fn policy(&self) -> &'static str {
        &POLICY
    }

    pub(super) fn style(&self) -> &'static str {
        STYLE
    }

    pub(super) fn script(&self) -> &'static str {
        SCRIPT
    }
}
