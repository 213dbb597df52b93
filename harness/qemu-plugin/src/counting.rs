//! QEMU's calls while instructions are counted.

use std::{
    ffi::c_void,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use protocol::counts::{Counts, Header, Mark, NOP, START, mark};

use crate::{
    api::{self, Api, Id, Tb},
    count::Counter,
    file,
};

static COUNTING: OnceLock<Counting> = OnceLock::new();

struct Counting {
    id: Id,
    /// Whether anybody asked for it yet.
    started: AtomicBool,
    api: Api,
    counter: Counter,
}

/// The size of a mark: the no-operation and its displacement.
const MARK: usize = NOP.len() + size_of::<u32>();

/// Counts from now on, into the file.
pub(crate) fn install(id: Id, api: Api, path: &[u8]) -> Result<(), String> {
    let counts = file::map(path, Counts::over)?;
    let counter = Counter::new(counts);
    let counting = COUNTING.get_or_init(|| Counting {
        id,
        started: AtomicBool::new(false),
        api,
        counter,
    });
    // SAFETY: `id` is QEMU's own, and the callback lives as long as the library.
    unsafe { installed(counting.id) };
    let version = api::version().unsigned_abs();
    counts.header(Header::Loaded).store(version.into(), Relaxed);
    Ok(())
}

/// Registers for every block that QEMU translates.
unsafe extern "C" fn installed(id: Id) {
    if let Some(counting) = COUNTING.get() {
        // SAFETY: `id` is QEMU's own, and the callback lives as long as the library.
        unsafe { (counting.api.register_tb_trans)(id, translated) };
    }
}

/// QEMU has translated a block.
unsafe extern "C" fn translated(_id: Id, tb: *mut Tb) {
    let Some(counting) = COUNTING.get() else {
        return;
    };
    let Counting { api, counter, .. } = counting;
    let started = counting.started.load(Relaxed);
    // SAFETY: QEMU hands over a block that lives until this returns; its instructions are asked for
    // by numbers below their count.
    unsafe {
        let instructions = (api.tb_n_insns)(tb);
        let insn = |at| (api.tb_get_insn)(tb, at);
        let Some(last) = instructions.checked_sub(1) else {
            return;
        };
        let (first, last) = ((api.insn_vaddr)(insn(0)), (api.insn_vaddr)(insn(last)));
        let each = |at, callback, argument: usize| {
            let argument = ptr::without_provenance_mut(argument);
            (api.register_insn_exec)(insn(at), callback, api::NO_REGISTERS, argument);
        };
        if !Counter::is_kernel(first) {
            for at in 0..instructions {
                let bytes = api.bytes::<MARK>(insn(at));
                if let Some(mark) = bytes.and_then(|bytes| mark(&bytes)) {
                    each(at, marks, mark.code() as usize);
                }
            }
        } else if !started {
            // Not yet.
        } else if counter.has_points(first, last) {
            for at in 0..instructions {
                let address = (api.insn_vaddr)(insn(at));
                let points = |end| {
                    counter
                        .points_at(address)
                        .filter(move |mark| mark.end == end)
                };
                // The first instruction of an operation counts, and so does the last.
                points(false).for_each(|mark| each(at, marks, mark.code() as usize));
                each(at, executes, counter.stretch(address, 1).pack());
                points(true).for_each(|mark| each(at, marks, mark.code() as usize));
            }
        } else {
            let stretch = counter.stretch(first, instructions).pack();
            let stretch = ptr::without_provenance_mut(stretch);
            (api.register_tb_exec)(tb, executes, api::NO_REGISTERS, stretch);
        }
    }
}

/// A stretch of the kernel's is about to be executed.
unsafe extern "C" fn executes(_vcpu: u32, stretch: *mut c_void) {
    if let Some(counting) = COUNTING.get() {
        counting.counter.executes(stretch.addr());
    }
}

/// A mark is about to be executed.
unsafe extern "C" fn marks(_vcpu: u32, code: *mut c_void) {
    let mark = Mark::of(code.addr() as u64);
    let (Some(counting), Some(mark)) = (COUNTING.get(), mark) else {
        return;
    };
    if mark.operation != usize::from(START) {
        counting.counter.marks(mark);
    } else if !counting.started.swap(true, Relaxed) {
        // Has QEMU translate everything anew.
        // SAFETY: the id is QEMU's own, and the callback lives as long as the library.
        unsafe { (counting.api.reset)(counting.id, installed) };
    }
}
