//! What the user writes: `fuse_backing_lookup:300us` (pure).

use std::{fmt, str::FromStr};

use protocol::board::MAX_HOLD_US;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Where vCPUs are held, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Where.
    pub place: Place,
    /// How long, in microseconds.
    pub hold_us: u64,
}

/// A place in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A function's instructions, at random; copies inlined elsewhere too.
    Function(String),
    /// One instruction of a function, by its offset in bytes.
    Instruction(String, u64),
    /// A line's first instructions.
    Line(String, u32),
}

const FORMS: &str = "write FUNCTION:300us, FUNCTION+0x25:300us or fs/fuse/backing.c:224:300us";

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |what: String| Error::input(format!("stall `{text}`: {what}")).mend(FORMS);
        let (place, hold) = text
            .rsplit_once(':')
            .ok_or_else(|| wrong("no duration".into()))?;
        let hold_us =
            micros(hold).ok_or_else(|| wrong(format!("`{hold}` is no duration in us or ms")))?;
        if !(1..=MAX_HOLD_US).contains(&hold_us) {
            return Err(wrong(format!(
                "a hold takes 1 us to {} ms",
                MAX_HOLD_US / 1000
            )));
        }
        let place = Place::parse(place).ok_or_else(|| wrong(format!("`{place}` is no place")))?;
        Ok(Self { place, hold_us })
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        if let Some((file, line)) = text.rsplit_once(':') {
            let line = line.parse().ok().filter(|line| *line > 0)?;
            return (!file.is_empty()).then(|| Self::Line(file.to_owned(), line));
        }
        let (function, offset) = match text.split_once('+') {
            None => (text, None),
            Some((function, offset)) => {
                let digits = offset.strip_prefix("0x")?;
                (function, Some(u64::from_str_radix(digits, 16).ok()?))
            }
        };
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if function.is_empty() || !function.chars().all(named) {
            return None;
        }
        Some(match offset {
            None => Self::Function(function.to_owned()),
            Some(offset) => Self::Instruction(function.to_owned(), offset),
        })
    }
}

fn micros(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix("us") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix("ms")?, 1000),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}us", self.place, self.hold_us)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) => f.write_str(name),
            Self::Instruction(name, offset) => write!(f, "{name}+{offset:#x}"),
            Self::Line(file, line) => write!(f, "{file}:{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written() {
        let table = [
            ("f:300us", Place::Function("f".into()), 300),
            ("f.isra.0:1ms", Place::Function("f.isra.0".into()), 1000),
            ("f+0x25:5us", Place::Instruction("f".into(), 0x25), 5),
            ("fs/x.c:224:9us", Place::Line("fs/x.c".into(), 224), 9),
        ];
        for (text, place, hold_us) in table {
            let spec: Spec = text.parse().unwrap();
            assert_eq!((&spec.place, spec.hold_us), (&place, hold_us), "{text}");
            assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_the_forms() {
        for text in [
            "",
            "f",
            "f:",
            ":5us",
            "f:5",
            "f:5s",
            "f:0us",
            "f:101ms",
            "f+25:5us",
            "f+0x:5us",
            "a b:5us",
            "fs/x.c:0:5us",
            "f:99999999999999999999us",
            "f:18446744073709551615ms",
        ] {
            let error = text.parse::<Spec>().unwrap_err();
            assert_eq!(error.mending(), Some(FORMS), "{text}");
        }
    }
}
