//! QEMU's arguments for a machine (pure).
//!
//! KVM's arguments are covered by the tables below only where the host has no working KVM: a
//! trial boot (see [`super::accel`]) decides before any of them is relied upon.

use std::path::Path;

use protocol::PORT_NAME;

use super::{
    settings::{Accel, Console, Disk, Machine, MachineSettings, Migration},
    snapshot::{CONTROL, INCOMING},
};

/// What every machine gets: no configuration of the host's, no devices by default, no window, no
/// second boot, and no system calls that a guest that broke out would want.
const COMMON: &[&str] = &[
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
    "-sandbox",
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
];

/// `-machine`'s options.
fn machine(kind: Machine) -> &'static str {
    match kind {
        // No ACPI and no option ROMs: nothing to enumerate. The PIT and the PIC give the kernel a
        // timer to calibrate its own by; a KASAN kernel would otherwise spend seconds on it.
        Machine::Microvm => {
            "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on,x-option-roms=off,mem-merge=off"
        }
        Machine::Q35 => "q35,usb=off,smm=off,vmport=off,mem-merge=off",
    }
}

/// When a guest begins whose time goes by instructions: always then.
const ICOUNT_BEGINS: &str = "2026-01-01T00:00:00";

/// The suffix of virtio devices' names: their transport.
fn transport(kind: Machine) -> &'static str {
    match kind {
        Machine::Microvm => "device",
        Machine::Q35 => "pci",
    }
}

/// `-accel` and `-cpu`.
fn accel(accel: Accel) -> [&'static str; 2] {
    match accel {
        Accel::Kvm => ["kvm", "host"],
        Accel::Tcg => ["tcg,thread=multi", "max"],
    }
}

/// QEMU's arguments, without the program.
pub fn args(settings: &MachineSettings) -> Vec<String> {
    let mut out = Args(COMMON.iter().map(|s| (*s).to_owned()).collect());
    let [how, cpu] = accel(settings.accel);
    out.pair("-machine", machine(settings.machine));
    // Instructions can be counted only where one thread runs them all.
    out.pair(
        "-accel",
        if settings.icount.is_some() {
            "tcg,thread=single"
        } else {
            how
        },
    );
    out.pair("-cpu", cpu);
    if let Some(plugin) = &settings.plugin {
        let [library, shared] = [&plugin.library, &plugin.shared].map(|p| escape(&text(p)));
        let argument = plugin.does.argument();
        out.pair("-plugin", format!("file={library},{argument}={shared}"));
    }
    if let Some(seed) = settings.icount {
        // One instruction is one nanosecond, and who waits skips the time.
        out.pair("-icount", "shift=0,sleep=off");
        out.pair("-rtc", format!("base={ICOUNT_BEGINS},clock=vm"));
        out.pair("-seed", seed.to_string());
    }
    out.pair("-m", format!("{}M", settings.memory_mib));
    out.pair("-smp", settings.cpus.to_string());
    out.pair("-kernel", text(&settings.kernel));
    out.pair("-initrd", text(&settings.initramfs));
    out.pair("-append", settings.cmdline.join(" "));
    out.console(&settings.console);
    let transport = transport(settings.machine);
    if let Some(fd) = settings.agent_fd {
        out.agent(fd, transport);
    }
    for (index, disk) in settings.disks.iter().enumerate() {
        out.disk(index, disk, transport);
    }
    if let Some(gdb) = &settings.gdb {
        let socket = escape(&text(&gdb.socket));
        out.pair("-gdb", format!("unix:{socket},server=on,wait=off"));
        if gdb.frozen {
            out.0.push("-S".into());
        }
    }
    match &settings.migration {
        Some(Migration::Save(folder)) => out.control(folder),
        Some(Migration::Restore(folder)) => {
            out.control(folder);
            out.pair(
                "-incoming",
                format!("unix:{}", text(&folder.join(INCOMING))),
            );
        }
        None => {}
    }
    out.0
}

struct Args(Vec<String>);

impl Args {
    fn pair(&mut self, option: &str, value: impl Into<String>) {
        self.0.extend([option.to_owned(), value.into()]);
    }

    fn console(&mut self, console: &Console) {
        match console {
            // A multiplexer takes escapes, one of them for a break: `drive/pump.rs` asks by it.
            Console::Fd(fd) => {
                self.pair("-chardev", format!("socket,id=console,fd={fd},mux=on"));
            }
            Console::Stdio => {
                // Ctrl-A C reaches QEMU's own prompt, Ctrl-A X ends it.
                self.pair("-chardev", "stdio,id=console,mux=on,signal=off");
                self.pair("-mon", "chardev=console,mode=readline");
            }
        }
        self.pair("-serial", "chardev:console");
    }

    fn control(&mut self, folder: &Path) {
        let socket = escape(&text(&folder.join(CONTROL)));
        self.pair("-qmp", format!("unix:{socket},server=on,wait=off"));
    }

    fn agent(&mut self, fd: u32, transport: &str) {
        self.pair("-chardev", format!("socket,id=agent,fd={fd}"));
        self.pair("-device", format!("virtio-serial-{transport},max_ports=2"));
        self.pair(
            "-device",
            format!("virtserialport,chardev=agent,name={PORT_NAME}"),
        );
    }

    fn disk(&mut self, index: usize, disk: &Disk, transport: &str) {
        let path = escape(&text(&disk.path));
        let readonly = on_off(disk.readonly);
        // What a guest wrote is worth nothing after its end, so nothing waits for the host's disk.
        self.pair(
            "-blockdev",
            format!(
                "driver=raw,node-name=disk{index},read-only={readonly},discard=unmap,\
                 cache.no-flush=on,file.driver=file,file.filename={path}"
            ),
        );
        self.pair(
            "-device",
            format!(
                "virtio-blk-{transport},drive=disk{index},serial={}",
                escape(&disk.serial)
            ),
        );
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A value within QEMU's comma-separated options: a comma is written twice.
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::settings::{GdbStub, Plugin, PluginDoes, tests::machine};

    /// The arguments, an option and its value a line.
    fn lines(settings: &MachineSettings) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for arg in args(settings) {
            match lines.last_mut() {
                Some(last) if !arg.starts_with('-') => *last += &format!(" {arg}"),
                _ => lines.push(arg),
            }
        }
        lines
    }

    #[test]
    fn a_microvm_under_tcg() {
        let expected = [
            "-nodefaults",
            "-no-user-config",
            "-display none",
            "-no-reboot",
            "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            "-machine microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on,x-option-roms=off,mem-merge=off",
            "-accel tcg,thread=multi",
            "-cpu max",
            "-m 2048M",
            "-smp 2",
            "-kernel /cache/kernel/vmlinux",
            "-initrd /cache/initramfs",
            "-append console=ttyS0 panic=-1",
            "-chardev socket,id=console,fd=1,mux=on",
            "-serial chardev:console",
            "-chardev socket,id=agent,fd=0",
            "-device virtio-serial-device,max_ports=2",
            "-device virtserialport,chardev=agent,name=ktwin.agent.0",
            "-blockdev driver=raw,node-name=disk0,read-only=on,discard=unmap,cache.no-flush=on,\
             file.driver=file,file.filename=/cache/tools.img",
            "-device virtio-blk-device,drive=disk0,serial=ktwin-tools",
            "-blockdev driver=raw,node-name=disk1,read-only=off,discard=unmap,cache.no-flush=on,\
             file.driver=file,file.filename=/tmp/a,,b",
            "-device virtio-blk-device,drive=disk1,serial=ktwin-scratch",
        ];
        assert_eq!(lines(&machine()), expected);
    }

    #[test]
    fn one_change_of_the_machine_changes_its_own_lines() {
        type Change = fn(&mut MachineSettings);
        let table: [(&str, Change, &[&str], &[&str]); 9] = [
            (
                "to be saved",
                |m| m.migration = Some(Migration::Save("/s,x".into())),
                &["-qmp unix:/s,,x/qmp,server=on,wait=off"],
                &[],
            ),
            (
                "restored",
                |m| m.migration = Some(Migration::Restore("/s".into())),
                &[
                    "-qmp unix:/s/qmp,server=on,wait=off",
                    "-incoming unix:/s/in",
                ],
                &[],
            ),
            (
                "kvm",
                |m| m.accel = Accel::Kvm,
                &["-accel kvm", "-cpu host"],
                &["-accel tcg,thread=multi", "-cpu max"],
            ),
            (
                "q35",
                |m| m.machine = Machine::Q35,
                &[
                    "-machine q35,usb=off,smm=off,vmport=off,mem-merge=off",
                    "-device virtio-serial-pci,max_ports=2",
                    "-device virtio-blk-pci,drive=disk0,serial=ktwin-tools",
                ],
                &["-device virtio-serial-device,max_ports=2"],
            ),
            (
                "larger",
                |m| (m.memory_mib, m.cpus) = (512, 8),
                &["-m 512M", "-smp 8"],
                &["-m 2048M"],
            ),
            (
                "held",
                |m| {
                    m.plugin = Some(Plugin {
                        library: "/target/plugin.so".into(),
                        does: PluginDoes::Watch,
                        shared: "/tmp/a,b/board".into(),
                    });
                },
                &["-plugin file=/target/plugin.so,board=/tmp/a,,b/board"],
                &[],
            ),
            (
                "no port",
                |m| m.agent_fd = None,
                &[],
                &[
                    "-chardev socket,id=agent,fd=0",
                    "-device virtio-serial-device,max_ports=2",
                ],
            ),
            (
                "terminal",
                |m| m.console = Console::Stdio,
                &[
                    "-chardev stdio,id=console,mux=on,signal=off",
                    "-mon chardev=console,mode=readline",
                ],
                &["-chardev socket,id=console,fd=1,mux=on"],
            ),
            (
                "gdb",
                |m| {
                    m.gdb = Some(GdbStub {
                        socket: "/s,x".into(),
                        frozen: true,
                    })
                },
                &["-gdb unix:/s,,x,server=on,wait=off", "-S"],
                &[],
            ),
        ];
        for (name, change, with, without) in table {
            let mut changed = machine();
            change(&mut changed);
            let lines = lines(&changed);
            let has = |line: &&str| lines.iter().any(|l| l == line);
            assert!(with.iter().all(&has), "{name}: {lines:#?}");
            assert!(!without.iter().any(has), "{name}: {lines:#?}");
        }
    }
}
