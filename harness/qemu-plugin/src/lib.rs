//! The plugin inside QEMU's TCG: holds a vCPU at chosen instructions while the others go on.
//!
//! | file | job |
//! |---|---|
//! | `api.rs` | QEMU's plugin interface, resolved at run time |
//! | `file.rs` | the board, mapped from its file |
//! | `hold.rs` | when and how long a vCPU is held |
//!
//! `-plugin PATH,board=FILE`. Instructions that no entry names cost nothing, and a QEMU without the
//! plugin nothing at all.

mod api;
mod file;
mod hold;

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
    sync::OnceLock,
};

use api::{Api, Id, Tb};
use hold::Holder;

/// What QEMU reads before anything else. It is set when the library is loaded, as one library
/// serves QEMUs of several interface versions.
// SAFETY: the name is QEMU's, and no other item of this library bears it.
#[unsafe(no_mangle)]
pub static mut qemu_plugin_version: c_int = 1;

/// Runs when the library is loaded, before QEMU looks at it.
// SAFETY: the section holds pointers to functions without arguments, which this is.
#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = choose_version;

static API: OnceLock<Api> = OnceLock::new();
static HOLDER: OnceLock<Holder> = OnceLock::new();

extern "C" fn choose_version() {
    // SAFETY: the loader runs this once, before QEMU reads the symbol and before any thread of
    // QEMU's could.
    unsafe { qemu_plugin_version = api::version() }
}

/// QEMU's call on loading: 0 when all is well.
///
/// # Safety
/// QEMU's to call, with `argc` arguments in `argv`.
// SAFETY: the name is QEMU's, and no other item of this library bears it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    let args = (0..count).map(|at| {
        // SAFETY: QEMU hands over `argc` strings, each ended by a NUL.
        unsafe { CStr::from_ptr(*argv.add(at)) }
    });
    match install(id, args) {
        Ok(()) => 0,
        Err(why) => {
            complain(&why);
            1
        }
    }
}

fn install<'a>(id: Id, args: impl Iterator<Item = &'a CStr>) -> Result<(), String> {
    let api = Api::resolve()?;
    let mut board = None;
    for arg in args {
        match arg.to_bytes().split_once_byte(b'=') {
            Some((b"board", path)) => board = Some(file::map(path)?),
            _ => return Err(format!("unknown argument {arg:?}; board=FILE is known")),
        }
    }
    let board = board.ok_or("no board=FILE")?;
    let holder = Holder::new(board);
    board.header(protocol::board::Header::Loaded).store(
        api::version().unsigned_abs().into(),
        std::sync::atomic::Ordering::Relaxed,
    );
    if HOLDER.set(holder).is_err() || API.set(api).is_err() {
        return Err("loaded twice".into());
    }
    let api = API.get().ok_or("not resolved")?;
    // SAFETY: `id` is QEMU's own, and the callback lives as long as the library.
    unsafe { (api.register_tb_trans)(id, translated) };
    Ok(())
}

/// QEMU has translated a block: its instructions that are stall points get a callback.
unsafe extern "C" fn translated(_id: Id, tb: *mut Tb) {
    let (Some(api), Some(holder)) = (API.get(), HOLDER.get()) else {
        return;
    };
    // SAFETY: QEMU hands over a block that lives until this returns; its instructions are asked for
    // by numbers below their count.
    unsafe {
        for at in 0..(api.tb_n_insns)(tb) {
            let insn = (api.tb_get_insn)(tb, at);
            for point in holder.points_at((api.insn_vaddr)(insn)) {
                let point = ptr::without_provenance_mut(point);
                (api.register_insn_exec)(insn, executed, api::NO_REGISTERS, point);
            }
        }
    }
}

/// An instruction of a stall point is about to be executed.
unsafe extern "C" fn executed(vcpu: u32, point: *mut c_void) {
    if let Some(holder) = HOLDER.get() {
        holder.hold(vcpu, point.addr());
    }
}

fn complain(why: &str) {
    let line = format!("ktwin's plugin: {why}\n");
    // SAFETY: the buffer is the line's, with its length. Nothing is to be done where it fails.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

trait SplitByte {
    fn split_once_byte(&self, byte: u8) -> Option<(&[u8], &[u8])>;
}

impl SplitByte for [u8] {
    fn split_once_byte(&self, byte: u8) -> Option<(&[u8], &[u8])> {
        let at = self.iter().position(|b| *b == byte)?;
        Some((&self[..at], &self[at + 1..]))
    }
}
