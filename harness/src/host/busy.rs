//! How much of this host's CPU time goes to others than one machine: proc(5)'s `stat` files, read twice.

use std::fs;

use nix::unistd::Pid;

/// CPU times up to a moment, in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Of all CPUs, idle ones included.
    all: u64,
    /// That somebody used; for a virtual host, what its own host gave to others too.
    busy: u64,
    /// That the machine used.
    own: u64,
}

impl Moment {
    /// Now, for a machine whose processes are one group's; none where procfs does not tell.
    pub fn now(group: Pid) -> Option<Self> {
        let (all, busy) = host(&fs::read_to_string("/proc/stat").ok()?)?;
        let folders = fs::read_dir("/proc").ok()?.flatten();
        let of_processes = folders.filter_map(|folder| {
            let name = folder.file_name();
            name.to_str()?.parse::<u32>().ok()?;
            // A process may be gone by now.
            let text = fs::read_to_string(folder.path().join("stat")).ok()?;
            let (its_group, took) = process(&text)?;
            (its_group == group.as_raw()).then_some(took)
        });
        let own = of_processes.sum();
        Some(Self { all, busy, own })
    }

    /// The share of the host's CPUs that others had until a later moment, 0 to 1.
    pub fn others(&self, later: &Self) -> Option<f64> {
        let passed = later.all.checked_sub(self.all).filter(|all| *all > 0)?;
        let busy = later.busy.saturating_sub(self.busy);
        let others = busy.saturating_sub(later.own.saturating_sub(self.own));
        Some((others as f64 / passed as f64).min(1.0))
    }
}

/// All and busy ticks, from the first line of `/proc/stat`.
fn host(text: &str) -> Option<(u64, u64)> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Option<Vec<u64>> = fields.split_whitespace().map(|f| f.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests' times are in user's and nice's.
    let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = ticks?[..] else {
        return None;
    };
    let busy = user + nice + system + irq + softirq + steal;
    Some((busy + idle + iowait, busy))
}

/// A process's group, and the ticks that it took, from its `stat`.
fn process(text: &str) -> Option<(i32, u64)> {
    // Its name, in parentheses, may hold anything.
    let mut fields = text.rsplit_once(") ")?.1.split_whitespace();
    let group = fields.nth(2)?.parse().ok()?;
    let user: u64 = fields.nth(8)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((group, user.saturating_add(system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read() {
        let stat = "cpu  100 20 30 800 50 1 2 7 60 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n";
        assert_eq!(host(stat), Some((1010, 160)));
        assert_eq!(host("cpu  1 2 3\n"), None);
        assert_eq!(host("intr 1\n"), None);
        let qemu = "42 (a) (b) c) S 1 77 77 0 -1 4194560 1 2 3 4 500 60 7 8 20 0 3 0 9 10 11";
        assert_eq!(process(qemu), Some((77, 560)));
        assert_eq!(process("42 (x) S 1"), None);
    }

    #[test]
    fn shares() {
        let at = |all, busy, own| Moment { all, busy, own };
        for (from, to, others) in [
            (at(0, 0, 0), at(100, 60, 50), Some(0.1)),
            (at(100, 60, 50), at(200, 160, 50), Some(1.0)),
            (at(100, 60, 50), at(200, 90, 90), Some(0.0)),
            (at(100, 60, 50), at(100, 60, 50), None),
            (at(100, 60, 50), at(90, 60, 50), None),
        ] {
            assert_eq!(from.others(&to), others, "{from:?} {to:?}");
        }
    }

    #[test]
    fn this_host_tells() {
        let own = Moment::now(nix::unistd::getpgrp()).expect("procfs is there");
        assert!(own.busy <= own.all && own.own <= own.busy, "{own:?}");
    }
}
