//! The symbols that a resulting `.config` has on.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{Result, error::Context};

/// The symbols that are not `n`, without `CONFIG_`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enabled(BTreeSet<String>);

impl Enabled {
    /// From the text of a `.config`.
    pub fn of(config: &str) -> Self {
        let on = config.lines().filter_map(|line| {
            let (symbol, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
            (value != "n").then(|| symbol.to_owned())
        });
        Self(on.collect())
    }

    /// From a `.config`.
    ///
    /// # Errors
    /// The host's: it cannot be read.
    pub fn read(config: &Path) -> Result<Self> {
        let text = fs::read(config).host(|| format!("failed to read {}", config.display()))?;
        Ok(Self::of(&String::from_utf8_lossy(&text)))
    }

    /// Whether the symbol is on.
    pub fn has(&self, symbol: &str) -> bool {
        self.0.contains(symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_off_is_on() {
        let config = "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=m\nCONFIG_D=n\nCONFIG_E=\"\"\n";
        let enabled = Enabled::of(config);
        let on = ["A", "B", "C", "D", "E", "F"].map(|symbol| enabled.has(symbol));
        assert_eq!(on, [false, true, true, false, true, false]);
    }
}
