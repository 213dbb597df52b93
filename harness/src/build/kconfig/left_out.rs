//! Lines that a tree is not asked for.

use std::{collections::BTreeSet, path::Path};

use super::{
    fragment::{ConfigText, Fragment, setting},
    tree::Symbols,
};
use crate::Result;

impl ConfigText {
    /// Of the symbols in `brought`, those that are asked for and that the tree does not know.
    ///
    /// # Errors
    /// A line is bad.
    pub fn unknown(&self, tree: &Path, brought: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let asked = self.requests()?.into_iter().filter(|r| r.value.is_on());
        let mut asked: BTreeSet<String> = asked.map(|request| request.symbol).collect();
        asked.retain(|symbol| brought.contains(symbol));
        // A tree has more than a thousand Kconfig files, and hardly a patch brings a symbol.
        if !asked.is_empty() {
            let known = Symbols::read(tree);
            asked.retain(|symbol| !known.knows(symbol));
        }
        Ok(asked)
    }

    /// The same without the lines about these symbols.
    pub fn without(&self, symbols: &BTreeSet<String>) -> Self {
        self.keeping(|_, symbol| !symbols.contains(symbol))
    }

    /// The same with only those settings that `keeps` takes, by the line above and the symbol. All that
    /// stays keeps its line's number.
    fn keeping(&self, keeps: impl Fn(&str, &str) -> bool) -> Self {
        let keep = |fragment: &Fragment| {
            let mut text = String::with_capacity(fragment.text.len());
            let mut above = "";
            for line in fragment.text.lines() {
                let left_out = match setting(line) {
                    Ok(Some((symbol, _))) => !keeps(above, &symbol),
                    _ => false,
                };
                if !left_out {
                    text.push_str(line);
                }
                text.push('\n');
                above = line;
            }
            Fragment {
                name: fragment.name.clone(),
                text,
            }
        };
        Self {
            name: self.name.clone(),
            fragments: self.fragments.iter().map(keep).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{fragment::tests::stack, tree::tests::tree},
        *,
    };

    #[test]
    fn only_what_comes_with_a_patch_and_is_unknown_is_left_out() {
        let dir = tree();
        let own =
            "CONFIG_A=y\nCONFIG_NEW=y\n# CONFIG_OFF is not set\nCONFIG_KASAN=y\nCONFIG_GONE=y\n";
        let config = stack(&[("base", "CONFIG_NEW=y\n"), ("own", own)]);
        let brought = ["NEW", "OFF", "KASAN", "NOT_ASKED"].map(str::to_owned);
        let unknown = config.unknown(dir.path(), &brought.into()).unwrap();
        assert_eq!(unknown, ["NEW".to_owned()].into());
        let left = config.without(&unknown);
        assert_eq!(
            left.merged(),
            "\nCONFIG_A=y\n\n# CONFIG_OFF is not set\nCONFIG_KASAN=y\nCONFIG_GONE=y\n"
        );
        let places = |config: &ConfigText| -> Vec<String> {
            let requests = config.requests().unwrap().into_iter();
            requests.map(|r| r.place).collect()
        };
        assert_eq!(places(&left), ["own:1", "own:5", "own:4", "own:3"]);
    }
}
