//! What became of a matrix: the shape of `matrix.json`. Fields may be added; none is renamed.

use serde::{Deserialize, Serialize};

use crate::judge::verdict::{Judgement, Kind, Outcome, Status, Verdict};

/// The `schema` of this shape.
pub const SCHEMA: u32 = 1;
/// The summary's file in a matrix's folder.
pub const FILE: &str = "matrix.json";

/// What became of a matrix so far, all of its cells among it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The matrix's name.
    pub name: String,
    /// Over all cells that count, see [`crate::exit::combine`]; null while none has ended.
    pub outcome: Option<Outcome>,
    /// When the first cell began, RFC 3339 in UTC; null before.
    pub started: Option<String>,
    /// When the last cell ended, RFC 3339 in UTC; null while one is missing.
    pub ended: Option<String>,
    /// Every cell of the plan once, in the plan's order.
    pub cells: Vec<CellSummary>,
}

/// How far a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not run yet, or its run was cut off.
    Planned,
    /// Somebody runs it.
    Running,
    /// It has ended.
    Done,
}

/// What became of one cell: one comparison of a variant with base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellSummary {
    /// `kernel+patch+config+scenario+profile`.
    pub id: String,
    /// The kernel's name in the matrix file.
    pub kernel: String,
    /// The patch's name in the matrix file.
    pub patch: String,
    /// The config.
    pub config: String,
    /// The scenario's name, without its subject.
    pub scenario: String,
    /// `quick`, `standard` or `full`.
    pub profile: String,
    /// How far it is.
    pub state: State,
    /// The worst of its attempts that say something about the patch; null until it has ended.
    pub outcome: Option<Outcome>,
    /// How often it was begun.
    pub attempts: u32,
    /// Attempts that ended for the host's or the harness's sake.
    pub infrastructure: u32,
    /// Attempts that were cut off before they ended.
    pub cut_off: u32,
    /// It passed in one attempt and failed in another; `outcome` is the failure's.
    pub flaky: bool,
    /// Why its outcome is expected and does not count, where it is.
    pub expected: Option<Expected>,
    /// How long the attempt that `outcome` is of took, in seconds.
    pub duration_s: Option<f64>,
    /// That attempt's run directory, relative to the matrix's folder.
    pub run: Option<String>,
    /// The base kernel's version, e.g. `7.3.4`.
    pub kernel_version: Option<String>,
    /// What that attempt found, and what others that did not pass found besides.
    pub findings: Vec<FindingSummary>,
    /// What that attempt measured.
    pub measures: Vec<MeasureSummary>,
    /// Why there is no verdict either way, in words, of all of these attempts.
    pub reasons: Vec<String>,
}

/// A failure that is known and does not count until a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Why.
    pub reason: String,
    /// The last day on which it does not count, `YYYY-MM-DD`.
    pub until: String,
}

/// One finding, as in `verdict.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingSummary {
    /// Stable from run to run; foreign text.
    pub title: String,
    /// What kind.
    pub kind: Kind,
    /// The splat's class; for other kinds the kind's name.
    pub class: String,
    /// Where it was seen.
    pub status: Status,
    /// How often.
    pub count: u64,
    /// A path in the run directory.
    pub evidence: String,
    /// That run directory, relative to the matrix's folder, where it is not the cell's `run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Why the scenario accepts it, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

/// One measure's medians, as in `verdict.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasureSummary {
    /// e.g. `fio read iops`.
    pub name: String,
    /// e.g. `1/s`; empty for what is counted.
    pub unit: String,
    /// Base's median.
    pub base: Option<f64>,
    /// The variant's.
    pub variant: Option<f64>,
    /// Variant over base.
    pub ratio: Option<f64>,
    /// Null where it is shown and not judged.
    pub judgement: Option<Judgement>,
}

impl Summary {
    /// The summary of some cells of another one.
    pub fn over(name: &str, cells: Vec<CellSummary>, all: &Self) -> Self {
        let ended = cells.iter().all(|cell| cell.state == State::Done);
        Self {
            schema: SCHEMA,
            name: name.to_owned(),
            outcome: super::fold::overall(&cells),
            started: all.started.clone(),
            ended: all.ended.clone().filter(|_| ended),
            cells,
        }
    }
}

impl CellSummary {
    /// The outcome as it counts: what is expected counts as a pass. None until it has ended.
    pub fn counting(&self) -> Option<Outcome> {
        let outcome = self.outcome.filter(|_| self.state == State::Done)?;
        Some(match self.expected {
            Some(_) => Outcome::Pass,
            None => outcome,
        })
    }
}

impl FindingSummary {
    /// Whether an outcome may be for it.
    pub fn counts(&self) -> bool {
        matches!(self.status, Status::New | Status::Unconfirmed) && self.accepted.is_none()
    }

    /// Every finding of a run.
    pub fn of(verdict: &Verdict) -> Vec<Self> {
        let findings = verdict.comparisons.iter().flat_map(|one| &one.findings);
        findings
            .map(|finding| Self {
                title: finding.title.clone(),
                kind: finding.kind,
                class: finding.class.clone(),
                status: finding.status,
                count: finding.count,
                evidence: finding.evidence.clone(),
                run: None,
                accepted: finding.accepted.clone(),
            })
            .collect()
    }
}

impl MeasureSummary {
    /// Every measure of a run.
    pub fn of(verdict: &Verdict) -> Vec<Self> {
        let measures = verdict.comparisons.iter().flat_map(|one| &one.measures);
        measures
            .map(|measure| Self {
                name: measure.name.clone(),
                unit: measure.unit.clone(),
                base: measure.base.median,
                variant: measure.variant.median,
                ratio: measure.ratio,
                judgement: measure.judgement,
            })
            .collect()
    }
}
