//! The shape of a matrix file, as serde reads it.

use std::{collections::BTreeMap, fmt, marker::PhantomData, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use super::types::{Budget, Filter, KernelFrom, PatchFrom, Slurm};
use crate::{
    judge::verdict::Outcome,
    scenario::{Date, Name, Size, Within, Words},
    source,
};

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawMatrix {
    pub(super) name: Name,
    pub(super) kernels: Vec<Given<RawKernel>>,
    pub(super) patches: Vec<Given<RawPatch>>,
    pub(super) configs: Vec<Config>,
    pub(super) scenarios: Vec<Words>,
    #[serde(default)]
    pub(super) profiles: Vec<Name>,
    #[serde(default)]
    pub(super) exclude: Vec<RawFilter>,
    #[serde(default)]
    pub(super) budget: RawBudget,
    #[serde(default)]
    pub(super) expected: Vec<RawExpectation>,
    #[serde(default)]
    pub(super) durations: Vec<RawDuration>,
    #[serde(default)]
    pub(super) slurm: RawSlurm,
}

/// Something by its name alone, or spelled out.
#[derive(Debug)]
pub(super) enum Given<T> {
    Name(String),
    Spelled(T),
}

struct GivenVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for GivenVisitor<T> {
    type Value = Given<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, or a map such as `{name: mine, path: my.mbox}`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Given<T>, E> {
        Name::deserialize(serde::de::value::StrDeserializer::<E>::new(text))
            .map(|name| Given::Name(name.0))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Given<T>, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Given::Spelled)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(GivenVisitor(PhantomData))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKernel {
    pub(super) name: Name,
    pub(super) path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPatch {
    pub(super) name: Name,
    pub(super) path: Option<PathBuf>,
    pub(super) since: Option<Words>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFilter {
    kernel: Option<Vec<String>>,
    patch: Option<Vec<String>>,
    config: Option<Vec<String>>,
    scenario: Option<Vec<String>>,
    profile: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpectation {
    #[serde(default)]
    pub(super) cells: RawFilter,
    pub(super) outcome: Outcome,
    #[serde(default)]
    pub(super) titles: Vec<String>,
    pub(super) reason: Words,
    pub(super) until: Date,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDuration {
    #[serde(default)]
    pub(super) cells: RawFilter,
    pub(super) takes: Span,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBudget {
    cell: Option<Span>,
    total: Option<Span>,
    attempts: Option<Within<1, 20>>,
    confirm: Option<Within<0, 20>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSlurm {
    partition: Option<Words>,
    account: Option<Words>,
    memory: Option<Size<128, 1_048_576>>,
    cpus: Option<Within<1, 1024>>,
    build_time: Option<Span>,
    at_once: Option<Within<1, 10_000>>,
    #[serde(default)]
    options: Vec<SbatchOption>,
}

/// How it is told that several configs stand where one does.
pub(super) const SEVERAL: &str = "`all` is several configs, and a cell has one";

/// The name of one config.
#[derive(Debug)]
pub(super) struct Config(pub(super) String);

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Name::deserialize(from)?.0 {
            name if name == "all" => Err(D::Error::custom(SEVERAL)),
            name => Ok(Self(name)),
        }
    }
}

/// A time such as `45s`, `90m` or `2h`, up to a week, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(pub(super) u64);

/// The longest time, in seconds.
const WEEK: u64 = 7 * 24 * 3600;

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = text[..text.len() - unit.len()].parse::<u64>().ok();
        let factor = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let seconds = number.zip(factor).and_then(|(n, unit)| n.checked_mul(unit));
        match seconds.filter(|s| (1..=WEEK).contains(s)) {
            Some(seconds) => Ok(Self(seconds)),
            None => Err(D::Error::invalid_value(
                Unexpected::Str(&text),
                &"a time from 1s to 168h, such as 45s, 90m or 2h",
            )),
        }
    }
}

/// A long option of sbatch's with its value, one word.
#[derive(Debug)]
struct SbatchOption(String);

impl<'de> Deserialize<'de> for SbatchOption {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.starts_with("--") && !text.contains(char::is_control) {
            true => Ok(Self(text)),
            false => Err(D::Error::invalid_value(
                Unexpected::Str(&text),
                &"an option such as --qos=low",
            )),
        }
    }
}

impl Given<RawKernel> {
    /// The name, and where the kernel comes from; paths as they were given.
    pub(super) fn kernel(self) -> Result<(String, KernelFrom), String> {
        match self {
            Given::Name(name) => {
                let from = match name.as_str() {
                    "newest" => KernelFrom::Newest,
                    "locked" => KernelFrom::Locked,
                    package if source::is_package(package) => KernelFrom::Package(name.clone()),
                    _ => {
                        return Err(format!(
                            "kernel {name:?} is neither `newest` nor `locked` nor a package \
                             linux-source-N; a tree or tarball is written {{name: {name}, path: PATH}}"
                        ));
                    }
                };
                Ok((name, from))
            }
            Given::Spelled(raw) => Ok((raw.name.0, KernelFrom::Path(raw.path))),
        }
    }
}

impl Given<RawPatch> {
    /// The name, and where the patch comes from; paths as they were given.
    pub(super) fn patch(self) -> Result<(String, PatchFrom), String> {
        match self {
            Given::Name(name) if name == "none" => Ok((name, PatchFrom::None)),
            Given::Name(name) => Ok((name, PatchFrom::Own)),
            Given::Spelled(raw) => {
                let from = match (raw.path, raw.since) {
                    (Some(path), None) => PatchFrom::Path(path),
                    (None, Some(rev)) => PatchFrom::Since(rev.0),
                    _ => {
                        let name = raw.name.0;
                        return Err(format!("patch {name} wants one of `path` and `since`"));
                    }
                };
                Ok((raw.name.0, from))
            }
        }
    }
}

impl From<RawFilter> for Filter {
    fn from(raw: RawFilter) -> Self {
        Self {
            kernel: raw.kernel,
            patch: raw.patch,
            config: raw.config,
            scenario: raw.scenario,
            profile: raw.profile,
        }
    }
}

impl From<RawBudget> for Budget {
    fn from(raw: RawBudget) -> Self {
        let default = Self::default();
        Self {
            cell_s: raw.cell.map_or(default.cell_s, |span| span.0),
            total_s: raw.total.map(|span| span.0),
            attempts: raw.attempts.map_or(default.attempts, Within::get32),
            confirm: raw.confirm.map_or(default.confirm, Within::get32),
        }
    }
}

impl From<RawSlurm> for Slurm {
    fn from(raw: RawSlurm) -> Self {
        Self {
            partition: raw.partition.map(|words| words.0),
            account: raw.account.map(|words| words.0),
            memory_mib: raw.memory.map(|size| size.0),
            cpus: raw.cpus.map(Within::get32),
            build_s: raw.build_time.map(|span| span.0),
            at_once: raw.at_once.map(Within::get32),
            options: raw.options.into_iter().map(|option| option.0).collect(),
        }
    }
}

/// Names that a filter may hold, by axis.
pub(super) type Known = BTreeMap<&'static str, Vec<String>>;

impl Filter {
    /// Why a name of it is of no axis, and what it may have meant.
    pub(super) fn unknown(&self, known: &Known) -> Option<(String, String)> {
        let axes = [
            ("kernel", &self.kernel),
            ("patch", &self.patch),
            ("config", &self.config),
            ("scenario", &self.scenario),
            ("profile", &self.profile),
        ];
        for (axis, names) in axes {
            let own = known.get(axis).map(Vec::as_slice).unwrap_or_default();
            for name in names.iter().flatten() {
                if !own.contains(name) {
                    let mend = crate::scenario::did_you_mean(name, own.iter().map(String::as_str));
                    return Some((format!("no {axis} {name:?} in this matrix"), mend));
                }
            }
        }
        None
    }
}
