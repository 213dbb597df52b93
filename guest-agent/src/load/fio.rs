//! fio over a FUSE passthrough mount.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::sync,
};
use protocol::{
    Counters, FindingKind, Fio, FioResult, GuestMessage, MAX_LINE, SCRATCH_DISK, Store,
};

use super::{
    exec::{ENVIRONMENT, failure, stuck},
    run::{Context, Ended},
};
use crate::{
    disks,
    fs::{
        mount::Mounted,
        server::{Passthrough, Traffic},
    },
    heartbeat::Progress,
    job::{self, CpuTime},
    reap::End,
};

/// The program.
const FIO: &str = "fio";
/// Where the backing files lie.
const STORE: &str = "/scratch";
/// Where fio works.
const AT: &str = "/mnt/fuse";
/// fio's report.
const REPORT: &str = "/run/fio.json";
/// Threads that answer FUSE requests; opens only, for the kernel does the rest.
const SERVERS: usize = 2;
/// How long the servers may take to end.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(30);
/// What fio may take beyond its run time: its start, its threads' setup, its report.
const BEYOND: Duration = Duration::from_secs(90);

/// Counters of the phase.
#[derive(Default)]
struct Work {
    laid_mib: AtomicU64,
    cpu: Arc<CpuTime>,
    traffic: Arc<Traffic>,
}

impl Progress for Work {
    fn counters(&self) -> Counters {
        let mut counters = self.cpu.counters();
        let traffic = [
            ("laid_mib", &self.laid_mib),
            ("opens", &self.traffic.opens),
            ("server_reads", &self.traffic.reads),
            ("server_writes", &self.traffic.writes),
        ];
        counters.extend(traffic.map(|(name, count)| (name.into(), count.load(Ordering::Relaxed))));
        counters
    }
}

/// Runs fio for so long.
pub(crate) fn run(load: &Context<'_>, wanted: &Fio, time: Duration) -> Result<Ended> {
    let work = Arc::new(Work::default());
    load.heart.watch(load.phase, work.clone());

    mount_store(wanted.store)?;
    lay_files(Path::new(STORE), wanted, load.seed, &work.laid_mib)?;
    let server =
        Passthrough::new(Path::new(STORE), work.traffic.clone()).context("serve the store")?;
    let mounted = Mounted::new(server, Path::new(AT), SERVERS)?;

    let mut command = Command::new(FIO);
    command
        .args(arguments(wanted, time, load.seed))
        .env_clear()
        .envs(ENVIRONMENT.iter().copied())
        .current_dir("/");
    let unheard = |_: &[u8]| {};
    let outcome = job::run(&mut command, time + BEYOND, load.stop, &work.cpu, unheard);

    let mut stuck = stuck(FIO, &outcome);
    stuck.extend(mounted.end(COMES_BACK_WITHIN));
    if stuck.is_empty() {
        umount2(STORE, MntFlags::MNT_DETACH).context("unmount the store")?;
    }
    if let Some(error) = outcome.error.as_ref().filter(|_| stuck.is_empty()) {
        bail!("fio: {error}");
    }
    let code = match outcome.end {
        Some(End::Code(code)) => code,
        // As a shell would say it.
        Some(End::Signal(signal)) => 128 + signal,
        None => -1,
    };
    if let Some(title) = failure(FIO, &outcome, 0, load.stop.is_set()) {
        load.findings
            .report(FindingKind::CommandFailed, &title, || outcome.told());
    }
    load.out.send(&GuestMessage::FioResult(result(
        code,
        outcome.output.text(),
    )))?;
    Ok(Ended {
        progress: work,
        stuck,
    })
}

fn mount_store(store: Store) -> Result<()> {
    fs::create_dir_all(STORE).with_context(|| format!("make {STORE}"))?;
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOATIME;
    match store {
        Store::Tmpfs => mount(Some("store"), STORE, Some("tmpfs"), flags, Some("size=80%"))
            .context("mount a tmpfs"),
        Store::Ext4 => {
            let disk = disks::by_serial(SCRATCH_DISK)
                .with_context(|| format!("no disk with serial {SCRATCH_DISK}"))?;
            mount(Some(&disk), STORE, Some("ext4"), flags, None::<&str>)
                .with_context(|| format!("mount ext4 from {}", disk.display()))
        }
    }
}

/// Writes each job's file beforehand, with bytes that no filesystem can leave
/// out, so that fio measures reads and writes and not its own layout.
fn lay_files(store: &Path, wanted: &Fio, seed: u64, laid_mib: &AtomicU64) -> Result<()> {
    let mut block = vec![0; 1 << 20];
    Rng::with_seed(seed).fill(&mut block);
    for job in 0..wanted.jobs {
        let path = store.join(file_name(job));
        let mut file = BufWriter::new(
            File::create(&path).with_context(|| format!("make {}", path.display()))?,
        );
        for _ in 0..wanted.file_mib {
            file.write_all(&block)
                .with_context(|| format!("fill {}", path.display()))?;
            laid_mib.fetch_add(1, Ordering::Relaxed);
        }
        file.flush()
            .with_context(|| format!("fill {}", path.display()))?;
    }
    sync();
    Ok(())
}

/// As `filename_format` below makes it.
fn file_name(job: u32) -> String {
    format!("job.{job}")
}

fn arguments(wanted: &Fio, time: Duration, seed: u64) -> Vec<String> {
    let Fio {
        jobs,
        engine,
        pattern,
        block,
        file_mib,
        ..
    } = wanted;
    vec![
        "--name=ktwin".into(),
        format!("--directory={AT}"),
        "--filename_format=job.$jobnum".into(),
        format!("--size={file_mib}m"),
        format!("--numjobs={jobs}"),
        format!("--ioengine={engine}"),
        format!("--rw={pattern}"),
        format!("--bs={block}"),
        "--time_based".into(),
        format!("--runtime={}", time.as_secs()),
        // Each job draws its own offsets from the one seed, the same in every
        // boot. fio takes 31 bits of it.
        format!("--randseed={}", seed & 0x7fff_ffff),
        "--direct=0".into(),
        // The files are there already, and stay as large as they are.
        "--fallocate=none".into(),
        // One set of figures, so that the report stays small with many jobs.
        "--group_reporting".into(),
        "--thread".into(),
        "--eta=never".into(),
        "--output-format=json".into(),
        format!("--output={REPORT}"),
    ]
}

fn result(code: i32, stderr: String) -> FioResult {
    let report = fs::read(REPORT).unwrap_or_default();
    parse(code, &report, stderr)
}

/// fio writes its warnings before the JSON.
fn parse(code: i32, report: &[u8], mut stderr: String) -> FioResult {
    // Its end, with room for the rest of the message, even if all of it is escaped.
    let over = stderr.len().saturating_sub(16 << 10);
    stderr.drain(..stderr.ceil_char_boundary(over));
    let start = report
        .iter()
        .position(|&byte| byte == b'{')
        .unwrap_or(report.len());
    let (before, body) = report.split_at(start);
    stderr.push_str(&String::from_utf8_lossy(&before[..before.len().min(4096)]));
    let json = if body.len() > MAX_LINE - (256 << 10) {
        None
    } else {
        serde_json::from_slice(body).ok()
    };
    FioResult {
        code,
        json: json.unwrap_or_default(),
        stderr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_laid_where_fio_looks_for_them() {
        let wanted = Fio {
            store: Store::Tmpfs,
            jobs: 2,
            engine: "io_uring".into(),
            pattern: "randrw".into(),
            block: "4k".into(),
            file_mib: 1,
        };
        let arguments = arguments(&wanted, Duration::from_secs(10), 7);
        for wanted in [
            "--filename_format=job.$jobnum",
            "--size=1m",
            "--numjobs=2",
            "--runtime=10",
            "--randseed=7",
        ] {
            assert!(
                arguments.iter().any(|argument| argument == wanted),
                "{wanted}"
            );
        }
        let store = std::env::temp_dir().join(format!("ktwin-fio-{}", std::process::id()));
        fs::create_dir_all(&store).unwrap();
        let laid = AtomicU64::new(0);
        lay_files(&store, &wanted, 7, &laid).unwrap();
        assert_eq!(laid.into_inner(), 2);
        for job in 0..2 {
            assert_eq!(
                fs::metadata(store.join(format!("job.{job}")))
                    .unwrap()
                    .len(),
                1 << 20
            );
        }
        fs::remove_dir_all(store).unwrap();
    }

    #[test]
    fn what_is_no_json_is_null_and_warnings_are_kept() {
        let good = parse(0, b"fio: a warning\n{\"jobs\": []}\n", String::new());
        assert_eq!(
            (good.json, good.stderr.as_str()),
            (serde_json::json!({"jobs": []}), "fio: a warning\n")
        );
        let much = format!("{}why", "\u{e4}".repeat(16 << 10));
        let kept = parse(1, b"", much).stderr;
        assert!(kept.ends_with("\u{e4}why") && kept.len() <= 16 << 10);
        assert_eq!(parse(1, b"", "no".into()).json, serde_json::Value::Null);
        assert_eq!(
            parse(1, b"{\"cut", "no".into()).json,
            serde_json::Value::Null
        );
        assert_eq!(
            parse(0, &vec![b'{'; MAX_LINE], String::new()).json,
            serde_json::Value::Null
        );
    }
}
