//! The kernel's leak detector, scanned at the end.
//!
//! An object is reported by the kernel once it was white in two scans with the
//! same checksum, and is five seconds old. The first scan here only takes
//! checksums; an object is a finding if both scans after it list it.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use protocol::{DetectorState, FindingKind};

use crate::{findings::Findings, kmsg};

pub(crate) const FILE: &str = "/sys/kernel/debug/kmemleak";
/// In how many scans on end an object must be white before the kernel lists it; from 7.3 on, and more than
/// one with `CONFIG_DEBUG_KMEMLEAK_VERBOSE`.
const LISTED_AFTER: &str = "/sys/module/kmemleak/parameters/min_unref_scans";
/// The kernel reports nothing younger than 5 s; a little more, for its clock
/// counts in jiffies.
const YOUNG: Duration = Duration::from_millis(5500);
/// Functions that allocate on somebody else's behalf.
const ALLOCATORS: &[&str] = &[
    "kmemleak_",
    "kmem_cache_alloc",
    "__kmalloc",
    "kmalloc",
    "krealloc",
    "kvmalloc",
    "__kvmalloc",
    "kzalloc",
    "kmemdup",
    "kstrdup",
    "kstrndup",
    "slab_",
    "___slab",
    "__slab",
    "vmalloc",
    "__vmalloc",
    "vzalloc",
    "pcpu_",
    "__alloc_percpu",
    "alloc_pages",
    "__alloc_pages",
    "memblock_",
    "__get_free_page",
    "percpu_ref_init",
];

/// Whether the detector is on: it refuses commands once it has disabled itself.
pub(crate) fn state() -> DetectorState {
    match command("scan=off") {
        Ok(()) => DetectorState::On,
        Err(error) if error.kind() == ErrorKind::NotFound => DetectorState::Absent,
        Err(_) => DetectorState::Off,
    }
}

/// Scans, twice after a first time, and reports what both scans listed.
pub(crate) fn scan_twice(findings: &Findings) -> Result<()> {
    // Its own thread would scan in between.
    if state() != DetectorState::On {
        return Ok(());
    }
    list_at_once(Path::new(LISTED_AFTER))?;
    let began = Instant::now();
    kmsg::phase_begin("kmemleak");
    command("scan").context("scan")?;
    thread::sleep(YOUNG.saturating_sub(began.elapsed()));
    let first = scan()?;
    // Nothing was listed, so nothing can be listed twice.
    let both = if first.is_empty() {
        first
    } else {
        &scan()? & &first
    };
    kmsg::phase_end("kmemleak");
    for leak in &both {
        findings.report(FindingKind::Leak, &leak.title(), || leak.0.clone());
    }
    Ok(())
}

/// Has the kernel list what one scan finds; the second look is this module's own.
fn list_at_once(parameter: &Path) -> Result<()> {
    if !parameter.exists() {
        return Ok(());
    }
    fs::write(parameter, "1").with_context(|| format!("write {}", parameter.display()))
}

fn scan() -> Result<BTreeSet<Leak>> {
    command("scan").context("scan")?;
    let listed = fs::read(FILE).context("read what the scan found")?;
    Ok(parse(&String::from_utf8_lossy(&listed)))
}

fn command(text: &str) -> std::io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(FILE)?
        .write_all(text.as_bytes())
}

/// One record of the kernel's list, whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Leak(String);

fn parse(text: &str) -> BTreeSet<Leak> {
    let mut leaks: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with("unreferenced object") {
            leaks.push(String::new());
        }
        if let Some(leak) = leaks.last_mut() {
            leak.push_str(line);
            leak.push('\n');
        }
    }
    leaks.into_iter().map(Leak).collect()
}

impl Leak {
    /// Names the function that asked for the memory: the first one past the allocator's own.
    fn title(&self) -> String {
        let frames = self
            .0
            .lines()
            .skip_while(|line| !line.trim_start().starts_with("backtrace"))
            .skip(1);
        let mut functions = frames.filter_map(function);
        let culprit = functions.find(|name| {
            !ALLOCATORS
                .iter()
                .any(|allocator| name.starts_with(allocator))
        });
        format!("memory leak in {}", culprit.unwrap_or("unknown function"))
    }
}

/// The function in a frame such as `fuse_backing_open+0x3c/0x90` or
/// `[<000000001234>] fuse_backing_open+0x3c/0x90`, without compiler suffixes.
fn function(frame: &str) -> Option<&str> {
    let symbol = frame.split_whitespace().find(|word| word.contains("+0x"))?;
    let name = symbol.split('+').next()?;
    name.split('.').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"unreferenced object 0xffff888004a3c2c0 (size 64):
  comm "race-churn-0", pid 61, jiffies 4294672350
  hex dump (first 32 bytes):
    01 00 00 00 00 00 00 00 c0 c2 a3 04 80 88 ff ff  ................
  backtrace (crc 2c1ab1f0):
    kmemleak_alloc_noprof+0x4e/0x90
    __kmalloc_cache_noprof+0x1d9/0x440
    fuse_backing_open.isra.0+0x9b/0x2c0
    fuse_dev_ioctl+0x1a2/0x3b0
unreferenced object (percpu) 0x607fd2a1 (size 8):
  comm "swapper/0", pid 1, jiffies 4294667400
  backtrace (crc 0):
    pcpu_alloc_noprof+0x4e/0x90
"#;

    #[test]
    fn a_leak_is_named_after_who_asked_for_the_memory() {
        let titles: Vec<String> = parse(LIST).iter().map(Leak::title).collect();
        assert_eq!(
            titles,
            [
                "memory leak in unknown function",
                "memory leak in fuse_backing_open"
            ]
        );
    }

    #[test]
    fn objects_are_listed_at_once_where_the_kernel_can_be_told() {
        let name = format!("ktwin-kmemleak-{}", std::process::id());
        let parameter = std::env::temp_dir().join(name);
        list_at_once(&parameter).unwrap();
        assert!(!parameter.exists());
        fs::write(&parameter, "2").unwrap();
        list_at_once(&parameter).unwrap();
        assert_eq!(fs::read_to_string(&parameter).unwrap(), "1");
        fs::remove_file(parameter).unwrap();
    }

    #[test]
    fn a_record_is_kept_whole() {
        let leaks = parse(LIST);
        assert_eq!(leaks.len(), 2);
        assert_eq!(
            leaks
                .iter()
                .map(|leak| leak.0.lines().count())
                .sum::<usize>(),
            LIST.lines().count()
        );
        assert!(parse("").is_empty());
    }

    #[test]
    fn addresses_before_a_symbol_do_not_matter() {
        assert_eq!(
            function("    [<00000000a1b2c3d4>] copy_process+0x1/0x2"),
            Some("copy_process")
        );
        assert_eq!(function("  no symbol here"), None);
    }
}
