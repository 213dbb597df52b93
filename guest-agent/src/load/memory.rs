//! Many backing ids, and what lives in the kernel's memory with so many.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use protocol::{Counters, GuestMessage, Memory, Slab, SlabState, Slabs};

use super::{
    one_file::{NAME, OneFile},
    run::{Context, Ended},
};
use crate::{heartbeat::Progress, sys};

/// Where they are mounted, each in its own folder.
const AT: &str = "/mnt/memory";
/// How many connections are made to see what one takes.
const CONNECTIONS: u32 = 16;
/// Where each cache has its folder.
const CACHES: &str = "/sys/kernel/slab";
/// All caches in lines.
const SLABINFO: &str = "/proc/slabinfo";
/// What all of them and the rest take together.
const MEMINFO: &str = "/proc/meminfo";
const REFRESH: &str = "/proc/sys/vm/stat_refresh";
const PAGE: u64 = 4096;
/// What `kmalloc` has straight from the page allocator, above 8 KiB.
const LARGE: &str = "large kmalloc";
const VMALLOC: &str = "vmalloc";
/// Of so many registrations one is kept, where holes are wanted.
const KEPT_ONE_IN: u32 = 8;
/// How many ids are churned, and how often each.
const CHURNED: u32 = 1000;
const CHURNS: u32 = 10;
/// How many opens are timed.
const TIMED: usize = 1000;
/// From an id that an open is answered with to the next one's: all parts of a table are met alike.
const STRIDE: usize = 61_803;
/// What was freed is gone after a grace period or two.
const SETTLES: Duration = Duration::from_millis(300);
/// What was freed may take its time: a batch that waits for a grace period leaves after five seconds at
/// the latest.
const QUIET_AFTER: usize = 20;

/// How many ids were registered.
#[derive(Default)]
struct Registered(AtomicU64);

impl Progress for Registered {
    fn counters(&self) -> Counters {
        let registered = self.0.load(Ordering::Relaxed);
        Counters::from([("registered".to_owned(), registered)])
    }
}

/// Makes connections, then registers ids up to each number, and looks at the caches there.
pub(crate) fn run(load: &Context<'_>, wanted: &Memory) -> Result<Ended> {
    let registered = Arc::new(Registered::default());
    load.heart.watch(load.phase, registered.clone());
    let mut stuck = connect(load)?;
    let churned = [CHURNED.min(wanted.ids.last().copied().unwrap_or(0))];
    // What is churned is compared with as many ids that were not.
    let dense: BTreeSet<u32> = wanted.ids.iter().chain(&churned).copied().collect();
    let dense: Vec<u32> = dense.into_iter().collect();
    for (state, numbers) in [
        (SlabState::Dense, dense.as_slice()),
        (SlabState::Sparse, wanted.ids.as_slice()),
        (SlabState::Churned, churned.as_slice()),
    ] {
        if load.stop.is_set() || !stuck.is_empty() {
            break;
        }
        let mount = OneFile::mount(Path::new(AT))?;
        grow(load, &mount, state, numbers, &registered)?;
        stuck = mount.end();
    }
    Ok(Ended {
        progress: registered,
        stuck,
    })
}

/// What connections take that have negotiated passthrough and hold no id.
fn connect(load: &Context<'_>) -> Result<Vec<String>> {
    let at = |number: u32| Path::new(AT).join(format!("connection-{number}"));
    // What the first one leaves behind for those after it is no part of them.
    let mut stuck = OneFile::mount(&at(0))?.end();
    look(load, SlabState::Connected, 0, settled()?, None)?;
    let mounts: Vec<OneFile> = (0..CONNECTIONS)
        .map(|number| OneFile::mount(&at(number)))
        .collect::<Result<_>>()?;
    // Passthrough is on once INIT is answered, as it is before the first open returns.
    for number in 0..CONNECTIONS {
        let file = at(number).join(NAME);
        fs::metadata(&file).with_context(|| format!("look at {}", file.display()))?;
    }
    look(load, SlabState::Connected, CONNECTIONS, settled()?, None)?;
    stuck.extend(mounts.into_iter().flat_map(OneFile::end));
    Ok(stuck)
}

fn look(
    load: &Context<'_>,
    state: SlabState,
    alive: u32,
    caches: BTreeMap<String, Slab>,
    open_ns: Option<u64>,
) -> Result<()> {
    let slabs = Slabs {
        alive,
        state,
        caches,
        open_ns,
    };
    load.out.send(&GuestMessage::Slabs(slabs))
}

fn grow(
    load: &Context<'_>,
    mount: &OneFile,
    state: SlabState,
    numbers: &[u32],
    registered: &Registered,
) -> Result<()> {
    let device = mount.device.as_fd();
    let register = || {
        registered.0.fetch_add(1, Ordering::Relaxed);
        sys::backing_open(device, mount.backing.as_fd()).context("register a backing id")
    };
    let remove = |id| sys::backing_close(device, id).context("remove a backing id");
    look(load, state, 0, settled()?, None)?;
    let mut ids = Vec::new();
    for number in numbers {
        while ids.len() < *number as usize {
            if load.stop.is_set() {
                return Ok(());
            }
            ids.push(register()?);
            if state == SlabState::Sparse {
                let holes: Vec<u32> = (1..KEPT_ONE_IN)
                    .map(|_| register())
                    .collect::<Result<_>>()?;
                holes.into_iter().try_for_each(remove)?;
            }
        }
        if state == SlabState::Churned {
            for _ in 0..CHURNS {
                for id in &mut ids {
                    remove(*id)?;
                    *id = register()?;
                }
            }
        }
        let caches = settled()?;
        let timed = match state {
            SlabState::Dense => Some(time_opens(mount, &ids)?),
            _ => None,
        };
        look(load, state, *number, caches, timed)?;
    }
    Ok(())
}

/// The median time of opens that are answered with each of the ids in turn, in nanoseconds.
fn time_opens(mount: &OneFile, ids: &[u32]) -> Result<u64> {
    let path = Path::new(AT).join(NAME);
    let mut times = Vec::with_capacity(TIMED);
    for turn in 0..TIMED {
        let id = ids[turn * STRIDE % ids.len()];
        mount.id.store(id, Ordering::Release);
        let began = Instant::now();
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        times.push(began.elapsed());
        drop(file);
    }
    times.sort_unstable();
    Ok(u64::try_from(times[TIMED / 2].as_nanos()).unwrap_or(u64::MAX))
}

/// The caches once two readings agree, or the last reading where they never do.
fn settled() -> Result<BTreeMap<String, Slab>> {
    let mut last = slabs()?;
    for _ in 0..QUIET_AFTER {
        let now = slabs()?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}

/// The caches' live objects, each cache shrunk before: what a CPU keeps for the next allocation would
/// otherwise be taken for live. What is too large for a cache counts by its pages.
fn slabs() -> Result<BTreeMap<String, Slab>> {
    thread::sleep(SETTLES);
    for cache in fs::read_dir(CACHES)
        .context("read /sys/kernel/slab")?
        .flatten()
    {
        // Aliases have none, and some caches cannot be shrunk.
        let _ = fs::write(cache.path().join("shrink"), "1");
    }
    // Each CPU counts for itself, and adds it up now and then, or at this.
    fs::write(REFRESH, "1").with_context(|| format!("write {REFRESH}"))?;
    let read = |path| fs::read_to_string(path).with_context(|| format!("read {path}"));
    let (mut caches, pages) = parse(&read(SLABINFO)?);
    if caches.is_empty() {
        bail!("{SLABINFO} holds no caches");
    }
    let meminfo = read(MEMINFO)?;
    let in_pages = |name| kilobytes(&meminfo, name).map(|kb| kb * 1024 / PAGE);
    let slab = in_pages("SReclaimable").zip(in_pages("SUnreclaim"));
    let large = slab.map(|(some, others)| (some + others).saturating_sub(pages));
    for (name, pages) in [(LARGE, large), (VMALLOC, in_pages("VmallocUsed"))] {
        let objects =
            pages.with_context(|| format!("{MEMINFO} does not say all of slab and vmalloc"))?;
        caches.insert(
            name.to_owned(),
            Slab {
                objects,
                size: PAGE,
            },
        );
    }
    Ok(caches)
}

/// `name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> ... <num_slabs> ...`, after
/// two lines of headings; and the pages of all.
fn parse(slabinfo: &str) -> (BTreeMap<String, Slab>, u64) {
    let mut pages = 0;
    let caches = slabinfo.lines().skip(2).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        pages += number(5)? * number(14)?;
        let slab = Slab {
            objects: number(1)?,
            size: number(3)?,
        };
        Some((words.first()?.to_string(), slab))
    });
    let caches = caches.filter(|(_, slab)| slab.objects > 0).collect();
    (caches, pages)
}

/// `name:   number kB`.
fn kilobytes(meminfo: &str, name: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabinfo_is_read() {
        let text = "slabinfo - version: 2.1\n\
            # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>\n\
            radix_tree_node      68    112    584   28    4 : tunables    0    0    0 : slabdata      4      4      0\n\
            kmalloc-64            0     64     64   64    1 : tunables    0    0    0 : slabdata      1      1      0\n\
            odd\n";
        let slab = Slab {
            objects: 68,
            size: 584,
        };
        let caches = BTreeMap::from([("radix_tree_node".to_owned(), slab)]);
        assert_eq!(parse(text), (caches, 4 * 4 + 1));
    }

    #[test]
    fn meminfo_is_read() {
        let text = "MemTotal:   1000 kB\nSReclaimable:     36 kB\nSReclaimableOdd:  1 kB\n";
        assert_eq!(kilobytes(text, "SReclaimable"), Some(36));
        assert_eq!(kilobytes(text, "SUnreclaim"), None);
        assert_eq!(kilobytes("SUnreclaim: many kB", "SUnreclaim"), None);
    }
}
