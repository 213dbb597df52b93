//! Whether a boot showed the one finding that is followed (pure).

use protocol::DetectorState;
use serde::{Deserialize, Serialize};

use super::{
    conditions, ends, instructions, measures, memory,
    observe::{Observation, is_notice, kind_of, observe},
    verdict::{Kind, Measure},
};
use crate::{
    Error, Result,
    collect::record::{End, RunRecord, TimedSplat},
    plan::Purpose,
    scenario::Acceptance,
    splat::Splat,
};

/// `git bisect run`'s exit code of a command that cannot say.
const SKIP: i32 = 125;

/// Figures that are made in boots of their own, by how their names start.
const MADE_IN: [(&str, Purpose); 5] = [
    ("instructions of ", Purpose::Counted),
    ("emulated time of ", Purpose::Counted),
    ("memory", Purpose::Weighed),
    ("sparse memory", Purpose::Weighed),
    ("time of open ", Purpose::Weighed),
];

/// Detectors that end with their first report, by what their titles hold: what they did not say
/// after that is no miss.
const ONCE: [(&str, &str); 16] = [
    ("KASAN:", "kasan"),
    ("KCSAN:", "kcsan"),
    ("possible deadlock", "lockdep"),
    ("lock dependency", "lockdep"),
    ("possible recursive locking", "lockdep"),
    ("inconsistent lock state", "lockdep"),
    ("bad unlock balance", "lockdep"),
    ("held lock freed", "lockdep"),
    ("still has locks held", "lockdep"),
    ("lock held when returning", "lockdep"),
    ("nested lock was not taken", "lockdep"),
    ("locking bug", "lockdep"),
    ("non-static key", "lockdep"),
    ("bad contention detected", "lockdep"),
    ("suspicious RCU usage", "lockdep"),
    ("memory leak", "kmemleak"),
];

/// How console lines start that lead to splats; titles say the same without what differs by boot.
const CONSOLES: [&str; 4] = [
    "BUG: KASAN:",
    "BUG: KCSAN:",
    "WARNING: CPU:",
    "unreferenced object 0x",
];

/// The finding that is followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Followed {
    /// One with this title, or a splat that has it among its alternatives.
    Title(String),
    /// Any of this kind.
    Kind(Kind),
    /// Any that the scenario does not accept.
    Any,
    /// A figure beyond a bound.
    Measure {
        /// As a verdict names it, e.g. `instructions of lookup`.
        name: String,
        /// The bound.
        bound: Bound,
    },
}

/// A figure's bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// It shows above this.
    Above(f64),
    /// It shows below this.
    Below(f64),
}

/// When a finding can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the loads begin, and never later.
    AtBoot,
    /// While they run or after, and never before.
    UnderLoad,
    /// Nobody knows before it was seen.
    Either,
}

/// What a trial says.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// It shows.
    Hit {
        /// The finding's title.
        title: String,
        /// A path below the folder of the boots.
        evidence: String,
        /// Whether the loads had begun.
        late: bool,
    },
    /// It does not.
    Miss,
    /// This boot cannot say, and another may.
    Blind(String),
    /// No boot of this kernel can say.
    Never(String),
    /// The host's fault.
    Spoiled(String),
    /// The user stopped it.
    Interrupted,
}

impl Bound {
    fn is_passed(self, value: f64) -> bool {
        match self {
            Self::Above(bound) => value > bound,
            Self::Below(bound) => value < bound,
        }
    }
}

impl Followed {
    /// A finding by its title.
    ///
    /// # Errors
    /// It is a line of the console's, which no title is like.
    pub fn title(text: &str) -> Result<Self> {
        let words = text.trim_start();
        let raw = CONSOLES.iter().any(|start| words.starts_with(start)) || text.contains("+0x");
        match raw {
            false => Ok(Self::Title(text.to_owned())),
            true => Err(
                Error::input(format!("{text:?} is no title, but a line of a console"))
                    .mend("`cargo xtask splats LOG` gives the title of each splat in a log"),
            ),
        }
    }

    /// Whether a splat is what is followed: nothing that comes after it matters. `accepts` says which
    /// titles the scenario accepts.
    pub fn is(&self, splat: &Splat, accepts: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Title(title) => {
                let mut titles = std::iter::once(&splat.title).chain(&splat.alternatives);
                titles.any(|one| same(one, title))
            }
            Self::Kind(kind @ (Kind::Splat | Kind::Leak)) => {
                kind_of(splat) == *kind && !is_notice(splat) && !accepts(&splat.title)
            }
            Self::Kind(_) | Self::Any | Self::Measure { .. } => false,
        }
    }

    /// Whether a host that keeps a guest waiting shows it, too, by a time limit that passes. For any
    /// finding at all [`Followed::is_doubtful`] tells it of each hit.
    pub fn may_be_a_limits(&self) -> bool {
        match self {
            Self::Kind(Kind::BootFailed | Kind::Hang) => true,
            Self::Title(title) => ends::may_be_a_limits(title),
            Self::Kind(_) | Self::Any | Self::Measure { .. } => false,
        }
    }

    /// Whether a boot's hit is a watchdog's word alone, where findings that no host shows are followed
    /// along with it: it takes another boot's.
    pub fn is_doubtful(&self, record: &RunRecord, accepts: &dyn Fn(&str) -> bool) -> bool {
        if *self != Self::Any || !matches!(record.end, End::Watchdog { .. }) {
            return false;
        }
        let all = observe(std::slice::from_ref(record), None, false);
        let mut hits = all.iter().filter(|one| self.fits(one, accepts));
        hits.all(|one| one.kind == Kind::Hang)
    }

    /// When it can show.
    pub fn when(&self) -> When {
        match self {
            Self::Kind(Kind::BootFailed) => When::AtBoot,
            Self::Kind(Kind::WrongData | Kind::Hang | Kind::CommandFailed)
            | Self::Measure { .. } => When::UnderLoad,
            Self::Kind(_) | Self::Title(_) | Self::Any => When::Either,
        }
    }

    /// Whether a splat at boot leaves all that can show this as it was: no detector stops after a
    /// race, but each race is told once.
    pub fn survives(&self, splat: &Splat, accepts: &dyn Fn(&str) -> bool) -> bool {
        *self != Self::Any && splat.class == "kcsan" && !self.is(splat, accepts)
    }

    /// In which boots a figure is made; none where no figure is followed.
    pub fn made_in(&self) -> Option<Purpose> {
        let Self::Measure { name, .. } = self else {
            return None;
        };
        let made = MADE_IN.iter().find(|(start, _)| name.starts_with(start));
        Some(made.map_or(Purpose::Loads, |(_, purpose)| *purpose))
    }

    /// What the boots of one trial say together of a figure, where each of them said nothing else.
    pub fn figure(&self, boots: &[RunRecord]) -> Option<Shown> {
        match self {
            Self::Measure { name, bound } => Some(figure(boots, name, *bound)),
            Self::Title(_) | Self::Kind(_) | Self::Any => None,
        }
    }

    /// What one boot says; `accepts` says which titles the scenario accepts. Of a figure all boots of
    /// a trial tell together, by [`Followed::figure`].
    pub fn in_boot(&self, record: &RunRecord, accepts: &dyn Fn(&str) -> bool) -> Shown {
        match &record.end {
            End::Interrupted => return Shown::Interrupted,
            End::Infrastructure { why } => return Shown::Spoiled(why.clone()),
            End::Finished | End::BootFailed { .. } | End::Watchdog { .. } | End::Died { .. } => {}
        }
        let boots = std::slice::from_ref(record);
        let all = observe(boots, None, false);
        let mut splats = record.splats.iter();
        let splat = splats.find(|timed| self.is(&timed.splat, accepts));
        if let Some(timed) = splat {
            return Shown::Hit {
                title: timed.splat.title.clone(),
                evidence: format!("{}/{}", record.cell.id, timed.file),
                late: is_late(record, timed),
            };
        }
        // What such a command leaves behind is no finding of its own.
        if record.exec.iter().any(|exec| exec.code == Some(SKIP)) {
            return Shown::Never(format!("the command exited with {SKIP}"));
        }
        if let Some(exec) = record.exec.iter().find_map(|exec| exec.error.as_ref()) {
            return Shown::Never(format!("the command does not start: {exec}"));
        }
        if let Some(hit) = all.iter().find(|one| self.fits(one, accepts)) {
            let of_it =
                |timed: &&TimedSplat| hit.evidence == format!("{}/{}", record.cell.id, timed.file);
            let splat = record.splats.iter().find(of_it);
            return Shown::Hit {
                title: hit.title.clone(),
                evidence: hit.evidence.clone(),
                late: hit.kind != Kind::BootFailed
                    && splat.is_none_or(|timed| is_late(record, timed)),
            };
        }
        if let Some(failed) = all.iter().find(|one| one.kind == Kind::BootFailed) {
            // A busy host's boots fail too, by their limits: only several in a row say something.
            return Shown::Blind(format!("it does not boot: {}", failed.title));
        }
        if record.end != End::Finished {
            let why = all.last().map_or("it did not end well", |one| &one.title);
            return Shown::Blind(format!("it was cut short: {why}"));
        }
        if let Some(why) = self.silenced(record) {
            return why;
        }
        if let Some(why) = self.idle(boots) {
            return Shown::Blind(why);
        }
        Shown::Miss
    }

    fn fits(&self, one: &Observation, accepts: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Title(title) => same(&one.title, title),
            Self::Kind(kind) => one.kind == *kind && !accepts(&one.title),
            // A boot that fails is followed only where that was asked for.
            Self::Any => one.kind != Kind::BootFailed && !accepts(&one.title),
            Self::Measure { .. } => false,
        }
    }

    /// What was not exercised, if anything: that the finding did not show says nothing then. Where a
    /// vCPU could not be held counts for nothing: older commits need not have the place.
    fn idle(&self, boots: &[RunRecord]) -> Option<String> {
        match self {
            // It did boot, whatever came after.
            Self::Kind(Kind::BootFailed) => None,
            Self::Title(_) | Self::Kind(_) | Self::Any | Self::Measure { .. } => {
                let reasons: Vec<String> = conditions::loads("it", boots).into_iter().collect();
                (!reasons.is_empty()).then(|| reasons.join("; "))
            }
        }
    }

    /// Where the detector that would tell of it had stopped, or is not there at all.
    fn silenced(&self, record: &RunRecord) -> Option<Shown> {
        let Self::Title(title) = self else {
            return None;
        };
        let (_, detector) = ONCE.iter().find(|(words, _)| title.contains(words))?;
        let mut states = record.detectors.iter();
        let (_, state) = states.find(|(name, _)| name.eq_ignore_ascii_case(detector))?;
        match state {
            DetectorState::On => None,
            DetectorState::Off => {
                let other = record.splats.first().map(|timed| &timed.splat.title);
                let after = other.map_or(String::new(), |title| format!(" after {title}"));
                Some(Shown::Blind(format!("{detector} had stopped{after}")))
            }
            DetectorState::Absent => Some(Shown::Never(format!("{detector} is not built in"))),
        }
    }
}

/// Whether the loads had begun: the agent marks on the console where they do.
fn is_late(record: &RunRecord, timed: &TimedSplat) -> bool {
    let mut ends = record.phases.iter().filter_map(|phase| phase.ended_s);
    timed.splat.phase.is_some() || ends.any(|end| timed.at_s > end)
}

fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

fn figure(boots: &[RunRecord], name: &str, bound: Bound) -> Shown {
    let all = figures(boots);
    let found = all.iter().find(|one| one.name == name);
    match found.and_then(|one| one.variant.median) {
        None => {
            let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
            Shown::Never(format!("no figure {name:?}: it has {}", names.join(", ")))
        }
        Some(value) if bound.is_passed(value) => Shown::Hit {
            title: format!("{name}: {value}"),
            evidence: boots.first().map_or(String::new(), |boot| {
                format!("{}/record.json", boot.cell.id)
            }),
            late: true,
        },
        Some(_) => Shown::Miss,
    }
}

/// Every figure of some boots of one kernel.
fn figures(boots: &[RunRecord]) -> Vec<Measure> {
    let accepts = |_: &str| Acceptance::default();
    let mut all = measures::measures(&[], boots);
    all.extend(instructions::judge(&[], boots, &accepts).0);
    all.extend(memory::judge(&[], boots, &accepts).0);
    all
}
