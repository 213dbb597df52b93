//! A booted machine, kept in a file: restored in a fraction of what a boot takes.
//!
//! QEMU migrates its state to a socket of ours, and takes it back from one: it needs no right to
//! run programs or to open files, and every version of it can.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use protocol::Hello;
use serde_json::{Value, json};

use crate::{Error, Result, cancel::Cancel, error::Context};

/// The control socket's name within a folder that QEMU sees.
pub const CONTROL: &str = "qmp";
/// The same, of the socket that a machine's state goes out by.
const OUT: &str = "out";
/// The same, of the one that it comes back by.
pub const INCOMING: &str = "in";

/// How long QEMU may take to listen or to answer.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(5);
/// Bytes per second that QEMU migrates by at most: no limit that matters.
const BANDWIDTH: u64 = 1 << 40;

/// A machine's state.
#[derive(Debug)]
pub struct Snapshot {
    /// The file that holds it.
    pub file: PathBuf,
    /// What its agent had said.
    pub hello: Hello,
}

/// Has a running machine write its state to a file; it stands still then. `folder` holds its
/// [`CONTROL`] socket.
///
/// # Errors
/// QEMU refuses, and says why; or the disk is full.
pub fn save(folder: &Path, to: &Path, cancel: &Cancel) -> Result<()> {
    let doing = || "failed to take a snapshot".to_owned();
    let listener = UnixListener::bind(folder.join(OUT)).host(doing)?;
    let mut control = Control::open(&folder.join(CONTROL), cancel)?;
    // vCPUs that write memory while it is copied were seen to spoil it under emulation.
    control.ask("stop", json!({}))?;
    control.ask(
        "migrate-set-parameters",
        json!({"max-bandwidth": BANDWIDTH}),
    )?;
    let uri = format!("unix:{}", folder.join(OUT).display());
    control.ask("migrate", json!({ "uri": uri }))?;
    let (mut state, _) = listener.accept().host(doing)?;
    let mut file = File::create_new(to).host(doing)?;
    io::copy(&mut state, &mut file).host(doing)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = control.ask("query-migrate", json!({}))?;
        match answer["status"].as_str() {
            Some("completed") => return Ok(()),
            Some("failed" | "cancelled") => {
                let why = answer["error-desc"].as_str().unwrap_or("it says no more");
                return Err(Error::infrastructure(format!("{}: {why}", doing())));
            }
            _ if Instant::now() > until => {
                return Err(Error::infrastructure(format!("{}: too late", doing())));
            }
            _ => thread::sleep(RETRY),
        }
    }
}

/// Hands a machine that waits for it the state from a file, and has it go on; `folder` holds its
/// [`INCOMING`] and [`CONTROL`] sockets.
///
/// # Errors
/// QEMU does not listen, or ends before it has read it all.
pub fn feed(folder: &Path, file: &Path, cancel: &Cancel) -> Result<()> {
    let mut socket = connect(&folder.join(INCOMING), cancel)?;
    let doing = || "failed to restore a snapshot".to_owned();
    let mut state = File::open(file).host(doing)?;
    io::copy(&mut state, &mut socket).host(doing)?;
    drop(socket);
    let mut control = Control::open(&folder.join(CONTROL), cancel)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = control.ask("query-status", json!({}))?;
        match answer["status"].as_str() {
            // As it was when it was saved.
            Some("paused") => break,
            _ if Instant::now() > until => {
                return Err(Error::infrastructure(format!("{}: too late", doing())));
            }
            _ => thread::sleep(RETRY),
        }
    }
    control.ask("cont", json!({}))?;
    Ok(())
}

/// QEMU's control socket, as its QMP reference describes it: one JSON object a line.
struct Control {
    lines: BufReader<UnixStream>,
}

impl Control {
    fn open(path: &Path, cancel: &Cancel) -> Result<Self> {
        let socket = connect(path, cancel)?;
        let patient = socket.set_read_timeout(Some(PATIENCE));
        patient.host(|| "failed to set up QEMU's control socket".into())?;
        let mut control = Self {
            lines: BufReader::new(socket),
        };
        control.line()?;
        control.ask("qmp_capabilities", json!({}))?;
        Ok(control)
    }

    /// A command's answer.
    fn ask(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut text = json!({"execute": command, "arguments": arguments}).to_string();
        text.push('\n');
        let sent = self.lines.get_mut().write_all(text.as_bytes());
        sent.host(|| format!("failed to ask QEMU to {command}"))?;
        loop {
            let mut said = self.line()?;
            if let Some(error) = said.get("error") {
                let why = error["desc"].as_str().unwrap_or_default();
                return Err(Error::infrastructure(format!(
                    "QEMU refuses to {command}: {why}"
                )));
            }
            // What else it says are events.
            if let Some(answer) = said.get_mut("return") {
                return Ok(answer.take());
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let doing = || "failed to read from QEMU's control socket".to_owned();
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).host(doing)?;
        if read == 0 {
            return Err(Error::infrastructure(format!("{}: it ended", doing())));
        }
        serde_json::from_str(&line).host(doing)
    }
}

/// Connects to a socket of QEMU's, which it makes as it starts.
pub(crate) fn connect(path: &Path, cancel: &Cancel) -> Result<UnixStream> {
    let until = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(path) {
            Ok(socket) => return Ok(socket),
            Err(error) if Instant::now() > until => {
                return Err(error).host(|| format!("failed to connect to {}", path.display()));
            }
            Err(_) => {
                cancel.check()?;
                thread::sleep(RETRY);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers as QEMU does, in turn.
    fn qemu(folder: &Path, answers: &'static [&'static str]) -> thread::JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(folder.join(CONTROL)).unwrap();
        let folder = folder.to_owned();
        thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
            let mut asked = Vec::new();
            writeln!(&socket, r#"{{"QMP": {{}}}}"#).unwrap();
            for answer in answers {
                let Some(Ok(line)) = lines.next() else { break };
                let line: Value = serde_json::from_str(&line).unwrap();
                asked.push(line["execute"].as_str().unwrap().to_owned());
                if line["execute"] == "migrate" {
                    let mut out = UnixStream::connect(folder.join(OUT)).unwrap();
                    out.write_all(b"state").unwrap();
                }
                writeln!(&socket, "{answer}").unwrap();
            }
            asked
        })
    }

    const DONE: &str = r#"{"return": {}}"#;

    #[test]
    fn a_machines_state_ends_up_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let answers = &[
            DONE,
            "{\"event\": \"STOP\"}\n{\"return\": {}}",
            DONE,
            DONE,
            r#"{"return": {"status": "active"}}"#,
            r#"{"return": {"status": "completed"}}"#,
        ];
        let qemu = qemu(folder.path(), answers);
        let file = folder.path().join("state");
        save(folder.path(), &file, &Cancel::new()).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"state");
        assert_eq!(
            qemu.join().unwrap(),
            [
                "qmp_capabilities",
                "stop",
                "migrate-set-parameters",
                "migrate",
                "query-migrate",
                "query-migrate"
            ]
        );
    }

    #[test]
    fn a_restored_machine_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state");
        std::fs::write(&file, "state").unwrap();
        let incoming = UnixListener::bind(folder.path().join(INCOMING)).unwrap();
        let answers = &[
            DONE,
            r#"{"return": {"status": "inmigrate"}}"#,
            r#"{"return": {"status": "paused"}}"#,
            DONE,
        ];
        let qemu = qemu(folder.path(), answers);
        feed(folder.path(), &file, &Cancel::new()).unwrap();
        let text = io::read_to_string(incoming.accept().unwrap().0).unwrap();
        assert_eq!(text, "state");
        let asked = qemu.join().unwrap();
        assert_eq!(asked.last().unwrap(), "cont", "{asked:?}");
    }

    #[test]
    fn what_qemu_refuses_is_told_in_its_own_words() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = r#"{"error": {"class": "GenericError", "desc": "a device is unplugged"}}"#;
        let qemu = qemu(folder.path(), Box::leak(Box::new([DONE, refusal])));
        let error = save(folder.path(), &folder.path().join("x"), &Cancel::new()).unwrap_err();
        let text = error.chain();
        assert!(
            text.contains("refuses to stop: a device is unplugged"),
            "{text}"
        );
        drop(qemu);
    }
}
