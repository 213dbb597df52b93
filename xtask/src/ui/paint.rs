//! Colours, on terminals only, and never where `NO_COLOR` is set.

use std::{
    env,
    io::{self, IsTerminal},
};

/// Paints, or leaves as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    pub(crate) fn stdout() -> Self {
        Self::for_terminal(io::stdout().is_terminal())
    }

    pub(crate) fn stderr() -> Self {
        Self::for_terminal(io::stderr().is_terminal())
    }

    fn for_terminal(terminal: bool) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self {
            on: terminal && !refused,
        }
    }

    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.code(text, 31)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.code(text, 32)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.code(text, 33)
    }

    fn code(self, text: &str, code: u8) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
