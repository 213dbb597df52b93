//! QEMU's plugin interface, resolved at run time: one library for every version that it speaks.
//!
//! The functions are those of `qemu-plugin.h` as QEMU documents them; the few that are used are the
//! same in the versions 1 (QEMU 7.2) to [`NEWEST`]. The seventh, QEMU 11.1's, calls back with other
//! arguments, and does not refuse a plugin that asks for an older one.

use std::ffi::{CStr, c_char, c_int, c_void};

/// The newest version of the interface that is spoken here.
pub(crate) const NEWEST: c_int = 6;

/// What QEMU says of itself, as far as it is read: `qemu_info_t`'s beginning, in all versions.
#[repr(C)]
pub struct Info {
    target_name: *const c_char,
    oldest: c_int,
    /// The newest version of the interface that QEMU speaks.
    pub(crate) newest: c_int,
}

/// A plugin's number.
pub(crate) type Id = u64;
/// A translated block.
pub(crate) enum Tb {}
/// An instruction of one.
pub(crate) enum Insn {}

type Installed = unsafe extern "C" fn(Id);
type TbTrans = unsafe extern "C" fn(Id, *mut Tb);
type Exec = unsafe extern "C" fn(u32, *mut c_void);
type Mem = unsafe extern "C" fn(u32, u32, u64, *mut c_void);

/// `QEMU_PLUGIN_CB_NO_REGS`: the callback reads no registers.
pub(crate) const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_MEM_RW`: reads and writes.
pub(crate) const READS_AND_WRITES: c_int = 3;

/// How an instruction's bytes are had.
enum InsnData {
    /// QEMU lends its own.
    Lent(unsafe extern "C" fn(*const Insn) -> *const c_void),
    /// QEMU copies so many.
    Copied(unsafe extern "C" fn(*const Insn, *mut c_void, usize) -> usize),
}

/// From this version of the interface on, QEMU copies an instruction's bytes.
const COPIES_DATA: c_int = 3;

/// The functions in use.
pub(crate) struct Api {
    pub(crate) register_tb_trans: unsafe extern "C" fn(Id, TbTrans),
    pub(crate) tb_n_insns: unsafe extern "C" fn(*const Tb) -> usize,
    pub(crate) tb_get_insn: unsafe extern "C" fn(*const Tb, usize) -> *mut Insn,
    pub(crate) insn_vaddr: unsafe extern "C" fn(*const Insn) -> u64,
    pub(crate) register_insn_exec: unsafe extern "C" fn(*mut Insn, Exec, c_int, *mut c_void),
    pub(crate) register_tb_exec: unsafe extern "C" fn(*mut Tb, Exec, c_int, *mut c_void),
    pub(crate) register_mem: unsafe extern "C" fn(*mut Insn, Mem, c_int, c_int, *mut c_void),
    insn_size: unsafe extern "C" fn(*const Insn) -> usize,
    insn_data: InsnData,
    pub(crate) reset: unsafe extern "C" fn(Id, Installed),
}

impl Api {
    /// For a QEMU that speaks this version, and older ones.
    pub(crate) fn resolve(newest: c_int) -> Result<Self, String> {
        // SAFETY: each symbol is a function of the type that QEMU's header gives it, and function
        // pointers are as wide as data pointers on every platform that QEMU's plugins run on.
        unsafe {
            Ok(Self {
                register_tb_trans: cast(find(c"qemu_plugin_register_vcpu_tb_trans_cb")?),
                tb_n_insns: cast(find(c"qemu_plugin_tb_n_insns")?),
                tb_get_insn: cast(find(c"qemu_plugin_tb_get_insn")?),
                insn_vaddr: cast(find(c"qemu_plugin_insn_vaddr")?),
                register_insn_exec: cast(find(c"qemu_plugin_register_vcpu_insn_exec_cb")?),
                register_mem: cast(find(c"qemu_plugin_register_vcpu_mem_cb")?),
                register_tb_exec: cast(find(c"qemu_plugin_register_vcpu_tb_exec_cb")?),
                insn_size: cast(find(c"qemu_plugin_insn_size")?),
                insn_data: {
                    let symbol = find(c"qemu_plugin_insn_data")?;
                    match newest < COPIES_DATA {
                        true => InsnData::Lent(cast(symbol)),
                        false => InsnData::Copied(cast(symbol)),
                    }
                },
                reset: cast(find(c"qemu_plugin_reset")?),
            })
        }
    }

    /// The first bytes of an instruction, if it has so many.
    ///
    /// # Safety
    /// The instruction is one of the block that QEMU has just translated.
    pub(crate) unsafe fn bytes<const N: usize>(&self, insn: *const Insn) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the caller's instruction; no more is read of it than it has, nor written than fits.
        unsafe {
            if (self.insn_size)(insn) < N {
                return None;
            }
            match self.insn_data {
                InsnData::Lent(data) => {
                    let data: *const u8 = data(insn).cast();
                    data.copy_to_nonoverlapping(bytes.as_mut_ptr(), N);
                }
                InsnData::Copied(data) => {
                    if data(insn, bytes.as_mut_ptr().cast(), N) < N {
                        return None;
                    }
                }
            }
        }
        Some(bytes)
    }
}

/// The interface's version to ask for. QEMU 9 dropped the first and brought scoreboards with the
/// second.
pub(crate) fn version() -> c_int {
    match find(c"qemu_plugin_scoreboard_new") {
        Ok(_) => 2,
        Err(_) => 1,
    }
}

fn find(name: &CStr) -> Result<*mut c_void, String> {
    // SAFETY: the name ends with a NUL; the search goes through the program and its libraries.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if symbol.is_null() {
        return Err(format!("this QEMU has no {}", name.to_string_lossy()));
    }
    Ok(symbol)
}

/// # Safety
/// `F` must be the function's pointer type.
unsafe fn cast<F>(symbol: *mut c_void) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: of one size, and the caller says that it is that function.
    unsafe { std::mem::transmute_copy(&symbol) }
}
