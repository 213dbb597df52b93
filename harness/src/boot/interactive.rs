//! A machine on the user's own terminal: a shell in the guest, or a guest that waits for gdb.

use std::{
    path::Path,
    process::{Command, ExitStatus},
};

use super::{
    confine::{self, Confinement},
    machine::shell_line,
    settings::{Console, GdbStub, MachineSettings},
};
use crate::{
    Result,
    error::Context,
    host::command::{die_with_parent, quote},
};

/// The word that tells the agent to run a shell on the console instead of a plan.
pub const SHELL_WORD: &str = "ktwin.shell";

/// The socket's name within its folder.
const SOCKET: &str = "gdb.sock";

/// Makes a machine interactive: console on the terminal, no agent's port. With a folder for the
/// stub's socket, it waits for gdb before its first instruction.
pub fn interactive(mut settings: MachineSettings, gdb: Option<&Path>) -> MachineSettings {
    settings.console = Console::Stdio;
    settings.agent_fd = None;
    // A shell is for looking at what is left, not for ending at the first oops.
    settings.cmdline.retain(|word| word != "oops=panic");
    settings.cmdline.push(SHELL_WORD.into());
    settings.gdb = gdb.map(|folder| GdbStub {
        socket: folder.join(SOCKET),
        frozen: true,
    });
    settings
}

/// What to type in another terminal to reach a waiting guest.
pub fn gdb_line(vmlinux: &Path, stub: &GdbStub) -> String {
    let target = format!("target remote {}", stub.socket.display());
    ["gdb", &vmlinux.to_string_lossy(), "-ex", &target]
        .map(quote)
        .join(" ")
}

/// Runs a machine on the terminal until it ends.
///
/// # Errors
/// QEMU cannot be started.
pub fn run(settings: &MachineSettings, confinement: Confinement) -> Result<ExitStatus> {
    let line = confine::command(settings, confinement);
    let failed = || format!("failed to run `{}`", shell_line(&line));
    let mut command = Command::new(&line[0]);
    // It stays in the terminal's foreground group, so that it may read from it.
    command.args(&line[1..]);
    die_with_parent(&mut command);
    command.status().host(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::{qemu, settings::tests::machine};

    #[test]
    fn a_shell_has_the_terminal_and_no_plan() {
        let mut settings = machine();
        settings.cmdline = vec!["oops=panic".into(), "quiet".into()];
        let args = qemu::args(&interactive(settings, None)).join(" ");
        assert!(args.contains("-append quiet ktwin.shell"), "{args}");
        assert!(
            args.contains("-chardev stdio,id=console,mux=on,signal=off"),
            "{args}"
        );
        assert!(
            !args.contains("virtserialport") && !args.contains("-gdb"),
            "{args}"
        );
    }

    #[test]
    fn gdb_finds_a_guest_that_stands_still() {
        let settings = interactive(machine(), Some(Path::new("/run/a dir")));
        let args = qemu::args(&settings);
        assert!(
            args.contains(&"unix:/run/a dir/gdb.sock,server=on,wait=off".to_owned()),
            "{args:?}"
        );
        assert!(args.contains(&"-S".to_owned()), "{args:?}");
        let line = gdb_line(Path::new("/k/vmlinux"), settings.gdb.as_ref().unwrap());
        assert_eq!(
            line,
            "gdb /k/vmlinux -ex 'target remote /run/a dir/gdb.sock'"
        );
    }
}
