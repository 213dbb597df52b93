//! A client of gdb's remote protocol, as far as it takes to call functions of a running kernel.
//!
//! The packets are those of gdb's manual ("Remote Protocol"); QEMU's stub speaks them for every
//! accelerator.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use crate::{Error, Result, boot::snapshot::connect, cancel::Cancel, error::Context};

/// How long the stub may take to answer, and a called function to return.
const PATIENCE: Duration = Duration::from_secs(60);
/// General registers in a `g` packet of x86-64, in order, eight bytes each.
const GENERAL: usize = 17;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A register's place in a `g` packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Register {
    /// What a function returns.
    Rax = 0,
    /// The third argument.
    Rdx = 3,
    /// The fourth argument.
    Rcx = 2,
    /// The second argument.
    Rsi = 4,
    /// The first argument.
    Rdi = 5,
    /// The stack's top.
    Rsp = 7,
    /// The fifth argument.
    R8 = 8,
    /// The sixth argument.
    R9 = 9,
    /// The next instruction.
    Rip = 16,
}

/// A vCPU's registers, as the stub gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registers(Vec<u8>);

#[cfg(test)]
impl Registers {
    pub(super) fn zeroed() -> Self {
        Self(vec![0; 200])
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Registers {
    /// One of them.
    pub(super) fn get(&self, register: Register) -> u64 {
        let at = register as usize * 8;
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        u64::from_le_bytes(bytes)
    }

    /// Changes one.
    pub(super) fn set(&mut self, register: Register, value: u64) {
        let at = register as usize * 8;
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Takes over another's general registers and flags; what belongs to the vCPU stays.
    pub(super) fn restore(&mut self, other: &Self) {
        let general = GENERAL * 8 + 4;
        self.0[..general].copy_from_slice(&other.0[..general]);
    }
}

/// A connection to a stub. The guest stands still from the first moment.
#[derive(Debug)]
pub(super) struct Gdb {
    socket: UnixStream,
    pending: Vec<u8>,
}

impl Gdb {
    /// Connects; the guest stops.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) fn connect(path: &Path, cancel: &Cancel) -> Result<Self> {
        let socket = connect(path, cancel)?;
        let patient = socket.set_read_timeout(Some(PATIENCE));
        patient.host(|| "failed to set up gdb's socket".into())?;
        let mut gdb = Self {
            socket,
            pending: Vec::new(),
        };
        gdb.ask("?")?;
        Ok(gdb)
    }

    /// Sets or clears a hardware breakpoint.
    ///
    /// # Errors
    /// The stub refuses.
    pub(super) fn breakpoint(&mut self, address: u64, on: bool) -> Result<()> {
        let letter = if on { 'Z' } else { 'z' };
        self.done(&format!("{letter}1,{address:x},1"))
    }

    /// Lets the guest go on, until something stops it: gives the vCPU's name.
    ///
    /// # Errors
    /// It does not stop in time.
    pub(super) fn run(&mut self) -> Result<String> {
        self.go()?;
        self.stopped()
    }

    /// Lets the guest go on.
    ///
    /// # Errors
    /// The stub is gone.
    pub(super) fn go(&mut self) -> Result<()> {
        self.send("c")
    }

    /// Waits until something stops the guest: gives the vCPU's name.
    ///
    /// # Errors
    /// It does not stop in time.
    pub(super) fn stopped(&mut self) -> Result<String> {
        loop {
            let said = self.receive()?;
            // `O` is output of the stub's own.
            if let Some(stop) = said.strip_prefix('T') {
                return Ok(thread(stop).to_owned());
            }
            if said.starts_with('W') || said.starts_with('X') {
                return Err(Error::infrastructure("the guest ended under gdb"));
            }
        }
    }

    /// Means the vCPU of this name by what follows.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn select(&mut self, thread: &str) -> Result<()> {
        self.done(&format!("Hg{thread}"))
    }

    /// The vCPU's registers.
    ///
    /// # Errors
    /// The stub's answer is none for x86-64.
    pub(super) fn registers(&mut self) -> Result<Registers> {
        let said = self.ask("g")?;
        let bytes = unhex(&said).filter(|bytes| bytes.len() > GENERAL * 8 + 4);
        let bytes = bytes.ok_or_else(|| self.odd("g", &said))?;
        Ok(Registers(bytes))
    }

    /// Changes the vCPU's registers.
    ///
    /// # Errors
    /// The stub refuses.
    pub(super) fn set_registers(&mut self, registers: &Registers) -> Result<()> {
        self.done(&format!("G{}", hex(&registers.0)))
    }

    /// Writes 64 bits of memory.
    ///
    /// # Errors
    /// Nothing is mapped there.
    pub(super) fn write(&mut self, address: u64, value: u64) -> Result<()> {
        self.done(&format!("M{address:x},8:{}", hex(&value.to_le_bytes())))
    }

    /// Lets the guest go on for good.
    ///
    /// # Errors
    /// The stub does not answer.
    pub(super) fn detach(mut self) -> Result<()> {
        self.done("D")
    }

    fn done(&mut self, packet: &str) -> Result<()> {
        match self.ask(packet)?.as_str() {
            "OK" => Ok(()),
            said => Err(self.odd(packet, said)),
        }
    }

    fn odd(&self, packet: &str, said: &str) -> Error {
        let brief = |text: &str| text.chars().take(40).collect::<String>();
        let (packet, said) = (brief(packet), brief(said));
        Error::infrastructure(format!("QEMU's gdb stub answers {packet:?} with {said:?}"))
    }

    fn ask(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        loop {
            let said = self.receive()?;
            // QEMU tells of the stop that connecting is, too.
            if packet == "?" || !said.starts_with('T') {
                return Ok(said);
            }
        }
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        let framed = format!("${packet}#{:02x}", checksum(packet.as_bytes()));
        let sent = self.socket.write_all(framed.as_bytes());
        sent.host(|| "failed to write to QEMU's gdb stub".into())
    }

    /// The next packet, acknowledged.
    fn receive(&mut self) -> Result<String> {
        loop {
            if let Some(packet) = take(&mut self.pending) {
                let sent = self.socket.write_all(b"+");
                sent.host(|| "failed to write to QEMU's gdb stub".into())?;
                return Ok(packet);
            }
            let mut buffer = [0; 4096];
            let read = self.socket.read(&mut buffer);
            let read = read.host(|| "failed to read from QEMU's gdb stub".into())?;
            if read == 0 {
                return Err(Error::infrastructure("QEMU's gdb stub hung up"));
            }
            self.pending.extend_from_slice(&buffer[..read]);
        }
    }
}

/// Takes the first whole packet, and whatever comes before it.
pub(super) fn take(pending: &mut Vec<u8>) -> Option<String> {
    let from = pending.iter().position(|byte| *byte == b'$')?;
    let length = pending[from..].iter().position(|byte| *byte == b'#')?;
    let end = from + length + 3;
    if pending.len() < end {
        return None;
    }
    let packet = String::from_utf8_lossy(&pending[from + 1..from + length]).into_owned();
    pending.drain(..end);
    Some(packet)
}

/// The vCPU's name in a stop reply: `05thread:p01.02;`.
fn thread(stop: &str) -> &str {
    let named = stop.split_once("thread:").map_or("", |(_, rest)| rest);
    named.split(';').next().unwrap_or_default()
}

fn checksum(packet: &[u8]) -> u8 {
    packet
        .iter()
        .fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| {
        let digit = |n: u8| char::from(HEX[usize::from(n)]);
        [digit(byte >> 4), digit(byte & 15)]
    });
    digits.collect()
}

/// What is not known is `x`: taken for zero.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'x' => Some(0),
        _ => char::from(byte).to_digit(16).map(|n| n as u8),
    };
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_framed() {
        assert_eq!(checksum(b"OK"), 0x9a);
        let mut pending = b"+$OK#9a$T05thread:p01.02;#00$half".to_vec();
        assert_eq!(take(&mut pending).as_deref(), Some("OK"));
        let stop = take(&mut pending).unwrap();
        assert_eq!(thread(&stop), "p01.02");
        assert_eq!(take(&mut pending), None);
        pending.extend_from_slice(b"#1");
        assert_eq!(take(&mut pending), None, "its checksum is to come");
    }

    #[test]
    fn bytes_and_digits() {
        assert_eq!(hex(&[0, 0x9a, 255]), "009aff");
        assert_eq!(unhex("009aFf"), Some(vec![0, 0x9a, 255]));
        assert_eq!(unhex("xx1"), None);
        assert_eq!(unhex("xx10"), Some(vec![0, 16]));
        assert_eq!(unhex("E0g"), None);
    }

    #[test]
    fn registers_are_found_and_a_vcpus_own_stay() {
        let mut one = Registers(vec![1; 200]);
        let mut other = Registers(vec![2; 200]);
        other.set(Register::Rip, 0x1234);
        one.restore(&other);
        assert_eq!(one.get(Register::Rip), 0x1234);
        assert_eq!((one.0[139], one.0[140], one.0[199]), (2, 1, 1));
    }
}
