//! The walls around QEMU: what bubblewrap shows it of the host.
//!
//! A guest runs a kernel under test and programs of anybody's; should it get out of QEMU, it finds
//! no network, no processes, no capabilities and of the file system the program, its libraries,
//! the kernel and the disks. The whole ends with ktwin, even when that is killed.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::settings::{Accel, MachineSettings, Migration};
use crate::{Error, Result, cancel::Cancel, host::Cmd};

/// Set to `1`, it lets guests run where bubblewrap cannot.
pub const WITHOUT: &str = "KTWIN_NO_SANDBOX";

/// How QEMU is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confinement {
    /// By bubblewrap and QEMU's own seccomp filter.
    Bubblewrap,
    /// By QEMU's own seccomp filter only, as the user asked.
    SeccompOnly,
}

/// Programs and libraries, where a distribution puts them; what is not there is left out.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/lib32",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/nix/store",
    "/gnu/store",
];

/// Arguments that hold for every guest.
const WALLS: &[&str] = &[
    "--unshare-all",
    "--die-with-parent",
    "--cap-drop",
    "ALL",
    "--clearenv",
    "--hostname",
    "ktwin",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--chdir",
    "/",
];

/// Finds out whether bubblewrap works here.
///
/// # Errors
/// It does not, and [`WITHOUT`] does not say to go on.
pub fn probe(cancel: &Cancel) -> Result<(Confinement, Option<String>)> {
    let tried = Cmd::new("bwrap")
        .args(WALLS)
        .args(system().iter().flat_map(Show::args))
        .args(["--", "/bin/true"])
        .limit(Duration::from_secs(60))
        .run_ok(cancel);
    let Err(error) = tried else {
        return Ok((Confinement::Bubblewrap, None));
    };
    cancel.check()?;
    if env::var_os(WITHOUT).is_some_and(|v| v == "1") {
        let note = format!(
            "guests run without bubblewrap, as {WITHOUT}=1 says: {}",
            error.chain()
        );
        return Ok((Confinement::SeccompOnly, Some(note)));
    }
    Err(
        Error::infrastructure("bubblewrap cannot confine guests on this host")
            .because(error)
            .mend(format!(
                "`cargo xtask doctor` says what it lacks; {WITHOUT}=1 runs guests without it"
            )),
    )
}

/// One thing of the host's that QEMU sees.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Show {
    /// To read.
    Read(PathBuf),
    /// To read and write.
    Write(PathBuf),
    /// A device.
    Device(PathBuf),
    /// A link as it is on the host.
    Link { at: PathBuf, to: PathBuf },
}

impl Show {
    fn args(&self) -> Vec<OsString> {
        let bind = |how: &str, path: &Path| vec![how.into(), path.into(), path.into()];
        match self {
            Show::Read(path) => bind("--ro-bind", path),
            Show::Write(path) => bind("--bind", path),
            Show::Device(path) => bind("--dev-bind", path),
            Show::Link { at, to } => vec!["--symlink".into(), to.into(), at.into()],
        }
    }
}

/// Programs and libraries of this host.
fn system() -> Vec<Show> {
    let mut shown = Vec::new();
    for path in SYSTEM.iter().map(PathBuf::from) {
        match fs::read_link(&path) {
            Ok(to) => shown.push(Show::Link { at: path, to }),
            Err(_) if path.exists() => shown.push(Show::Read(path)),
            Err(_) => {}
        }
    }
    shown
}

/// What a machine needs besides the system.
fn own(settings: &MachineSettings) -> Vec<Show> {
    let mut shown = Vec::new();
    // A QEMU of the user's own: its folder's parent, which holds `share` beside `bin`.
    match settings.qemu.parent().and_then(Path::parent) {
        Some(prefix) if prefix != Path::new("/") => shown.push(Show::Read(prefix.to_owned())),
        _ => shown.push(Show::Read(settings.qemu.clone())),
    }
    shown.push(Show::Read(settings.kernel.clone()));
    shown.push(Show::Read(settings.initramfs.clone()));
    for disk in &settings.disks {
        let path = disk.path.clone();
        shown.push(if disk.readonly {
            Show::Read(path)
        } else {
            Show::Write(path)
        });
    }
    if let Some(plugin) = &settings.plugin {
        shown.push(Show::Read(plugin.library.clone()));
        shown.push(Show::Write(plugin.shared.clone()));
    }
    if let Some(folder) = settings.gdb.as_ref().and_then(|g| g.socket.parent()) {
        shown.push(Show::Write(folder.to_owned()));
    }
    if let Some(Migration::Save(folder) | Migration::Restore(folder)) = &settings.migration {
        shown.push(Show::Write(folder.clone()));
    }
    if settings.accel == Accel::Kvm {
        shown.push(Show::Device("/dev/kvm".into()));
    }
    shown
}

/// bubblewrap's command line up to and with QEMU's program.
fn walls(settings: &MachineSettings, system: Vec<Show>) -> Vec<OsString> {
    let visible: BTreeSet<PathBuf> = system
        .iter()
        .filter_map(|s| {
            if let Show::Read(p) = s {
                Some(p.clone())
            } else {
                None
            }
        })
        .collect();
    let seen = |path: &Path| path.ancestors().any(|p| visible.contains(p));
    let mut line: Vec<OsString> = vec!["bwrap".into()];
    line.extend(WALLS.iter().map(OsString::from));
    line.extend(system.iter().flat_map(Show::args));
    for show in own(settings) {
        // What already shows read-only cannot be mounted upon, and need not be.
        if !matches!(&show, Show::Read(path) if seen(path)) {
            line.extend(show.args());
        }
    }
    line.extend(["--".into(), settings.qemu.clone().into_os_string()]);
    line
}

/// The whole command line that runs a machine.
pub fn command(settings: &MachineSettings, confinement: Confinement) -> Vec<OsString> {
    let mut line = match confinement {
        Confinement::Bubblewrap => walls(settings, system()),
        Confinement::SeccompOnly => vec![settings.qemu.clone().into_os_string()],
    };
    line.extend(super::qemu::args(settings).into_iter().map(OsString::from));
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::settings::{GdbStub, Plugin, PluginDoes, tests::machine};

    fn line(change: impl FnOnce(&mut MachineSettings)) -> String {
        let mut settings = machine();
        change(&mut settings);
        let system = vec![
            Show::Read("/usr".into()),
            Show::Link {
                at: "/lib".into(),
                to: "usr/lib".into(),
            },
        ];
        let words = walls(&settings, system);
        words
            .iter()
            .map(|w| w.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn qemu_sees_what_it_needs_and_no_more() {
        let expected = "bwrap --unshare-all --die-with-parent --cap-drop ALL --clearenv \
             --hostname ktwin --dev /dev --tmpfs /tmp --chdir / \
             --ro-bind /usr /usr --symlink usr/lib /lib \
             --ro-bind /cache/kernel/vmlinux /cache/kernel/vmlinux \
             --ro-bind /cache/initramfs /cache/initramfs \
             --ro-bind /cache/tools.img /cache/tools.img --bind /tmp/a,b /tmp/a,b \
             -- /usr/bin/qemu-system-x86_64";
        assert_eq!(line(|_| ()), expected);
    }

    #[test]
    fn more_is_shown_only_to_a_machine_that_needs_it() {
        let table = [
            (
                "kvm",
                line(|m| m.accel = Accel::Kvm),
                "--dev-bind /dev/kvm /dev/kvm --",
            ),
            (
                "its own qemu",
                line(|m| m.qemu = "/opt/q/bin/qemu".into()),
                "--ro-bind /opt/q /opt/q --ro-bind",
            ),
            ("qemu in /", line(|m| m.qemu = "/qemu".into()), "-- /qemu"),
            (
                "held",
                line(|m| {
                    m.plugin = Some(Plugin {
                        library: "/target/plugin.so".into(),
                        does: PluginDoes::Watch,
                        shared: "/tmp/d/board".into(),
                    });
                }),
                "--ro-bind /target/plugin.so /target/plugin.so --bind /tmp/d/board /tmp/d/board --",
            ),
            (
                "gdb",
                line(|m| {
                    m.gdb = Some(GdbStub {
                        socket: "/tmp/d/s".into(),
                        frozen: true,
                    })
                }),
                "--bind /tmp/d /tmp/d --",
            ),
        ];
        for (name, line, expected) in table {
            assert!(line.contains(expected), "{name}: {line}");
        }
        assert!(!line(|_| ()).contains("/dev/kvm"));
    }

    #[test]
    fn inside_there_is_little_and_none_of_it_writable() {
        let (confinement, _) = probe(&Cancel::new()).unwrap();
        if confinement != Confinement::Bubblewrap {
            return; // The user has said that this host does without.
        }
        let mut settings = machine();
        settings.qemu = "/bin/sh".into();
        settings.disks.clear();
        let temp = tempfile::tempdir().unwrap();
        for file in [&mut settings.kernel, &mut settings.initramfs] {
            *file = temp.path().join(file.file_name().unwrap());
            fs::write(file, "x").unwrap();
        }
        let mut line = walls(&settings, system());
        let script = "cat \"$0\"; ls /proc /root /home 2>/dev/null; echo $((1 + 1)); [ -w \"$0\" ] || echo safe";
        line.extend(["-c".into(), script.into(), settings.kernel.into_os_string()]);
        let output = Cmd::new(&line[0])
            .args(&line[1..])
            .run_ok(&Cancel::new())
            .unwrap();
        assert_eq!(output.text(), "x2\nsafe");
    }
}
