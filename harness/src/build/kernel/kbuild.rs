//! kbuild's commands in the sandbox: one that configures, one that compiles, one for single objects.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::{
    Result,
    build::sandbox::{Job, Ran, Room, Sandbox},
    cancel::Cancel,
};

/// Line tables and inline chains, and nothing else of debug information: a fifth of its size. gcc's passes
/// stay as they are: without some of them, or at -Os, it compiles an eighth faster, and kernels with KASAN
/// do not boot. Alternatives, for one, patch calls as they expect gcc to address them.
pub(super) const KCFLAGS: &str = "-g1 -gstatement-frontiers";

/// All types, those that nothing uses included: another structure's size may depend on theirs.
pub(super) const WITH_TYPES: &str = "-g2 -fno-eliminate-unused-debug-types";

/// How long configuring and compiling may take; a base build takes minutes, on a slow host an hour.
const CONFIGURING: Duration = Duration::from_secs(15 * 60);
pub(super) const COMPILING: Duration = Duration::from_secs(4 * 3600);
/// A few objects, and what has to be there before the first.
const SINGLE_OBJECTS: Duration = Duration::from_secs(30 * 60);

/// tinyconfig with the fragments over it. The result is put in place only if it
/// differs: everything depends on `.config`'s time. All of it happens inside,
/// where makefiles cannot make us write through a link of theirs.
const CONFIGURE: &str = r#"set -e
src=$1 build=$2 config=$3
export KCONFIG_CONFIG=.config.new
rm -f .config.new
make -C "$src" O="$build" ARCH=x86_64 tinyconfig
cat "$config" >> .config.new
make -C "$src" O="$build" ARCH=x86_64 olddefconfig
cmp -s .config.new .config || cp .config.new .config
rm -f .config.new .config.new.old
"#;

/// The image, and the same without debug information for QEMU to load.
const COMPILE: &str = r#"set -e
src=$1 build=$2 jobs=$3 flags=$4 maps=$5
make -C "$src" O="$build" ARCH=x86_64 KCFLAGS="$flags" KCPPFLAGS="$maps" -j"$jobs" --output-sync=target vmlinux
objcopy -S vmlinux vmlinux.boot
"#;

/// Some objects and nothing else.
const OBJECTS: &str = r#"set -e
src=$1 build=$2 jobs=$3 flags=$4 maps=$5
shift 5
make -C "$src" O="$build" ARCH=x86_64 KCFLAGS="$flags" KCPPFLAGS="$maps" -j"$jobs" --output-sync=target "$@"
"#;

/// One build folder and what is done in it.
#[derive(Debug)]
pub(super) struct Kbuild<'a> {
    pub sandbox: &'a Sandbox,
    pub room: Room<'a>,
    pub log: PathBuf,
    pub jobs: usize,
    pub cancel: &'a Cancel,
}

impl Kbuild<'_> {
    pub(super) fn configure(&self, each: impl FnMut(&str)) -> Result<Ran> {
        let config = self.sandbox.config(&self.room).unwrap_or(self.room.build);
        self.script(CONFIGURE, &[config.into()], CONFIGURING, each)
    }

    pub(super) fn compile(&self, each: impl FnMut(&str)) -> Result<Ran> {
        self.script(COMPILE, &self.args(KCFLAGS), COMPILING, each)
    }

    /// These objects alone, with types in their debug information.
    pub(super) fn objects(&self, objects: &[String], each: impl FnMut(&str)) -> Result<Ran> {
        let mut args = self.args(&format!("{KCFLAGS} {WITH_TYPES}"));
        args.extend(objects.iter().map(OsString::from));
        self.script(OBJECTS, &args, SINGLE_OBJECTS, each)
    }

    /// What compiling is told. Debug information names the same folders with a sandbox and without; so does
    /// `__FILE__`, of which kbuild itself takes the source's off. The folders do not key a kernel, then.
    fn args(&self, flags: &str) -> Vec<OsString> {
        let maps = self.sandbox.maps(&self.room);
        vec![self.jobs.to_string().into(), flags.into(), maps]
    }

    fn script(
        &self,
        script: &str,
        args: &[OsString],
        limit: Duration,
        each: impl FnMut(&str),
    ) -> Result<Ran> {
        let mut words: Vec<OsString> = ["sh", "-c", script, "sh"].map(OsString::from).to_vec();
        words.push(self.sandbox.source(&self.room).into());
        words.push(self.sandbox.build(&self.room).into());
        words.extend_from_slice(args);
        let job = Job {
            words,
            limit,
            log: Some(self.log.clone()),
        };
        self.sandbox.run(&self.room, &job, self.cancel, each)
    }
}
