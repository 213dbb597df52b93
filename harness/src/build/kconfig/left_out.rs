//! Lines that a tree is not asked for.

use std::{collections::BTreeSet, path::Path};

use super::{
    fragment::{ConfigText, Fragment, setting},
    tree::Symbols,
};
use crate::{Result, source::Version};

/// `# since 6.15`, above a setting that older kernels are not asked for: comments may stand between.
const SINCE: &str = "# since ";

impl ConfigText {
    /// What a kernel of this version is asked for: without the settings that are marked as newer ones'.
    pub fn of_version(&self, version: Version) -> Self {
        self.keeping(|above, _| since(above).is_none_or(|since| version >= since))
    }

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

    /// The same with only those settings that `keeps` takes, by the mark above, or another line, and the symbol.
    /// All that stays keeps its line's number.
    fn keeping(&self, keeps: impl Fn(&str, &str) -> bool) -> Self {
        let keep = |fragment: &Fragment| {
            let mut text = String::with_capacity(fragment.text.len());
            let mut above = "";
            for line in fragment.text.lines() {
                let set = setting(line).ok().flatten();
                let left_out = set
                    .as_ref()
                    .is_some_and(|(symbol, _)| !keeps(above, symbol));
                if !left_out {
                    text.push_str(line);
                }
                text.push('\n');
                let explains = set.is_none() && line.starts_with('#') && since(line).is_none();
                if !explains {
                    above = line;
                }
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

/// The version that a comment asks for, if it does.
pub(super) fn since(comment: &str) -> Option<Version> {
    let (major, minor) = comment.trim().strip_prefix(SINCE)?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
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
            "CONFIG_A=y\n# CONFIG_OFF is not set\nCONFIG_KASAN=y\nCONFIG_GONE=y\n"
        );
        let places = |config: &ConfigText| -> Vec<String> {
            let requests = config.requests().unwrap().into_iter();
            requests.map(|r| r.place).collect()
        };
        assert_eq!(places(&left), ["own:1", "own:5", "own:4", "own:3"]);
    }

    #[test]
    fn what_is_for_newer_kernels_is_left_out() {
        let text = "# since 6.13\n# why\nCONFIG_A=y\nCONFIG_B=y\n# since 7.0\n# CONFIG_C is not set\n\
                    # since 7.0\n\nCONFIG_D=y\n# since it helps\nCONFIG_E=y\n# since 6.1 or so\nCONFIG_F=y\n";
        for (version, expected) in [
            ((5, 19), "BDEF"),
            ((6, 1), "BDEF"),
            ((6, 9), "BDEF"),
            ((6, 13), "ABDEF"),
            ((6, 100), "ABDEF"),
            ((7, 0), "ABCDEF"),
        ] {
            let left = stack(&[("f", text)]).of_version(version);
            let requests = left.requests().unwrap();
            let symbols: String = requests.iter().map(|r| r.symbol.as_str()).collect();
            assert_eq!(symbols, expected, "{version:?}");
            let last = requests.last().unwrap();
            assert_eq!(last.place, "f:13", "{version:?}");
        }
        // A kernel that all is asked of has the same text as without the marks.
        let unmarked = text
            .replace("# since 6.13\n", "")
            .replace("# since 7.0\n", "");
        let left = stack(&[("f", text)]).of_version((7, 0));
        assert_eq!(left.merged(), stack(&[("f", &unmarked)]).merged());
    }
}
