//! The guests of a run: what they boot with, how they are run, and one boot.

use std::{
    cell::OnceCell,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use protocol::{Load, Phase, SCRATCH_DISK, Store, TOOLS_DISK};

use crate::{
    Result,
    boot::{
        accel::{self, Choice, Trial},
        confine::{self, Confinement},
        interactive,
        settings::{Accel, Disk, MachineSettings},
        snapshot::Snapshot,
        version::Qemu,
    },
    build::{Enabled, GuestImages, KernelImage, Tools},
    cache::{Kind, Temp},
    collect::{
        CellDir, Provenance,
        record::{End, RunRecord},
    },
    drive::{self, CellContext, Limits, Provoked, Restored, Until, run_cell},
    engine::{
        AccelChoice, Request, Stalls,
        emulator::Spoiled,
        library::Library,
        symbols,
        watching::{Subject, Watching},
    },
    error::Context,
    event::Event,
    plan::{Cell, Purpose, is_counted},
    plugin::{Code, Counting, Functions, Spec},
    provoke::{Failures, Provocation, Provoke},
    source::Ways,
};

/// How often a boot that the emulator or the host spoiled is made.
const ATTEMPTS: u32 = 3;
/// Room on the scratch disk besides fio's files: ext4's own needs, and the agent's.
const SCRATCH_SPARE_MIB: u32 = 256;

/// What all boots of a run share.
pub(super) struct Guests<'a> {
    request: &'a Request,
    ways: Ways<'a>,
    qemu: Qemu,
    confinement: Confinement,
    images: GuestImages<'a>,
    initramfs: PathBuf,
    /// The image with fio or the user's commands, where the loads need one.
    tools: Option<Tools>,
    accel: OnceCell<Choice>,
    /// What QEMU loads, where a guest is watched or counted.
    library: Option<Library>,
    watching: Option<Watching>,
}

impl<'a> Guests<'a> {
    /// Builds what does not depend on a kernel, for these phases; `stalls` are the scenario's. The
    /// programs of the phases' commands are this host's.
    pub(super) fn prepare(
        request: &'a Request,
        phases: &[Phase],
        stalls: &[Spec],
        ways: Ways<'a>,
    ) -> Result<Self> {
        let mut guests = Self::without_tools(request, phases, stalls, ways)?;
        let commands: Vec<_> = phases.iter().filter_map(|p| command(&p.load)).collect();
        if !commands.is_empty() {
            guests.tools = Some(guests.images.tools(&commands)?);
        }
        Ok(guests)
    }

    /// The same with the programs on this disk, by which the phases name them already; no program
    /// of this host's is looked at.
    pub(super) fn with_disk(
        request: &'a Request,
        phases: &[Phase],
        disk: PathBuf,
        ways: Ways<'a>,
    ) -> Result<Self> {
        Ok(Self {
            tools: Some(Tools {
                image: disk,
                commands: phases.iter().filter_map(|p| command(&p.load)).collect(),
            }),
            ..Self::without_tools(request, phases, &[], ways)?
        })
    }

    fn without_tools(
        request: &'a Request,
        phases: &[Phase],
        stalls: &[Spec],
        ways: Ways<'a>,
    ) -> Result<Self> {
        let qemu = Qemu::find(ways.cancel)?;
        let (confinement, note) = confine::probe(ways.cancel)?;
        if let Some(note) = note {
            ways.watcher.event(&Event::Warning(note));
        }
        let images = GuestImages::new(ways.cache, ways.cancel, ways.watcher);
        let initramfs = images.initramfs()?;
        let watching = Watching::new(&request.stalls, stalls);
        if let Some(watching) = &watching {
            watching.beside_counting(phases, ways)?;
        }
        let accel = OnceCell::new();
        if request.accel == AccelChoice::Auto && matches!(request.stalls, Stalls::At(_)) {
            let why = "vCPUs can be held only under emulation";
            ways.watcher
                .event(&Event::Note(format!("guests run under TCG: {why}")));
            let _ = accel.set(Choice::emulated(why));
        }
        Ok(Self {
            request,
            ways,
            qemu,
            confinement,
            images,
            initramfs,
            tools: None,
            accel,
            library: match watching.is_some() || phases.iter().any(|p| is_counted(&p.load)) {
                true => Some(Library::build(ways)?),
                false => None,
            },
            watching,
        })
    }

    /// Settles how guests are run: what the user says, or what a trial boot of `image` shows.
    pub(super) fn settle(&self, image: &KernelImage) -> Result<&Choice> {
        if let Some(choice) = self.accel.get() {
            return Ok(choice);
        }
        let choice = accel::choose(
            self.forced(),
            &Trial {
                qemu: &self.qemu,
                confinement: self.confinement,
                machine: self.request.machine,
                kernel: &image.boot,
                initramfs: &self.initramfs,
                memory: &self.ways.cache.folder(Kind::Host),
                cancel: self.ways.cancel,
                watcher: self.ways.watcher,
            },
        )?;
        Ok(self.accel.get_or_init(|| choice))
    }

    /// What is settled so far.
    pub(super) fn settled(&self) -> Option<&Choice> {
        self.accel.get()
    }

    /// Whether it takes a trial boot to settle it.
    pub(super) fn wants_trial(&self) -> bool {
        let memory = self.ways.cache.folder(Kind::Host);
        let known = || accel::known(self.forced(), &self.qemu, &memory);
        self.settled().is_none() && known().is_none()
    }

    /// Runs guests as others of the same request are run, whose trial boot was of another kernel.
    pub(super) fn run_as(&self, choice: Choice) {
        // What is settled stays.
        let _ = self.accel.set(choice);
    }

    fn forced(&self) -> Option<Accel> {
        match self.request.accel {
            AccelChoice::Auto => None,
            AccelChoice::Kvm => Some(Accel::Kvm),
            AccelChoice::Tcg => Some(Accel::Tcg),
        }
    }

    /// How one cell's guest is run.
    fn accel(&self, cell: &Cell, image: &KernelImage) -> Result<Choice> {
        match cell.purpose {
            Purpose::Loads | Purpose::Weighed => self.settle(image).cloned(),
            Purpose::Widened => Ok(Choice::emulated("vCPUs can be held only under emulation")),
            Purpose::Counted => Ok(Choice::emulated("instructions are counted under emulation")),
        }
    }

    /// Whether vCPUs are to be held, and no boot but one made for that would do it.
    pub(super) fn wants_emulated(&self, image: &KernelImage) -> Result<bool> {
        Ok(self.watching.is_some() && self.settle(image)?.accel == Accel::Kvm)
    }

    /// Whether instructions can be counted; why not is said once.
    pub(super) fn can_count(&self) -> Result<bool> {
        let Some(library) = &self.library else {
            return Ok(false);
        };
        let Some((why, first)) = library.refused(&self.qemu, self.ways)? else {
            return Ok(true);
        };
        if first {
            let text = format!("{why}: no instructions are counted");
            self.ways.watcher.event(&Event::Warning(text));
        }
        Ok(false)
    }

    /// Why instructions that are to be counted were not.
    pub(super) fn uncounted(&self) -> Option<&str> {
        self.library.as_ref()?.known_refusal()
    }

    /// Why no boot could tell what of a patch ran, if none could.
    pub(super) fn unwatched(&self) -> Option<&str> {
        if self.watching.is_none() {
            return Some("--stall off");
        }
        if let Some(why) = self.library.as_ref().and_then(Library::known_refusal) {
            return Some(why);
        }
        let choice = self.accel.get()?;
        let emulated = choice.accel == Accel::Tcg || self.request.profile.widens();
        (!emulated).then_some("it takes an emulated boot: --accel tcg, or --profile standard")
    }

    /// Names the programs of a cell's commands by where they lie on the tools disk.
    pub(super) fn locate(&self, cell: &mut Cell) {
        let located = self.tools.iter().flat_map(|t| &t.commands);
        let loads = cell
            .plan
            .phases
            .iter_mut()
            .filter(|p| command(&p.load).is_some());
        for (phase, located) in loads.zip(located) {
            if let Load::Exec(exec) = &mut phase.load {
                exec.command.clone_from(located);
            }
        }
    }

    /// Boots one cell to its end, and symbolizes what it showed; lines that the subject's patch
    /// wrote are marked.
    pub(super) fn boot(
        &self,
        cell: &Cell,
        image: &KernelImage,
        subject: Subject<'_>,
        provenance: &Provenance,
        run: &Path,
    ) -> Result<RunRecord> {
        let mut attempt = 1;
        loop {
            let mut record = self.with(cell, image, Some(subject), provenance, run, run_cell)?;
            symbols::add(&mut record, image, subject.touched, run, self.ways.watcher)?;
            let emulated = self.accel(cell, image)?.accel == Accel::Tcg;
            let spoiled = Spoiled::of(&record, run, emulated);
            let Some(spoiled) = spoiled else {
                return Ok(record);
            };
            if attempt == ATTEMPTS {
                if spoiled.always_the_hosts() {
                    let why = format!("it {} in each of {ATTEMPTS} attempts", spoiled.words());
                    record.end = End::Infrastructure { why };
                    CellDir::open(&run.join(&cell.id)).write_record(&record)?;
                }
                return Ok(record);
            }
            let (from, aside) = (&cell.id, format!("{}.spoiled-{attempt}", cell.id));
            fs::rename(run.join(from), run.join(&aside))
                .host(|| format!("failed to put {from} aside"))?;
            self.ways.watcher.event(&Event::Warning(format!(
                "{from} {} and is booted again; what it left lies in {aside}",
                spoiled.words()
            )));
            attempt += 1;
        }
    }

    /// The same once, to a splat that is wanted or its plan's end; not symbolized.
    pub(super) fn boot_until(
        &self,
        cell: &Cell,
        image: &KernelImage,
        subject: Subject<'_>,
        until: Option<Until<'_>>,
        run: &Path,
    ) -> Result<RunRecord> {
        let none = Provenance::default();
        self.with(cell, image, Some(subject), &none, run, |context| {
            run_cell(&CellContext { until, ..*context })
        })
    }

    /// One boot in which a kernel's detectors are provoked; its guest has nothing else to do.
    pub(super) fn provoke(
        &self,
        cell: &Cell,
        image: &KernelImage,
        provocations: &[&'static Provocation],
        run: &Path,
    ) -> Result<(RunRecord, Failures)> {
        let folder = tempfile::tempdir().host(|| "failed to make a folder for a socket".into())?;
        let socket = folder.path().join("gdb");
        let none = Provenance::default();
        let provoke = Provoke::new(&image.vmlinux, socket, provocations.to_vec())?;
        let failures = Mutex::default();
        let record = self.with(cell, image, None, &none, run, |context| {
            run_cell(&CellContext {
                provoked: Some(Provoked {
                    provoke: &provoke,
                    failures: &failures,
                }),
                ..*context
            })
        })?;
        let failures = failures.into_inner().unwrap_or_default();
        Ok((record, failures))
    }

    /// Boots a cell's machine as far as its agent's hello, and keeps it in a file.
    pub(super) fn keep(&self, cell: &Cell, image: &KernelImage, to: &Path) -> Result<drive::Taken> {
        let none = Provenance::default();
        let nowhere = Path::new("");
        self.with(cell, image, None, &none, nowhere, |context| {
            drive::take(context, to)
        })
    }

    /// Restores a machine and runs a cell on it, as [`Guests::boot`] does after a boot; to its end,
    /// or to a splat that is wanted.
    pub(super) fn restore(
        &self,
        snapshot: &Snapshot,
        cell: &Cell,
        image: &KernelImage,
        subject: Subject<'_>,
        until: Option<Until<'_>>,
        run: &Path,
    ) -> Result<RunRecord> {
        let sockets = tempfile::tempdir().host(|| "failed to make a folder for sockets".into())?;
        let none = Provenance::default();
        let mut record = self.with(cell, image, Some(subject), &none, run, |context| {
            run_cell(&CellContext {
                restored: Some(Restored {
                    snapshot,
                    sockets: sockets.path(),
                }),
                until,
                ..*context
            })
        })?;
        symbols::add(&mut record, image, subject.touched, run, self.ways.watcher)?;
        Ok(record)
    }

    /// The machine that a cell would boot on, on the user's terminal. Its disks must last as long as
    /// it runs: there is no scratch disk.
    pub(super) fn interactive(
        &self,
        cell: &Cell,
        image: &KernelImage,
        gdb: Option<&Path>,
    ) -> Result<(MachineSettings, Confinement)> {
        let settings = self.with(
            cell,
            image,
            None,
            &Provenance::default(),
            Path::new(""),
            |context| Ok(drive::settings(context)),
        )?;
        Ok((interactive::interactive(settings, gdb), self.confinement))
    }

    /// Gathers what one boot needs, for `then`.
    fn with<T>(
        &self,
        cell: &Cell,
        image: &KernelImage,
        subject: Option<Subject<'_>>,
        provenance: &Provenance,
        run: &Path,
        then: impl FnOnce(&CellContext<'_>) -> Result<T>,
    ) -> Result<T> {
        let accel = &self.accel(cell, image)?;
        let limits = Limits::of(&cell.config, self.request.profile, &cell.plan);
        let mut disks = Vec::new();
        // Each disk takes a tenth of a second of an emulated boot: none without need.
        let needs_tools = cell.plan.phases.iter().any(|p| command(&p.load).is_some());
        let tools = self.tools.as_ref().filter(|_| needs_tools);
        disks.extend(tools.map(|tools| Disk {
            path: tools.image.clone(),
            serial: TOOLS_DISK.into(),
            readonly: true,
        }));
        let scratch = self.scratch(&cell.plan.phases)?;
        disks.extend(scratch.as_ref().map(|dir| Disk {
            path: dir.path().join(SCRATCH),
            serial: SCRATCH_DISK.into(),
            readonly: false,
        }));
        let built = Enabled::read(&image.config)?;
        let counts = self.ways.cache.temp()?;
        let counting = match &self.library {
            Some(_) if cell.purpose == Purpose::Counted => {
                Some(self.counting(cell, image, &counts.path().join("counts"))?)
            }
            _ => None,
        };
        let watched = match (&self.watching, &self.library, subject) {
            (Some(watching), Some(library), Some(subject)) if counting.is_none() => {
                let with = (library, &self.qemu);
                watching.board(cell, image, subject, accel.accel, with, self.ways)?
            }
            _ => None,
        };
        let library = self.library.as_ref().map(Library::path);
        then(&CellContext {
            qemu: &self.qemu,
            machine: self.request.machine,
            accel,
            confinement: self.confinement,
            image,
            built: &built,
            provenance,
            initramfs: &self.initramfs,
            disks: &disks,
            watched: watched
                .as_ref()
                .zip(library)
                .map(|(watched, library)| drive::Watched {
                    library,
                    board: &watched.board,
                    about: &watched.about,
                }),
            counted: counting
                .as_ref()
                .zip(library)
                .map(|(counting, library)| drive::Counted {
                    library,
                    counting,
                    seed: cell.plan.seed,
                }),
            restored: None,
            until: None,
            provoked: None,
            cell,
            run,
            limits: &limits,
            cancel: self.ways.cancel,
            watcher: self.ways.watcher,
        })
    }

    fn counting(&self, cell: &Cell, image: &KernelImage, path: &Path) -> Result<Counting> {
        let functions = Functions::load(&image.vmlinux)?;
        let code = Code::load(&image.vmlinux)?;
        let operations = cell.plan.phases.iter().find_map(|phase| match &phase.load {
            Load::Operations(operations) => Some(&operations.functions),
            _ => None,
        });
        let windows = operations.cloned().unwrap_or_default();
        Counting::create(path, &functions, &code, &windows)
    }

    /// A blank disk for each boot that wants one, gone with it: no boot sees another's files.
    fn scratch(&self, phases: &[Phase]) -> Result<Option<Temp>> {
        let Some(mib) = phases.iter().filter_map(|p| scratch_mib(&p.load)).max() else {
            return Ok(None);
        };
        let dir = self.ways.cache.temp()?;
        self.images.scratch(&dir.path().join(SCRATCH), mib)?;
        Ok(Some(dir))
    }

    /// `kvm`, `tcg`, or empty before it is settled.
    pub(super) fn accel_name(&self) -> String {
        self.accel
            .get()
            .map(|c| c.accel.name().to_owned())
            .unwrap_or_default()
    }

    /// Changes with what makes guests on this host as quick as they are.
    pub(super) fn host(&self) -> String {
        accel::host_key(&self.qemu)
    }

    /// The archive with the agent.
    pub(super) fn initramfs(&self) -> &Path {
        &self.initramfs
    }

    /// QEMU's own version line.
    pub(super) fn qemu_line(&self) -> &str {
        &self.qemu.line
    }

    /// QEMU's version.
    pub(super) fn qemu_version(&self) -> String {
        self.qemu.version.to_string()
    }
}

/// The scratch disk's file.
const SCRATCH: &str = "scratch.img";

/// The command that a load runs in the guest.
fn command(load: &Load) -> Option<Vec<String>> {
    match load {
        Load::BackingRace(_)
        | Load::Operations(_)
        | Load::Memory(_)
        | Load::Corner(_)
        | Load::Idle => None,
        Load::Fio(_) => Some(vec!["fio".into()]),
        Load::Exec(exec) => Some(exec.command.clone()),
    }
}

/// The size of the scratch disk that a load wants, in MiB.
fn scratch_mib(load: &Load) -> Option<u32> {
    match load {
        Load::Fio(fio) if fio.store == Store::Ext4 => Some(
            fio.jobs
                .saturating_mul(fio.file_mib)
                .saturating_add(SCRATCH_SPARE_MIB),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Fio;

    #[test]
    fn the_scratch_disk_holds_every_jobs_file() {
        let fio = |store| {
            Load::Fio(Fio {
                store,
                jobs: 16,
                engine: "io_uring".into(),
                pattern: "randrw".into(),
                block: "4k".into(),
                file_mib: 32,
            })
        };
        assert_eq!(
            scratch_mib(&fio(Store::Ext4)),
            Some(16 * 32 + SCRATCH_SPARE_MIB)
        );
        assert_eq!(scratch_mib(&fio(Store::Tmpfs)), None);
    }
}
