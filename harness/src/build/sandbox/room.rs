//! What a sandboxed command sees: bubblewrap's arguments, or the bare host's.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    cancel::Cancel,
    host::{Cmd, doctor},
};

/// Set to `1`, it builds without a sandbox where bubblewrap cannot run.
const NO_SANDBOX: &str = "KTWIN_NO_SANDBOX";

/// What bubblewrap says where parts of `/proc` are masked, as in most containers.
const NO_PROC: &str = "Can't mount proc";

/// Where the source lies inside, and hence where debug information says that it does.
pub const SOURCE: &str = "/ktwin/src";
/// Where the build folder lies inside.
pub const BUILD: &str = "/ktwin/build";
const CONFIG: &str = "/ktwin/config";
/// Where kept objects lie inside.
const KEPT: &str = "/ktwin/objects";
/// Where the compiler's name leads to ccache inside: makefiles, and what they note of their commands,
/// say the same with it and without.
const WRAPPERS: &str = "/ktwin/bin";
/// The compiler that is wrapped.
const COMPILER: &str = "gcc";

/// Folders that hold the system's programs; links among them stay links.
const SYSTEM: [&str; 7] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/libx32", "/lib64",
];

/// What programs need beside them: which gcc `gcc` is, where libraries lie, other systems' stores.
const EXTRAS: [&str; 4] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/nix/store",
    "/gnu/store",
];

/// `/tmp` inside, in bytes: compilers' temporary files.
const TMP_SIZE: u64 = 2 << 30;

/// Programs.
const PATH: &str = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What ccache keeps for one origin, at most; a kernel's objects take a tenth of it.
const KEPT_SIZE: &str = "1G";

/// The whole environment, equal for base and variant so that their images are.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("PATH", PATH),
    ("LC_ALL", "C"),
    ("HOME", "/tmp"),
    ("TMPDIR", "/tmp"),
    ("KBUILD_BUILD_USER", "ktwin"),
    ("KBUILD_BUILD_HOST", "ktwin"),
    ("KBUILD_BUILD_VERSION", "1"),
    ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970"),
];

/// How builds are confined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sandbox {
    /// By bubblewrap.
    Bubblewrap {
        /// The program.
        program: PathBuf,
        /// Optional features that this version has, as arguments.
        features: Vec<String>,
    },
    /// Not at all, as the user has told us.
    None,
}

/// What a command may see beside the system's programs.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// The kernel's source, read-only.
    pub source: &'a Path,
    /// The build folder, the one thing that can be written.
    pub build: &'a Path,
    /// The config fragments in one file, read-only.
    pub config: Option<&'a Path>,
    /// Objects that were compiled before, where they are kept.
    pub kept: Option<Kept<'a>>,
}

/// Objects that were compiled before.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// The program that finds them.
    pub ccache: &'a Path,
    /// Their folder.
    pub folder: &'a Path,
    /// Whether what is compiled is added to them; else they are read-only.
    pub adds: bool,
}

impl Kept<'_> {
    /// What ccache is told: nothing that lies in a tree or a home folder.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("PATH", format!("{WRAPPERS}:{PATH}")),
            ("CCACHE_DIR", KEPT.into()),
            ("CCACHE_TEMPDIR", "/tmp/ccache".into()),
            ("CCACHE_MAXSIZE", KEPT_SIZE.into()),
        ];
        if !self.adds {
            all.push(("CCACHE_READONLY", "1".into()));
            all.push(("CCACHE_NOSTATS", "1".into()));
        }
        all
    }
}

impl Sandbox {
    /// Bubblewrap where it runs; without it an error, unless `KTWIN_NO_SANDBOX=1`.
    ///
    /// # Errors
    /// Bubblewrap is missing or cannot make namespaces here.
    pub fn choose(cancel: &Cancel) -> Result<Self> {
        if env::var_os(NO_SANDBOX).is_some_and(|v| v == "1") {
            return Ok(Self::None);
        }
        let Some(program) = doctor::find("bwrap") else {
            let error = Error::infrastructure("no bubblewrap to confine kernel builds");
            return Err(error.mend(format!(
                "install bubblewrap, or set {NO_SANDBOX}=1 for patches that you trust"
            )));
        };
        Self::bubblewrap(&program, cancel)
    }

    /// Bubblewrap, tried with what a build is confined by.
    ///
    /// # Errors
    /// It cannot confine a build here; with what mends it.
    pub(crate) fn bubblewrap(program: &Path, cancel: &Cancel) -> Result<Self> {
        let help = Cmd::new(program).arg("--help").run(cancel)?;
        let help = String::from_utf8_lossy(&help.stdout).into_owned()
            + &String::from_utf8_lossy(&help.stderr);
        let chosen = Self::Bubblewrap {
            program: program.to_owned(),
            features: features(&help),
        };
        let nowhere = Room {
            source: Path::new("/usr"),
            build: Path::new("/usr"),
            config: None,
            kept: None,
        };
        match chosen.command(&nowhere).arg("true").run_ok(cancel) {
            Ok(_) => Ok(chosen),
            Err(error) if error.fault() == crate::Fault::Interrupted => Err(error),
            Err(error) => {
                let mend = mend(&error.chain());
                let told = Error::infrastructure("bubblewrap cannot confine kernel builds here");
                Err(told.because(error).mend(mend))
            }
        }
    }

    /// The start of a command: what follows are the words that run inside.
    pub(super) fn command(&self, room: &Room<'_>) -> Cmd {
        let cmd = match self {
            Self::Bubblewrap { program, features } => {
                Cmd::new(program).args(features).args(arguments(room))
            }
            // `env` runs what follows, as bubblewrap does.
            Self::None => Cmd::new("/usr/bin/env").cwd(room.build),
        };
        let cmd = ENVIRONMENT
            .iter()
            .fold(cmd.clear_env(), |cmd, (key, value)| cmd.env(key, value));
        let kept = room.kept.filter(|_| *self != Self::None);
        let own = kept.map_or_else(Vec::new, |kept| kept.environment());
        own.iter()
            .fold(cmd, |cmd, (key, value)| cmd.env(key, value))
    }

    /// Whether builds see a program of the host's: where there is no sandbox, none is for them alone.
    pub fn shows(&self, program: &Path) -> bool {
        *self != Self::None && SYSTEM.iter().any(|folder| program.starts_with(folder))
    }

    /// The source's path as commands see it.
    pub fn source<'a>(&self, room: &Room<'a>) -> &'a Path {
        self.inside(SOURCE, room.source)
    }

    /// The build folder's path as commands see it.
    pub fn build<'a>(&self, room: &Room<'a>) -> &'a Path {
        self.inside(BUILD, room.build)
    }

    /// Options of gcc's by which debug information names the source and the build folder as it does from inside a
    /// sandbox, wherever they lie; none in one.
    pub fn maps(&self, room: &Room<'_>) -> OsString {
        let mut maps = OsString::new();
        if *self == Self::None {
            for (outside, fixed) in [(room.source, SOURCE), (room.build, BUILD)] {
                maps.push(" -fdebug-prefix-map=");
                maps.push(outside);
                maps.push(format!("={fixed}"));
            }
        }
        maps
    }

    /// Refuses a cache in which nothing can be built: without a sandbox, makefiles and compilers take the
    /// folders' own names.
    ///
    /// # Errors
    /// Bad input: the cache's path holds a character that splits a word, or means something to them.
    pub fn check_cache(&self, root: &Path) -> Result<()> {
        let path = root.to_string_lossy();
        let plain = |c: char| c.is_alphanumeric() || "/._-+@~,".contains(c);
        match path.chars().find(|c| !plain(*c)) {
            Some(c) if *self == Self::None => Err(Error::input(format!(
                "kernels cannot be built in {} without a sandbox: kbuild takes no {c:?} in a path",
                path.escape_debug()
            ))
            .mend("set KTWIN_CACHE to a folder with a plain path, or install bubblewrap")),
            _ => Ok(()),
        }
    }

    /// The fragments' path as commands see it.
    pub fn config<'a>(&self, room: &Room<'a>) -> Option<&'a Path> {
        room.config.map(|path| self.inside(CONFIG, path))
    }

    fn inside<'a>(&self, fixed: &'static str, outside: &'a Path) -> &'a Path {
        match self {
            Self::Bubblewrap { .. } => Path::new(fixed),
            Self::None => outside,
        }
    }
}

/// What mends a bubblewrap that says this.
fn mend(said: &str) -> String {
    let first = match said.contains(NO_PROC) {
        true => {
            "a container that masks /proc lets nobody mount another: give it the whole one (docker: \
             --security-opt systempaths=unconfined, podman: --security-opt unmask=ALL)"
        }
        false => {
            "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0)"
        }
    };
    format!("{first}, or set {NO_SANDBOX}=1 for patches that you trust")
}

/// What newer versions add; the order matters, as `--size` goes with the `--tmpfs` after it.
fn features(help: &str) -> Vec<String> {
    let mut features = Vec::new();
    if help.contains("--disable-userns") {
        features.extend(["--unshare-user".to_owned(), "--disable-userns".to_owned()]);
    }
    if help.contains("--size ") {
        features.extend(["--size".to_owned(), TMP_SIZE.to_string()]);
    }
    features.extend(["--tmpfs".to_owned(), "/tmp".to_owned()]);
    features
}

fn arguments(room: &Room<'_>) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--hostname",
        "ktwin",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
    ]
    .map(OsString::from)
    .to_vec();
    let mut add = |option: &str, from: &Path, to: &str| {
        args.extend([option.into(), from.as_os_str().to_owned(), to.into()]);
    };
    for folder in SYSTEM {
        match Path::new(folder).read_link() {
            Ok(target) => add("--symlink", &target, folder),
            Err(_) => add("--ro-bind-try", Path::new(folder), folder),
        }
    }
    for extra in EXTRAS {
        add("--ro-bind-try", Path::new(extra), extra);
    }
    add("--ro-bind", room.source, SOURCE);
    if let Some(config) = room.config {
        add("--ro-bind", config, CONFIG);
    }
    if let Some(kept) = room.kept {
        let how = if kept.adds { "--bind" } else { "--ro-bind" };
        add(how, kept.folder, KEPT);
        add("--symlink", kept.ccache, &format!("{WRAPPERS}/{COMPILER}"));
    }
    add("--bind", room.build, BUILD);
    args.extend(["--chdir".into(), BUILD.into()]);
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_build_folder_can_be_written() {
        let room = Room {
            source: Path::new("/some/tree"),
            build: Path::new("/some/folder"),
            config: Some(Path::new("/some/config")),
            kept: None,
        };
        let args = words(&room);
        let line = args.join(" ");
        for wanted in [
            "--unshare-all",
            "--cap-drop ALL",
            "--ro-bind /some/tree /ktwin/src",
            "--ro-bind /some/config /ktwin/config",
            "--bind /some/folder /ktwin/build",
        ] {
            assert!(line.contains(wanted), "{wanted} in {line}");
        }
        assert_eq!(args.iter().filter(|a| *a == "--bind").count(), 1);
        assert!(!args.iter().any(|a| a == "--share-net" || a == "--dev-bind"));
    }

    fn words(room: &Room<'_>) -> Vec<String> {
        let args = arguments(room).into_iter();
        args.map(|a| a.into_string().unwrap()).collect()
    }

    #[test]
    fn kept_objects_are_read_only_to_those_who_may_not_add() {
        let kept = |adds| Kept {
            ccache: Path::new("/usr/bin/ccache"),
            folder: Path::new("/some/objects"),
            adds,
        };
        let room = |adds| Room {
            source: Path::new("/some/tree"),
            build: Path::new("/some/folder"),
            config: None,
            kept: Some(kept(adds)),
        };
        let reads = words(&room(false)).join(" ");
        assert!(reads.contains("--ro-bind /some/objects /ktwin/objects"));
        assert!(reads.contains("--symlink /usr/bin/ccache /ktwin/bin/gcc"));
        let told = kept(false).environment();
        assert!(told.contains(&("CCACHE_READONLY", "1".into())));
        let adds = words(&room(true)).join(" ");
        assert!(adds.contains("--bind /some/objects /ktwin/objects"));
        assert!(!adds.contains("--ro-bind /some/objects"));
        let told = kept(true).environment();
        assert!(told.iter().all(|(key, _)| *key != "CCACHE_READONLY"));
    }

    #[test]
    fn without_a_sandbox_debug_information_names_the_fixed_paths() {
        let bubblewrap = || Sandbox::Bubblewrap {
            program: "/usr/bin/bwrap".into(),
            features: Vec::new(),
        };
        let room = Room {
            source: Path::new("/c/source/7.3"),
            build: Path::new("/c/build/k/build"),
            config: None,
            kept: None,
        };
        assert_eq!(
            Sandbox::None.maps(&room),
            " -fdebug-prefix-map=/c/source/7.3=/ktwin/src -fdebug-prefix-map=/c/build/k/build=/ktwin/build"
        );
        assert_eq!(bubblewrap().maps(&room), "");
        // In one, the cache may lie anywhere.
        for (root, bare) in [
            ("/home/a/.cache/ktwin", true),
            ("/home/\u{e4}/7.3~rc1+x", true),
            ("/home/a b", false),
            ("/home/a:b", false),
            ("/home/a=b", false),
            ("/home/$a", false),
        ] {
            let root = Path::new(root);
            assert_eq!(Sandbox::None.check_cache(root).is_ok(), bare, "{root:?}");
            assert!(bubblewrap().check_cache(root).is_ok());
        }
    }

    #[test]
    fn older_versions_do_without() {
        assert_eq!(features("--tmpfs DEST"), ["--tmpfs", "/tmp"]);
        let all = features("--disable-userns\n--size BYTES  for --tmpfs");
        assert_eq!(all[..2], ["--unshare-user", "--disable-userns"]);
        assert_eq!(all[2], "--size");
    }

    #[test]
    fn what_hinders_it_is_mended() {
        let proc = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted";
        let user = "bwrap: No permissions to create new namespace";
        for (said, wanted) in [(proc, "masks /proc"), (user, "user namespaces")] {
            let mend = mend(said);
            assert!(mend.contains(wanted), "{said}: {mend}");
            assert!(mend.contains("KTWIN_NO_SANDBOX=1"), "{said}: {mend}");
        }
    }
}
