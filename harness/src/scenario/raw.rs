//! The YAML's shape: which keys there are, which may be left out, and what they default to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use protocol::{
    BackingRace, Corner, Memory, Operations, Store,
    counts::{MARKED, NAMED},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use super::{
    types::{
        Accepted, Count, DEFAULT_MARGIN, ExecSpec, FioSpec, GuestSpec, LoadSpec, RaceSpec, Scenario,
    },
    value::{
        Argument, Block, DEFAULT_GUEST, Date, Engine, Function, InnerPath, Jobs, KconfigLine, Name,
        Pattern, Size, Stall, Symbol, Within, Words,
    },
};

/// Seconds that a load may be told to take.
type Seconds = Within<1, 86_400>;
/// Numbers of ids that memory is read at: each reading lists all slab caches, and is kept.
const MOST_NUMBERS: usize = 24;
/// Threads of one kind.
type Threads = Within<1, 256>;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScenario {
    name: Name,
    subject: Name,
    covers: Vec<InnerPath>,
    #[serde(default)]
    variants: Vec<InnerPath>,
    #[serde(default)]
    requires: Vec<Symbol>,
    #[serde(default)]
    kconfig: Vec<KconfigLine>,
    #[serde(default)]
    overlays: BTreeMap<Name, InnerPath>,
    #[serde(default)]
    guest: RawGuest,
    loads: Loads,
    #[serde(default)]
    stall: Vec<Stall>,
    margin: Option<Within<1, 50>>,
    #[serde(default)]
    accepted: Vec<RawAccepted>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGuest {
    memory: Option<Size<128, 65_536>>,
    cpus: Option<Within<1, 64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRace {
    servers: Option<Threads>,
    openers: Option<Threads>,
    churners: Option<Threads>,
    ids: Option<Within<1, 65_536>>,
    files: Option<Within<1, 65_536>>,
    seconds: Option<Seconds>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperations {
    times: Option<Within<1, 4096>>,
    ids: Option<Within<0, 100_000>>,
    #[serde(default)]
    functions: Functions,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMemory {
    ids: Numbers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCursor {
    limit: Option<Within<8, 4096>>,
    turns: Option<Within<1, 100_000>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTeardown {
    rounds: Option<Within<1, 100_000>>,
    openers: Option<Threads>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConnections {
    connections: Option<Within<2, 64>>,
    rounds: Option<Within<1, 100_000>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawInitRace {
    mounts: Option<Within<1, 1_000_000>>,
    racers: Option<Threads>,
    skip_watch: Option<Within<1, 1_000_000>>,
}

/// A load without sizes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFio {
    store: Option<Store>,
    jobs: Option<Jobs>,
    engine: Option<Engine>,
    pattern: Option<Pattern>,
    block: Option<Block>,
    file: Option<Size<1, 65_536>>,
    seconds: Option<Seconds>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExec {
    command: Command,
    expect: Option<Within<0, 255>>,
    seconds: Option<Seconds>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccepted {
    title: Words,
    variant: Option<Name>,
    reason: Words,
    until: Date,
}

/// A program and its arguments; at least the program.
#[derive(Debug)]
struct Command(Vec<String>);

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let words = Vec::<Argument>::deserialize(from)?;
        match words.first() {
            Some(program) if !program.0.is_empty() => {
                Ok(Self(words.into_iter().map(|word| word.0).collect()))
            }
            _ => Err(D::Error::custom("a command needs a program to run")),
        }
    }
}

/// Functions that are counted by themselves, by what they are called in the verdict.
#[derive(Debug, Default)]
struct Functions(BTreeMap<Name, Function>);

impl<'de> Deserialize<'de> for Functions {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let functions = BTreeMap::<Name, Function>::deserialize(from)?;
        if let Some(name) = functions
            .keys()
            .find(|name| MARKED.contains(&name.0.as_str()))
        {
            let own = MARKED.join(", ");
            return Err(D::Error::custom(format!(
                "`{}` is counted as it is ({own}); call the function otherwise",
                name.0
            )));
        }
        match functions.len() {
            0..=NAMED => Ok(Self(functions)),
            many => Err(D::Error::custom(format!(
                "{many} functions, and {NAMED} can be counted by themselves at most"
            ))),
        }
    }
}

/// Numbers of ids, ascending, each once; at least one, and no more than can be kept.
#[derive(Debug)]
struct Numbers(Vec<u32>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let ids = Vec::<Within<1, 1_000_000>>::deserialize(from)?;
        let ids: BTreeSet<u32> = ids.into_iter().map(Within::get32).collect();
        match ids.len() {
            0 => Err(D::Error::custom(
                "`ids` names no number; write at least one, such as [1000]",
            )),
            1..=MOST_NUMBERS => Ok(Self(ids.into_iter().collect())),
            many => Err(D::Error::custom(format!(
                "`ids` names {many} numbers; memory is read twice at each, at {MOST_NUMBERS} at most"
            ))),
        }
    }
}

/// The phases; at least one.
#[derive(Debug)]
struct Loads(Vec<LoadSpec>);

impl<'de> Deserialize<'de> for Loads {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let loads = Vec::<RawLoad>::deserialize(from)?;
        if loads.is_empty() {
            return Err(D::Error::custom("a scenario needs a load"));
        }
        let weigh = |load: &&RawLoad| matches!(load.0, LoadSpec::Memory(_));
        if loads.iter().filter(weigh).count() > 1 {
            return Err(D::Error::custom(
                "two `memory` loads: one weighs all, so write their numbers into one's `ids`",
            ));
        }
        Ok(Self(loads.into_iter().map(|load| load.0).collect()))
    }
}

/// One entry of `loads`: a map with one key, the load's name.
#[derive(Debug)]
struct RawLoad(LoadSpec);

/// The loads' names.
#[derive(Debug, Deserialize)]
#[serde(field_identifier, rename_all = "kebab-case")]
enum LoadName {
    BackingRace,
    Fio,
    Exec,
    Operations,
    Memory,
    Cursor,
    AllocationFailure,
    Refusals,
    Teardown,
    Connections,
    InitRace,
}

struct LoadVisitor;

impl<'de> Visitor<'de> for LoadVisitor {
    type Value = LoadSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a load with its sizes, such as `backing-race: {servers: 3}`")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<LoadSpec, M::Error> {
        let Some(name) = map.next_key::<LoadName>()? else {
            return Err(M::Error::custom("a load needs a name"));
        };
        let load = match name {
            LoadName::BackingRace => map.next_value::<RawRace>()?.into(),
            LoadName::Fio => map.next_value::<RawFio>()?.into(),
            LoadName::Exec => map.next_value::<RawExec>()?.into(),
            LoadName::Memory => map.next_value::<RawMemory>()?.into(),
            LoadName::Operations => map.next_value::<RawOperations>()?.into(),
            LoadName::Cursor => map.next_value::<RawCursor>()?.into(),
            LoadName::AllocationFailure => nothing(&mut map, Corner::AllocationFailure)?,
            LoadName::Refusals => nothing(&mut map, Corner::Refusals)?,
            LoadName::Teardown => map.next_value::<RawTeardown>()?.into(),
            LoadName::Connections => map.next_value::<RawConnections>()?.into(),
            LoadName::InitRace => map.next_value::<RawInitRace>()?.into(),
        };
        match map.next_key::<LoadName>()? {
            None => Ok(load),
            Some(_) => Err(M::Error::custom("each load begins with a dash of its own")),
        }
    }
}

impl<'de> Deserialize<'de> for RawLoad {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(LoadVisitor).map(Self)
    }
}

/// A corner that has no sizes.
fn nothing<'de, M: MapAccess<'de>>(map: &mut M, corner: Corner) -> Result<LoadSpec, M::Error> {
    let Nothing {} = map.next_value()?;
    Ok(LoadSpec::Corner(corner))
}

impl From<RawCursor> for LoadSpec {
    fn from(raw: RawCursor) -> Self {
        LoadSpec::Corner(Corner::Cursor {
            limit: raw.limit.map_or(64, Within::get32),
            turns: raw.turns.map_or(200, Within::get32),
        })
    }
}

impl From<RawTeardown> for LoadSpec {
    fn from(raw: RawTeardown) -> Self {
        LoadSpec::Corner(Corner::Teardown {
            rounds: raw.rounds.map_or(10, Within::get32),
            openers: raw.openers.map_or(3, Within::get32),
        })
    }
}

impl From<RawConnections> for LoadSpec {
    fn from(raw: RawConnections) -> Self {
        LoadSpec::Corner(Corner::Connections {
            connections: raw.connections.map_or(2, Within::get32),
            rounds: raw.rounds.map_or(20, Within::get32),
        })
    }
}

impl From<RawInitRace> for LoadSpec {
    fn from(raw: RawInitRace) -> Self {
        LoadSpec::Corner(Corner::InitRace {
            mounts: raw.mounts.map_or(1000, Within::get32),
            racers: raw.racers.map_or(2, Within::get32),
            skip_watch: raw.skip_watch.map(Within::get32),
        })
    }
}

impl From<RawOperations> for LoadSpec {
    fn from(raw: RawOperations) -> Self {
        LoadSpec::Operations(Operations {
            times: raw.times.map_or(1000, Within::get32),
            ids: raw.ids.map_or(64, Within::get32),
            functions: raw
                .functions
                .0
                .into_iter()
                .map(|(name, function)| (name.0, function.0))
                .collect(),
        })
    }
}

impl From<RawMemory> for LoadSpec {
    fn from(raw: RawMemory) -> Self {
        LoadSpec::Memory(Memory { ids: raw.ids.0 })
    }
}

impl From<RawRace> for LoadSpec {
    fn from(raw: RawRace) -> Self {
        LoadSpec::BackingRace(RaceSpec {
            sizes: BackingRace {
                servers: raw.servers.map_or(3, Within::get32),
                openers: raw.openers.map_or(3, Within::get32),
                churners: raw.churners.map_or(2, Within::get32),
                ids: raw.ids.map_or(64, Within::get32),
                files: raw.files.map_or(512, Within::get32),
            },
            seconds: raw.seconds.map(Within::get),
        })
    }
}

impl From<RawFio> for LoadSpec {
    fn from(raw: RawFio) -> Self {
        LoadSpec::Fio(FioSpec {
            store: raw.store.unwrap_or(Store::Ext4),
            jobs: raw.jobs.map_or(Count::Profile, |jobs| jobs.0),
            engine: raw.engine.map(|engine| engine.0),
            pattern: raw.pattern.map(|pattern| pattern.0),
            block: raw.block.map(|block| block.0),
            file_mib: raw.file.map(|size| size.0),
            seconds: raw.seconds.map(Within::get),
        })
    }
}

impl From<RawExec> for LoadSpec {
    fn from(raw: RawExec) -> Self {
        LoadSpec::Exec(ExecSpec {
            command: raw.command.0,
            expect: raw
                .expect
                .and_then(|code| i32::try_from(code.get()).ok())
                .unwrap_or(0),
            seconds: raw.seconds.map(Within::get),
        })
    }
}

impl From<RawScenario> for Scenario {
    fn from(raw: RawScenario) -> Self {
        Scenario {
            name: raw.name.0,
            about: String::new(),
            subject: raw.subject.0,
            covers: raw.covers.into_iter().map(|path| path.0).collect(),
            variants: raw.variants.into_iter().map(|path| path.0).collect(),
            requires: raw.requires.into_iter().map(|symbol| symbol.0).collect(),
            kconfig: raw.kconfig.into_iter().map(|line| line.0).collect(),
            overlays: raw
                .overlays
                .into_iter()
                .map(|(kernel, path)| (kernel.0, path.0))
                .collect(),
            guest: GuestSpec {
                memory_mib: raw
                    .guest
                    .memory
                    .map_or(DEFAULT_GUEST.memory_mib, |size| size.0),
                cpus: raw.guest.cpus.map_or(DEFAULT_GUEST.cpus, Within::get32),
            },
            loads: raw.loads.0,
            stalls: raw.stall.into_iter().map(|stall| stall.0).collect(),
            margin: raw
                .margin
                .map_or(DEFAULT_MARGIN, |percent| percent.get() as f64 / 100.0),
            accepted: raw
                .accepted
                .into_iter()
                .map(|entry| Accepted {
                    variant: entry.variant.map(|name| name.0),
                    title: entry.title.0,
                    reason: entry.reason.0,
                    until: entry.until.0,
                })
                .collect(),
            file: std::path::PathBuf::new(),
        }
    }
}
