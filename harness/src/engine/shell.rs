//! A guest on the user's terminal: the same kernel, the same machine, a shell instead of loads.

use std::process::ExitStatus;

use protocol::Plan;

use crate::{
    Result,
    boot::{confine::Confinement, interactive, settings::MachineSettings},
    build::KernelImage,
    cache::{Cache, Temp},
    cancel::Cancel,
    engine::{
        Home, Request, Stalls, Workload, check, configs,
        guests::Guests,
        kernels::{self, Kernels},
        subject::{self, Variant},
    },
    error::Error,
    event::Watcher,
    judge::Broken,
    patch::Chooser,
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
    _dir: Temp,
}

/// Builds what the guest of a request needs: its config, its variant, or base without, each with the
/// debug overlays that are for it. `choose` is asked where a patch's file holds several versions.
///
/// # Errors
/// As [`super::run`].
pub fn prepare_shell(
    request: &Request,
    gdb: bool,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
    choose: &mut Chooser<'_>,
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
    let subject = subject::resolve(&home, request, choose);
    // Whoever stopped at the question for a series gave no answer that could be wrong.
    cancel.check()?;
    let mut subject = subject?;
    one_variant(&subject.variants)?;
    let stacks = configs::stacks(&home, &names, request, &subject.scenario)?;
    let source = kernels::source(&home, request, &mut subject, ways)?;
    // Nothing of the default scenario runs in a shell.
    if matches!(request.workload, Workload::Scenario(_)) {
        kernels::check_requires(request, &source, &subject)?;
    }
    let overlay = check::overlaid(request, &mut subject, ways, choose)?;
    let shell = Request {
        workload: Workload::Command(command()),
        stalls: Stalls::Off,
        ..request.clone()
    };
    let scenario = Scenario::of_command(command());
    let guests = Guests::prepare(&shell, &shell.profile.phases(&scenario), &[], ways)?;
    let dir = cache.temp()?;
    let mut kernels =
        Kernels::new(request, stacks, &subject, source, ways, dir.path())?.overlaid(overlay);
    let built = |broken: Broken| Error::untestable(broken.detail);
    let image = match one_variant(&subject.variants)? {
        None => kernels.compared_base(config)?.map_err(built)?,
        Some(variant) => {
            // A variant's build goes on from base's.
            kernels.base(config)?.map_err(built)?;
            kernels.variant(config, variant)?.map_err(built)?.0
        }
    };
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

/// The variant that a shell runs in; none for base.
fn one_variant(variants: &[Variant]) -> Result<Option<&Variant>> {
    match variants {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
            let error = Error::input("a shell runs in one guest");
            Err(error.mend(format!(
                "name one variant with --variant: {}",
                names.join(", ")
            )))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Fault,
        engine::check::tests::ambiguous,
        event::Unwatched,
        patch::{Ambiguous, Series},
    };

    #[test]
    fn a_shell_is_one_guests() {
        let of = |names: &[&str]| -> Vec<Variant> {
            let variant = |name: &&str| Variant {
                name: (*name).to_owned(),
                series: Series::default(),
            };
            names.iter().map(variant).collect()
        };
        assert!(one_variant(&of(&[])).unwrap().is_none());
        assert_eq!(one_variant(&of(&["a"])).unwrap().unwrap().name, "a");
        let error = one_variant(&of(&["a", "b"])).unwrap_err();
        assert_eq!(error.fault(), crate::Fault::Input);
        assert!(error.mending().unwrap().ends_with("--variant: a, b"));
    }

    #[test]
    fn who_wants_a_shell_is_asked_which_series_is_meant() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, request) = ambiguous(dir.path());
        for (stops, fault) in [(false, Fault::Input), (true, Fault::Interrupted)] {
            let cancel = Cancel::new();
            let mut asked = 0;
            let mut choose = |_: &Ambiguous| {
                asked += 1;
                if stops {
                    cancel.cancel();
                }
                None
            };
            let shell = prepare_shell(&request, false, &cache, &cancel, &Unwatched, &mut choose);
            assert_eq!((shell.unwrap_err().fault(), asked), (fault, 1));
        }
    }
}
