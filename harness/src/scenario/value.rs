//! Values that check themselves while they are read, so that an error knows its line.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Unexpected, Visitor},
};

use super::types::{Count, GuestSpec};
use crate::{Error, plugin::Spec};

/// The guest of a scenario that does not size it.
pub(super) const DEFAULT_GUEST: GuestSpec = GuestSpec {
    memory_mib: 2048,
    cpus: 2,
};

/// Patterns that fio's `rw` takes and whose figures are compared.
const PATTERNS: [&str; 7] = [
    "read",
    "write",
    "randread",
    "randwrite",
    "rw",
    "readwrite",
    "randrw",
];

/// What a size looks like.
const SIZE_SHAPE: &str = "a size of whole mebibytes such as 512M or 2G";

/// A size such as `512M` or `2G` in MiB, as scenarios and `--memory` write it.
///
/// # Errors
/// What a size looks like.
pub fn parse_size_mib(text: &str) -> Result<u32, &'static str> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u32 = text[..text.len() - unit.len()]
        .parse()
        .map_err(|_| SIZE_SHAPE)?;
    let factor = match unit {
        "M" | "MiB" => 1,
        "G" | "GiB" => 1024,
        _ => return Err(SIZE_SHAPE),
    };
    number
        .checked_mul(factor)
        .filter(|&m| m > 0)
        .ok_or(SIZE_SHAPE)
}

/// Is it a date of the calendar, `YYYY-MM-DD`?
fn is_date(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| -> Option<u32> {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        part.parse().ok()
    };
    let (Some(year), Some(month), Some(day)) = (digits(0..4), digits(5..7), digits(8..10)) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    let bytes = text.as_bytes();
    text.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-' && (1..=days).contains(&day)
}

/// A path below the kernel's top or below `patches`: no way out of it.
fn is_inner_path(text: &str) -> bool {
    !text.is_empty()
        && !text.chars().any(char::is_control)
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Whether a text is a [`Name`].
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_function(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 256
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._$".contains(&b))
}

fn is_symbol(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with("CONFIG_")
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// As fragments of Kconfig have it, and olddefconfig.
fn is_kconfig_line(text: &str) -> bool {
    let off = text.strip_prefix("# CONFIG_");
    if let Some(symbol) = off.and_then(|rest| rest.strip_suffix(" is not set")) {
        return is_symbol(symbol);
    }
    let set = text.strip_prefix("CONFIG_");
    set.and_then(|rest| rest.split_once('='))
        .is_some_and(|(symbol, value)| {
            is_symbol(symbol) && !value.is_empty() && !value.contains(char::is_control)
        })
}

fn is_block(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < text.len() && !text.starts_with('0') && matches!(unit, "" | "k" | "K" | "m" | "M")
}

/// Reads a string and checks it on the spot: an error raised later would name the enclosing line.
struct Checking<F> {
    check: F,
    shape: &'static str,
}

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Checking<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shape)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.check)(text).map_err(|shape| E::invalid_value(Unexpected::Str(text), &shape.as_str()))
    }
}

/// Makes a string type that is read only if it looks right.
macro_rules! checked {
    ($(#[$doc:meta] $name:ident, $check:expr, $shape:expr;)*) => {$(
        #[$doc]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let right: fn(&str) -> bool = $check;
                let check = |text: &str| match right(text) {
                    true => Ok(Self(text.to_owned())),
                    false => Err($shape.to_owned()),
                };
                from.deserialize_str(Checking { check, shape: $shape })
            }
        }
    )*};
}

checked! {
    /// A function of the kernel's.
    Function, is_function, "a function of the kernel's, as its symbol is called";
    /// A scenario's or subject's name.
    Name, is_name, "a name of letters, digits, dots, dashes and underscores";
    /// A path that stays below its folder.
    InnerPath, is_inner_path, "a relative path without `.` and `..`";
    /// A Kconfig symbol.
    Symbol, is_symbol, "a Kconfig symbol without CONFIG_, such as FUSE_FS";
    /// A line of Kconfig's.
    KconfigLine, is_kconfig_line, "a line of Kconfig's such as CONFIG_FAILSLAB=y or # CONFIG_X is not set";
    /// fio's `ioengine`.
    Engine, is_name, "one of fio's engines, such as io_uring or psync";
    /// fio's `rw`.
    Pattern, |t| PATTERNS.contains(&t), "one of read, write, randread, randwrite, rw, readwrite, randrw";
    /// fio's `bs`.
    Block, is_block, "a block size such as 4k";
    /// A day.
    Date, is_date, "a day as YYYY-MM-DD";
    /// Something that a reader can read.
    Words, |t| !t.trim().is_empty(), "some words";
    /// A program or an argument.
    Argument, |t| !t.contains('\0'), "a string without NUL";
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Within<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Within<MIN, MAX> {
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// For `MAX` that fits.
    pub(crate) fn get32(self) -> u32 {
        const { assert!(MAX <= u32::MAX as u64) };
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

struct WithinVisitor<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for WithinVisitor<MIN, MAX> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<u64, E> {
        if (MIN..=MAX).contains(&value) {
            Ok(value)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(value), &self))
        }
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Within<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_u64(WithinVisitor::<MIN, MAX>).map(Self)
    }
}

/// A size in MiB, from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Size<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let check = |text: &str| match parse_size_mib(text) {
            Ok(mib) if (MIN..=MAX).contains(&mib) => Ok(Self(mib)),
            Ok(_) => Err(format!("a size from {MIN}M to {}G", MAX / 1024)),
            Err(shape) => Err(shape.to_owned()),
        };
        from.deserialize_str(Checking {
            check,
            shape: SIZE_SHAPE,
        })
    }
}

/// A number of jobs, or `profile`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jobs(pub(super) Count);

struct JobsVisitor;

impl Visitor<'_> for JobsVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 1 to 256, or the word `profile`")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Count, E> {
        match u32::try_from(value) {
            Ok(jobs @ 1..=256) => Ok(Count::Fixed(jobs)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Count, E> {
        match value {
            "profile" => Ok(Count::Profile),
            _ => Err(E::invalid_value(Unexpected::Str(value), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Jobs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(JobsVisitor).map(Self)
    }
}

/// A place in the kernel where vCPUs are held, as `--stall` takes it.
#[derive(Debug)]
pub(super) struct Stall(pub(super) Spec);

impl<'de> Deserialize<'de> for Stall {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let spec = text.parse().map_err(|error: Error| {
            let mend = error.mending().unwrap_or_default();
            serde::de::Error::custom(format!("{error}; {mend}"))
        })?;
        Ok(Self(spec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("512M", Some(512)),
            ("2G", Some(2048)),
            ("2GiB", Some(2048)),
            ("0M", None),
            ("2", None),
            ("G", None),
            ("", None),
            ("2T", None),
            ("-2G", None),
            ("2.5G", None),
            ("9999999G", None),
        ] {
            assert_eq!(parse_size_mib(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn dates() {
        for (text, expected) in [
            ("2026-12-31", true),
            ("2028-02-29", true),
            ("2026-02-29", false),
            ("2100-02-29", false),
            ("2026-13-01", false),
            ("2026-00-10", false),
            ("2026-01-00", false),
            ("2026-1-1", false),
            ("+026-01-01", false),
            ("2026-01-01T", false),
            ("tomorrow", false),
            ("äää-äää-ää", false),
        ] {
            assert_eq!(is_date(text), expected, "{text}");
        }
    }

    #[test]
    fn names_paths_and_symbols() {
        assert!(is_name("race-2.b") && !is_name("../race") && !is_name("-x") && !is_name(""));
        assert!(is_inner_path("fs/fuse") && is_inner_path("MAINTAINERS"));
        for bad in ["", "/etc", "a//b", "a/../b", "./a", "a/", "a\nb"] {
            assert!(!is_inner_path(bad), "{bad:?}");
        }
        assert!(is_symbol("FUSE_FS") && !is_symbol("CONFIG_FUSE_FS") && !is_symbol("fuse"));
        for line in ["CONFIG_X=y", "CONFIG_A_1=\"s\"", "# CONFIG_X is not set"] {
            assert!(is_kconfig_line(line), "{line}");
        }
        for bad in [
            "X=y",
            "CONFIG_X",
            "CONFIG_X=",
            "CONFIG_x=y",
            "# CONFIG_X",
            "CONFIG_X=y\nY",
        ] {
            assert!(!is_kconfig_line(bad), "{bad:?}");
        }
        assert!(is_block("4k") && is_block("512") && !is_block("k") && !is_block("4x"));
    }
}
