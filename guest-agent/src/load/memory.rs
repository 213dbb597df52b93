//! Many backing ids, and what lives in the kernel's slab caches with so many.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use protocol::{Counters, GuestMessage, Memory, Slab, SlabState, Slabs};

use super::{
    one_file::OneFile,
    run::{Context, Ended},
};
use crate::{heartbeat::Progress, sys};

/// Where it is mounted.
const AT: &str = "/mnt/memory";
/// Where each cache has its folder.
const CACHES: &str = "/sys/kernel/slab";
/// All caches in lines.
const SLABINFO: &str = "/proc/slabinfo";
/// Of so many registrations one is kept, where holes are wanted.
const KEPT_ONE_IN: u32 = 8;
/// Holes are made up to this many kept ids: it takes eight registrations each.
const SPARSE_MOST: u32 = 10_000;
/// How many ids are churned, and how often each.
const CHURNED: u32 = 1000;
const CHURNS: u32 = 10;
/// What was freed is gone after a grace period or two.
const SETTLES: Duration = Duration::from_millis(300);

/// How many ids were registered.
#[derive(Default)]
struct Registered(AtomicU64);

impl Progress for Registered {
    fn counters(&self) -> Counters {
        let registered = self.0.load(Ordering::Relaxed);
        Counters::from([("registered".to_owned(), registered)])
    }
}

/// Registers ids up to each number, and looks at the caches there.
pub(crate) fn run(load: &Context<'_>, wanted: &Memory) -> Result<Ended> {
    let registered = Arc::new(Registered::default());
    load.heart.watch(load.phase, registered.clone());
    let churned = [CHURNED.min(wanted.ids.last().copied().unwrap_or(0))];
    let mut stuck = Vec::new();
    for (state, numbers) in [
        (SlabState::Dense, wanted.ids.as_slice()),
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
    let look = |ids| -> Result<()> {
        let caches = slabs()?;
        load.out
            .send(&GuestMessage::Slabs(Slabs { ids, state, caches }))
    };
    look(0)?;
    let mut ids = Vec::new();
    let most = |number: &&u32| state != SlabState::Sparse || **number <= SPARSE_MOST;
    for number in numbers.iter().filter(most) {
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
        look(*number)?;
    }
    Ok(())
}

/// The caches' live objects, each cache shrunk before: what a CPU keeps for the next allocation would
/// otherwise be taken for live.
fn slabs() -> Result<BTreeMap<String, Slab>> {
    thread::sleep(SETTLES);
    for cache in fs::read_dir(CACHES)
        .context("read /sys/kernel/slab")?
        .flatten()
    {
        // Aliases have none, and some caches cannot be shrunk.
        let _ = fs::write(cache.path().join("shrink"), "1");
    }
    let text = fs::read_to_string(SLABINFO).context("read /proc/slabinfo")?;
    let slabs = parse(&text);
    if slabs.is_empty() {
        bail!("/proc/slabinfo holds no caches");
    }
    Ok(slabs)
}

/// `name <active_objs> <num_objs> <objsize> ...`, after two lines of headings.
fn parse(slabinfo: &str) -> BTreeMap<String, Slab> {
    let caches = slabinfo.lines().skip(2).filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let objects = words.next()?.parse().ok()?;
        let size = words.nth(1)?.parse().ok()?;
        Some((name, Slab { objects, size }))
    });
    caches.filter(|(_, slab)| slab.objects > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabinfo_is_read() {
        let text = "slabinfo - version: 2.1\n\
            # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>\n\
            radix_tree_node      68    112    584   28    4 : tunables    0    0    0 : slabdata\n\
            kmalloc-64            0     64     64   64    1 : tunables    0    0    0 : slabdata\n\
            odd\n";
        let slab = Slab {
            objects: 68,
            size: 584,
        };
        assert_eq!(
            parse(text),
            BTreeMap::from([("radix_tree_node".to_owned(), slab)])
        );
    }
}
