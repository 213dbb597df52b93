//! Slurm on this one machine: a controller and two nodes on loopback, with a munged of their own.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use harness::host::doctor;
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};

/// The nodes, with one processor each.
const NODES: [&str; 2] = ["n1", "n2"];
/// How long anything of Slurm's may take to come up.
const UP: Duration = Duration::from_secs(60);

/// A cluster that ends with its owner.
pub(crate) struct Cluster {
    dir: PathBuf,
    daemons: Vec<(&'static str, Child)>,
}

impl Cluster {
    /// Starts it in a folder of its own.
    pub(crate) fn start(dir: &Path) -> Self {
        let mut cluster = Self {
            dir: dir.to_owned(),
            daemons: Vec::new(),
        };
        fs::create_dir(dir.join("state")).unwrap();
        fs::write(dir.join("munge.key"), [7; 1024]).unwrap();
        fs::set_permissions(dir.join("munge.key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(cluster.conf(), cluster.config()).unwrap();
        let file = |option: &str, name: &str| format!("--{option}={}", dir.join(name).display());
        let munged = [
            "--force".to_owned(),
            "--foreground".to_owned(),
            file("key-file", "munge.key"),
            file("socket", "munge.socket"),
            file("pid-file", "munged.pid"),
            file("log-file", "munged.log"),
            file("seed-file", "munged.seed"),
        ];
        cluster.daemon("munged", "munged", &munged);
        let socket = dir.join("munge.socket");
        wait("munged's socket", UP, || socket.exists());
        cluster.daemon("slurmctld", "slurmctld", &["-D".into(), "-i".into()]);
        for node in NODES {
            cluster.node(node);
        }
        cluster.all_up();
        cluster
    }

    /// The file that its commands have to read.
    pub(crate) fn conf(&self) -> PathBuf {
        self.dir.join("slurm.conf")
    }

    fn config(&self) -> String {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim().split('.').next().unwrap();
        let user = User::from_uid(geteuid()).unwrap().unwrap().name;
        let dir = self.dir.display();
        // Held until all are known, so that none is given twice.
        let ports = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [ctld, one, two] = ports.map(|port| port.local_addr().unwrap().port());
        format!(
            "ClusterName=ktwin\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
             SlurmctldPort={ctld}\nAuthType=auth/munge\nAuthInfo=socket={dir}/munge.socket,cred_expire=5\n\
             StateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/spool-%n\n\
             SlurmctldPidFile={dir}/slurmctld.pid\nSlurmdPidFile={dir}/slurmd-%n.pid\n\
             SlurmctldLogFile={dir}/slurmctld.log\nSlurmdLogFile={dir}/slurmd-%n.log\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\n\
             SlurmdTimeout=10\nKillWait=2\nReturnToService=2\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\n\
             NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={one} CPUs=1\n\
             NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={two} CPUs=1\n\
             PartitionName=all Nodes=n1,n2 Default=YES State=UP MaxTime=INFINITE\n"
        )
    }

    fn daemon(&mut self, name: &'static str, program: &str, args: &[String]) {
        let program = doctor::find(program)
            .unwrap_or_else(|| panic!("{program}: cargo xtask doctor --slurm --fix"));
        let log = fs::File::create(self.dir.join(format!("{name}.out"))).unwrap();
        let child = Command::new(program)
            .args(args)
            .env("SLURM_CONF", self.conf())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.daemons.push((name, child.unwrap()));
    }

    /// Starts a node, the first time or again.
    pub(crate) fn node(&mut self, node: &'static str) {
        self.daemon(node, "slurmd", &["-D".into(), "-N".into(), node.into()]);
    }

    /// Waits until no node is down.
    pub(crate) fn all_up(&self) {
        wait("both nodes", 2 * UP, || {
            let states = self.ask("sinfo", &["--noheader", "--Node", "--format=%T"]);
            let states = states.unwrap_or_default();
            let up = |state: &str| ["idle", "mixed", "allocated", "completing"].contains(&state);
            states.lines().filter(|state| up(state.trim())).count() == NODES.len()
        });
    }

    /// Whether a job waits or runs.
    pub(crate) fn has_jobs(&self) -> bool {
        // Where it does not say, there may be.
        let said = self.ask("squeue", &["--noheader"]);
        said.is_none_or(|jobs| !jobs.trim().is_empty())
    }

    /// What a command of Slurm's says, once the controller answers.
    fn ask(&self, program: &str, args: &[&str]) -> Option<String> {
        let output = Command::new(program)
            .args(args)
            .env("SLURM_CONF", self.conf())
            .output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(said)
    }

    /// Kills a node's slurmd; what runs there goes on.
    pub(crate) fn kill_daemon(&mut self, node: &str) {
        let at = self
            .daemons
            .iter()
            .position(|(name, _)| *name == node)
            .unwrap();
        let (_, mut child) = self.daemons.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills a node with everything that runs there, as if its power had gone.
    pub(crate) fn kill_node(&mut self, node: &str) {
        self.kill_daemon(node);
        let mine = self.processes(node);
        // Who would report that the others ended goes first.
        let steps = mine.iter().filter_map(|pid| step_of(*pid));
        let steps: Vec<i32> = steps.collect();
        for pid in steps.into_iter().chain(mine) {
            // It may have ended with the one before.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Whether a task runs on a node.
    pub(crate) fn is_busy(&self, node: &str) -> bool {
        !self.processes(node).is_empty()
    }

    /// Processes of tasks on a node of this cluster.
    fn processes(&self, node: &str) -> Vec<i32> {
        let wanted = [
            format!("SLURMD_NODENAME={node}"),
            format!("SLURM_CONF={}", self.conf().display()),
        ];
        let is_ours = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let set: Vec<&[u8]> = environment.split(|b| *b == 0).collect();
            wanted.iter().all(|one| set.contains(&one.as_bytes()))
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(is_ours).collect()
    }
}

/// The parent of a process, if that is one of Slurm's step daemons.
fn step_of(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    let parent: i32 = parent.trim().parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
    (name.trim() == "slurmstepd").then_some(parent)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in NODES {
            if self.daemons.iter().any(|(name, _)| *name == node) {
                self.kill_node(node);
            }
        }
        for (_, child) in &mut self.daemons {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until it is so.
pub(crate) fn wait(what: &str, limit: Duration, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(200));
    }
}
