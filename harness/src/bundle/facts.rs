//! What was booted, typed, and what of that is within bounds (pure).
//!
//! No path and no program of a host's is among it: QEMU's line is made anew of this.

use protocol::{Load, Phase};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    boot::settings::{Accel, Machine},
    collect::{CellFile, KernelFacts, Provenance, WatchedFile, is_folder_name},
    hash::is_hex_sha256,
    plan::Cell,
    plugin::Spec,
};

/// One boot, as far as another host can repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// When it was started, RFC 3339 in UTC.
    pub started: String,
    /// The boot, with its seed and its load plan.
    pub cell: Cell,
    /// What the kernel was made of.
    pub provenance: Provenance,
    /// The kernel.
    pub kernel: KernelFacts,
    /// What is emulated around the processor.
    pub machine: Machine,
    /// How guest code was run.
    pub accel: Accel,
    /// SHA-256 of the archive with the agent, in hex.
    pub initramfs_sha256: String,
    /// QEMU's own version line.
    pub qemu_version: String,
    /// What QEMU's plugin watched; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<WatchedFile>,
}

/// A guest's memory, in MiB.
const MEMORY_MIB: (u64, u64) = (64, 64 << 10);
/// Its vCPUs.
const CPUS: (u64, u64) = (1, 64);
/// Phases of a plan, and the seconds of all of them: two days.
const PHASES: (u64, u64) = (0, 64);
const SECONDS: (u64, u64) = (0, 2 * 86_400);
/// fio's jobs, and what their files take together, in MiB: a sparse disk on this host.
const JOBS: (u64, u64) = (1, 256);
const FILES_MIB: (u64, u64) = (1, 64 << 10);
/// Words that were added to the kernel's command line; the kernel itself takes 2 KiB of them.
const WORDS: (u64, u64) = (0, 64);
/// Entries of each list of what was watched.
const WATCHED: (u64, u64) = (0, 200_000);
/// The longest text, in bytes.
const LONGEST: usize = 1024;
/// The longest plan, in bytes: it is one line to the agent.
const LONGEST_PLAN: usize = protocol::MAX_LINE;

impl Facts {
    /// Of a boot's own record.
    pub fn of(file: &CellFile) -> Self {
        Self {
            started: file.started.clone(),
            cell: file.cell.clone(),
            provenance: file.provenance.clone(),
            kernel: file.kernel.clone(),
            machine: file.machine.machine,
            accel: file.machine.accel,
            initramfs_sha256: file.initramfs_sha256.clone(),
            qemu_version: file.qemu_version.clone(),
            watched: file.watched.clone(),
        }
    }

    /// Whether its plan runs programs of the user's.
    pub fn runs_commands(&self) -> bool {
        let mut phases = self.cell.plan.phases.iter();
        phases.any(|phase| matches!(phase.load, Load::Exec(_)))
    }

    /// Refuses what no run of ours would have written.
    ///
    /// # Errors
    /// Bad input, naming the field.
    pub fn check(&self) -> Result<()> {
        let Self {
            cell,
            kernel,
            provenance,
            ..
        } = self;
        for (what, name) in [("id", &cell.id), ("config", &cell.config)] {
            if !is_folder_name(name) {
                return Err(bad(what, &format!("{name:?} is no plain name")));
            }
        }
        for (what, hash) in [
            ("kernel's key", &kernel.key),
            ("image's hash", &kernel.image_sha256),
            ("config's hash", &kernel.config_sha256),
            ("agent's hash", &self.initramfs_sha256),
        ] {
            if !is_hex_sha256(hash) {
                return Err(bad(what, &format!("{hash:?} is no SHA-256")));
            }
        }
        for (what, text) in [
            ("start", &self.started),
            ("variant", &cell.variant),
            ("scenario", &cell.scenario),
            ("release", &kernel.release),
            ("compiler", &kernel.compiler),
            ("version", &provenance.version),
            ("source", &provenance.source),
            ("tree's hash", &provenance.tree_hash),
            ("patch's hash", &provenance.patch_sha256),
            ("QEMU", &self.qemu_version),
        ] {
            plain(what, text)?;
        }
        within("memory in MiB", cell.memory_mib, MEMORY_MIB)?;
        within("number of vCPUs", cell.cpus, CPUS)?;
        within("number of added words", cell.append.len() as u64, WORDS)?;
        for word in &cell.append {
            plain("added word", word)?;
        }
        check_plan(&cell.plan.phases)?;
        self.watched.as_ref().map_or(Ok(()), check_watched)
    }
}

fn check_plan(phases: &[Phase]) -> Result<()> {
    within("number of phases", phases.len() as u64, PHASES)?;
    let seconds = phases
        .iter()
        .fold(0, |sum: u64, phase| sum.saturating_add(phase.seconds));
    within("time in seconds", seconds, SECONDS)?;
    let plan = serde_json::to_vec(phases).map_err(|_| bad("plan", "cannot be written"))?;
    // With room for what is around it.
    if plan.len() > LONGEST_PLAN - 1024 {
        return Err(bad("plan", &format!("it takes {} bytes", plan.len())));
    }
    for phase in phases {
        if let Load::Fio(fio) = &phase.load {
            within("number of fio's jobs", fio.jobs, JOBS)?;
            let files = u64::from(fio.jobs) * u64::from(fio.file_mib);
            within("size of fio's files in MiB", files, FILES_MIB)?;
        }
    }
    Ok(())
}

fn check_watched(watched: &WatchedFile) -> Result<()> {
    for (what, length) in [
        ("number of stalls", watched.specs.len()),
        ("number of functions", watched.functions.len()),
        ("number of files", watched.files.len()),
        ("number of lines", watched.lines.len()),
    ] {
        within(what, length as u64, WATCHED)?;
    }
    for spec in &watched.specs {
        let again: Spec = spec.to_string().parse()?;
        if again != *spec {
            return Err(bad("stall", &format!("{spec:?} is none")));
        }
    }
    let lines = watched.lines.iter().map(|(file, _)| file);
    for text in watched.functions.iter().chain(&watched.files).chain(lines) {
        plain("watched place", text)?;
    }
    Ok(())
}

/// A text in one line of moderate length.
fn plain(what: &str, text: &str) -> Result<()> {
    if text.len() > LONGEST {
        return Err(bad(what, &format!("it has {} bytes", text.len())));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(bad(what, &format!("it holds {c:?}"))),
        None => Ok(()),
    }
}

fn within(what: &str, given: impl Into<u64>, (least, most): (u64, u64)) -> Result<()> {
    let given = given.into();
    match (least..=most).contains(&given) {
        true => Ok(()),
        false => Err(bad(
            what,
            &format!("{given} is not within {least} to {most}"),
        )),
    }
}

fn bad(what: &str, why: &str) -> Error {
    Error::input(format!("the boot's {what}: {why}"))
}

#[cfg(test)]
pub(super) mod tests {
    use protocol::{Exec, Fio, Plan, Store};

    use super::*;
    use crate::{plan::Purpose, plugin::Place};

    pub(crate) fn facts() -> Facts {
        let hash = |c: &str| c.repeat(64);
        Facts {
            started: "2026-01-02T03:04:05Z".into(),
            cell: Cell {
                id: "kasan-my-1".into(),
                config: "kasan".into(),
                variant: "my".into(),
                scenario: "race".into(),
                repeat: 1,
                plan: Plan {
                    seed: 7,
                    phases: vec![exec()],
                },
                memory_mib: 2048,
                cpus: 2,
                append: vec!["quiet".into()],
                purpose: Purpose::Loads,
            },
            provenance: Provenance::default(),
            kernel: KernelFacts {
                key: hash("a"),
                image_sha256: hash("b"),
                config_sha256: hash("c"),
                ..KernelFacts::default()
            },
            machine: Machine::Microvm,
            accel: Accel::Tcg,
            initramfs_sha256: hash("d"),
            qemu_version: "QEMU emulator version 7.2.22".into(),
            watched: Some(WatchedFile {
                specs: vec!["fuse_backing_get:300us".parse().unwrap()],
                ..WatchedFile::default()
            }),
        }
    }

    fn exec() -> Phase {
        let load = Load::Exec(Exec {
            command: vec!["/bin/true".into()],
            expect: 0,
        });
        Phase { load, seconds: 10 }
    }

    fn fio(jobs: u32, file_mib: u32) -> Phase {
        let load = Load::Fio(Fio {
            store: Store::Ext4,
            jobs,
            engine: "io_uring".into(),
            pattern: "randrw".into(),
            block: "4k".into(),
            file_mib,
        });
        Phase { load, seconds: 10 }
    }

    #[test]
    fn what_a_run_writes_is_within_bounds() {
        facts().check().unwrap();
        assert!(facts().runs_commands());
        let text = serde_json::to_string(&facts()).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts());
    }

    #[test]
    fn what_no_run_writes_is_refused() {
        type Change = fn(&mut Facts);
        let table: [(&str, Change); 15] = [
            ("id: \"../x\"", |f| f.cell.id = "../x".into()),
            ("config: \"a b\"", |f| f.cell.config = "a b".into()),
            ("kernel's key", |f| f.kernel.key = "../../etc".into()),
            ("agent's hash", |f| f.initramfs_sha256 = String::new()),
            ("variant: it holds '\\u{1b}'", |f| {
                f.cell.variant = "\x1b[2J".into()
            }),
            ("source: it has", |f| f.provenance.source = "x".repeat(5000)),
            ("memory", |f| f.cell.memory_mib = u32::MAX),
            ("vCPUs: 0", |f| f.cell.cpus = 0),
            ("added word: it holds '\\0'", |f| {
                f.cell.append = vec!["a\0b".into()]
            }),
            ("added words", |f| f.cell.append = vec!["a".into(); 100]),
            ("phases", |f| f.cell.plan.phases = vec![exec(); 65]),
            ("time in seconds", |f| {
                f.cell.plan.phases[0].seconds = u64::MAX
            }),
            ("plan: it takes", |f| {
                let load = Load::Exec(Exec {
                    command: vec!["x".repeat(2 << 20)],
                    expect: 0,
                });
                f.cell.plan.phases = vec![Phase { load, seconds: 1 }];
            }),
            ("fio's files", |f| {
                f.cell.plan.phases = vec![fio(256, u32::MAX)]
            }),
            ("stall", |f| {
                f.watched.as_mut().unwrap().specs = vec![Spec {
                    place: Place::Function("a b".into()),
                    hold_us: 1 << 40,
                }];
            }),
        ];
        for (expected, change) in table {
            let mut facts = facts();
            change(&mut facts);
            let error = facts.check().unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Input);
            assert!(error.chain().contains(expected), "{expected}: {error:?}");
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        let mut value = serde_json::to_value(facts()).unwrap();
        value["qemu"] = "/tmp/evil".into();
        assert!(serde_json::from_value::<Facts>(value).is_err());
    }
}
