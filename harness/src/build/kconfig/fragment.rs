//! Config fragments: parsed line by line, stacked, later lines over earlier ones.

use std::{collections::BTreeMap, fmt};

use crate::{Error, Result};

/// The longest fragment that is read, in bytes; distributions' whole configs are a tenth of it.
const LONGEST: usize = 4 << 20;

/// One fragment's text and the name that messages give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// `kasan.config`, or the path that the user gave.
    pub name: String,
    /// Its lines.
    pub text: String,
}

/// A named stack of fragments: base, the config's own, the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigText {
    /// The config's name, e.g. `kasan`.
    pub name: String,
    /// In order; a later fragment's line overrides an earlier one's.
    pub fragments: Vec<Fragment>,
}

/// A symbol's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// `n`, or "is not set".
    No,
    /// `m`
    Module,
    /// `y`
    Yes,
    /// A number or hexadecimal number, as written.
    Number(String),
    /// A string, without its quotes.
    Text(String),
}

impl Value {
    fn parse(text: &str) -> Option<Self> {
        let quoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        let number = text.strip_prefix("0x").map_or_else(
            || text.trim_start_matches('-').parse::<u64>().is_ok(),
            |hex| u64::from_str_radix(hex, 16).is_ok(),
        );
        match (text, quoted) {
            ("n", _) => Some(Self::No),
            ("m", _) => Some(Self::Module),
            ("y", _) => Some(Self::Yes),
            (_, Some(inner)) => Some(Self::Text(unescape(inner))),
            _ if number => Some(Self::Number(text.to_owned())),
            _ => None,
        }
    }

    /// Is it anything but `n`?
    pub fn is_on(&self) -> bool {
        *self != Self::No
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("n"),
            Self::Module => f.write_str("m"),
            Self::Yes => f.write_str("y"),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// One line that asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The symbol, without `CONFIG_`.
    pub symbol: String,
    /// The value asked for.
    pub value: Value,
    /// Where: `kasan.config:3`.
    pub place: String,
}

impl ConfigText {
    /// What counts in the end: the last line of each symbol, in the symbols' order.
    ///
    /// # Errors
    /// A line that is neither a setting nor a comment, or `=m`, with its place.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let mut last = BTreeMap::new();
        for fragment in &self.fragments {
            for request in parse(fragment)? {
                last.insert(request.symbol.clone(), request);
            }
        }
        Ok(last.into_values().collect())
    }

    /// All fragments in one text, for kbuild. Comments are left out: another wording is no other
    /// kernel.
    pub fn merged(&self) -> String {
        let lines = self.fragments.iter().flat_map(|one| one.text.lines());
        let said = lines.filter(|line| setting(line) != Ok(None));
        said.fold(String::new(), |all, line| all + line + "\n")
    }
}

fn parse(fragment: &Fragment) -> Result<Vec<Request>> {
    if fragment.text.len() > LONGEST {
        let message = format!("{} is longer than {LONGEST} bytes", fragment.name);
        return Err(Error::input(message));
    }
    let mut requests = Vec::new();
    for (n, line) in fragment.text.lines().enumerate() {
        let place = format!("{}:{}", fragment.name, n + 1);
        match setting(line) {
            Ok(None) => {}
            Ok(Some((_, Value::Module))) => {
                let message = format!("{place}: `{}`: guests load no modules", line.trim());
                return Err(Error::input(message).mend("ask for =y"));
            }
            Ok(Some((symbol, value))) => requests.push(Request {
                symbol,
                value,
                place,
            }),
            Err(why) => {
                let message = format!("{place}: `{}`: {why}", line.trim().escape_debug());
                return Err(Error::input(message)
                    .mend("write CONFIG_X=y, CONFIG_X=\"text\" or # CONFIG_X is not set"));
            }
        }
    }
    Ok(requests)
}

/// What a line of a fragment or of a `.config` sets; none for comments and empty lines.
pub(super) fn setting(line: &str) -> Result<Option<(String, Value)>, &'static str> {
    let line = line.trim();
    if let Some(comment) = line.strip_prefix('#') {
        let off = comment.trim().strip_suffix(" is not set");
        let symbol = off.and_then(|name| name.trim().strip_prefix("CONFIG_"));
        return Ok(symbol
            .filter(|s| is_symbol(s))
            .map(|s| (s.to_owned(), Value::No)));
    }
    if line.is_empty() {
        return Ok(None);
    }
    let (name, value) = line.split_once('=').ok_or("not a setting")?;
    let symbol = name.strip_prefix("CONFIG_").ok_or("not a setting")?;
    if !is_symbol(symbol) {
        return Err("not a symbol's name");
    }
    let value = Value::parse(value).ok_or("not a value: y, n, a number or a quoted string")?;
    Ok(Some((symbol.to_owned(), value)))
}

fn is_symbol(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn stack(fragments: &[(&str, &str)]) -> ConfigText {
        let fragment = |(name, text): &(&str, &str)| Fragment {
            name: (*name).into(),
            text: (*text).into(),
        };
        ConfigText {
            name: "test".into(),
            fragments: fragments.iter().map(fragment).collect(),
        }
    }

    #[test]
    fn lines_are_read() {
        let text = |t: &str| Value::Text(t.into());
        let table = [
            ("", None),
            ("# why this stands here", None),
            ("# see whether it is not set", None),
            ("CONFIG_A=y", Some(("A", Value::Yes))),
            ("  CONFIG_A=n ", Some(("A", Value::No))),
            ("# CONFIG_A is not set", Some(("A", Value::No))),
            ("#CONFIG_A is not set", Some(("A", Value::No))),
            ("CONFIG_N=64", Some(("N", Value::Number("64".into())))),
            ("CONFIG_N=-1", Some(("N", Value::Number("-1".into())))),
            ("CONFIG_H=0xff", Some(("H", Value::Number("0xff".into())))),
            (r#"CONFIG_S="a \"b\"""#, Some(("S", text("a \"b\"")))),
            (r#"CONFIG_S="""#, Some(("S", text("")))),
        ];
        for (line, expected) in table {
            let expected = expected.map(|(s, v)| (s.to_owned(), v));
            assert_eq!(setting(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn bad_lines_are_named_with_their_place() {
        let table = [
            ("\nKASAN=y", "f:2: `KASAN=y`: not a setting"),
            ("CONFIG_A", "f:1: `CONFIG_A`: not a setting"),
            ("CONFIG_A B=y", "not a symbol's name"),
            ("CONFIG_A=yes", "not a value"),
            ("CONFIG_A=\"x", "not a value"),
            ("CONFIG_A=m", "f:1: `CONFIG_A=m`: guests load no modules"),
            ("\x1b[31m", r"\u{1b}[31m"),
        ];
        for (text, expected) in table {
            let error = stack(&[("f", text)]).requests().unwrap_err();
            assert!(error.chain().contains(expected), "{error}");
            assert!(error.mending().is_some());
        }
    }

    #[test]
    fn the_last_line_counts() {
        let config = stack(&[
            ("base", "# why\nCONFIG_A=y\n\n# since 6.9\nCONFIG_B=y"),
            ("own", "# CONFIG_A is not set"),
        ]);
        let requests = config.requests().unwrap();
        let places: Vec<_> = requests.iter().map(|r| (&*r.symbol, &*r.place)).collect();
        assert_eq!(places, [("A", "own:1"), ("B", "base:5")]);
        assert_eq!(
            config.merged(),
            "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_A is not set\n"
        );
    }
}
