//! One trial: a boot of a commit's kernel, or a restored one, and what it says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use protocol::{Load, Phase, Plan};

use super::{
    asked::Asked,
    kept::{Fitness, fitness},
    scout::Places,
};
use crate::{
    Fault, Result,
    boot::{Snapshot, accel::Choice, settings::Accel},
    build::KernelImage,
    cache::Temp,
    collect::record::{End, RunRecord},
    engine::{emulator::Spoiled, guests::Guests, symbols, watching::Subject},
    error::Context,
    event::Event,
    judge::Shown,
    plan::{self, BASE, Cell, Purpose},
    scenario::Scenario,
    source::Ways,
    splat::Splat,
};

/// How often a trial that the host spoiled is made.
pub(super) const ATTEMPTS: u32 = 3;
/// Where boots leave their folders, in a bisect's folder.
pub(super) const BOOTS: &str = "boots";

/// The trials of a bisect.
pub(super) struct Trials<'a> {
    asked: &'a Asked,
    scenario: &'a Scenario,
    ways: Ways<'a>,
    guests: Guests<'a>,
    phases: Vec<Phase>,
    /// Where vCPUs are held.
    places: Places,
    /// The bisect's folder.
    dir: PathBuf,
    scratch: Temp,
    /// The guest of the kernel that was tried last, to be restored; none where it cannot be kept.
    kept: Option<(String, Option<Snapshot>)>,
}

/// A trial's end.
pub(super) struct Tried {
    pub(super) shown: Shown,
    /// The splat that was followed, symbolized.
    pub(super) splat: Option<Splat>,
    /// It was a whole boot, and not one that was restored.
    pub(super) whole: bool,
}

/// How an attempt at a trial is made.
#[derive(Clone, Copy)]
struct How {
    /// It begins after the boot, where it can.
    restored: bool,
    /// There is no other.
    last: bool,
}

impl<'a> Trials<'a> {
    pub(super) fn new(
        asked: &'a Asked,
        scenario: &'a Scenario,
        dir: &Path,
        ways: Ways<'a>,
    ) -> Result<Self> {
        let mut phases = asked.request.profile.phases(scenario);
        if let Some(seconds) = asked.seconds {
            phases.iter_mut().for_each(|phase| phase.seconds = seconds);
        }
        Ok(Self {
            guests: Guests::prepare(&asked.request, &phases, &scenario.stalls, ways)?,
            places: Places::default(),
            dir: dir.to_owned(),
            scratch: ways.cache.temp()?,
            kept: None,
            asked,
            scenario,
            ways,
            phases,
        })
    }

    /// Holds vCPUs there from now on.
    pub(super) fn hold(&mut self, places: Places) -> Result<()> {
        // What was planned for a kernel that was tried already holds no longer.
        let (request, stalls) = (&self.asked.request, &self.scenario.stalls);
        let guests = Guests::prepare(request, &self.phases, stalls, self.ways)?;
        if let Some(choice) = self.guests.settled() {
            guests.run_as(choice.clone());
        }
        self.guests = guests;
        self.places = places;
        Ok(())
    }

    /// Settles how guests are run, by a trial boot of a kernel that boots for all that is known: one
    /// that hangs early says nothing of this host.
    pub(super) fn settle(&self, image: &KernelImage) -> Result<()> {
        self.guests.settle(image).map(drop)
    }

    /// How they are run, once that is settled.
    pub(super) fn settled(&self) -> Option<Accel> {
        self.guests.settled().map(|choice| choice.accel)
    }

    /// Runs them as those of an earlier session.
    pub(super) fn run_as(&self, accel: Accel) -> Result<()> {
        self.guests.run_as(Choice::as_before(accel)?);
        Ok(())
    }

    /// Whether it takes a trial boot to settle that.
    pub(super) fn wants_trial(&self) -> bool {
        self.guests.wants_trial()
    }

    /// Whether the scenario says where vCPUs are held.
    pub(super) fn are_held(&self) -> bool {
        !self.scenario.stalls.is_empty()
    }

    /// Whether vCPUs can be held at all.
    pub(super) fn can_hold(&self, image: &KernelImage) -> Result<bool> {
        Ok(self.guests.settle(image)?.accel == Accel::Tcg)
    }

    /// One trial of a commit's kernel; `number` is its place among all. Where it `may_be_restored` it
    /// begins after the boot. What the host spoils is made again, and comes as spoiled where that is
    /// in vain.
    pub(super) fn once(
        &mut self,
        commit: &str,
        image: &KernelImage,
        number: u64,
        may_be_restored: bool,
    ) -> Result<Tried> {
        let mut how = How {
            restored: may_be_restored,
            last: false,
        };
        let mut attempt = 1;
        loop {
            how.last = attempt == ATTEMPTS;
            let tried = self.attempt(commit, image, number, how)?;
            let Shown::Spoiled(why) = &tried.shown else {
                return Ok(tried);
            };
            // Whatever one was restored from may be at fault: others are whole boots.
            self.kept = None;
            how.restored = false;
            if how.last {
                return Ok(tried);
            }
            self.ways.watcher.event(&Event::Warning(format!(
                "a trial of {commit:.12} is made again: {why}"
            )));
            attempt += 1;
        }
    }

    fn attempt(
        &mut self,
        commit: &str,
        image: &KernelImage,
        number: u64,
        how: How,
    ) -> Result<Tried> {
        let mut tried = Tried {
            shown: Shown::Never("the scenario has nothing for this config to run".into()),
            splat: None,
            whole: true,
        };
        let mut boots = Vec::new();
        for cell in self.cells(commit, number) {
            let (one, record) = self.boot(commit, image, &cell, how)?;
            tried = one;
            let accepts = |title: &str| accepts(self.scenario, title);
            let hit = matches!(tried.shown, Shown::Hit { .. });
            if hit && self.asked.followed.is_doubtful(&record, &accepts) {
                let again = Cell {
                    id: format!("{}-again", cell.id),
                    ..cell
                };
                let whole = How {
                    restored: false,
                    ..how
                };
                let (second, _) = self.boot(commit, image, &again, whole)?;
                tried.shown = confirmed(tried.shown, second.shown);
                return Ok(tried);
            }
            if tried.shown != Shown::Miss {
                return Ok(tried);
            }
            boots.push(record);
        }
        if let Some(shown) = self
            .asked
            .followed
            .figure(&boots)
            .filter(|_| !boots.is_empty())
        {
            tried.shown = shown;
        }
        if tried.shown == Shown::Miss {
            // There are many, and they say nothing more.
            for boot in &boots {
                let folder = self.dir.join(BOOTS).join(&boot.cell.id);
                fs::remove_dir_all(&folder)
                    .host(|| format!("failed to remove {}", folder.display()))?;
            }
        }
        Ok(tried)
    }

    fn boot(
        &mut self,
        commit: &str,
        image: &KernelImage,
        cell: &Cell,
        how: How,
    ) -> Result<(Tried, RunRecord)> {
        let run = self.dir.join(BOOTS);
        let folder = run.join(&cell.id);
        // What an attempt or a session before left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&run).host(|| format!("failed to make {}", run.display()))?;
        let followed = &self.asked.followed;
        let whole = !how.restored || !self.keep(commit, image, cell)?;
        let mut record = match self.record(image, cell, &run, whole) {
            Ok(record) => record,
            // What was kept is at fault, for all that is known, and the host is not.
            Err(error) if !whole && error.fault() == Fault::Infrastructure => {
                let why = error.chain();
                let tried = Tried {
                    shown: Shown::Spoiled(why.clone()),
                    splat: None,
                    whole,
                };
                return Ok((tried, RunRecord::of(cell, End::Infrastructure { why })));
            }
            Err(error) => return Err(error),
        };
        let emulated = self.guests.settle(image)?.accel == Accel::Tcg;
        let spoiled =
            Spoiled::of(&record, &run, emulated).filter(|_| record.end != End::Interrupted);
        let judged = || followed.in_boot(&record, &|title| accepts(self.scenario, title));
        let shown = said(spoiled, how.last, judged);
        let mut splat = None;
        if let Shown::Hit { .. } = &shown {
            symbols::add(&mut record, image, None, &run, self.ways.watcher)?;
            let mut splats = record.splats.iter().map(|timed| &timed.splat);
            splat = splats
                .find(|one| followed.is(one, &|title| accepts(self.scenario, title)))
                .cloned();
        }
        let tried = Tried {
            shown,
            splat,
            whole,
        };
        Ok((tried, record))
    }

    fn record(
        &self,
        image: &KernelImage,
        cell: &Cell,
        run: &Path,
        whole: bool,
    ) -> Result<RunRecord> {
        let (followed, scenario) = (&self.asked.followed, self.scenario);
        let wanted = |splat: &Splat| followed.is(splat, &|title| accepts(scenario, title));
        let subject = Subject {
            touched: None,
            functions: &self.places.functions,
            files: &self.places.files,
        };
        match &self.kept {
            Some((_, Some(snapshot))) if !whole => {
                self.guests
                    .restore(snapshot, cell, image, subject, Some(&wanted), run)
            }
            _ => self
                .guests
                .boot_until(cell, image, subject, Some(&wanted), run),
        }
    }

    /// Keeps a guest of a kernel that is tried more than once: a trial that is restored takes a
    /// fraction of a boot. Says whether there is one.
    fn keep(&mut self, commit: &str, image: &KernelImage, cell: &Cell) -> Result<bool> {
        let can_be_kept = |phase: &Phase| matches!(phase.load, Load::BackingRace(_) | Load::Idle);
        if cell.purpose != Purpose::Loads || !cell.plan.phases.iter().all(can_be_kept) {
            return Ok(false);
        }
        match &self.kept {
            Some((of, kept)) if of == commit => return Ok(kept.is_some()),
            _ => {}
        }
        let bare = Cell {
            plan: Plan {
                seed: cell.plan.seed,
                phases: Vec::new(),
            },
            ..cell.clone()
        };
        let file = self.scratch.path().join("snapshot");
        let _ = fs::remove_file(&file);
        let snapshot = match self.guests.keep(&bare, image, &file) {
            Ok(taken) => {
                let emulated = self.guests.settle(image)?.accel == Accel::Tcg;
                let accepts = |title: &str| accepts(self.scenario, title);
                match fitness(&taken.console, &self.asked.followed, emulated, &accepts) {
                    Fitness::Fit => Some(taken.snapshot),
                    Fitness::Unlike => None,
                    Fitness::Spoiled => {
                        self.kept = None;
                        return Ok(false);
                    }
                }
            }
            Err(error) if error.fault() == Fault::Interrupted => return Err(error),
            // It may not boot at all: a boot from the start says so.
            Err(_) => None,
        };
        let is_kept = snapshot.is_some();
        self.kept = Some((commit.to_owned(), snapshot));
        Ok(is_kept)
    }

    /// The boots of one trial: the loads that may show the finding.
    fn cells(&self, commit: &str, number: u64) -> Vec<Cell> {
        let request = &self.asked.request;
        let guest = self.scenario.guest;
        let config = request.configs.first().cloned().unwrap_or_default();
        let mut all = Cell {
            id: format!("{commit:.12}-{number}"),
            config,
            variant: BASE.into(),
            scenario: self.scenario.name.clone(),
            repeat: u32::try_from(number).unwrap_or(u32::MAX),
            plan: Plan {
                // Any other seed of each trial will do.
                seed: request
                    .seed
                    .wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                phases: self.phases.clone(),
            },
            memory_mib: request.memory_mib.unwrap_or(guest.memory_mib),
            cpus: request.cpus.unwrap_or(guest.cpus),
            append: request.append.clone(),
            purpose: Purpose::Loads,
        };
        self.guests.locate(&mut all);
        let mut apart = plan::apart(&all);
        for (cell, part) in apart.iter_mut().zip(1..) {
            cell.id = format!("{}.{part}", all.id);
        }
        let of = |purpose| {
            let wanted = apart.iter().filter(move |cell| cell.purpose == purpose);
            wanted.cloned().collect::<Vec<_>>()
        };
        match self.asked.followed.made_in() {
            Some(purpose @ (Purpose::Counted | Purpose::Weighed)) => of(purpose),
            _ => match plan::shared(&all) {
                Some(shared) => vec![shared],
                None => apart,
            },
        }
    }
}

/// What a boot says that the emulator or the host may have spoiled. A commit's kernel may end so by
/// itself, in every attempt: that is judged, or says nothing where nothing can be told from it. It is
/// no reason to end the bisect, now and whenever it goes on.
fn said(spoiled: Option<Spoiled>, last: bool, judged: impl FnOnce() -> Shown) -> Shown {
    match spoiled {
        None => judged(),
        Some(spoiled) => {
            let why = format!("it {}", spoiled.words());
            match (last, spoiled.always_the_hosts()) {
                (false, _) => Shown::Spoiled(why),
                (true, true) => Shown::Blind(why),
                (true, false) => judged(),
            }
        }
    }
}

/// What a boot says that only a time limit ended, with what the next one says: a host that kept it
/// waiting does so once.
fn confirmed(first: Shown, second: Shown) -> Shown {
    match (first, second) {
        (first @ Shown::Hit { .. }, Shown::Hit { .. }) => first,
        (Shown::Hit { title, .. }, Shown::Miss | Shown::Blind(_) | Shown::Never(_)) => {
            Shown::Blind(format!("{title}, once and not again"))
        }
        (Shown::Hit { .. }, second @ (Shown::Spoiled(_) | Shown::Interrupted)) => second,
        (first, _) => first,
    }
}

fn accepts(scenario: &Scenario, title: &str) -> bool {
    let today = crate::engine::date::today();
    scenario.acceptance(title, BASE, &today).current.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoiled_every_time_is_the_commits() {
        let (stale, timer) = (Some(Spoiled::StaleCode), Some(Spoiled::NoTimer));
        for (spoiled, last, expected) in [
            (None, false, "judged"),
            (None, true, "judged"),
            (stale, false, "spoiled"),
            (stale, true, "judged"),
            (timer, false, "spoiled"),
            (timer, true, "blind"),
        ] {
            let got = match said(spoiled, last, || Shown::Miss) {
                Shown::Miss => "judged",
                Shown::Spoiled(_) => "spoiled",
                Shown::Blind(_) => "blind",
                other => panic!("{other:?}"),
            };
            assert_eq!(got, expected, "{spoiled:?} {last}");
        }
    }

    #[test]
    fn a_time_limit_decides_only_where_it_passes_twice() {
        let hit = |title: &str| Shown::Hit {
            title: title.into(),
            evidence: "x".into(),
            late: true,
        };
        let hung = || hit("it hung");
        let blind = || Shown::Blind("it hung, once and not again".into());
        let spoiled = || Shown::Spoiled("x".into());
        let table = [
            (hung(), hit("another"), hung()),
            (hung(), Shown::Miss, blind()),
            (hung(), Shown::Blind("x".into()), blind()),
            (hung(), spoiled(), spoiled()),
            (hung(), Shown::Interrupted, Shown::Interrupted),
            (spoiled(), hung(), spoiled()),
        ];
        for (first, second, expected) in table {
            assert_eq!(confirmed(first, second), expected);
        }
    }
}
