//! One build: a tree configured, checked and compiled in a folder, and its image taken out.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use super::{
    compiled::compiled,
    diagnostics::Diagnostics,
    history::{self, Built},
    kbuild::{COMPILING, Kbuild},
    outputs::Outputs,
    progress::Tracker,
    pvh,
};
use crate::{
    Error, Result,
    build::{
        KernelImage,
        kconfig::{ConfigText, Symbols, lost},
        sandbox::{self, Kept, Ran, Room, Sandbox, Toolchain},
    },
    cache::{Cache, Kind},
    cancel::Cancel,
    error::{Context, Fault},
    event::{Event, Step, Watcher},
    hash::file_sha256,
    host::Output,
    plan::BASE,
    structures::{Size, sizes},
};

/// The signal that nobody can catch.
const SIGKILL: i32 = 9;

/// Largest outputs that are taken, in bytes.
const LARGEST_IMAGE: u64 = 4 << 30;
const LARGEST_TEXT: u64 = 4 << 20;
const LARGEST_OBJECT: u64 = 256 << 20;

/// What messages call a build, and whose fault its failure is.
pub(super) struct Name<'a> {
    /// `kasan base`
    pub what: String,
    pub config: &'a ConfigText,
    of: Of,
}

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Base,
    Variant,
    /// One of many, none of which is another's base.
    Commit,
}

impl<'a> Name<'a> {
    pub(super) fn new(config: &'a ConfigText, variant: Option<&str>) -> Self {
        Self {
            what: format!("{} {}", config.name, variant.unwrap_or(BASE)),
            config,
            of: match variant {
                Some(_) => Of::Variant,
                None => Of::Base,
            },
        }
    }

    pub(super) fn of_commit(config: &'a ConfigText, commit: &str) -> Self {
        Self {
            of: Of::Commit,
            ..Self::new(config, Some(commit))
        }
    }

    /// Whose fault a failure is, by whose it is of base. Where fragments do not fit a commit's tree,
    /// that is no failure of its own.
    fn fault(&self, of_base: Fault) -> Fault {
        match (self.of, of_base) {
            (Of::Base, _) | (Of::Commit, Fault::Input) => of_base,
            (Of::Variant | Of::Commit, _) => Fault::Untestable,
        }
    }

    /// A log's name: anything that is no plain character becomes `-`.
    fn log(&self, key: &str) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "_.".contains(c) {
                c
            } else {
                '-'
            }
        };
        let name: String = self.what.chars().map(plain).take(100).collect();
        format!("build-{name}-{:.8}.log", key)
    }
}

/// Everything that one build needs.
pub(super) struct Build<'a> {
    pub cache: &'a Cache,
    pub cancel: &'a Cancel,
    pub watcher: &'a dyn Watcher,
    pub sandbox: &'a Sandbox,
    pub toolchain: &'a Toolchain,
    /// Objects that were compiled before.
    pub kept: Option<Kept<'a>>,
    /// The source.
    pub tree: &'a Path,
    /// The build folder.
    pub folder: &'a Path,
    pub name: &'a Name<'a>,
}

/// What compiling gave, beside files.
struct Summary {
    warnings: Vec<String>,
    cpu_s: f64,
    built: Built,
}

impl Build<'_> {
    /// Builds, and leaves in `image` what a kernel's cache entry holds. The log stays where an
    /// error says; that of a build that went well goes with the image.
    pub(super) fn run(&self, image: &Path, key: &str) -> Result<()> {
        let log = self.log(key)?;
        let scratch = self.cache.temp()?;
        let fragments = scratch.path().join("config");
        let kbuild = self.kbuild(&log, &fragments)?;
        let configured = self.configure(&kbuild)?;
        let mut summary = self.compile(&kbuild)?;
        summary.cpu_s += configured;
        self.take(&kbuild.room, image, key, summary)?;
        let kept = fs::copy(&log, image.join("build.log")).and_then(|_| fs::remove_file(&log));
        kept.host(|| format!("failed to keep {}", log.display()))
    }

    /// Compiles single objects with types in their debug information, and gives the structures that they
    /// define.
    pub(super) fn structures(&self, sources: &[String], key: &str) -> Result<Vec<Size>> {
        let log = self.log(key)?;
        let scratch = self.cache.temp()?;
        let fragments = scratch.path().join("config");
        let kbuild = self.kbuild(&log, &fragments)?;
        self.configure(&kbuild)?;
        let object = |source: &String| {
            let stem = source.strip_suffix(".c").unwrap_or(source);
            format!("{stem}.o")
        };
        let objects: Vec<String> = sources.iter().map(object).collect();
        let source = self.source(&kbuild);
        let mut said = Diagnostics::default();
        let ran = kbuild.objects(&objects, |line| said.take(line, &source))?;
        if !ran.output.success() {
            return Err(self.failed("has objects that do not build", &said, &ran, &kbuild));
        }
        let outputs = Outputs::open(self.folder, self.name.fault(Fault::Infrastructure))?;
        let mut found = BTreeSet::new();
        for object in &objects {
            let bytes = outputs.bytes(object, LARGEST_OBJECT)?;
            let these = sizes(&bytes, &[sandbox::SOURCE, sandbox::BUILD]);
            found.extend(these.host(|| format!("{}: {object}", self.name.what))?);
        }
        fs::remove_file(&log).host(|| format!("failed to remove {}", log.display()))?;
        Ok(found.into_iter().collect())
    }

    /// kbuild in the build folder, with the fragments in a file of their own.
    fn kbuild<'k>(&'k self, log: &Path, fragments: &'k Path) -> Result<Kbuild<'k>> {
        write(fragments, self.name.config.merged().as_bytes())?;
        Ok(Kbuild {
            sandbox: self.sandbox,
            room: Room {
                source: self.tree,
                build: self.folder,
                config: Some(fragments),
                kept: self.kept,
            },
            log: log.to_owned(),
            jobs: thread::available_parallelism().map_or(1, usize::from),
            cancel: self.cancel,
        })
    }

    fn log(&self, key: &str) -> Result<PathBuf> {
        let logs = self.cache.root().join("log");
        fs::create_dir_all(&logs).host(|| format!("failed to make {}", logs.display()))?;
        let log = logs.join(self.name.log(key));
        // An earlier failure's lines would be read as this one's.
        write(&log, b"")?;
        Ok(log)
    }

    /// Gives the CPU time, in seconds.
    fn configure(&self, kbuild: &Kbuild<'_>) -> Result<f64> {
        let source = self.source(kbuild);
        let mut said = Diagnostics::default();
        let ran = kbuild.configure(|line| said.take(line, &source))?;
        if !ran.output.success() {
            return Err(self.failed("cannot be configured", &said, &ran, kbuild));
        }
        let config = Outputs::open(self.folder, self.name.fault(Fault::Infrastructure))?
            .text(".config", LARGEST_TEXT)?;
        let requests = self.name.config.requests()?;
        let lost = lost(&requests, &config, || Symbols::read(self.tree));
        if lost.is_empty() {
            return Ok(ran.output.cpu.as_secs_f64());
        }
        let lines: Vec<_> = lost.iter().map(ToString::to_string).collect();
        let message = format!(
            "{} is not configured as asked:\n{}",
            self.name.what,
            lines.join("\n")
        );
        // Without a patch it is the fragments that do not fit the tree.
        let error = Error::new(self.name.fault(Fault::Input), message);
        Err(error.mend("ask for what each depends on too, or leave the line out"))
    }

    fn compile(&self, kbuild: &Kbuild<'_>) -> Result<Summary> {
        let source = self.source(kbuild);
        let (config, variant) = (&self.name.config.name, self.name.of != Of::Base);
        let past = history::past(&self.cache.folder(Kind::Kernel), config, variant);
        let mut tracker = Tracker::new(past);
        let mut said = Diagnostics::default();
        let started = Instant::now();
        let ran = kbuild.compile(|line| {
            if !tracker.take(line) {
                said.take(line, &source);
            }
            if let Some(progress) = tracker.due() {
                let what = self.name.what.clone();
                let step = Step::Build;
                self.watcher.event(&Event::Advanced {
                    step,
                    what,
                    progress,
                });
            }
        });
        let ran = ran.map_err(|error| self.over_time(error, started))?;
        if !ran.output.success() {
            return Err(self.failed("does not build", &said, &ran, kbuild));
        }
        Ok(Summary {
            warnings: said.warnings,
            cpu_s: ran.output.cpu.as_secs_f64(),
            built: Built {
                config: config.clone(),
                variant,
                steps: tracker.done(),
                seconds: started.elapsed().as_secs_f64(),
            },
        })
    }

    /// Takes the image out of the folder that makefiles wrote.
    fn take(&self, room: &Room<'_>, image: &Path, key: &str, summary: Summary) -> Result<()> {
        let outputs = Outputs::open(self.folder, self.name.fault(Fault::Infrastructure))?;
        let boot = image.join("boot");
        outputs.copy("vmlinux", LARGEST_IMAGE, &image.join("vmlinux"))?;
        outputs.copy("vmlinux.boot", LARGEST_IMAGE, &boot)?;
        if !pvh::bootable(&boot)? {
            let message = format!(
                "{} has no PVH entry, by which QEMU starts it",
                self.name.what
            );
            return Err(
                Error::new(self.name.fault(Fault::Input), message).mend("ask for CONFIG_PVH=y")
            );
        }
        let config = image.join("config");
        outputs.copy(".config", LARGEST_TEXT, &config)?;
        let release = outputs.text("include/config/kernel.release", 4096)?;
        write(&image.join(history::FILE), &json(&summary.built)?)?;
        let kernel = KernelImage {
            key: key.to_owned(),
            boot,
            vmlinux: image.join("vmlinux"),
            config_sha256: file_sha256(&config)?,
            config,
            release: release.trim().escape_debug().to_string(),
            compiler: self.toolchain.compiler.clone(),
            warnings: summary.warnings,
            cpu_s: summary.cpu_s,
            compiled: compiled(self.folder, self.sandbox.source(room), self.tree),
        };
        kernel.save(image)
    }

    fn source(&self, kbuild: &Kbuild<'_>) -> String {
        self.sandbox.source(&kbuild.room).display().to_string()
    }

    /// A variant whose build does not end, where base's did, is the patch's fault.
    fn over_time(&self, error: Error, started: Instant) -> Error {
        if started.elapsed() < COMPILING || error.fault() != Fault::Infrastructure {
            return error;
        }
        Error::new(self.name.fault(Fault::Infrastructure), error.chain())
    }

    fn failed(&self, how: &str, said: &Diagnostics, ran: &Ran, kbuild: &Kbuild<'_>) -> Error {
        let ended = match ran.output.signal {
            Some(signal) => format!("signal {signal}"),
            None => format!("exit code {}", ran.output.code.unwrap_or(-1)),
        };
        // Base's, too: whose fault that is depends on what else does not build. But nothing that is
        // built sends a kill: the host does, where memory runs out. A shell passes it on as a code.
        let Output { code, signal, .. } = ran.output;
        let killed = signal == Some(SIGKILL) || code == Some(128 + SIGKILL);
        let (fault, short) = match &said.shortage {
            Some(line) => (Fault::Infrastructure, format!("; the host: {line}")),
            None if killed => (Fault::Infrastructure, String::new()),
            None => (Fault::Untestable, String::new()),
        };
        let what = &self.name.what;
        let message = format!("{what} {how} ({ended}{short}):\n{}", said.error());
        let error = Error::new(fault, message);
        error.mend(format!("the whole log: {}", kbuild.log.display()))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).host(|| format!("failed to write {}", path.display()))
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).host(|| "failed to write a record".into())
}
