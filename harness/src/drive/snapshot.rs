//! One boot, up to the agent's hello, kept in a file.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use protocol::{GuestMessage, Hello, MAX_LINE};
use tokio::io::AsyncReadExt;

use super::{
    cell::{CellContext, settings},
    lines::{Line, Lines},
};
use crate::{
    Error, Result,
    boot::{
        confine,
        machine::Machine,
        settings::{MachineSettings, Migration},
        snapshot::{self, Snapshot},
    },
    cancel::Cancel,
    error::Context,
};

const CHUNK: usize = 64 << 10;
const TICK: Duration = Duration::from_millis(50);
/// How long the rest of a console may take to come.
const REST: Duration = Duration::from_secs(5);
/// So much of the console is handed back; a boot's messages are a tenth of that.
const MOST_CONSOLE: usize = 4 << 20;

/// A machine that is kept, and what it printed until then.
#[derive(Debug)]
pub struct Taken {
    /// The machine.
    pub snapshot: Snapshot,
    /// Its console: what is restored from it has shown all that already.
    pub console: Vec<u8>,
}

/// Boots a cell's machine without its plan, and keeps it in a file once its agent has said hello.
/// Disks are not part of it: the machine must have none.
///
/// # Errors
/// It does not boot, or QEMU cannot save it.
pub fn take(context: &CellContext<'_>, to: &Path) -> Result<Taken> {
    let plain = settings(context);
    if !plain.disks.is_empty() {
        return Err(Error::infrastructure("a machine with disks cannot be kept"));
    }
    let sockets = tempfile::tempdir().host(|| "failed to make a folder for sockets".into())?;
    let kept = MachineSettings {
        // What watches is loaded when it is restored.
        plugin: None,
        migration: Some(Migration::Save(sockets.path().to_owned())),
        ..plain
    };
    let line = confine::command(&kept, context.confinement);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .host(|| "failed to set up the event loop".into())?;
    let mut console = Vec::new();
    let hello = runtime.block_on(async {
        let mut machine = Machine::start(&line)?;
        let limit = Duration::from_secs_f64(context.limits.boot_s);
        let hello = hello(&mut machine, &mut console, limit, context.cancel).await?;
        let (folder, file) = (sockets.path().to_owned(), to.to_owned());
        let cancel = context.cancel.clone();
        let saved = tokio::task::spawn_blocking(move || snapshot::save(&folder, &file, &cancel));
        saved.await.host(|| "failed to take a snapshot".into())??;
        machine.process.kill();
        machine.process.wait().await?;
        // What it had printed by its hello need not have been read by then.
        let mut chunk = vec![0; CHUNK];
        let rest = async {
            while let Ok(read @ 1..) = machine.console.read(&mut chunk).await {
                keep(&mut console, &chunk[..read]);
            }
        };
        // Its end comes at once, but for whoever else might hold the socket.
        let _ = tokio::time::timeout(REST, rest).await;
        Ok::<_, Error>(hello)
    })?;
    let snapshot = Snapshot {
        file: to.to_owned(),
        hello,
    };
    Ok(Taken { snapshot, console })
}

fn keep(console: &mut Vec<u8>, read: &[u8]) {
    let room = MOST_CONSOLE.saturating_sub(console.len());
    console.extend_from_slice(&read[..read.len().min(room)]);
}

/// Waits for the agent's hello.
async fn hello(
    machine: &mut Machine,
    printed: &mut Vec<u8>,
    limit: Duration,
    cancel: &Cancel,
) -> Result<Hello> {
    let until = Instant::now() + limit;
    let mut lines = Lines::new(MAX_LINE);
    let (mut console, mut agent) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut tick = tokio::time::interval(TICK);
    loop {
        let read = tokio::select! {
            // A console that nobody reads would stop the guest.
            read = machine.console.read(&mut console) => {
                keep(printed, &console[..ended(read)?]);
                continue;
            }
            read = machine.agent.read(&mut agent) => ended(read)?,
            _ = tick.tick() => {
                cancel.check()?;
                if Instant::now() > until {
                    return Err(Error::infrastructure("no hello from the agent in time"));
                }
                continue;
            }
        };
        let mut said = None;
        lines.feed(&agent[..read], &mut |line| {
            said = said.take().or(Some(line))
        });
        match said {
            Some(Line::Message(message, _)) => match *message {
                GuestMessage::Hello(hello) => return Ok(hello),
                _ => {
                    return Err(Error::infrastructure(
                        "the agent's first message was no hello",
                    ));
                }
            },
            Some(Line::NoMessage(why)) => return Err(Error::infrastructure(why)),
            None => {}
        }
    }
}

fn ended(read: std::io::Result<usize>) -> Result<usize> {
    match read.host(|| "failed to read from QEMU".into())? {
        0 => Err(Error::infrastructure("QEMU ended before the agent's hello")),
        read => Ok(read),
    }
}
