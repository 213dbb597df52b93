//! Where the project's own files lie.

use std::path::{Path, PathBuf};

/// The project's top folder.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Default for Home {
    fn default() -> Self {
        Self::here()
    }
}

impl Home {
    /// The checkout that this program was built from.
    pub fn here() -> Self {
        let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self(harness.parent().unwrap_or(harness).to_owned())
    }

    /// The top folder itself.
    pub fn top(&self) -> &Path {
        &self.0
    }

    /// Kernel config fragments.
    pub fn configs(&self) -> PathBuf {
        self.0.join("kernel-configs")
    }

    /// Scenarios, by subject.
    pub fn scenarios(&self) -> PathBuf {
        self.0.join("scenarios")
    }

    /// A subject's folder.
    pub fn subject(&self, name: &str) -> PathBuf {
        self.scenarios().join(name)
    }

    /// Where bisects keep their trials.
    pub fn bisects(&self) -> PathBuf {
        self.0.join("target/ktwin/bisects")
    }

    /// Where matrices keep their cells.
    pub fn matrices(&self) -> PathBuf {
        self.0.join("target/ktwin/matrices")
    }

    /// Where run directories go.
    pub fn runs(&self) -> PathBuf {
        self.0.join("target/ktwin/runs")
    }
}
