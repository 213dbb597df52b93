//! One boot, from its start to its record.

use std::{
    path::Path,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use protocol::GuestMessage;

use super::{
    limits::Limits,
    neighbours::Neighbours,
    pump::{Event as Driven, Go, drive},
};
use crate::{
    Result,
    boot::{
        accel::Choice,
        cmdline::{self, Boot, COUNTED_TSC_KHZ},
        confine::{self, Confinement},
        machine::{AGENT_FD, CONSOLE_FD, Machine, shell_line},
        qemu,
        settings::{
            Console, Disk, GdbStub, Machine as Kind, MachineSettings, Migration, Plugin, PluginDoes,
        },
        snapshot::{self, Snapshot},
        version::Qemu,
    },
    build::{Enabled, KernelImage},
    cancel::Cancel,
    collect::{
        CellDir, CellFile, Collector, KernelFacts, Provenance, WatchedFile,
        record::{End, RunRecord},
    },
    engine::date::rfc3339,
    error::Context,
    event::{Event, Step, Watcher},
    hash::file_sha256,
    plan::Cell,
    plugin::{Board, Counting},
    provoke::{Failures, Provoke},
    splat::Splat,
};

/// The phase that is not watched.
const FIO: &str = "fio";

/// Says of a splat whether it is the one that was waited for.
pub type Until<'a> = &'a dyn Fn(&Splat) -> bool;

/// Everything that one boot needs.
#[derive(Clone, Copy)]
pub struct CellContext<'a> {
    /// QEMU.
    pub qemu: &'a Qemu,
    /// What is emulated around the processor.
    pub machine: Kind,
    /// The accelerator, and why.
    pub accel: &'a Choice,
    /// How QEMU is confined.
    pub confinement: Confinement,
    /// The kernel.
    pub image: &'a KernelImage,
    /// What its `.config` has on.
    pub built: &'a Enabled,
    /// What it was made of.
    pub provenance: &'a Provenance,
    /// The archive that holds the agent.
    pub initramfs: &'a Path,
    /// virtio disks.
    pub disks: &'a [Disk],
    /// What QEMU's plugin watches; none without it.
    pub watched: Option<Watched<'a>>,
    /// What counts the instructions of its operations; none where they are not counted.
    pub counted: Option<Counted<'a>>,
    /// What the machine is restored from, instead of being booted.
    pub restored: Option<Restored<'a>>,
    /// What its detectors are provoked by, once the agent has said hello.
    pub provoked: Option<Provoked<'a>>,
    /// Which splat ends it at once; none goes on to the plan's end.
    pub until: Option<Until<'a>>,
    /// The boot.
    pub cell: &'a Cell,
    /// The run's directory.
    pub run: &'a Path,
    /// What the boot is allowed.
    pub limits: &'a Limits,
    /// The user's wish to stop.
    pub cancel: &'a Cancel,
    /// Whoever watches.
    pub watcher: &'a dyn Watcher,
}

/// A guest that is watched, and held, while a load runs.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    /// What QEMU loads.
    pub library: &'a Path,
    /// What the host shares with it.
    pub board: &'a Board,
    /// What it watches.
    pub about: &'a WatchedFile,
}

/// A guest whose instructions are counted: its time goes by them, and it begins alike every time.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// What QEMU loads.
    pub library: &'a Path,
    /// What is counted.
    pub counting: &'a Counting,
    /// Seeds whatever is random in the emulator.
    pub seed: u64,
}

/// A machine that is restored.
#[derive(Debug, Clone, Copy)]
pub struct Restored<'a> {
    /// What from.
    pub snapshot: &'a Snapshot,
    /// An empty folder for its sockets.
    pub sockets: &'a Path,
}

/// A guest whose detectors are provoked.
#[derive(Debug, Clone, Copy)]
pub struct Provoked<'a> {
    /// How.
    pub provoke: &'a Provoke,
    /// What could not be done, to be filled in.
    pub failures: &'a Mutex<Failures>,
}

impl Watched<'_> {
    /// Holds vCPUs in every load but fio: that is left alone altogether, for its figures' sake.
    fn follow(&self, event: &Driven<'_>) -> Result<()> {
        match event {
            Driven::Message(GuestMessage::PhaseStarted { phase, .. }) => {
                self.board.quiet(phase == FIO)?;
                self.board.hold(phase != FIO)
            }
            Driven::Message(GuestMessage::PhaseEnded { .. }) => {
                self.board.hold(false)?;
                self.board.quiet(false)
            }
            _ => Ok(()),
        }
    }
}

/// Boots a cell and follows it to its end; ends badly only where the host does.
///
/// # Errors
/// The boot's directory cannot be written, or QEMU not be started or ended.
pub fn run_cell(context: &CellContext<'_>) -> Result<RunRecord> {
    context.cancel.check()?;
    let settings = settings(context);
    let dir = CellDir::create(context.run, &context.cell.id)?;
    dir.write_cell(&describe(context, &settings)?)?;
    let what = context.cell.id.clone();
    context.watcher.event(&Event::Started {
        step: Step::Cell,
        what: what.clone(),
    });
    let record = boot(context, &settings, &dir);
    let how = match &record {
        Ok(record) => in_words(record),
        Err(error) => format!("failed: {}", error.chain()),
    };
    context.watcher.event(&Event::Ended {
        step: Step::Cell,
        what,
        how,
    });
    record
}

fn boot(context: &CellContext<'_>, settings: &MachineSettings, dir: &CellDir) -> Result<RunRecord> {
    let mut collector = Collector::new(dir, context.cell, context.watcher)?;
    let line = confine::command(settings, context.confinement);
    context.watcher.event(&Event::Booting {
        cell: context.cell.id.clone(),
        expected: Duration::from_secs(context.cell.plan.phases.iter().map(|p| p.seconds).sum()),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .host(|| "failed to set up the event loop".into())?;
    let (cause, elapsed, neighbours) = runtime.block_on(async {
        let mut machine = Machine::start(&line)?;
        let fed = context.restored.map(|restored| {
            let (folder, file) = (restored.sockets.to_owned(), &restored.snapshot.file);
            let (file, cancel) = (file.clone(), context.cancel.clone());
            tokio::task::spawn_blocking(move || snapshot::feed(&folder, &file, &cancel))
        });
        let mut provoking = None;
        let plan = &context.cell.plan;
        let mut neighbours = Neighbours::of(machine.process.group(), plan.phases.len());
        let mut observe = |at, event: Driven<'_>| {
            if let (Some(provoked), Driven::Message(GuestMessage::Hello(_))) =
                (&context.provoked, &event)
            {
                // Before the plan is sent: what the agent does next comes by where it is awaited.
                let armed = provoked.provoke.arm(context.cancel)?;
                provoking = Some(tokio::task::spawn_blocking(|| armed.provoke()));
            }
            if let Some(watched) = &context.watched {
                watched.follow(&event)?;
            }
            neighbours.follow(&event);
            collector.take(at, event)?;
            let enough = context.until.is_some_and(|wanted| collector.showed(wanted));
            Ok(if enough { Go::Enough } else { Go::On })
        };
        let cause = drive(
            &mut machine,
            plan,
            context.restored.map(|restored| &restored.snapshot.hello),
            context.limits,
            context.cancel,
            &mut observe,
        )
        .await?;
        if let (Some(provoking), Some(provoked)) = (provoking, &context.provoked) {
            let done = provoking
                .await
                .host(|| "failed to provoke a guest".into())?;
            // A guest that ended meanwhile says so itself.
            if let (Ok(failures), Ok(mut all)) = (done, provoked.failures.lock()) {
                all.extend(failures);
            }
        }
        if let Some(fed) = fed {
            fed.await.host(|| "failed to restore a snapshot".into())??;
        }
        Ok::<_, crate::Error>((cause, machine.started.elapsed(), neighbours))
    })?;
    let mut record = collector.finish(cause, elapsed)?;
    neighbours.note(&mut record);
    if let Some(Watched { board, .. }) = context.watched {
        record.stalls = board.counts()?;
        record.coverage = board.coverage()?;
        dir.write_stalls(&board.points()?)?;
        if record.hello.is_some() && !board.loaded()? {
            record.end = unloaded();
        }
    }
    if let Some(Counted { counting, .. }) = context.counted {
        match counting.read()? {
            Some(operations) => record.operations = operations,
            None if record.hello.is_some() => record.end = unloaded(),
            None => {}
        }
    }
    dir.write_record(&record)?;
    Ok(record)
}

fn unloaded() -> End {
    End::Infrastructure {
        why: "QEMU runs the guest without ktwin's plugin".to_owned(),
    }
}

/// The machine of a boot.
pub(crate) fn settings(context: &CellContext<'_>) -> MachineSettings {
    let boot = Boot {
        accel: context.accel.accel,
        built: context.built,
        tsc_khz: match context.counted {
            Some(_) => Some(COUNTED_TSC_KHZ),
            None => context.accel.tsc_khz(),
        },
        purpose: context.cell.purpose,
    };
    MachineSettings {
        qemu: context.qemu.path.clone(),
        machine: context.machine,
        accel: context.accel.accel,
        memory_mib: context.cell.memory_mib,
        cpus: context.cell.cpus,
        kernel: context.image.boot.clone(),
        initramfs: context.initramfs.to_owned(),
        cmdline: cmdline::words(&boot, &context.cell.append),
        disks: context.disks.to_vec(),
        console: Console::Fd(CONSOLE_FD),
        agent_fd: Some(AGENT_FD),
        plugin: plugin(context),
        icount: context.counted.map(|counted| counted.seed),
        gdb: context.provoked.map(|provoked| GdbStub {
            socket: provoked.provoke.socket.clone(),
            frozen: false,
        }),
        migration: context
            .restored
            .map(|restored| Migration::Restore(restored.sockets.to_owned())),
    }
}

fn plugin(context: &CellContext<'_>) -> Option<Plugin> {
    let plugin = |library: &Path, does, shared: &Path| Plugin {
        library: library.to_owned(),
        does,
        shared: shared.to_owned(),
    };
    let watched = context
        .watched
        .map(|Watched { library, board, .. }| plugin(library, PluginDoes::Watch, board.path()));
    let counted = context.counted.map(
        |Counted {
             library, counting, ..
         }| { plugin(library, PluginDoes::Count, counting.path()) },
    );
    counted.or(watched)
}

fn describe(context: &CellContext<'_>, settings: &MachineSettings) -> Result<CellFile> {
    let image = context.image;
    let mut line = vec![settings.qemu.clone().into_os_string()];
    line.extend(qemu::args(settings).into_iter().map(Into::into));
    Ok(CellFile {
        schema: crate::collect::SCHEMA,
        ktwin: env!("CARGO_PKG_VERSION").into(),
        started: rfc3339(SystemTime::now()),
        cell: context.cell.clone(),
        provenance: context.provenance.clone(),
        kernel: KernelFacts {
            key: image.key.clone(),
            image_sha256: file_sha256(&image.boot)?,
            config_sha256: image.config_sha256.clone(),
            release: image.release.clone(),
            compiler: image.compiler.clone(),
        },
        initramfs_sha256: file_sha256(context.initramfs)?,
        qemu_version: context.qemu.line.clone(),
        accel_reason: context.accel.reason.clone(),
        confinement: context.confinement,
        machine: settings.clone(),
        qemu: shell_line(&line),
        limits: context.limits.clone(),
        watched: context.watched.map(|watched| watched.about.clone()),
    })
}

/// An end in a few words.
fn in_words(record: &RunRecord) -> String {
    let elapsed = record.elapsed_s.round();
    match &record.end {
        End::Finished => format!("{elapsed} s, {} splats", record.splats.len()),
        End::BootFailed { why } => format!("did not boot: {why}"),
        End::Watchdog { why, .. } | End::Died { why, .. } => {
            format!("ended after {elapsed} s: {why}")
        }
        End::Infrastructure { why } => format!("failed: {why}"),
        End::Interrupted => "interrupted".into(),
    }
}
