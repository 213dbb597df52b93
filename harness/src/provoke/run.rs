//! Makes a running kernel do what the table says, through QEMU's gdb stub.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::{Path, PathBuf},
};

use object::{Object, ObjectSymbol, ReadCache};

use super::{
    gdb::{Gdb, Register, Registers},
    table::{Provocation, Step, Value, symbols},
};
use crate::{Error, Result, cancel::Cancel, error::Context};

/// Where the agent comes by soon, in a task of its own, with nothing locked: its borrowed context
/// makes the calls.
const BORROWED: &[&str] = &["ksys_write", "__x64_sys_write", "vfs_write"];
/// Where calls return to. It is never called: a breakpoint there is met by nobody else.
const RETURN: &str = "panic";
/// Below the borrowed task's stack, in bytes.
const APART: u64 = 512;

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
        for provocation in self.provoke.provocations.clone() {
            let mut kept = HashMap::new();
            if let Err(error) = self.steps(provocation.steps, &saved, &mut kept) {
                failures.insert(provocation.detector, error.chain());
            }
        }
        self.gdb.breakpoint(self.home, false)?;
        let mut now = self.gdb.registers()?;
        now.restore(&saved);
        self.gdb.set_registers(&now)?;
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
        let thread = self.gdb.run()?;
        self.gdb.select(&thread)?;
        let back = self.gdb.registers()?;
        if back.get(Register::Rip) != self.home || back.get(Register::Rsp) != stack + 8 {
            return Err(Error::infrastructure("the kernel panicked"));
        }
        Ok(back.get(Register::Rax))
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
    wanted.extend_from_slice(BORROWED);
    wanted.push(RETURN);
    let found = object.symbols().filter_map(|symbol| {
        let name = symbol.name().ok().filter(|name| wanted.contains(name))?;
        Some((name.to_owned(), symbol.address()))
    });
    Ok(found.filter(|(_, address)| *address != 0).collect())
}
