//! Which accelerator works on this host: found out by a short trial boot, and remembered.
//!
//! The device node proves nothing: on some machines /dev/kvm opens and runs code, and yet no
//! kernel gets through its boot. So an ordinary kernel must reach the agent under KVM, in time.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use self::trial::{Went, follow};
use super::{
    cmdline::{self, Boot},
    confine::{self, Confinement},
    machine::{AGENT_FD, CONSOLE_FD},
    settings::{Accel, Console, Machine as Kind, MachineSettings},
    tsc,
    version::Qemu,
};
use crate::{
    Error, Result,
    build::Enabled,
    cancel::Cancel,
    drive::Exit,
    error::Context,
    event::{Event, Step, Watcher},
    hash::hex_sha256,
};

mod trial;

/// How long a trial boot may take; under a KVM that works it takes a second or two.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a trial that KVM failed is believed. Where no kernel gets through its boot each costs the
/// limit; where the host was merely busy one bad moment must not take KVM from it for good.
const BELIEVED: Duration = Duration::from_secs(24 * 3600);
/// What QEMU says where the host is short of memory, or another hypervisor has the processor: it says
/// nothing of the next time.
const PASSING: [&str; 2] = ["Cannot allocate memory", "Device or resource busy"];
/// The guest of a trial.
const MEMORY_MIB: u32 = 1024;

/// An accelerator, and why it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Which.
    pub accel: Accel,
    /// Why.
    pub reason: String,
}

impl Choice {
    /// What a boot takes that only an emulator serves.
    pub fn emulated(reason: &str) -> Self {
        Self::new(Accel::Tcg, reason)
    }

    /// What boots that are compared with others must be run with.
    ///
    /// # Errors
    /// They had KVM, and its device cannot be opened now.
    pub fn as_before(accel: Accel) -> Result<Self> {
        if accel == Accel::Kvm
            && let Err(error) = device()
        {
            return Err(Error::infrastructure(no_device(&error)));
        }
        Ok(Self::new(accel, "as before"))
    }

    fn new(accel: Accel, reason: impl Into<String>) -> Self {
        // QEMU's complaints may be long; the reason is one line.
        let reason: String = reason.into();
        let line = reason.lines().collect::<Vec<_>>().join("; ");
        Self {
            accel,
            reason: line.chars().take(400).collect(),
        }
    }

    /// The frequency of the time stamp counter that a guest sees; none where the guest finds out.
    pub fn tsc_khz(&self) -> Option<u32> {
        match self.accel {
            Accel::Kvm => None,
            Accel::Tcg => tsc::khz(),
        }
    }
}

/// What a trial boots, and where its result is kept.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// QEMU.
    pub qemu: &'a Qemu,
    /// How QEMU is confined.
    pub confinement: Confinement,
    /// What is emulated around the processor.
    pub machine: Kind,
    /// A kernel without a patch.
    pub kernel: &'a Path,
    /// The archive that holds the agent.
    pub initramfs: &'a Path,
    /// A folder that outlives the run, such as the cache's.
    pub memory: &'a Path,
    /// The user's wish to stop.
    pub cancel: &'a Cancel,
    /// Whoever watches.
    pub watcher: &'a dyn Watcher,
}

/// Chooses: what the user forces, what is remembered of this host, or what a trial shows.
///
/// # Errors
/// The user stopped it, or QEMU cannot be started at all.
pub fn choose(forced: Option<Accel>, trial: &Trial<'_>) -> Result<Choice> {
    if let Some(choice) = known(forced, trial.qemu, trial.memory) {
        if forced.is_none() && device().is_err() {
            note(trial, &choice);
        }
        return Ok(choice);
    }
    let (choice, certain) = attempt(trial)?;
    if certain {
        remember(&remembered(trial.qemu, trial.memory), &choice);
    }
    note(trial, &choice);
    Ok(choice)
}

/// The choice, where no trial is needed; `memory` is a trial's.
pub(crate) fn known(forced: Option<Accel>, qemu: &Qemu, memory: &Path) -> Option<Choice> {
    if let Some(accel) = forced {
        return Some(Choice::new(accel, format!("--accel {}", accel.name())));
    }
    match device() {
        Err(error) => Some(Choice::new(Accel::Tcg, no_device(&error))),
        Ok(()) => recall(&remembered(qemu, memory)),
    }
}

/// Whether KVM's device can be opened at all.
pub(crate) fn device() -> io::Result<()> {
    let kvm = File::options().read(true).write(true).open("/dev/kvm");
    kvm.map(drop)
}

fn remembered(qemu: &Qemu, memory: &Path) -> PathBuf {
    memory.join(format!("{}.json", host_key(qemu)))
}

fn no_device(error: &io::Error) -> String {
    format!("/dev/kvm cannot be opened: {error}")
}

/// What lets this user open KVM's device, where that is all it takes.
pub(crate) fn mend(error: &io::Error) -> Option<&'static str> {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    denied.then_some("sudo usermod --append --groups kvm $USER, then log in again")
}

fn note(trial: &Trial<'_>, choice: &Choice) {
    if choice.accel == Accel::Tcg {
        trial.watcher.event(&Event::Note(told(choice, &device())));
    }
}

/// Why guests are emulated, and the way out of it.
fn told(choice: &Choice, device: &io::Result<()>) -> String {
    let way = match device {
        Ok(()) => Some("--accel kvm takes KVM all the same"),
        Err(error) => mend(error),
    };
    let way = way.map_or(String::new(), |way| format!(" ({way})"));
    format!("guests run under TCG, without KVM: {}{way}", choice.reason)
}

/// Whether QEMU ended of what may be otherwise in a minute.
fn passes(exit: &Exit) -> bool {
    exit.killed() || PASSING.iter().any(|words| exit.stderr.contains(words))
}

/// What to make of a trial under KVM, and whether it is to be remembered.
fn judge(went: &Went) -> (Choice, bool) {
    match went {
        Went::Hello(after) => {
            let reason = format!("a trial boot under KVM took {:.1} s", after.as_secs_f64());
            (Choice::new(Accel::Kvm, reason), true)
        }
        // A panic is the kernel's own: KVM brought it as far as that.
        Went::Ended(_, Some(panic)) => (
            Choice::new(
                Accel::Kvm,
                format!("a trial boot under KVM reached {panic:?}"),
            ),
            false,
        ),
        Went::Ended(exit, None) => (
            Choice::new(
                Accel::Tcg,
                format!("in a trial boot under KVM, {}", exit.words()),
            ),
            !passes(exit),
        ),
        Went::TimedOut(last) => {
            let got = last.as_ref().map_or("printed nothing".into(), |l| {
                format!("got no further than {l:?}")
            });
            let reason = format!("a trial boot under KVM {got} in {} s", LIMIT.as_secs());
            (Choice::new(Accel::Tcg, reason), true)
        }
    }
}

fn attempt(trial: &Trial<'_>) -> Result<(Choice, bool)> {
    let what = "kvm".to_owned();
    trial.watcher.event(&Event::Started {
        step: Step::Accel,
        what: what.clone(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .host(|| "failed to set up the event loop".into())?;
    let line = confine::command(&settings(trial), trial.confinement);
    let judged = runtime
        .block_on(follow(&line, LIMIT, trial.cancel))
        .map(|went| judge(&went));
    let how = match &judged {
        Ok((choice, _)) if choice.accel == Accel::Kvm => choice.reason.clone(),
        // Why not is said with the choice, once.
        Ok(_) => "no".to_owned(),
        Err(error) => error.chain(),
    };
    trial.watcher.event(&Event::Ended {
        step: Step::Accel,
        what,
        how,
    });
    judged
}

fn settings(trial: &Trial<'_>) -> MachineSettings {
    let boot = Boot {
        accel: Accel::Kvm,
        built: &Enabled::default(),
        tsc_khz: None,
        purpose: crate::plan::Purpose::Loads,
    };
    MachineSettings {
        qemu: trial.qemu.path.clone(),
        machine: trial.machine,
        accel: Accel::Kvm,
        memory_mib: MEMORY_MIB,
        cpus: 2,
        kernel: trial.kernel.to_owned(),
        initramfs: trial.initramfs.to_owned(),
        cmdline: cmdline::words(&boot, &[]),
        disks: Vec::new(),
        console: Console::Fd(CONSOLE_FD),
        agent_fd: Some(AGENT_FD),
        plugin: None,
        icount: None,
        gdb: None,
        migration: None,
    }
}

/// What decides whether a trial would go the same way again, and how quick boots on this host are.
pub(crate) fn host_key(qemu: &Qemu) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model: String = cpuinfo
        .lines()
        .filter(|l| l.starts_with("model name") || l.starts_with("microcode"))
        .take(2)
        .collect();
    let release = read("/proc/sys/kernel/osrelease");
    hex_sha256(&[
        model.as_bytes(),
        release.trim().as_bytes(),
        qemu.line.as_bytes(),
    ])
}

fn recall(path: &Path) -> Option<Choice> {
    let choice: Choice = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    // A clock that was set back tells no age: a trial does no harm.
    let age = || fs::metadata(path).ok()?.modified().ok()?.elapsed().ok();
    let holds = choice.accel == Accel::Kvm || age().is_some_and(|age| age < BELIEVED);
    holds.then_some(choice)
}

/// A memory that cannot be kept costs a trial the next time, and nothing else.
fn remember(path: &Path, choice: &Choice) {
    let Some(folder) = path.parent() else { return };
    let keep = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&file, choice)?;
        file.persist(path)?;
        Ok(())
    };
    let _ = keep();
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_a_kernel_that_ran_speaks_for_kvm() {
        let said = |code, stderr: &str| Exit {
            code: Some(code),
            signal: None,
            stderr: stderr.into(),
        };
        let exit = |code| said(code, "qemu: abort\nmore");
        let short = "qemu: cannot set up guest memory 'ram': Cannot allocate memory";
        let taken = "Could not access KVM kernel module: Device or resource busy";
        let table = [
            (
                Went::Hello(Duration::from_millis(812)),
                Accel::Kvm,
                true,
                "took 0.8 s",
            ),
            (
                Went::Ended(exit(0), Some("Kernel panic - x".into())),
                Accel::Kvm,
                false,
                "reached \"Kernel panic - x\"",
            ),
            (
                Went::Ended(exit(1), None),
                Accel::Tcg,
                true,
                "exit code 1: qemu: abort; more",
            ),
            (
                Went::Ended(exit(134), None),
                Accel::Tcg,
                true,
                "ended by signal 6",
            ),
            // What the next moment may mend.
            (
                Went::Ended(said(1, short), None),
                Accel::Tcg,
                false,
                "Cannot allocate memory",
            ),
            (Went::Ended(said(1, taken), None), Accel::Tcg, false, "busy"),
            (
                Went::Ended(exit(137), None),
                Accel::Tcg,
                false,
                "ended by signal 9",
            ),
            (
                Went::TimedOut(None),
                Accel::Tcg,
                true,
                "printed nothing in 15 s",
            ),
            (
                Went::TimedOut(Some("\u{1b}[2J".into())),
                Accel::Tcg,
                true,
                "no further than \"\\u{1b}[2J\"",
            ),
        ];
        for (went, accel, certain, reason) in table {
            let (choice, sure) = judge(&went);
            assert_eq!((choice.accel, sure), (accel, certain), "{went:?}");
            assert!(
                choice.reason.contains(reason),
                "{went:?}: {}",
                choice.reason
            );
        }
    }

    #[test]
    fn a_choice_is_remembered_and_a_torn_memory_is_not_trusted() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("accel/x.json");
        let choice = Choice::new(Accel::Tcg, "a trial");
        assert_eq!(recall(&path), None);
        remember(&path, &choice);
        assert_eq!(recall(&path), Some(choice));
        fs::write(&path, "{\"accel\":").unwrap();
        assert_eq!(recall(&path), None);
    }

    #[test]
    fn a_failed_trial_is_believed_for_a_day() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.json");
        let hours = |n: u64| Duration::from_secs(n * 3600);
        let now = SystemTime::now();
        for (accel, written, recalled) in [
            (Accel::Tcg, now - hours(23), true),
            (Accel::Tcg, now - hours(25), false),
            (Accel::Tcg, now + hours(25), false),
            (Accel::Kvm, now - hours(25), true),
        ] {
            remember(&path, &Choice::new(accel, "a trial"));
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(written).unwrap();
            assert_eq!(recall(&path).is_some(), recalled, "{accel:?} {written:?}");
        }
    }

    #[test]
    fn who_is_told_of_emulation_is_told_the_way_out() {
        let choice = Choice::new(Accel::Tcg, "a trial");
        let no = |kind: io::ErrorKind| Err(io::Error::from(kind));
        for (device, way) in [
            (Ok(()), " (--accel kvm takes KVM all the same)"),
            (
                no(io::ErrorKind::PermissionDenied),
                " (sudo usermod --append --groups kvm $USER, then log in again)",
            ),
            (no(io::ErrorKind::NotFound), ""),
        ] {
            let told = told(&choice, &device);
            let why = "guests run under TCG, without KVM: a trial";
            assert_eq!(told, format!("{why}{way}"));
        }
    }
}
