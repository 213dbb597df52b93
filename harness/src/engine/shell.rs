//! A guest on the user's terminal: the same kernel, the same machine, a shell instead of loads.

use std::process::ExitStatus;

use protocol::Plan;

use crate::{
    Result,
    boot::{confine::Confinement, interactive, settings::MachineSettings},
    build::KernelImage,
    cache::Cache,
    cancel::Cancel,
    engine::{
        Home, Request, Stalls, Workload, configs,
        guests::Guests,
        kernels::{self, Kernels},
        subject,
    },
    error::Error,
    event::Watcher,
    judge::Broken,
    plan::{BASE, Cell},
    scenario::Scenario,
    source::Ways,
};

/// A guest that is ready to be started.
#[derive(Debug)]
pub struct Shell {
    settings: MachineSettings,
    confinement: Confinement,
    image: KernelImage,
    // The folder of gdb's socket.
    _dir: tempfile::TempDir,
}

/// Builds what the guest of a request needs: its first config, its first variant, or base without.
///
/// # Errors
/// As [`super::run`].
pub fn prepare_shell(
    request: &Request,
    gdb: bool,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
) -> Result<Shell> {
    let home = Home::here();
    let names = configs::resolve(&home, &request.configs)?;
    let [config] = names.as_slice() else {
        return Err(Error::input("a shell runs in one guest").mend("name one config"));
    };
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    // What is exercised is a shell; scenario and patches are looked up as ever.
    let mut subject = subject::resolve(&home, request, &mut |_| None)?;
    let source = kernels::source(&home, request, &mut subject, ways)?;
    let shell = Request {
        workload: Workload::Command(command()),
        stalls: Stalls::Off,
        ..request.clone()
    };
    let scenario = Scenario::of_command(command());
    let guests = Guests::prepare(&shell, &shell.profile.phases(&scenario), &[], ways)?;
    let dir = cache.temp()?;
    let mut kernels = Kernels::new(&home, request, &subject.scenario, source, ways, dir.path())?;
    let built = |broken: Broken| Error::untestable(broken.detail);
    let mut image = kernels.base(config)?.map_err(built)?;
    if let Some(variant) = subject.variants.first() {
        image = kernels.variant(config, variant)?.map_err(built)?.0;
    }
    let cell = Cell {
        id: "shell".into(),
        config: config.clone(),
        variant: subject
            .variants
            .first()
            .map_or(BASE, |v| v.name.as_str())
            .into(),
        scenario: subject.scenario.name.clone(),
        repeat: 1,
        plan: Plan {
            phases: request.profile.phases(&scenario),
            ..Plan::default()
        },
        memory_mib: request
            .memory_mib
            .unwrap_or(subject.scenario.guest.memory_mib),
        cpus: request.cpus.unwrap_or(subject.scenario.guest.cpus),
        append: request.append.clone(),
        purpose: crate::plan::Purpose::Loads,
    };
    let (settings, confinement) = guests.interactive(&cell, &image, gdb.then(|| dir.path()))?;
    Ok(Shell {
        settings,
        confinement,
        image,
        _dir: dir,
    })
}

/// The program for the tools disk: it brings its usual companions along.
fn command() -> Vec<String> {
    vec!["sh".into()]
}

impl Shell {
    /// What the user should know before it starts.
    pub fn hints(&self) -> Vec<String> {
        let mut hints = vec![format!("kernel {}; Ctrl-A X ends QEMU", self.image.release)];
        if let Some(stub) = &self.settings.gdb {
            hints.push("the guest waits for gdb; in another terminal:".into());
            hints.push(format!(
                "  {}",
                interactive::gdb_line(&self.image.vmlinux, stub)
            ));
        }
        hints
    }

    /// Runs it until it ends.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn run(&self) -> Result<ExitStatus> {
        interactive::run(&self.settings, self.confinement)
    }
}
