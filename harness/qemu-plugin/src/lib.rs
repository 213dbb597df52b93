//! The plugin inside QEMU's TCG: holds a vCPU at chosen instructions while the others go on, tells
//! which holds mattered, and counts which code ran; or counts the instructions of single operations.
//!
//! | file | job |
//! |---|---|
//! | `api.rs` | QEMU's plugin interface, resolved at run time |
//! | `file.rs` | the board or the counts, mapped from their file |
//! | `places.rs` | which of the board's entries an instruction belongs to |
//! | `hold.rs` | when and how long a vCPU is held |
//! | `steer.rs` | in which functions it is worth it |
//! | `watch.rs` | which objects were touched meanwhile |
//! | `count.rs`, `counting.rs` | instructions between marks, and QEMU's calls for them |
//!
//! `-plugin PATH,board=FILE`, or `counts=FILE`. Instructions that no entry names cost nothing, and a QEMU without the
//! plugin nothing at all.

mod api;
mod count;
mod counting;
mod file;
mod hold;
mod places;
mod steer;
mod watch;

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
    sync::{
        OnceLock,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
};

use api::{Api, Id, Info, Tb};
use hold::Holder;
use places::Places;
use protocol::board::{Board, Entry, Header, Kind};
use watch::{Overlap, Watch};

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

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// Everything that the callbacks need.
struct Plugin {
    id: Id,
    api: Api,
    board: Board<'static>,
    places: Places,
    holder: Holder,
    watch: Watch,
    /// Whether the blocks that QEMU translates get callbacks.
    watching: AtomicBool,
}

/// The argument with the board's file.
const BOARD: &[u8] = b"board=";
/// The argument with the file of counts.
const COUNTS: &[u8] = b"counts=";
/// The argument that only asks whether this QEMU can be watched.
const PROBE: &CStr = c"probe=on";

extern "C" fn choose_version() {
    // SAFETY: the loader runs this once, before QEMU reads the symbol and before any thread of
    // QEMU's could.
    unsafe { qemu_plugin_version = api::version() }
}

/// QEMU's call on loading: 0 when all is well.
///
/// # Safety
/// QEMU's to call, with `argc` arguments in `argv`, and what it says of itself in `info`.
// SAFETY: the name is QEMU's, and no other item of this library bears it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    info: *const Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    let args = (0..count).map(|at| {
        // SAFETY: QEMU hands over `argc` strings, each ended by a NUL.
        unsafe { CStr::from_ptr(*argv.add(at)) }
    });
    // SAFETY: QEMU hands over its description.
    let newest = unsafe { (*info).newest };
    match install(id, newest, args) {
        Ok(()) => 0,
        Err(why) => {
            complain(&why);
            1
        }
    }
}

fn install<'a>(id: Id, newest: c_int, args: impl Iterator<Item = &'a CStr>) -> Result<(), String> {
    if newest > api::NEWEST {
        let known = api::NEWEST;
        return Err(format!(
            "this QEMU speaks version {newest} of the plugin interface, and {known} is the newest known"
        ));
    }
    let api = Api::resolve(newest)?;
    let mut board = None;
    for arg in args {
        if let Some(path) = arg.to_bytes().strip_prefix(COUNTS) {
            return counting::install(id, api, path);
        }
        match arg.to_bytes().split_at_checked(BOARD.len()) {
            Some((BOARD, path)) => board = Some(file::map(path, Board::over)?),
            // All is well: that is what was asked.
            // SAFETY: there is nothing to be cleaned up.
            _ if arg == PROBE => unsafe { libc::_exit(0) },
            _ => {
                return Err(format!(
                    "unknown argument {arg:?}; board=FILE and counts=FILE are known"
                ));
            }
        }
    }
    let board = board.ok_or("no board=FILE and no counts=FILE")?;
    let stack_bits = board.header(Header::StackBits).load(Relaxed);
    let stack_bits = u32::try_from(stack_bits).unwrap_or(u32::MAX);
    board
        .header(Header::Loaded)
        .store(api::version().unsigned_abs().into(), Relaxed);
    let plugin = PLUGIN.get_or_init(|| Plugin {
        id,
        api,
        board,
        places: Places::of(board),
        holder: Holder::new(board),
        watch: Watch::new(stack_bits),
        watching: AtomicBool::new(true),
    });
    // SAFETY: `id` is QEMU's own, and the callback lives as long as the library.
    unsafe { installed(plugin.id) };
    Ok(())
}

/// Registers for every block that QEMU translates.
unsafe extern "C" fn installed(id: Id) {
    if let Some(plugin) = PLUGIN.get() {
        // SAFETY: `id` is QEMU's own, and the callback lives as long as the library.
        unsafe { (plugin.api.register_tb_trans)(id, translated) };
    }
}

/// QEMU has translated a block: its instructions that the board names get their callbacks.
unsafe extern "C" fn translated(_id: Id, tb: *mut Tb) {
    let Some(plugin) = PLUGIN.get() else { return };
    plugin.follow_mode();
    if !plugin.watching.load(Acquire) {
        return;
    }
    let api = &plugin.api;
    let mut covered = None;
    // SAFETY: QEMU hands over a block that lives until this returns; its instructions are asked for
    // by numbers below their count.
    unsafe {
        for at in 0..(api.tb_n_insns)(tb) {
            let insn = (api.tb_get_insn)(tb, at);
            let address = (api.insn_vaddr)(insn);
            // A block runs from its start to its end: the first instruction of a stretch in it
            // stands for the others.
            let stretch = plugin.places.stretch_at(address);
            if let Some(stretch) = stretch.filter(|stretch| covered != Some(*stretch)) {
                let entry = ptr::without_provenance_mut(stretch);
                (api.register_insn_exec)(insn, executed, api::NO_REGISTERS, entry);
            }
            covered = stretch;
            for (entry, kind) in plugin.places.at(address) {
                let entry = ptr::without_provenance_mut(entry);
                (api.register_insn_exec)(insn, executed, api::NO_REGISTERS, entry);
                if matches!(kind, Kind::Get | Kind::Put | Kind::Switch) {
                    let (rw, flags) = (api::READS_AND_WRITES, api::NO_REGISTERS);
                    (api.register_mem)(insn, accessed, flags, rw, entry);
                }
            }
        }
    }
}

/// An instruction of an entry is about to be executed.
unsafe extern "C" fn executed(vcpu: u32, entry: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.executed(vcpu, entry.addr());
    }
}

/// An instruction has accessed memory: an entry's own, or (in QEMU 7.2) a later one.
unsafe extern "C" fn accessed(vcpu: u32, _info: u32, address: u64, entry: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.accessed(vcpu, entry.addr(), address);
    }
}

impl Plugin {
    fn executed(&self, vcpu: u32, entry: usize) {
        let Some(kind) = self.kind(entry) else { return };
        match kind {
            Kind::Hold | Kind::Adapt => {
                if let Some(held) = self.holder.hold(entry, kind)
                    && let Some(overlap) = self.watch.held(vcpu, entry, held)
                {
                    self.count(overlap);
                }
            }
            Kind::Cover => drop(self.add(entry, Entry::Hits)),
            Kind::Get | Kind::Put | Kind::Switch => self.watch.expect(vcpu, entry),
            Kind::Enter => self.watch.enter(vcpu),
            Kind::Leave => self.watch.leave(vcpu),
        }
        self.follow_mode();
    }

    fn accessed(&self, vcpu: u32, entry: usize, address: u64) {
        match self.kind(entry) {
            Some(Kind::Get) => {
                let overlaps = self.watch.got(vcpu, entry, address);
                overlaps.into_iter().for_each(|overlap| self.count(overlap));
            }
            Some(Kind::Put) => {
                let now = self.holder.now();
                self.watch.put(vcpu, entry, address, now);
            }
            Some(Kind::Switch) => self.watch.switched(vcpu, entry, address),
            _ => {}
        }
    }

    fn kind(&self, entry: usize) -> Option<Kind> {
        Kind::of(self.board.entry(entry, Entry::Kind).load(Relaxed))
    }

    fn add(&self, entry: usize, word: Entry) -> u64 {
        self.board.entry(entry, word).fetch_add(1, Relaxed)
    }

    fn count(&self, overlap: Overlap) {
        self.add(overlap.point, Entry::Overlaps);
        if overlap.early {
            self.add(overlap.point, Entry::Early);
            self.holder.mattered(overlap.point);
        }
    }

    /// Where the host wants quiet, or no longer does: has QEMU translate everything anew.
    fn follow_mode(&self) {
        let wanted = self.board.header(Header::Quiet).load(Relaxed) == 0;
        let changes = self
            .watching
            .compare_exchange(!wanted, wanted, AcqRel, Relaxed);
        if changes.is_ok() {
            // SAFETY: the id is QEMU's own, and the callback lives as long as the library.
            unsafe { (self.api.reset)(self.id, installed) };
        }
    }
}

fn complain(why: &str) {
    let line = format!("ktwin's plugin: {why}\n");
    // SAFETY: the buffer is the line's, with its length. Nothing is to be done where it fails.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_interface_is_refused() {
        let why = install(1, api::NEWEST + 1, std::iter::empty()).unwrap_err();
        assert!(
            why.contains("version 7") && why.contains("6 is the newest known"),
            "{why}"
        );
        let why = install(1, api::NEWEST, std::iter::empty()).unwrap_err();
        assert!(
            why.starts_with("this QEMU has no "),
            "no QEMU runs this test: {why}"
        );
    }
}
