//! A machine, typed: everything that decides what QEMU emulates, as `cell.json` keeps it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How guest code is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// By the host's processor.
    Kvm,
    /// By QEMU's translator, one host thread for each vCPU.
    Tcg,
}

impl Accel {
    /// `kvm` or `tcg`.
    pub fn name(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        }
    }
}

/// What is emulated around the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// virtio-mmio and a serial line, neither PCI nor ACPI: the quickest boot.
    Microvm,
    /// A PC with PCI Express, for kernels that need it.
    Q35,
}

/// Where the guest's console goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Console {
    /// To a socket that QEMU inherits under this number.
    Fd(u32),
    /// To QEMU's own terminal.
    Stdio,
}

/// One virtio disk, raw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The image.
    pub path: PathBuf,
    /// What the guest finds it by, see [`protocol::TOOLS_DISK`] and [`protocol::SCRATCH_DISK`].
    pub serial: String,
    /// Whether the guest may only read it.
    pub readonly: bool,
}

/// What QEMU loads to watch a guest, and to hold its vCPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// The library.
    pub library: PathBuf,
    /// What it does.
    pub does: PluginDoes,
    /// The file that it shares with the host.
    pub shared: PathBuf,
}

/// What the plugin does in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginDoes {
    /// Watches it and holds its vCPUs; the file is a board.
    Watch,
    /// Counts the instructions of single operations.
    Count,
}

impl PluginDoes {
    /// The file's name among the plugin's arguments.
    pub fn argument(self) -> &'static str {
        match self {
            PluginDoes::Watch => "board",
            PluginDoes::Count => "counts",
        }
    }
}

/// A stub that waits for gdb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GdbStub {
    /// The socket that QEMU listens on.
    pub socket: PathBuf,
    /// Whether the guest stands still until gdb lets it go.
    pub frozen: bool,
}

/// How a machine's state leaves it, or comes to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way", content = "sockets", rename_all = "lowercase")]
pub enum Migration {
    /// It can be saved, by the sockets in this folder.
    Save(PathBuf),
    /// It waits for its state, on a socket in this folder.
    Restore(PathBuf),
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSettings {
    /// QEMU's program.
    pub qemu: PathBuf,
    /// What is emulated around the processor.
    pub machine: Machine,
    /// How guest code is run.
    pub accel: Accel,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// vCPUs.
    pub cpus: u32,
    /// A PVH ELF (`vmlinux`) or a bzImage.
    pub kernel: PathBuf,
    /// The archive that holds the agent.
    pub initramfs: PathBuf,
    /// The kernel's command line, a word each.
    pub cmdline: Vec<String>,
    /// virtio disks.
    pub disks: Vec<Disk>,
    /// Where the console goes.
    pub console: Console,
    /// The number of the inherited socket behind the agent's port; none leaves the port out.
    pub agent_fd: Option<u32>,
    /// Watches the guest; emulation only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Plugin>,
    /// Time goes by instructions, and whatever is random follows from this seed: the same guest does
    /// the same again.
    #[serde(default)]
    pub icount: Option<u64>,
    /// A stub for gdb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gdb: Option<GdbStub>,
    /// The folder of the sockets by which it is kept in a file, or restored from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Migration>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A machine to change one thing of.
    pub(crate) fn machine() -> MachineSettings {
        MachineSettings {
            qemu: "/usr/bin/qemu-system-x86_64".into(),
            machine: Machine::Microvm,
            accel: Accel::Tcg,
            memory_mib: 2048,
            cpus: 2,
            kernel: "/cache/kernel/vmlinux".into(),
            initramfs: "/cache/initramfs".into(),
            cmdline: vec!["console=ttyS0".into(), "panic=-1".into()],
            disks: vec![
                Disk {
                    path: "/cache/tools.img".into(),
                    serial: "ktwin-tools".into(),
                    readonly: true,
                },
                Disk {
                    path: "/tmp/a,b".into(),
                    serial: "ktwin-scratch".into(),
                    readonly: false,
                },
            ],
            console: Console::Fd(1),
            agent_fd: Some(0),
            plugin: None,
            icount: None,
            gdb: None,
            migration: None,
        }
    }

    #[test]
    fn a_machine_survives_cell_json() {
        let text = serde_json::to_string(&machine()).unwrap();
        assert_eq!(
            serde_json::from_str::<MachineSettings>(&text).unwrap(),
            machine()
        );
        assert!(
            text.contains(r#""machine":"microvm","accel":"tcg""#),
            "{text}"
        );
    }
}
