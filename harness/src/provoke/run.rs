//! Makes a running kernel do what the table says, through QEMU's gdb stub.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::{Path, PathBuf},
};

use object::{Object, ObjectSymbol, ReadCache};

use super::{
    gdb::{Gdb, Register, Registers},
    table::{Provocation, Step, Value, needs, symbols},
};
use crate::{Error, Result, cancel::Cancel, error::Context};

/// Where the agent comes by soon, in a task of its own, with nothing locked: its borrowed context
/// makes the calls.
const BORROWED: &[&str] = &["ksys_write", "__x64_sys_write", "vfs_write"];
/// Where calls return to. It is never called: a breakpoint there is met by nobody else.
const RETURN: &str = "panic";
/// Below the borrowed task's stack, in bytes.
const APART: u64 = 512;

/// How many stops elsewhere a call may meet. Where two vCPUs come to a breakpoint at once, QEMU tells
/// of the second after the guest was let go: that vCPU is in the middle of something else by then.
const STRAY_STOPS: u32 = 8;

/// The registers of arguments, in order.
const ARGUMENTS: [Register; 6] = [
    Register::Rdi,
    Register::Rsi,
    Register::Rdx,
    Register::Rcx,
    Register::R8,
    Register::R9,
];

/// What is made to speak in one kernel.
#[derive(Debug, Clone)]
pub struct Provoke {
    /// The stub's socket.
    pub socket: PathBuf,
    addresses: HashMap<String, u64>,
    provocations: Vec<&'static Provocation>,
}

/// A provocation that could not be made, and why.
pub type Failures = BTreeMap<&'static str, String>;

impl Provoke {
    /// For a kernel.
    ///
    /// # Errors
    /// Its symbols cannot be read.
    pub fn new(
        vmlinux: &Path,
        socket: PathBuf,
        provocations: Vec<&'static Provocation>,
    ) -> Result<Self> {
        Ok(Self {
            addresses: addresses(vmlinux)?,
            provocations,
            socket,
        })
    }

    /// Stops the guest until its agent comes by: gives what makes the calls then.
    ///
    /// # Errors
    /// The stub does not do as it is told, or the kernel lacks what is needed in any case.
    pub fn arm(&self, cancel: &Cancel) -> Result<Armed> {
        let borrowed = self.first(BORROWED)?;
        let home = self.first(&[RETURN])?;
        let mut gdb = Gdb::connect(&self.socket, cancel)?;
        gdb.breakpoint(borrowed, true)?;
        gdb.go()?;
        Ok(Armed {
            provoke: self.clone(),
            gdb,
            borrowed,
            home,
        })
    }

    /// Whether the kernel has what these steps need: half of them would leave it with locks taken.
    fn has_all(&self, steps: &[Step]) -> Result<()> {
        needs(steps).try_for_each(|names| self.first(&names).map(|_| ()))
    }

    fn first(&self, names: &[&str]) -> Result<u64> {
        let found = names.iter().find_map(|name| self.addresses.get(*name));
        found.copied().ok_or_else(|| {
            Error::infrastructure(format!("the kernel has no {}", names.join(" or ")))
        })
    }
}

/// A guest that will be stopped when its agent comes by.
#[derive(Debug)]
pub struct Armed {
    provoke: Provoke,
    gdb: Gdb,
    borrowed: u64,
    home: u64,
}

impl Armed {
    /// Waits for the agent, makes the calls, and lets the guest go on.
    ///
    /// # Errors
    /// The stub, or the guest, does not do as it is told.
    pub fn provoke(mut self) -> Result<Failures> {
        let thread = self.gdb.stopped()?;
        self.gdb.select(&thread)?;
        let saved = self.gdb.registers()?;
        self.gdb.breakpoint(self.borrowed, false)?;
        self.gdb.breakpoint(self.home, true)?;
        let mut failures = Failures::new();
        let mut ended = None;
        for provocation in self.provoke.provocations.clone() {
            if let Err(error) = self.provoke.has_all(provocation.steps) {
                failures.insert(provocation.detector, error.chain());
                continue;
            }
            if ended.is_none() {
                let done = self.steps(provocation.steps, &saved, &mut HashMap::new());
                ended = done.err().map(|error| error.chain());
            }
            // Nobody knows what the vCPU does now, nor what a call on it would break.
            if let Some(why) = &ended {
                failures.insert(provocation.detector, why.clone());
            }
        }
        self.gdb.breakpoint(self.home, false)?;
        if ended.is_none() {
            let mut now = self.gdb.registers()?;
            now.restore(&saved);
            self.gdb.set_registers(&now)?;
        }
        self.gdb.detach()?;
        Ok(failures)
    }

    fn steps(
        &mut self,
        steps: &[Step],
        saved: &Registers,
        kept: &mut HashMap<&'static str, u64>,
    ) -> Result<()> {
        for step in steps {
            match step {
                Step::Call(names, values) => {
                    let function = self.provoke.first(names)?;
                    let values = values.iter().map(|value| match value {
                        Value::Number(number) => Ok(*number),
                        Value::Symbol(name) => self.provoke.first(&[name]),
                        Value::Kept(name) => Ok(kept.get(name).copied().unwrap_or_default()),
                    });
                    let values = values.collect::<Result<Vec<_>>>()?;
                    let returned = self.call(function, &values, saved)?;
                    kept.insert(LAST, returned);
                }
                Step::Keep(name) => {
                    let last = kept.get(LAST).copied().unwrap_or_default();
                    kept.insert(name, last);
                }
                Step::Set(name, value) => {
                    let address = self.provoke.first(&[name])?;
                    self.gdb.write(address, *value)?;
                }
                Step::Again(times, steps) => {
                    for _ in 0..*times {
                        self.steps(steps, saved, kept)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Calls a function in the borrowed task, which may be moved to another vCPU meanwhile.
    fn call(&mut self, function: u64, values: &[u64], saved: &Registers) -> Result<u64> {
        let mut registers = self.gdb.registers()?;
        registers.restore(saved);
        // Aligned as at a function's first instruction.
        let stack = ((saved.get(Register::Rsp) - APART) & !15) - 8;
        self.gdb.write(stack, self.home)?;
        registers.set(Register::Rsp, stack);
        registers.set(Register::Rip, function);
        for (register, value) in ARGUMENTS.iter().zip(values) {
            registers.set(*register, *value);
        }
        self.gdb.set_registers(&registers)?;
        for _ in 0..STRAY_STOPS {
            let thread = self.gdb.run()?;
            self.gdb.select(&thread)?;
            let back = self.gdb.registers()?;
            if back.get(Register::Rip) == self.home {
                if back.get(Register::Rsp) == stack + 8 {
                    return Ok(back.get(Register::Rax));
                }
                return Err(Error::infrastructure("the kernel panicked"));
            }
        }
        Err(Error::infrastructure("the guest stops where it should not"))
    }
}

/// The last call's value, among those kept.
const LAST: &str = "";

/// The addresses of all symbols that provocations need.
fn addresses(vmlinux: &Path) -> Result<HashMap<String, u64>> {
    let doing = || format!("failed to read the symbols of {}", vmlinux.display());
    let cache = ReadCache::new(File::open(vmlinux).host(doing)?);
    let object = object::File::parse(&cache).host(doing)?;
    let mut wanted = symbols();
    wanted.extend(BORROWED);
    wanted.insert(RETURN);
    let found = object.symbols().filter_map(|symbol| {
        let name = symbol.name().ok().filter(|name| wanted.contains(*name))?;
        Some((name.to_owned(), symbol.address()))
    });
    Ok(found.filter(|(_, address)| *address != 0).collect())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::{UnixListener, UnixStream},
        thread::{self, JoinHandle},
    };

    use super::*;
    use crate::provoke::gdb::{hex, take, unhex};

    const BORROWED_AT: u64 = 0x1000;
    const HOME: u64 = 0x2000;
    const FUNCTION: u64 = 0x3000;
    const ELSEWHERE: u64 = 0x4000;
    const STACK: u64 = 0x9000;

    /// Where the guest stops next.
    #[derive(Debug, Clone, Copy)]
    enum Stop {
        /// As the agent comes by.
        Borrowed,
        /// As a call returns.
        Returned,
        /// In the middle of something, as another vCPU.
        Stray,
        /// Since the kernel panics.
        Panicked,
    }

    /// A stub that stops so: gives the functions that were called.
    fn stub(listener: UnixListener, stops: &'static [Stop]) -> JoinHandle<Vec<u64>> {
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut pending, mut buffer) = (Vec::new(), [0; 4096]);
            let mut registers = Registers::zeroed();
            let (mut called, mut stops) = (Vec::new(), stops.iter());
            let mut answer = |socket: &mut UnixStream, packet: &str| {
                let given = packet.strip_prefix('G').and_then(unhex);
                if let Some(bytes) = given {
                    registers = Registers::from_bytes(bytes);
                    called.push(registers.get(Register::Rip));
                }
                let said = match packet.as_bytes()[0] {
                    b'?' => "T05thread:p01.01;".to_owned(),
                    b'g' => hex(registers.bytes()),
                    b'c' => {
                        let top = registers.get(Register::Rsp);
                        let (rip, rsp) = match stops.next().unwrap() {
                            Stop::Borrowed => (BORROWED_AT, STACK),
                            Stop::Returned => (HOME, top + 8),
                            Stop::Stray => (ELSEWHERE, top),
                            Stop::Panicked => (HOME, STACK - 0x800),
                        };
                        registers.set(Register::Rip, rip);
                        registers.set(Register::Rsp, rsp);
                        "T05thread:p01.01;".to_owned()
                    }
                    _ => "OK".to_owned(),
                };
                write!(socket, "+${said}#00").unwrap();
            };
            while let Ok(read @ 1..) = socket.read(&mut buffer) {
                pending.extend_from_slice(&buffer[..read]);
                while let Some(packet) = take(&mut pending) {
                    answer(&mut socket, &packet);
                }
            }
            called
        })
    }

    const CALLS: &[Step] = &[Step::Call(&["f"], &[]), Step::Call(&["f"], &[])];
    const LACKS: &[Step] = &[Step::Call(&["f"], &[]), Step::Call(&["gone"], &[])];
    const TABLE: &[Provocation] = &[
        named("lacks", LACKS),
        named("one", CALLS),
        named("two", CALLS),
    ];

    const fn named(detector: &'static str, steps: &'static [Step]) -> Provocation {
        Provocation {
            detector,
            symbol: "",
            class: "",
            title: "",
            steps,
        }
    }

    /// What fails, and what was called.
    fn provoked(stops: &'static [Stop]) -> (Failures, Vec<u64>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("gdb");
        let listener = UnixListener::bind(&socket).unwrap();
        let known = [
            ("ksys_write", BORROWED_AT),
            ("panic", HOME),
            ("f", FUNCTION),
        ];
        let provoke = Provoke {
            socket,
            addresses: known.map(|(name, at)| (name.to_owned(), at)).into(),
            provocations: TABLE.iter().collect(),
        };
        let stub = stub(listener, stops);
        let failures = provoke.arm(&Cancel::new()).unwrap().provoke().unwrap();
        (failures, stub.join().unwrap())
    }

    #[test]
    fn a_stop_elsewhere_is_no_calls_end() {
        use Stop::{Borrowed, Returned, Stray};
        let stops = &[
            Borrowed, Stray, Returned, Returned, Returned, Stray, Stray, Returned,
        ];
        let (failures, called) = provoked(stops);
        assert_eq!(failures.keys().collect::<Vec<_>>(), [&"lacks"]);
        assert!(
            failures["lacks"].contains("the kernel has no gone"),
            "{failures:?}"
        );
        assert_eq!(
            called,
            [FUNCTION, FUNCTION, FUNCTION, FUNCTION, BORROWED_AT]
        );
    }

    #[test]
    fn a_kernel_that_panicked_is_left_alone() {
        let (failures, called) = provoked(&[Stop::Borrowed, Stop::Returned, Stop::Panicked]);
        assert_eq!(failures["one"], "the kernel panicked");
        assert_eq!(failures["two"], "the kernel panicked");
        assert_eq!(called, [FUNCTION, FUNCTION]);
    }
}
