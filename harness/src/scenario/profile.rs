//! The table of profiles, and what it makes of a scenario's loads.

use protocol::{Exec, Fio, Load, Phase};

use super::{
    did_you_mean,
    types::{Count, LoadSpec, Profile, Scenario},
};
use crate::{Error, Result};

/// The one config whose costs are compared, and which therefore gets more boots.
const PLAIN: &str = "plain";

/// What so many operations take at most, emulated.
const OPERATIONS_S: u64 = 60;

/// What so many registrations take at most, emulated.
const MEMORY_S: u64 = 120;

/// What a corner takes at most, emulated and with a sanitizer: it ends when all is done.
const CORNER_S: u64 = 900;

/// How many boots a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boots {
    /// Planned from the start.
    pub first: u32,
    /// With the reruns that settle a finding seen on one side only.
    pub most: u32,
}

/// One profile's sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileRow {
    /// Which profile.
    pub profile: Profile,
    /// As the command line writes it.
    pub name: &'static str,
    /// How long the hammer takes.
    pub hammer_s: u64,
    /// fio's jobs.
    pub fio_jobs: u32,
    /// How long fio takes.
    pub fio_s: u64,
    /// fio's `ioengine`, where the scenario names none.
    pub fio_engine: &'static str,
    /// fio's `rw`, likewise.
    pub fio_pattern: &'static str,
    /// fio's `bs`, likewise.
    pub fio_block: &'static str,
    /// The size of each job's file, likewise.
    pub fio_file_mib: u32,
    /// A command's limit.
    pub exec_limit_s: u64,
    /// Boots a side in `plain`.
    pub plain: Boots,
    /// Boots a side in every other config.
    pub sanitizer: Boots,
    /// One emulated boot a side besides, on a host with KVM.
    pub widens: bool,
}

/// Every profile.
pub const PROFILES: [ProfileRow; 3] = [
    ProfileRow {
        profile: Profile::Quick,
        name: "quick",
        hammer_s: 20,
        fio_jobs: 2,
        fio_s: 10,
        fio_engine: "io_uring",
        fio_pattern: "randrw",
        fio_block: "4k",
        fio_file_mib: 64,
        exec_limit_s: 600,
        plain: Boots { first: 1, most: 1 },
        sanitizer: Boots { first: 1, most: 1 },
        widens: false,
    },
    ProfileRow {
        profile: Profile::Standard,
        name: "standard",
        hammer_s: 60,
        fio_jobs: 4,
        fio_s: 30,
        fio_engine: "io_uring",
        fio_pattern: "randrw",
        fio_block: "4k",
        fio_file_mib: 64,
        exec_limit_s: 1800,
        plain: Boots { first: 4, most: 6 },
        // Three of three against none of three is the least that is beyond chance, so two boots
        // need room for reruns.
        sanitizer: Boots { first: 2, most: 5 },
        widens: true,
    },
    ProfileRow {
        profile: Profile::Full,
        name: "full",
        hammer_s: 300,
        fio_jobs: 16,
        fio_s: 300,
        fio_engine: "io_uring",
        fio_pattern: "randrw",
        fio_block: "4k",
        // Sixteen files have to fit on the scratch disk, and with half of 512M to spare into the guest.
        fio_file_mib: 16,
        exec_limit_s: 7200,
        plain: Boots { first: 4, most: 10 },
        sanitizer: Boots { first: 2, most: 10 },
        widens: true,
    },
];

impl ProfileRow {
    /// The row in words.
    pub fn about(&self) -> String {
        let boots = |boots: Boots| match (boots.first, boots.most) {
            (first, most) if first == most => first.to_string(),
            (first, most) => format!("{first} to {most}"),
        };
        format!(
            "hammer {} s; fio {} s with {} jobs; boots a side: plain {}, others {}{}",
            self.hammer_s,
            self.fio_s,
            self.fio_jobs,
            boots(self.plain),
            boots(self.sanitizer),
            if self.widens {
                "; under KVM each also once emulated, with vCPUs held"
            } else {
                ""
            }
        )
    }
}

/// Whether a config's costs are what a user's kernel would have: they are judged there alone.
pub fn judges_costs(config: &str) -> bool {
    config == PLAIN
}

impl Profile {
    /// Its row of the table.
    pub fn row(self) -> &'static ProfileRow {
        match self {
            Profile::Quick => &PROFILES[0],
            Profile::Standard => &PROFILES[1],
            Profile::Full => &PROFILES[2],
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// How many boots a side in a config.
    pub fn boots(self, config: &str) -> Boots {
        match config {
            PLAIN => self.row().plain,
            _ => self.row().sanitizer,
        }
    }

    /// Whether a host with KVM makes one emulated boot a side too, to hold vCPUs in it.
    pub fn widens(self) -> bool {
        self.row().widens
    }

    /// Boots a side before the first look at a config's costs and after the last; or the user's own
    /// number.
    pub fn looks(self, config: &str, repeats: Option<u32>) -> (u32, u32) {
        let boots = self.boots(config);
        (
            repeats.unwrap_or(boots.first),
            repeats.unwrap_or(boots.most),
        )
    }

    /// What the agent is told to do.
    pub fn phases(self, scenario: &Scenario) -> Vec<Phase> {
        scenario.loads.iter().map(|load| self.phase(load)).collect()
    }

    fn phase(self, load: &LoadSpec) -> Phase {
        let row = self.row();
        match load {
            LoadSpec::BackingRace(race) => Phase {
                load: Load::BackingRace(race.sizes.clone()),
                seconds: race.seconds.unwrap_or(row.hammer_s),
            },
            LoadSpec::Fio(fio) => {
                let word = |own: &Option<String>, profile: &str| {
                    own.clone().unwrap_or_else(|| profile.to_owned())
                };
                Phase {
                    load: Load::Fio(Fio {
                        store: fio.store,
                        jobs: match fio.jobs {
                            Count::Profile => row.fio_jobs,
                            Count::Fixed(jobs) => jobs,
                        },
                        engine: word(&fio.engine, row.fio_engine),
                        pattern: word(&fio.pattern, row.fio_pattern),
                        block: word(&fio.block, row.fio_block),
                        file_mib: fio.file_mib.unwrap_or(row.fio_file_mib),
                    }),
                    seconds: fio.seconds.unwrap_or(row.fio_s),
                }
            }
            LoadSpec::Exec(exec) => Phase {
                load: Load::Exec(Exec {
                    command: exec.command.clone(),
                    expect: exec.expect,
                }),
                seconds: exec.seconds.unwrap_or(row.exec_limit_s),
            },
            LoadSpec::Operations(operations) => Phase {
                load: Load::Operations(operations.clone()),
                seconds: OPERATIONS_S,
            },
            LoadSpec::Memory(memory) => Phase {
                load: Load::Memory(memory.clone()),
                seconds: MEMORY_S,
            },
            LoadSpec::Corner(corner) => Phase {
                load: Load::Corner(corner.clone()),
                seconds: CORNER_S,
            },
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        PROFILES
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.profile)
            .ok_or_else(|| {
                Error::input(format!("unknown profile `{name}`"))
                    .mend(did_you_mean(name, PROFILES.iter().map(|row| row.name)))
            })
    }
}

#[cfg(test)]
mod tests {
    use protocol::{BackingRace, Store};

    use super::*;
    use crate::scenario::{ExecSpec, FioSpec, RaceSpec};

    #[test]
    fn each_row_is_at_its_profiles_place() {
        for row in &PROFILES {
            assert_eq!(row.profile.row(), row);
            assert_eq!(row.name.parse::<Profile>().unwrap(), row.profile);
            assert!(row.about().contains(&format!("hammer {} s", row.hammer_s)));
            for boots in [row.plain, row.sanitizer] {
                assert!(1 <= boots.first && boots.first <= boots.most, "{row:?}");
            }
        }
        let error = "quik".parse::<Profile>().unwrap_err();
        assert_eq!(error.chain(), "unknown profile `quik`");
        assert!(error.mending().unwrap().contains("did you mean quick?"));
    }

    #[test]
    fn more_boots_only_in_plain() {
        assert_eq!(Profile::Standard.boots("plain").first, 4);
        assert_eq!(Profile::Standard.boots("kasan").first, 2);
        assert_eq!(Profile::Quick.boots("plain"), Boots { first: 1, most: 1 });
        assert_eq!(Profile::Full.boots("kcsan").most, 10);
    }

    #[test]
    fn the_scenario_pins_and_the_profile_fills() {
        let sizes = BackingRace {
            servers: 1,
            openers: 2,
            churners: 3,
            ids: 4,
            files: 5,
        };
        let fio = FioSpec {
            store: Store::Tmpfs,
            jobs: Count::Profile,
            engine: None,
            pattern: Some("randread".into()),
            block: None,
            file_mib: None,
            seconds: None,
        };
        let mut scenario = Scenario::of_command(vec!["./repro".into()]);
        scenario.loads.extend([
            LoadSpec::BackingRace(RaceSpec {
                sizes: sizes.clone(),
                seconds: Some(7),
            }),
            LoadSpec::Fio(fio.clone()),
            LoadSpec::Fio(FioSpec {
                jobs: Count::Fixed(1),
                engine: Some("psync".into()),
                file_mib: Some(8),
                ..fio
            }),
            LoadSpec::Exec(ExecSpec {
                command: vec!["a".into()],
                expect: 3,
                seconds: Some(9),
            }),
        ]);
        let phases = Profile::Full.phases(&scenario);
        let brief: Vec<String> = phases
            .iter()
            .map(|phase| match &phase.load {
                Load::BackingRace(race) => format!("race {} s, {}", phase.seconds, *race == sizes),
                Load::Fio(fio) => format!(
                    "fio {} s, {} {} {} {} {}M",
                    phase.seconds, fio.jobs, fio.engine, fio.pattern, fio.block, fio.file_mib
                ),
                Load::Exec(exec) => format!("exec {} s, {}", phase.seconds, exec.expect),
                Load::Operations(_) => "operations".to_owned(),
                Load::Memory(_) => "memory".to_owned(),
                Load::Corner(corner) => corner.name().to_owned(),
                Load::Idle => "idle".to_owned(),
            })
            .collect();
        assert_eq!(
            brief,
            [
                "exec 7200 s, 0",
                "race 7 s, true",
                "fio 300 s, 16 io_uring randread 4k 16M",
                "fio 300 s, 1 psync randread 4k 8M",
                "exec 9 s, 3",
            ]
        );
    }
}
