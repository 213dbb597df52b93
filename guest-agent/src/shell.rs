//! A shell on the console, instead of a plan: the user looks around by hand.

use std::{
    fs::{self, OpenOptions},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{init, kcsan, mounts, reap, tools};

/// The word on the kernel's command line that asks for it.
const WORD: &str = "ktwin.shell";
/// Gives the shell the console as its own terminal, so that Ctrl-C reaches what it runs.
const SETSID: [&str; 2] = ["/usr/bin/setsid", "/bin/setsid"];
const CONSOLE: &str = "/dev/ttyS0";
/// How long one looks for the shell's end at a time.
const LOOK: Duration = Duration::from_secs(3600);

/// Was a shell asked for? Needs `/proc`.
pub(crate) fn is_wanted() -> bool {
    fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.split_whitespace().any(|w| w == WORD))
}

/// Runs the shell to its end.
pub(crate) fn run() -> Result<()> {
    mounts::late()?;
    init::settle();
    tools::lay_out()?;
    kcsan::watch_longer()?;
    let console = || OpenOptions::new().read(true).write(true).open(CONSOLE);
    let mut command = match SETSID.into_iter().find(|path| Path::new(path).exists()) {
        Some(setsid) => {
            let mut command = Command::new(setsid);
            command.args(["--ctty", "--wait", "/bin/sh", "-i"]);
            command
        }
        None => Command::new("/bin/sh"),
    };
    command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("TERM", "vt220");
    command
        .stdin(console()?)
        .stdout(console()?)
        .stderr(console()?);
    // What the user leaves in the background is PID 1's to reap.
    reap::start()?;
    let shell = reap::spawn(&mut command).context("start /bin/sh")?;
    while shell.wait(LOOK).is_none() {}
    Ok(())
}
