//! A boot's directory within a run's: everything that repeats it, all that it said, its record.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    files::{read_json, write_json, write_whole},
    record::RunRecord,
};
use crate::{
    Error, Result,
    boot::{confine::Confinement, settings::MachineSettings},
    drive::Limits,
    error::Context,
    plan::Cell,
    plugin::{PointCount, Spec},
};

/// The `schema` of [`CellFile`].
pub const SCHEMA: u32 = 1;

/// `cell.json`: everything needed to repeat a boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellFile {
    /// [`SCHEMA`].
    pub schema: u32,
    /// ktwin's version.
    pub ktwin: String,
    /// When it was started, RFC 3339 in UTC.
    pub started: String,
    /// The boot, with its seed and its load plan.
    pub cell: Cell,
    /// What the kernel was made of.
    pub provenance: Provenance,
    /// The kernel that was booted.
    pub kernel: KernelFacts,
    /// SHA-256 of the initramfs, in hex.
    pub initramfs_sha256: String,
    /// QEMU's own version line.
    pub qemu_version: String,
    /// Why this accelerator.
    pub accel_reason: String,
    /// How QEMU was confined.
    pub confinement: Confinement,
    /// The machine, typed.
    pub machine: MachineSettings,
    /// QEMU's line, made of the machine, as a shell would take it.
    pub qemu: String,
    /// What the boot was allowed.
    pub limits: Limits,
    /// What QEMU's plugin watched; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<WatchedFile>,
}

/// What QEMU's plugin watched, as far as it does not follow from the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedFile {
    /// Stalls that the user or the scenario chose.
    pub specs: Vec<Spec>,
    /// Whether the functions below were stalled.
    pub derived: bool,
    /// Functions that the patch touches, or that handle the same structures.
    pub functions: BTreeSet<String>,
    /// The files that the patch touches.
    pub files: BTreeSet<String>,
    /// The patch's own lines, by file and number; none for base.
    pub lines: BTreeSet<(String, u32)>,
}

/// What a kernel was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// `make kernelversion`.
    pub version: String,
    /// Where the source came from.
    pub source: String,
    /// The source's content hash.
    pub tree_hash: String,
    /// The files that the patch touches; none for base.
    pub patch_files: Vec<String>,
    /// SHA-256 of the patch series, in hex; empty for base.
    pub patch_sha256: String,
}

/// A kernel, by its hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// Its key in the cache: source, patch, config and compiler.
    pub key: String,
    /// SHA-256 of the image that was booted, in hex.
    pub image_sha256: String,
    /// SHA-256 of its `.config`, in hex.
    pub config_sha256: String,
    /// `make kernelrelease`.
    pub release: String,
    /// The compiler's own version line.
    pub compiler: String,
}

/// A boot's directory.
#[derive(Debug, Clone)]
pub struct CellDir {
    path: PathBuf,
}

impl CellDir {
    /// Makes a boot's directory, which must not be there yet.
    ///
    /// # Errors
    /// It cannot be made, or the boot's name is none for a folder.
    pub fn create(run: &Path, id: &str) -> Result<Self> {
        let path = run.join(folder_name(id)?);
        let failed = || format!("failed to make {}", path.display());
        fs::create_dir(&path).host(failed)?;
        fs::create_dir(path.join("splats")).host(failed)?;
        Ok(Self { path })
    }

    /// One that is there.
    pub fn open(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `cell.json`.
    ///
    /// # Errors
    /// The host's.
    pub fn write_cell(&self, cell: &CellFile) -> Result<()> {
        write_json(&self.path.join("cell.json"), cell)
    }

    /// Reads `cell.json` back.
    ///
    /// # Errors
    /// It is not there, or not as we write it.
    pub fn read_cell(&self) -> Result<CellFile> {
        let path = self.path.join("cell.json");
        let cell: CellFile = read_json(&path)?;
        if cell.schema == SCHEMA {
            return Ok(cell);
        }
        Err(Error::input(format!(
            "{} has schema {}, and this ktwin reads {SCHEMA}",
            path.display(),
            cell.schema
        )))
    }

    /// Writes `record.json`: the boot has ended.
    ///
    /// # Errors
    /// The host's.
    pub fn write_record(&self, record: &RunRecord) -> Result<()> {
        write_json(&self.path.join("record.json"), record)
    }

    /// Reads `record.json` back; a boot that was cut off has none.
    ///
    /// # Errors
    /// It is not there, or not as we write it.
    pub fn read_record(&self) -> Result<RunRecord> {
        read_json(&self.path.join("record.json"))
    }

    /// Makes a file that grows.
    pub(super) fn growing(&self, name: &str) -> Result<File> {
        let path = self.path.join(name);
        File::create_new(&path).host(|| format!("failed to make {}", path.display()))
    }

    /// Adds to a file that not every boot has.
    pub(super) fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        let file = File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(bytes))
            .host(|| format!("failed to write {}", path.display()))
    }

    /// Writes a splat's text; gives its name within the directory.
    pub(super) fn write_splat(&self, number: usize, class: &str, text: &[u8]) -> Result<String> {
        let class: String = class
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .take(32)
            .collect();
        let name = format!("splats/{number:04}-{class}.txt");
        let mut file = self.growing(&name)?;
        file.write_all(text)
            .host(|| format!("failed to write {name}"))?;
        Ok(name)
    }

    /// Writes `stalls.ndjson`: every stall point and what came of it, one a line.
    ///
    /// # Errors
    /// The host's.
    pub fn write_stalls(&self, points: &[PointCount]) -> Result<()> {
        let path = self.path.join("stalls.ndjson");
        let mut text = Vec::new();
        for point in points {
            let failed = || format!("failed to write {}", path.display());
            serde_json::to_writer(&mut text, point).host(failed)?;
            text.push(b'\n');
        }
        write_whole(&path, &text)
    }

    /// Writes fio's report whole: `fio.json`, and with a number for further phases.
    pub(super) fn write_fio(&self, nth: usize, report: &serde_json::Value) -> Result<()> {
        let name = if nth == 0 {
            "fio.json".into()
        } else {
            format!("fio-{}.json", nth + 1)
        };
        write_json(&self.path.join(name), report)
    }

    /// Writes what QEMU itself complained about.
    pub(super) fn write_stderr(&self, text: &str) -> Result<()> {
        write_whole(&self.path.join("qemu-stderr.log"), text.as_bytes())
    }
}

/// Whether a boot's id can be its folder's name.
pub(crate) fn is_folder_name(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    !id.is_empty() && !id.starts_with('.') && id.len() <= 128 && id.chars().all(plain)
}

/// A boot's id as a folder's name.
fn folder_name(id: &str) -> Result<&str> {
    if !is_folder_name(id) {
        return Err(Error::infrastructure(format!(
            "{id:?} cannot be the name of a boot"
        )));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boots_name_stays_within_the_run() {
        for id in ["", "..", ".x", "a/b", "a\nb", "/etc"] {
            assert!(folder_name(id).is_err(), "{id:?}");
        }
        assert!(folder_name("kasan+my.own-ida-hashtable-1").is_ok());
    }

    #[test]
    fn a_splats_name_is_plain_whatever_its_class() {
        let temp = tempfile::tempdir().unwrap();
        let dir = CellDir::create(temp.path(), "c").unwrap();
        let table = [
            (1, "kasan", "splats/0001-kasan.txt"),
            (20, "../../x", "splats/0020-x.txt"),
        ];
        for (number, class, expected) in table {
            assert_eq!(dir.write_splat(number, class, b"text").unwrap(), expected);
            assert_eq!(fs::read(dir.path().join(expected)).unwrap(), b"text");
        }
    }

    #[test]
    fn a_boot_is_never_written_over() {
        let temp = tempfile::tempdir().unwrap();
        CellDir::create(temp.path(), "c").unwrap();
        assert!(CellDir::create(temp.path(), "c").is_err());
    }
}
