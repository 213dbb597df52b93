//! Runs a command in its room under limits, and measures its CPU time from inside.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::{
    guard::{Breach, Guard, PROCESSES},
    room::{Room, Sandbox},
};
use crate::{Error, Result, cancel::Cancel, error::Fault, host::Output};

/// The largest file that a build may write, in bytes; a distribution's vmlinux is a tenth of it.
const LARGEST_FILE: u64 = 8 << 30;

/// Runs its arguments, then prints what they took: bubblewrap does not wait for
/// its child, so the kernel credits us with nothing.
const TIMED: &str = r#""$@"; code=$?; echo; echo ktwin: times; times; exit $code"#;
const TIMES: &str = "ktwin: times";

/// Compiles a line in /tmp: without a /tmp that can be written gcc aborts, and
/// kbuild's probes of its options change flags without a word.
const PROBE: &str = r#"set -e
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
echo 'int probe;' > "$t/probe.c"
gcc -c -o "$t/probe.o" "$t/probe.c"
gcc --version | head -n 1
ld --version | head -n 1
"#;

/// How long the probe may take: a moment, but on a host that is busy beyond measure.
const PROBING: Duration = Duration::from_secs(600);

/// A limit, or what this process is itself held to: nobody in there may raise that.
fn at_most(resource: Resource, limit: u64) -> u64 {
    match getrlimit(resource) {
        Ok((_, hard)) if hard != RLIM_INFINITY => limit.min(hard),
        _ => limit,
    }
}

/// One command to run inside.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// How long it may take.
    pub limit: Duration,
    /// A file that everything printed is appended to.
    pub log: Option<PathBuf>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ran {
    /// As for any command; `cpu` is what it took inside.
    pub output: Output,
    /// The whole command, for messages.
    pub line: String,
}

/// The tools that a kernel is made with, as their own first lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// gcc's.
    pub compiler: String,
    /// ld's.
    pub binutils: String,
}

impl Sandbox {
    /// Runs a job, handing each line that it prints to `each`.
    ///
    /// # Errors
    /// It could not start, went over a limit, or the user stopped it. A failing
    /// command is no error here.
    pub fn run(
        &self,
        room: &Room<'_>,
        job: &Job,
        cancel: &Cancel,
        mut each: impl FnMut(&str),
    ) -> Result<Ran> {
        let mut cmd = self
            .command(room)
            .args(["prlimit", "--core=0"])
            .arg(format!(
                "--nproc={}",
                at_most(Resource::RLIMIT_NPROC, PROCESSES as u64)
            ))
            .arg(format!(
                "--fsize={}",
                at_most(Resource::RLIMIT_FSIZE, LARGEST_FILE)
            ))
            .args(["--", "sh", "-c", TIMED, "sh"])
            .args(&job.words)
            .limit(job.limit);
        if let Some(log) = &job.log {
            cmd = cmd.log(log);
        }
        let line = words(&job.words);
        let guard = Guard::start(room.build, cancel);
        let mut own = Own::default();
        let ran = cmd.lines(&guard.cancel, |l| {
            if !own.is(l) && !l.is_empty() {
                each(l);
            }
        });
        if let Some(breach) = guard.end() {
            return Err(went_over(breach, &line));
        }
        let mut output = ran?;
        let (before, times) = split_times(&output.stdout);
        output.cpu = times.unwrap_or(output.cpu);
        output.stdout.truncate(before);
        Ok(Ran { output, line })
    }

    /// The toolchain as builds see it; proves that gcc works in there.
    ///
    /// # Errors
    /// The compiler or linker does not run.
    pub fn toolchain(&self, scratch: &Path, cancel: &Cancel) -> Result<Toolchain> {
        let room = Room {
            source: scratch,
            build: scratch,
            config: None,
            kept: None,
        };
        let job = Job {
            words: ["sh", "-c", PROBE].map(OsString::from).to_vec(),
            limit: PROBING,
            log: None,
        };
        let ran = self.run(&room, &job, cancel, |_| {})?;
        let text = ran.output.text();
        let mut lines = text.lines();
        match (ran.output.success(), lines.next(), lines.next()) {
            (true, Some(compiler), Some(binutils)) => Ok(Toolchain {
                compiler: compiler.to_owned(),
                binutils: binutils.to_owned(),
            }),
            _ => {
                let said = String::from_utf8_lossy(&ran.output.stderr);
                let message = format!(
                    "gcc and ld do not work where kernels are built: {}",
                    said.trim()
                );
                Err(Error::infrastructure(message)
                    .mend("`cargo xtask doctor` says what is missing"))
            }
        }
    }
}

/// Tells our own lines from a command's. What it wrote to its other stream before may be read after
/// them: a compiler's errors, say.
#[derive(Default)]
struct Own {
    began: bool,
}

impl Own {
    fn is(&mut self, line: &str) -> bool {
        self.began |= line == TIMES;
        line == TIMES || self.began && cpu(line).is_some()
    }
}

fn words(words: &[OsString]) -> String {
    let quoted = words
        .iter()
        .map(|w| crate::host::command::quote(&w.to_string_lossy()));
    quoted.collect::<Vec<_>>().join(" ")
}

fn went_over(breach: Breach, line: &str) -> Error {
    match breach {
        Breach::Disk => Error::infrastructure(format!("the disk is full: `{line}` was ended"))
            .mend("cargo xtask cache gc, or set KTWIN_CACHE to a larger disk"),
        Breach::Processes => Error::new(
            Fault::Untestable,
            format!("`{line}` started more than {PROCESSES} processes and was ended"),
        ),
    }
}

/// Where our own lines begin, and the CPU time of the shell's children.
fn split_times(stdout: &[u8]) -> (usize, Option<Duration>) {
    let text = String::from_utf8_lossy(stdout);
    let Some(own) = memchr::memmem::rfind(stdout, TIMES.as_bytes()) else {
        return (stdout.len(), None);
    };
    let children = text.lines().last();
    (own.saturating_sub(1), children.and_then(cpu))
}

/// `0m1.25s 0m0.10s`: user and system.
fn cpu(line: &str) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    let mut fields = 0;
    for field in line.split_whitespace() {
        let (minutes, seconds) = field.strip_suffix('s')?.split_once('m')?;
        sum += Duration::from_secs(60 * minutes.parse::<u64>().ok()?);
        sum += Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
        fields += 1;
    }
    (fields == 2).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let table = [
            ("0m1.250s 0m0.100s", Some(1350)),
            ("2m0.5s 1m0.0s", Some(180_500)),
            ("0m1.250s", None),
            ("no times", None),
            ("0m-1s 0m0s", None),
        ];
        for (line, millis) in table {
            assert_eq!(cpu(line), millis.map(Duration::from_millis), "{line}");
        }
    }

    #[test]
    fn errors_that_are_read_late_are_handed_on() {
        let mut own = Own::default();
        let lines = [
            "one",
            TIMES,
            "0m0.01s 0m0.02s",
            "a.c:1: error: two",
            "0m1.0s 0m0.0s",
        ];
        let handed = lines.into_iter().filter(|line| !own.is(line));
        assert_eq!(handed.collect::<Vec<_>>(), ["one", "a.c:1: error: two"]);
    }

    #[test]
    fn our_own_lines_are_taken_off() {
        let out = b"one\ntwo\n\nktwin: times\n0m0s 0m0s\n0m2.0s 0m1.0s\n";
        let (before, times) = split_times(out);
        assert_eq!(&out[..before], b"one\ntwo\n");
        assert_eq!(times, Some(Duration::from_secs(3)));
        assert_eq!(split_times(b"cut off"), (7, None));
    }
}
