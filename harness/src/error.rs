//! The engine's one error type: what failed, whose fault it is, what mends it.

use std::{error::Error as StdError, fmt};

/// A result of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an error is; decides the exit code (see [`crate::exit`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Wrong usage or bad input: the caller mends it.
    Input,
    /// The host's or the harness's own.
    Infrastructure,
    /// The variant cannot be tested: patch, build or boot failed.
    Untestable,
    /// The user stopped it.
    Interrupted,
}

/// What failed, whose fault it is and what mends it.
///
/// Messages are lower-case fragments that read well after "failed to ...: ".
pub struct Error {
    fault: Fault,
    message: String,
    mend: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of the given fault.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self {
            fault,
            message: message.into(),
            mend: None,
            source: None,
        }
    }

    /// Bad input.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Fault::Input, message)
    }

    /// The host's or harness's fault.
    pub fn infrastructure(message: impl Into<String>) -> Self {
        Self::new(Fault::Infrastructure, message)
    }

    /// The variant cannot be tested.
    pub fn untestable(message: impl Into<String>) -> Self {
        Self::new(Fault::Untestable, message)
    }

    /// Stopped by the user.
    pub fn interrupted() -> Self {
        Self::new(Fault::Interrupted, "interrupted")
    }

    /// Adds the one thing that mends it, shown on a line of its own.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What mends it, where that is known.
    pub fn mending(&self) -> Option<&str> {
        self.mend.as_deref()
    }

    /// The message and its causes in one line: `a: b: c`.
    pub fn chain(&self) -> String {
        let mut out = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            out.push_str(": ");
            out.push_str(&error.to_string());
            cause = error.source();
        }
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.fault, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}

/// Turns a foreign error into ours, saying what was being done.
pub trait Context<T> {
    /// An [`Fault::Infrastructure`] error: `doing` failed because of the original.
    fn host(self, doing: impl FnOnce() -> String) -> Result<T>;
    /// An [`Fault::Input`] error.
    fn input(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn host(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::infrastructure(doing()).because(e))
    }

    fn input(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::input(doing()).because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_reads_from_outside_in() {
        let inner = std::io::Error::other("no such device");
        let error: Error = Err::<(), _>(inner)
            .host(|| "failed to open the port".into())
            .unwrap_err();
        assert_eq!(error.chain(), "failed to open the port: no such device");
        assert_eq!(error.fault(), Fault::Infrastructure);
    }
}
