//! The plan: which boots a run makes, in which order, with which seeds (pure).

use std::{collections::BTreeSet, ops::RangeInclusive};

use protocol::{Load, Plan};
use serde::{Deserialize, Serialize};

use crate::scenario::{Profile, Scenario};

/// The name of the kernel without any patch.
pub const BASE: &str = "base";

/// The longest part of an id that comes from a name.
const MAX_NAME: usize = 40;

/// One boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// `kasan-ida-hashtable-1`: a folder name in the run directory.
    pub id: String,
    /// The config's name.
    pub config: String,
    /// [`BASE`] or a variant's name.
    pub variant: String,
    /// The scenario's name.
    pub scenario: String,
    /// From 1.
    pub repeat: u32,
    /// What the agent does; its seed is the cell's own, made from the run's.
    pub plan: Plan,
    /// The guest's memory, in MiB.
    pub memory_mib: u32,
    /// vCPUs.
    pub cpus: u32,
    /// What the user adds to the kernel's command line.
    pub append: Vec<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Purpose::is_loads")]
    pub purpose: Purpose,
}

/// What a boot is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// The scenario's loads, as the host runs them best.
    #[default]
    Loads,
    /// Emulated though the host has KVM: its races are widened, and its speed is no other's.
    Widened,
    /// Emulated, one vCPU, time by instructions: single operations are counted.
    Counted,
    /// Each kind of object has a slab cache of its own: memory is looked at.
    Weighed,
}

impl Purpose {
    fn is_loads(&self) -> bool {
        *self == Purpose::Loads
    }

    /// What the boot's id has before its number. No name holds the plus sign.
    fn mark(self) -> &'static str {
        match self {
            Purpose::Loads => "",
            Purpose::Widened => "+tcg",
            Purpose::Counted => "+count",
            Purpose::Weighed => "+memory",
        }
    }
}

/// What a run is planned from.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// What is exercised.
    pub scenario: &'a Scenario,
    /// For how long.
    pub profile: Profile,
    /// In which configs, in this order.
    pub configs: &'a [String],
    /// The kernels, in the order in which they take turns: [`BASE`] and the variants, or one
    /// kernel alone.
    pub kernels: &'a [String],
    /// The user's number of boots a side.
    pub repeats: Option<u32>,
    /// The run's seed.
    pub seed: u64,
    /// The user's memory, in MiB, instead of the scenario's.
    pub memory_mib: Option<u32>,
    /// The user's vCPUs, instead of the scenario's.
    pub cpus: Option<u32>,
    /// What the user adds to the kernel's command line.
    pub append: &'a [String],
}

/// Every boot that is planned from the start, in order: config by config, and in each the kernels
/// by turns, so that whatever drifts on the host meets all of them alike.
pub fn plan(input: &PlanInput<'_>) -> Vec<Cell> {
    input
        .configs
        .iter()
        .flat_map(|config| {
            let first = input.profile.boots(config).first;
            boots(input, config, 1..=input.repeats.unwrap_or(first))
        })
        .collect()
}

/// The boots of some repeats in one config: reruns go on where the plan ended.
pub fn boots(input: &PlanInput<'_>, config: &str, repeats: RangeInclusive<u32>) -> Vec<Cell> {
    let names = folder_names(input);
    let phases = input.profile.phases(input.scenario);
    let mut cells = Vec::new();
    for repeat in repeats {
        for kernel in input.kernels {
            let folder = names
                .iter()
                .find(|(c, k, _)| *c == config && k == kernel)
                .map_or_else(|| safe(config, kernel), |(_, _, folder)| folder.clone());
            cells.push(Cell {
                id: format!("{folder}-{repeat}"),
                config: config.to_owned(),
                variant: kernel.clone(),
                scenario: input.scenario.name.clone(),
                repeat,
                plan: Plan {
                    seed: cell_seed(input.seed, config, repeat),
                    phases: phases.clone(),
                },
                memory_mib: input.memory_mib.unwrap_or(input.scenario.guest.memory_mib),
                cpus: input.cpus.unwrap_or(input.scenario.guest.cpus),
                append: input.append.to_vec(),
                purpose: Purpose::Loads,
            });
        }
    }
    cells
}

/// A boot of one purpose as one of another, with the loads that are for it; none where that leaves
/// nothing.
fn made_for(cell: &Cell, purpose: Purpose, wanted: impl Fn(&Load) -> bool) -> Option<Cell> {
    let mut cell = cell.clone();
    cell.id = format!("{}{}-{}", stem(&cell.id), purpose.mark(), cell.repeat);
    cell.purpose = purpose;
    cell.plan.phases.retain(|phase| wanted(&phase.load));
    Some(cell).filter(|cell| !cell.plan.phases.is_empty())
}

/// What a load wants a boot of its own for; none where it shares one with the others.
fn apart_for(load: &Load) -> Option<Purpose> {
    match load {
        Load::Operations(_) => Some(Purpose::Counted),
        Load::Memory(_) => Some(Purpose::Weighed),
        Load::BackingRace(_) | Load::Fio(_) | Load::Exec(_) | Load::Corner(_) | Load::Idle => None,
    }
}

/// A boot without the loads that have boots of their own.
pub fn shared(cell: &Cell) -> Option<Cell> {
    made_for(cell, Purpose::Loads, |load| apart_for(load).is_none())
}

/// Those loads' boots, numbered: one each, so that none meets what another left behind. What is
/// counted has one vCPU, as one thread runs all.
pub fn apart(cell: &Cell) -> Vec<Cell> {
    let phases = cell.plan.phases.iter();
    let apart = phases.filter_map(|phase| Some((phase, apart_for(&phase.load)?)));
    let numbered = apart.zip(1..).map(|((phase, purpose), number)| Cell {
        id: format!("{}{}-{number}", stem(&cell.id), purpose.mark()),
        purpose,
        cpus: match purpose {
            Purpose::Counted => 1,
            _ => cell.cpus,
        },
        plan: Plan {
            seed: cell.plan.seed,
            phases: vec![phase.clone()],
        },
        ..cell.clone()
    });
    numbered.collect()
}

/// A boot again, emulated on a host whose other boots are not: with the loads in which vCPUs are
/// held, without those whose figures count. None where that leaves nothing.
pub fn widened(cell: &Cell) -> Option<Cell> {
    made_for(cell, Purpose::Widened, is_watched)
}

/// Whether vCPUs are held while a load runs: never where its figures would mean nothing then.
pub fn is_watched(load: &Load) -> bool {
    match load {
        Load::BackingRace(_) | Load::Exec(_) | Load::Corner(_) => true,
        Load::Fio(_) | Load::Operations(_) | Load::Memory(_) | Load::Idle => false,
    }
}

/// Whether a load's operations are counted, instruction by instruction.
pub fn is_counted(load: &Load) -> bool {
    apart_for(load) == Some(Purpose::Counted)
}

/// A cell's id without its boot's number.
pub fn stem(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(stem, _)| stem)
}

/// A cell's seed: the same for every kernel of one repeat in one config, whatever else runs.
fn cell_seed(seed: u64, config: &str, repeat: u32) -> u64 {
    /// splitmix64's step, 2^64 over the golden ratio.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    splitmix((seed ^ fnv1a(config.as_bytes())).wrapping_add(STEP.wrapping_mul(u64::from(repeat))))
}

/// splitmix64's finalizer.
fn splitmix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The folder of each config and kernel, without its repeat; no two are the same.
fn folder_names<'a>(input: &PlanInput<'a>) -> Vec<(&'a str, &'a str, String)> {
    let mut taken = BTreeSet::new();
    let mut names = Vec::new();
    for config in input.configs {
        for kernel in input.kernels {
            let wanted = safe(config, kernel);
            let mut name = wanted.clone();
            let mut n = 2;
            while !taken.insert(name.to_lowercase()) {
                name = format!("{wanted}.{n}");
                n += 1;
            }
            names.push((config.as_str(), kernel.as_str(), name));
        }
    }
    names
}

/// A folder name of two names that may hold anything.
fn safe(config: &str, kernel: &str) -> String {
    let part = |name: &str| -> String {
        let clean: String = name
            .chars()
            .map(|c| match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' => c,
                _ => '-',
            })
            .take(MAX_NAME)
            .collect();
        match clean.trim_matches(['.', '-']) {
            "" => "x".to_owned(),
            trimmed => trimmed.to_owned(),
        }
    };
    format!("{}-{}", part(config), part(kernel))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::parse;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    struct Setup {
        scenario: Scenario,
        configs: Vec<String>,
        kernels: Vec<String>,
        append: Vec<String>,
    }

    impl Setup {
        fn new(configs: &[&str], kernels: &[&str]) -> Self {
            Self {
                scenario: Scenario::of_command(strings(&["true"])),
                configs: strings(configs),
                kernels: strings(kernels),
                append: strings(&["quiet"]),
            }
        }

        fn input(&self) -> PlanInput<'_> {
            PlanInput {
                scenario: &self.scenario,
                profile: Profile::Standard,
                configs: &self.configs,
                kernels: &self.kernels,
                repeats: None,
                seed: 42,
                memory_mib: None,
                cpus: None,
                append: &self.append,
            }
        }
    }

    fn ids(cells: &[Cell]) -> Vec<&str> {
        cells.iter().map(|cell| cell.id.as_str()).collect()
    }

    #[test]
    fn kernels_take_turns() {
        let setup = Setup::new(&["kasan", "plain"], &[BASE, "ida"]);
        let cells = plan(&setup.input());
        assert_eq!(
            ids(&cells),
            [
                "kasan-base-1",
                "kasan-ida-1",
                "kasan-base-2",
                "kasan-ida-2",
                "plain-base-1",
                "plain-ida-1",
                "plain-base-2",
                "plain-ida-2",
                "plain-base-3",
                "plain-ida-3",
                "plain-base-4",
                "plain-ida-4",
            ]
        );
        assert_eq!(
            ids(&plan(&PlanInput {
                repeats: Some(1),
                ..setup.input()
            }))
            .len(),
            4
        );
        let alone = Setup::new(&["kasan"], &[BASE]);
        assert_eq!(ids(&plan(&alone.input())), ["kasan-base-1", "kasan-base-2"]);
    }

    #[test]
    fn an_emulated_boot_has_no_figures_that_count() {
        let mut setup = Setup::new(&["kasan"], &[BASE, "ida"]);
        let first = boots(&setup.input(), "kasan", 1..=2);
        let cell = widened(&first[3]).unwrap();
        assert_eq!(cell.id, "kasan-ida+tcg-2");
        assert_eq!(cell.purpose, Purpose::Widened);
        assert_eq!(cell.plan, first[3].plan);
        let mut of = |text| {
            setup.scenario = parse(text, Path::new("scenario.yaml")).unwrap();
            widened(&boots(&setup.input(), "kasan", 1..=1)[0])
        };
        let race = of(include_str!("../../scenarios/fuse-backing/race.yaml")).unwrap();
        let loads: Vec<_> = race.plan.phases.iter().map(|p| &p.load).collect();
        assert!(matches!(loads[..], [Load::BackingRace(_)]), "{loads:?}");
        assert_eq!(
            of(include_str!("../../scenarios/fuse-backing/fio.yaml")),
            None
        );
    }

    #[test]
    fn operations_are_counted_in_boots_of_their_own() {
        let mut setup = Setup::new(&["plain"], &[BASE]);
        let scale = include_str!("../../scenarios/fuse-backing/scale.yaml");
        setup.scenario = parse(scale, Path::new("scale.yaml")).unwrap();
        let all = &boots(&setup.input(), "plain", 1..=1)[0];
        let counted = apart(all);
        let ids = ids(&counted);
        assert_eq!(ids[..2], ["plain-base+count-1", "plain-base+count-2"]);
        assert_eq!(ids.len(), all.plan.phases.len());
        assert!(
            counted
                .iter()
                .all(|cell| cell.plan.phases.len() == 1 && cell.cpus == 1)
        );
        assert_eq!(shared(all), None);
        let race = include_str!("../../scenarios/fuse-backing/race.yaml");
        setup.scenario = parse(race, Path::new("race.yaml")).unwrap();
        let all = &boots(&setup.input(), "plain", 1..=1)[0];
        assert_eq!(apart(all).len(), 2);
        assert_eq!(
            shared(all).unwrap().plan.phases.len(),
            all.plan.phases.len() - 2
        );
    }

    #[test]
    fn a_repeat_has_one_seed_for_all_its_kernels() {
        let setup = Setup::new(&["kasan", "kcsan"], &[BASE, "ida"]);
        let cells = plan(&setup.input());
        let seeds: Vec<u64> = cells.iter().map(|cell| cell.plan.seed).collect();
        for pair in seeds.chunks(2) {
            assert_eq!(pair[0], pair[1]);
        }
        let distinct: BTreeSet<u64> = seeds.iter().copied().collect();
        assert_eq!(distinct.len(), 4);
        // The seed of kcsan's first repeat does not depend on what else runs.
        let alone = Setup::new(&["kcsan"], &["other"]);
        assert_eq!(plan(&alone.input())[0].plan.seed, seeds[4]);
        let other = PlanInput {
            seed: 43,
            ..setup.input()
        };
        assert!(
            plan(&other)
                .iter()
                .zip(&seeds)
                .all(|(cell, seed)| cell.plan.seed != *seed)
        );
    }

    #[test]
    fn splitmix_as_published() {
        // The first values of splitmix64 seeded with 1234567.
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let value = |n: u64| splitmix(1_234_567_u64.wrapping_add(step.wrapping_mul(n)));
        assert_eq!(value(1), 6_457_827_717_110_365_317);
        assert_eq!(value(2), 3_203_168_211_198_807_973);
    }

    #[test]
    fn reruns_go_on_with_the_same_folders() {
        let setup = Setup::new(&["kasan"], &[BASE, "a b", "a/b"]);
        assert_eq!(
            ids(&boots(&setup.input(), "kasan", 3..=3)),
            ["kasan-base-3", "kasan-a-b-3", "kasan-a-b.2-3"]
        );
    }

    #[test]
    fn ids_are_folder_names_whatever_users_call_their_variants() {
        let long = "x".repeat(300);
        let nasty = [
            BASE,
            "../..",
            "/etc/passwd",
            "",
            "a\nb",
            "ä",
            ".",
            "Base",
            "-",
            &long,
        ];
        let setup = Setup::new(&["kasan", "kasan-base", "../../x"], &nasty);
        let cells = plan(&PlanInput {
            repeats: Some(2),
            ..setup.input()
        });
        let distinct: BTreeSet<String> = cells.iter().map(|c| c.id.to_lowercase()).collect();
        assert_eq!(distinct.len(), 3 * 2 * nasty.len());
        for cell in &cells {
            assert!(
                cell.id.len() < 120
                    && cell.id.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && cell
                        .id
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
                "{}",
                cell.id
            );
        }
    }

    #[test]
    fn the_users_sizes_win() {
        let setup = Setup::new(&["kasan"], &[BASE]);
        let cells = plan(&PlanInput {
            memory_mib: Some(777),
            cpus: Some(3),
            ..setup.input()
        });
        assert_eq!((cells[0].memory_mib, cells[0].cpus), (777, 3));
        assert_eq!(cells[0].append, ["quiet"]);
        let own = plan(&setup.input());
        assert_eq!((own[0].memory_mib, own[0].cpus), (2048, 2));
    }
}
