//! The verdict: the shape of `verdict.json`. Fields may be added; none is renamed.

use std::collections::BTreeMap;

use protocol::DetectorState;
use serde::{Deserialize, Serialize};

use crate::{patch::MailHead, plugin::Coverage};

/// The `schema` of this shape.
pub const SCHEMA: u32 = 1;

/// How a comparison, or a whole run, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing new on the variant, and everything was exercised.
    Pass,
    /// Something new on the variant.
    Regression,
    /// No verdict either way; the reasons say why.
    Inconclusive,
    /// The host's or the harness's fault.
    Infrastructure,
    /// The patch does not apply, or its kernel does not build or boot.
    Untestable,
    /// Stopped by the user; what had ended by then is in the verdict.
    Interrupted,
}

/// What a run says about a patch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Over all comparisons, see [`crate::exit::combine`].
    pub outcome: Outcome,
    /// The base kernel.
    pub kernel: Kernel,
    /// The patch (of the first variant, where there are several).
    pub patch: Patch,
    /// Where it ran.
    pub host: Host,
    /// The seed of every random choice.
    pub seed: u64,
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// How long it took, in seconds.
    pub elapsed_s: f64,
    /// The command line, as the user gave it; empty where there was none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// One for each variant, config and scenario.
    pub comparisons: Vec<Comparison>,
}

/// The base kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// `make kernelversion`, e.g. `7.3.4`.
    pub version: String,
    /// Where it came from, e.g. `linux-source-7.3 7.3.4-1~bpo13+1`.
    pub source: String,
    /// The content hash that keys the cache.
    pub tree_hash: String,
    /// The git commit that it is, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// The patch under test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The files it touches, relative to the kernel's top.
    pub files: Vec<String>,
    /// SHA-256 of the series, in hex; empty without a patch.
    pub sha256: String,
    /// The mails that it came in, the cover letter's first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mails: Vec<MailHead>,
}

/// Where it ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Processors online.
    pub cpus: u32,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// QEMU's version.
    pub qemu: String,
}

/// Base against one variant, in one config and scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The config's name.
    pub config: String,
    /// The scenario's name.
    pub scenario: String,
    /// The base's name.
    pub base: String,
    /// The variant's name.
    pub variant: String,
    /// How this comparison ended.
    pub outcome: Outcome,
    /// Everything wrong that either side showed.
    pub findings: Vec<Finding>,
    /// What the loads did on the variant (`lookups`, `removes`, `overlaps`, ...), over all boots.
    pub exercise: BTreeMap<String, u64>,
    /// The same on base.
    #[serde(default)]
    pub exercise_base: BTreeMap<String, u64>,
    /// What of the patch ran on the variant, or why that is not known; none without code of a patch's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// Which detectors were still on at the variant's end.
    pub detectors: BTreeMap<String, DetectorState>,
    /// Detectors that were provoked on the variant's kernel before a clean verdict, and why one is
    /// not known to speak; null where it does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proved: BTreeMap<String, Option<String>>,
    /// Costs, base and variant side by side.
    pub measures: Vec<Measure>,
    /// The structures that the patch changes, those whose definition it touches first; where costs are
    /// judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub structures: Vec<Structure>,
    /// Why it is inconclusive, infrastructure's fault or untestable, in words.
    pub reasons: Vec<String>,
}

/// What kind of wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A kernel report on the console.
    Splat,
    /// A reader got another file's data, or a live id was handed out twice.
    WrongData,
    /// Memory that nothing points to any more.
    Leak,
    /// More memory for the same work.
    Memory,
    /// The guest, or a load, stopped making progress.
    Hang,
    /// Lower throughput or more instructions.
    Slower,
    /// The kernel did not reach the agent's hello.
    BootFailed,
    /// The kernel did not compile.
    BuildFailed,
    /// The patch does not apply.
    PatchRejected,
    /// A command's exit code was not the expected one.
    CommandFailed,
}

/// On which side a finding was seen, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// On the variant only, and the patch's.
    New,
    /// On the variant only, and it may be chance.
    Unconfirmed,
    /// On both sides.
    Common,
    /// On base only.
    Fixed,
}

/// Something wrong that a cell showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// The splat's class (`kasan`, `kcsan`, `lockdep`, ...); for other kinds the kind's name.
    pub class: String,
    /// Stable from run to run.
    pub title: String,
    /// Where it was seen.
    pub status: Status,
    /// How often, over all boots of the side that `status` speaks of (the variant's for `common`).
    pub count: u64,
    /// Seconds from QEMU's start to the first; null where no time is known.
    pub first_s: Option<f64>,
    /// A path in the run directory.
    pub evidence: String,
    /// Why this status, in words.
    #[serde(default)]
    pub why: String,
    /// The particulars: source lines of the racing accesses, or what the agent saw.
    #[serde(default)]
    pub detail: String,
    /// The source files of the functions that a splat's title names; empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Why it does not count: the scenario's reason, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

impl Finding {
    /// Whether it speaks against the variant, or may.
    pub fn counts(&self) -> bool {
        self.accepted.is_none() && matches!(self.status, Status::New | Status::Unconfirmed)
    }
}

/// A cost, base and variant side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// e.g. `fio read iops`.
    pub name: String,
    /// e.g. `1/s`, `B/s`, `us`; empty for what is counted.
    pub unit: String,
    /// Base's figures.
    pub base: Sample,
    /// The variant's.
    pub variant: Sample,
    /// Variant over base, of the medians; null where base is zero or missing.
    pub ratio: Option<f64>,
    /// The ratio's 95 % interval, where it was judged; with several looks at the boots, at the level
    /// that keeps the error rate over all of them.
    pub ci95: Option<[f64; 2]>,
    /// The declared margin, e.g. 0.05.
    pub margin: Option<f64>,
    /// Null where it is shown and not judged.
    pub judgement: Option<Judgement>,
    /// How many more boots a side would likely settle what is unclear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_boots: Option<u32>,
    /// The curve that it is a point of, where it was measured at several numbers: what its name is
    /// without the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Point>,
    /// It breaks another measure down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
}

/// A structure that a patch changes, base and variant side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// Its name, without `struct`.
    pub name: String,
    /// The file that defines it.
    pub file: String,
    /// Whether the patch touches its definition; else a structure or a constant that it is made of.
    pub touched: bool,
    /// Null where base has none.
    pub base: Option<Shape>,
    /// Null where the variant has none.
    pub variant: Option<Shape>,
}

/// How large a structure is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// What one takes, in bytes.
    pub bytes: u64,
    /// The cache that `kmalloc` takes one from, e.g. `kmalloc-64`; a structure may have a cache of its
    /// own instead.
    pub slab: String,
    /// What one takes there, in bytes.
    pub slab_bytes: u64,
}

/// Where on a curve a measure stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The curve, e.g. `instructions of lookup`.
    pub of: String,
    /// How many backing ids were alive.
    pub ids: u32,
}

impl Measure {
    /// One that is shown and not judged.
    pub fn shown(name: String, unit: &str, base: Sample, variant: Sample) -> Self {
        let ratio = match (base.median, variant.median) {
            (Some(b), Some(v)) if b > 0.0 => Some(v / b),
            _ => None,
        };
        Self {
            name,
            unit: unit.to_owned(),
            base,
            variant,
            ratio,
            ci95: None,
            margin: None,
            judgement: None,
            more_boots: None,
            curve: None,
            part: false,
        }
    }

    /// The same at so many backing ids.
    #[must_use]
    pub fn at(self, ids: u32) -> Self {
        Self {
            name: format!("{} at {ids} ids", self.name),
            curve: Some(Point { of: self.name, ids }),
            ..self
        }
    }
}

/// One side's figures: a value for each boot, and their median.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// One for each boot.
    pub values: Vec<f64>,
    /// Their median; null for none.
    pub median: Option<f64>,
}

/// What a measure's figures allow to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// The interval lies within the margin.
    Equivalent,
    /// Cheaper beyond the margin.
    Better,
    /// Dearer beyond the margin.
    Worse,
    /// The figures do not say.
    Unclear,
}
