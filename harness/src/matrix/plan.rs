//! A matrix's cells, in the order in which they run.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    estimate::{Durations, guess},
    types::{Budget, Cell, Content, Expectation, Matrix, PatchFrom, SEPARATOR},
};
use crate::{Error, Result, hash::hex_sha256, scenario};

/// The `schema` of `plan.json`.
pub(super) const SCHEMA: u32 = 1;
/// So many cells are more than anybody runs.
const MOST_CELLS: usize = 10_000;

/// What a matrix runs: the shape of `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The matrix's name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// Drawn when its folder was begun, so that another folder's seeds are others, whatever it is called;
    /// empty before, and in a folder of an older ktwin's.
    #[serde(default)]
    pub night: String,
    /// How long, and how often.
    pub budget: Budget,
    /// Failures that are known.
    pub expected: Vec<Expectation>,
    /// The cells; those that share a base kernel follow each other, and among them those that share a
    /// patch, so that builds are incremental.
    pub cells: Vec<Planned>,
}

/// A cell, and how long it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// How long it takes in seconds by the matrix file alone, its kernels being there.
    pub expected_s: f64,
}

/// What the project's files say about a cell before it runs.
pub struct Known {
    /// Its scenario.
    pub scenario: scenario::Scenario,
    /// SHA-256 of its patch series; empty without.
    pub patch: String,
    /// SHA-256 of its scenario's file.
    pub file: String,
    /// The commit that its kernel's git tree has checked out; empty where it comes from elsewhere.
    pub commit: String,
    /// The commit that a patch begins at; empty where it is no git tree's.
    pub since: String,
    /// SHA-256 of its kernel's lock or tarball; empty where no such file says what the kernel is.
    pub kernel: String,
    /// SHA-256 of what its config asks for.
    pub config: String,
}

/// Every cell that is not excluded. `look` reads a cell's files, and fails where a run of it would be
/// refused.
///
/// # Errors
/// Bad input: a cell that cannot be run, none at all, or too many.
pub fn plan(matrix: &Matrix, look: &mut dyn FnMut(&Cell) -> Result<Known>) -> Result<Plan> {
    let axes = [
        matrix.kernels.len(),
        matrix.configs.len(),
        matrix.patches.len(),
        matrix.scenarios.len(),
        matrix.profiles.len(),
    ];
    if axes
        .iter()
        .try_fold(1, |all: usize, n| all.checked_mul(*n))
        .is_none_or(|n| n > MOST_CELLS)
    {
        let error = Error::input(format!("{} has too many cells", matrix.name));
        return Err(error.mend(format!("keep to {MOST_CELLS}")));
    }
    let mut cells = Vec::new();
    for mut cell in product(matrix) {
        if matrix.exclude.iter().any(|filter| filter.holds(&cell)) {
            continue;
        }
        let known = look(&cell).map_err(|error| {
            let text = format!("cell {}: {}", cell.id, error.chain());
            let mend = error.mending().map(str::to_owned);
            let error = Error::new(error.fault(), text);
            error.mend(mend.unwrap_or_else(|| "mend it, or exclude the cell".to_owned()))
        })?;
        cell.content = content(&known);
        let profile = cell.profile.parse()?;
        let alone = cell.patch.from == PatchFrom::None;
        let guess = guess(&known.scenario, profile, &cell.config, alone);
        let expected_s = matrix.seconds(&cell).unwrap_or(guess);
        cells.push(Planned { cell, expected_s });
    }
    if cells.is_empty() {
        let error = Error::input(format!("{} excludes every cell", matrix.file.display()));
        return Err(error.mend("take something out of `exclude`"));
    }
    order(&mut cells);
    Ok(Plan {
        schema: SCHEMA,
        name: matrix.name.clone(),
        file: matrix.file.clone(),
        night: String::new(),
        budget: matrix.budget.clone(),
        expected: matrix.expected.clone(),
        cells,
    })
}

/// Kernel by kernel, config by config, patch by patch.
fn product(matrix: &Matrix) -> Vec<Cell> {
    let mut cells = Vec::new();
    for kernel in &matrix.kernels {
        for config in &matrix.configs {
            for patch in &matrix.patches {
                for scenario in &matrix.scenarios {
                    for profile in &matrix.profiles {
                        let mut cell = Cell {
                            id: String::new(),
                            kernel: kernel.clone(),
                            patch: patch.clone(),
                            config: config.clone(),
                            scenario: scenario.clone(),
                            profile: profile.name().to_owned(),
                            content: Content::default(),
                        };
                        cell.id = cell.parts().join(&SEPARATOR.to_string());
                        cells.push(cell);
                    }
                }
            }
        }
    }
    cells
}

fn content(known: &Known) -> Content {
    let lines = &known.scenario.kconfig;
    let fields: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    Content {
        patch: known.patch.clone(),
        kconfig: match lines.is_empty() {
            true => String::new(),
            false => hex_sha256(&fields),
        },
        scenario: known.file.clone(),
        commit: known.commit.clone(),
        since: known.since.clone(),
        kernel: known.kernel.clone(),
        config: known.config.clone(),
    }
}

/// Cells of one base kernel together, the order otherwise as it was.
fn order(cells: &mut Vec<Planned>) {
    let mut groups: Vec<Vec<Planned>> = Vec::new();
    for planned in cells.drain(..) {
        let base = planned.cell.base();
        match groups.iter_mut().find(|group| group[0].cell.base() == base) {
            Some(group) => group.push(planned),
            None => groups.push(vec![planned]),
        }
    }
    cells.extend(groups.into_iter().flatten());
}

impl Plan {
    /// The places of the cells that share a base kernel, group by group.
    pub fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (at, planned) in self.cells.iter().enumerate() {
            let base = planned.cell.base();
            match groups.last_mut() {
                Some(group) if self.cells[group[0]].cell.base() == base => group.push(at),
                _ => groups.push(vec![at]),
            }
        }
        groups
    }

    /// Whether a newer plan runs the same cells.
    pub fn runs_the_same(&self, newer: &Self) -> bool {
        self.changed(newer).is_none()
    }

    /// Why a newer plan runs other cells, in words; none where it runs the same.
    pub(super) fn changed(&self, newer: &Self) -> Option<String> {
        if self.name != newer.name {
            return Some(format!("it is of {}, and not of {}", self.name, newer.name));
        }
        let now: BTreeMap<&str, &Cell> = newer
            .cells
            .iter()
            .map(|planned| (planned.cell.id.as_str(), &planned.cell))
            .collect();
        for Planned { cell, .. } in &self.cells {
            match now.get(cell.id.as_str()) {
                None => return Some(format!("the matrix file no longer has {}", cell.id)),
                Some(now) => {
                    if let Some(cause) = cell.changed(now) {
                        return Some(cause);
                    }
                }
            }
        }
        let ids = |plan: &Self| -> Vec<String> {
            let cells = plan.cells.iter();
            cells.map(|planned| planned.cell.id.clone()).collect()
        };
        // Tasks of a cluster's know cells by their places.
        (ids(self) != ids(newer))
            .then(|| "the matrix file has more cells, or another order of them".to_owned())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::matrix::parse::parse;

    /// A plan of a file's text, without a look at the project's files.
    pub(in crate::matrix) fn of(text: &str) -> Result<Plan> {
        plan(&parse(text, Path::new("/m/m.yaml"))?, &mut |cell| {
            let mut scenario = scenario::Scenario::of_command(vec!["true".into()]);
            if cell.scenario.name == "failing" {
                scenario.kconfig = vec!["CONFIG_FAILSLAB=y".into()];
            }
            Ok(Known {
                scenario,
                patch: cell.patch.name.clone(),
                file: format!("file of {}", cell.scenario.name),
                commit: format!("commit of {}", cell.kernel.name),
                since: format!("since of {}", cell.patch.name),
                kernel: format!("lock of {}", cell.kernel.name),
                config: format!("config {}", cell.config),
            })
        })
    }

    const TEXT: &str = "\
name: m
kernels: [locked, newest]
patches: [a, b, none]
configs: [kasan, plain]
scenarios: [race, failing]
exclude: [{config: [plain], scenario: [failing]}, {kernel: [newest], patch: [none]}]
";

    #[test]
    fn cells_that_share_kernels_follow_each_other() {
        let plan = of(TEXT).unwrap();
        let ids: Vec<&str> = plan.cells.iter().map(|p| p.cell.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "locked+a+kasan+race+quick",
                "locked+b+kasan+race+quick",
                "locked+none+kasan+race+quick",
                "locked+a+kasan+failing+quick",
                "locked+b+kasan+failing+quick",
                "locked+none+kasan+failing+quick",
                "locked+a+plain+race+quick",
                "locked+b+plain+race+quick",
                "locked+none+plain+race+quick",
                "newest+a+kasan+race+quick",
                "newest+b+kasan+race+quick",
                "newest+a+kasan+failing+quick",
                "newest+b+kasan+failing+quick",
                "newest+a+plain+race+quick",
                "newest+b+plain+race+quick",
            ]
        );
        let sizes: Vec<usize> = plan.groups().iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 3, 3, 2, 2, 2]);
        // Without base's side a cell takes less.
        assert!(plan.cells[2].expected_s < plan.cells[1].expected_s);
    }

    #[test]
    fn a_plan_comes_back_from_disk() {
        let plan = of(TEXT).unwrap();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        let fewer = of(&TEXT.replace("patches: [a, b, none]", "patches: [a, none]")).unwrap();
        assert!(plan.runs_the_same(&plan) && !plan.runs_the_same(&fewer));
    }

    #[test]
    fn what_changed_since_is_named() {
        let plan = of(TEXT).unwrap();
        type Change = fn(&mut Plan);
        let table: [(Change, &str); 11] = [
            (|plan| plan.name = "n".into(), "it is of m, and not of n"),
            (
                |plan| drop(plan.cells.remove(1)),
                "no longer has locked+b+kasan+race+quick",
            ),
            (|plan| plan.cells.swap(0, 1), "another order"),
            (
                |plan| plan.cells[0].cell.scenario.given = "x".into(),
                "says something else of locked+a+kasan+race+quick",
            ),
            (
                |plan| plan.cells[0].cell.content.patch = "x".into(),
                "patch a has changed",
            ),
            (
                |plan| plan.cells[0].cell.content.kconfig = "x".into(),
                "scenario race has changed",
            ),
            (
                |plan| plan.cells[0].cell.content.scenario = "x".into(),
                "scenario race has changed",
            ),
            (
                |plan| plan.cells[0].cell.content.commit = "0123456789abcdef".into(),
                "kernel locked had commit of lo checked out, and now has 0123456789ab",
            ),
            (
                |plan| plan.cells[0].cell.content.since = "0123456789abcdef".into(),
                "what a is compared with was since of a, and now is 0123456789ab",
            ),
            (
                |plan| plan.cells[0].cell.content.kernel = "x".into(),
                "file of the kernel locked has changed",
            ),
            (
                |plan| plan.cells[0].cell.content.config = "x".into(),
                "config kasan has changed",
            ),
        ];
        for (change, cause) in table {
            let mut newer = plan.clone();
            change(&mut newer);
            let said = plan.changed(&newer).unwrap();
            assert!(said.contains(cause), "{said}");
        }
        let budget = of(&format!("{TEXT}budget: {{cell: 1h}}\n")).unwrap();
        assert_eq!(plan.changed(&budget), None);
        // What an older ktwin did not write down is no change.
        let mut old = serde_json::to_value(&plan).unwrap();
        old.as_object_mut().unwrap().remove("night");
        for cell in old["cells"].as_array_mut().unwrap() {
            let content = cell["content"].as_object_mut().unwrap();
            for key in ["scenario", "commit", "since", "kernel", "config"] {
                assert!(content.remove(key).is_some(), "{key}");
            }
        }
        let old: Plan = serde_json::from_value(old).unwrap();
        assert_eq!(old.changed(&plan), None);
        assert!(!plan.runs_the_same(&old));
    }

    #[test]
    fn what_cannot_be_planned() {
        let all = format!("{TEXT}  - {{}}\n")
            .replace("exclude: [", "exclude:\n  - ")
            .replace("}, {", "}\n  - {")
            .replace("}]", "}");
        assert!(
            of(&all)
                .unwrap_err()
                .chain()
                .contains("excludes every cell")
        );
        let many: Vec<String> = (0..30).map(|n| format!("p{n}")).collect();
        let scenarios: Vec<String> = (0..100).map(|n| format!("s{n}")).collect();
        let text = format!(
            "name: m\nkernels: [locked, newest]\npatches: [{}]\nconfigs: [a, b]\nscenarios: [{}]\n",
            many.join(", "),
            scenarios.join(", ")
        );
        assert!(of(&text).unwrap_err().chain().contains("too many cells"));
    }

    #[test]
    fn durations_of_the_file_count() {
        let text = format!("{TEXT}durations: [{{cells: {{patch: [a]}}, takes: 7m}}]\n");
        let plan = of(&text).unwrap();
        assert_eq!(plan.cells[0].expected_s, 420.0);
        assert_ne!(plan.cells[1].expected_s, 420.0);
    }
}
