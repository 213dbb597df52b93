//! Everything that a command needs to run elsewhere: libraries, interpreters, files that its words name.
//!
//! What a program opens by itself is not known beforehand: libraries that it
//! loads while it runs, configuration, data. An argument that names a file is
//! taken along, and so are a shell's usual companions and the standard library
//! of a scripting language. One that names a folder from here is refused, as the
//! guest would not have it; an absolute one may well be the guest's own (`/tmp`).

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use super::{
    elf::{Kind, Needs, examine},
    libraries::Libraries,
    locate::{is_alike, is_guests_own, locate, utf8},
    tree::Tree,
};
use crate::{Error, Result, error::Context, host::doctor};

/// Programs whose scripts call others.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ksh", "zsh", "busybox"];

/// What scripts call; those that the host has are taken along with a shell.
#[rustfmt::skip]
const COMPANIONS: [&str; 75] = [
    "awk", "basename", "blkid", "bash", "cat", "chmod", "chown", "cmp", "cp", "cut", "date", "dd", "df", "dirname",
    "dmesg", "du", "echo", "env", "expr", "fallocate", "false", "find", "getfattr", "grep", "head", "hostname", "id",
    "ip", "kill", "ln", "losetup", "ls", "lsblk", "md5sum", "mkdir", "mke2fs", "mkfifo", "mkfs.ext4", "mknod",
    "mktemp", "mount", "mv", "nproc", "od", "printf", "ps", "pwd", "readlink", "rm", "rmdir", "sed", "seq", "setfattr", "setsid",
    "sh", "sha256sum", "sleep", "sort", "stat", "stress-ng", "sync", "sysctl", "tail", "taskset", "tee", "test",
    "timeout", "touch", "tr", "true", "truncate", "umount", "uname", "unshare", "xargs",
];

/// Standard libraries of scripting languages, wherever a distribution puts them: the program's name
/// begins with the first; `{}` stands for the whole name.
const LANGUAGES: [(&str, &[&str]); 2] = [
    // Debian's and Arch's, Fedora's.
    ("python3", &["/usr/lib/{}", "/usr/lib64/{}"]),
    (
        "perl",
        &[
            // Debian's.
            "/usr/lib/x86_64-linux-gnu/perl-base",
            "/usr/lib/x86_64-linux-gnu/perl",
            "/usr/share/perl",
            // Fedora's.
            "/usr/lib64/perl5",
            // Arch's.
            "/usr/lib/perl5",
            // Both's.
            "/usr/share/perl5",
        ],
    ),
];

/// Folders in those that no program needs.
const SKIPPED: [&str; 5] = [
    "__pycache__",
    "test",
    "tests",
    "dist-packages",
    "site-packages",
];

/// Scripts of scripts that are followed.
const DEEPEST: u32 = 5;

/// The linker's cache, which names folders that it would not look into.
const LINKER_CACHE: &str = "/etc/ld.so.cache";

/// Collects what commands need.
pub(super) struct Collector {
    libraries: Libraries,
    pub tree: Tree,
    /// A shell's companions are shells themselves.
    companions_taken: bool,
}

impl Collector {
    pub(super) fn new(libraries: Libraries) -> Self {
        Self {
            libraries,
            tree: Tree::default(),
            companions_taken: false,
        }
    }

    /// Takes a command along; gives it with its program and its files by their absolute paths.
    pub(super) fn command(&mut self, words: &[String]) -> Result<Vec<String>> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Error::input("an empty command"));
        };
        let path = locate(program)?;
        self.program(&path, 0)?;
        if Path::new(LINKER_CACHE).is_file() {
            self.add(Path::new(LINKER_CACHE))?;
        }
        let mut command = vec![utf8(&path)?];
        for argument in arguments {
            command.push(self.argument(argument)?);
        }
        Ok(command)
    }

    fn argument(&mut self, argument: &str) -> Result<String> {
        if is_left_behind(argument) {
            let error = Error::input(format!(
                "the argument {argument:?} names a folder, and folders are not taken along"
            ));
            return Err(error.mend(
                "name its files one by one, or an archive of it that a script of yours unpacks in the guest; \
                 an absolute path is for a folder that the guest has itself, as /tmp",
            ));
        }
        let named = std::path::absolute(argument).ok().filter(|p| p.is_file());
        let Some(path) = named.filter(|p| !is_alike(p)) else {
            return Ok(argument.to_owned());
        };
        match examine(&path) {
            Ok(Kind::Elf(_) | Kind::Script(_)) => self.program(&path, 0)?,
            _ => drop(self.add(&path)?),
        }
        utf8(&path)
    }

    fn program(&mut self, path: &Path, depth: u32) -> Result<()> {
        let (real, new) = self.add(path)?;
        self.companions(path, depth)?;
        if !new {
            return Ok(());
        }
        self.language(&real)?;
        match examine(&real).host(|| format!("failed to read {}", real.display()))? {
            Kind::Elf(needs) => self.linked(&real, &needs),
            Kind::Script(words) => self.script(path, &words, depth),
            Kind::Foreign => Err(
                Error::input(format!("{} is no x86-64 program", path.display()))
                    .mend("build it for x86-64"),
            ),
            Kind::Data => Err(Error::input(format!(
                "{} is neither a program nor a script",
                path.display()
            ))
            .mend("a script begins with #! and its interpreter's path")),
        }
    }

    fn linked(&mut self, user: &Path, needs: &Needs) -> Result<()> {
        let mut pending = Vec::new();
        if let Some(interpreter) = &needs.interpreter {
            self.add(Path::new(interpreter))?;
        }
        pending.push((user.to_owned(), needs.clone()));
        while let Some((user, needs)) = pending.pop() {
            for name in &needs.libraries {
                let Some(found) = self.libraries.find(name, &user, &needs.paths) else {
                    let error = Error::input(format!(
                        "{} needs {name}, which is not found",
                        user.display()
                    ));
                    return Err(
                        error.mend(format!("`ldd {}` must find every library", user.display()))
                    );
                };
                let (real, new) = self.add(&found)?;
                if !new {
                    continue;
                }
                if let Ok(Kind::Elf(mut own)) = examine(&real) {
                    // A program's RPATH counts for its libraries too.
                    own.paths.extend(needs.paths.iter().cloned());
                    pending.push((found, own));
                }
            }
        }
        Ok(())
    }

    fn script(&mut self, path: &Path, words: &[String], depth: u32) -> Result<()> {
        let Some((interpreter, rest)) = words.split_first() else {
            return Err(Error::input(format!(
                "{} names no interpreter",
                path.display()
            )));
        };
        if depth >= DEEPEST {
            return Err(Error::input(format!(
                "{}: interpreters of interpreters",
                path.display()
            )));
        }
        self.program(&locate(interpreter)?, depth + 1)?;
        if interpreter.ends_with("/env") {
            let program = rest
                .iter()
                .find(|w| !w.starts_with('-') && !w.contains('='));
            if let Some(program) = program {
                self.program(&locate(program)?, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A shell's usual companions.
    fn companions(&mut self, path: &Path, depth: u32) -> Result<()> {
        let name = path.file_name().unwrap_or_default();
        if self.companions_taken || !SHELLS.iter().any(|s| name == *s) {
            return Ok(());
        }
        self.companions_taken = true;
        for companion in COMPANIONS {
            if let Some(path) = doctor::find(companion) {
                self.program(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn language(&mut self, real: &Path) -> Result<()> {
        let name = real.file_name().unwrap_or_default().to_string_lossy();
        for folder in standard_library(&name) {
            if folder.is_dir() {
                self.folder(&folder)?;
            }
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> Result<()> {
        self.add(folder)?;
        let entries =
            fs::read_dir(folder).host(|| format!("failed to list {}", folder.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let skipped = SKIPPED.iter().any(|s| entry.file_name() == *s);
            if path.is_dir() && !skipped {
                self.folder(&path)?;
            } else if path.is_file() {
                let (real, _) = self.add(&path)?;
                if let Ok(Kind::Elf(needs)) = examine(&real) {
                    // An extension whose libraries the host lacks does not work there either.
                    let _ = self.linked(&real, &needs);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path) -> Result<(PathBuf, bool)> {
        let added = self
            .tree
            .add(path)
            .input(|| format!("failed to take {} along", path.display()))?;
        if is_guests_own(&added.0) {
            let message = format!(
                "{} lies in a folder that is the guest's own",
                added.0.display()
            );
            return Err(
                Error::input(message).mend("copy it elsewhere, e.g. below /tmp or your home")
            );
        }
        Ok(added)
    }
}

/// Where the standard library of a scripting language may lie, by its program's name.
fn standard_library(program: &str) -> Vec<PathBuf> {
    let mut languages = LANGUAGES.iter();
    let language = languages.find(|(prefix, _)| program.starts_with(prefix));
    let folders = language.into_iter().flat_map(|(_, folders)| *folders);
    folders
        .map(|folder| folder.replace("{}", program).into())
        .collect()
}

/// Whether an argument names a folder of this host's that the guest looks for elsewhere: `.` is
/// wherever the command runs, and a word without a slash may be anything.
fn is_left_behind(argument: &str) -> bool {
    let path = Path::new(argument);
    let goes_on = |part: Component<'_>| part != Component::CurDir;
    argument.contains('/') && path.is_relative() && path.components().any(goes_on) && path.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use std::os::unix::fs::PermissionsExt;

    fn collect(words: &[&str]) -> Result<(Vec<String>, String)> {
        let mut collector = Collector::new(Libraries::read(&Cancel::new()).unwrap());
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let command = collector.command(&words)?;
        Ok((command, format!("{:?}", collector.tree)))
    }

    fn program(path: &Path, text: &str) -> String {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_program_brings_its_libraries() {
        let (command, tree) = collect(&["true", "--version"]).unwrap();
        assert!(command[0].ends_with("/true") && command[0].starts_with('/'));
        assert_eq!(command[1], "--version");
        for wanted in ["libc.so.6", "ld-linux-x86-64.so.2"] {
            assert!(tree.contains(wanted), "{wanted} in {tree}");
        }
        assert!(!tree.contains("/seq"), "{tree}");
    }

    #[test]
    fn a_shell_brings_its_companions_and_the_files_that_arguments_name() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data.txt");
        fs::write(&data, "x").unwrap();
        let (command, tree) =
            collect(&["sh", "-c", "cat", data.to_str().unwrap(), "/proc/version"]).unwrap();
        assert_eq!(
            command[1..],
            ["-c", "cat", data.to_str().unwrap(), "/proc/version"]
        );
        for wanted in ["data.txt", "/mkdir", "/seq", "/umount"] {
            assert!(tree.contains(wanted), "{wanted} in {tree}");
        }
        assert!(!tree.contains("/proc/version"));
    }

    #[test]
    fn a_script_brings_its_interpreter() {
        let dir = tempfile::tempdir().unwrap();
        let script = program(&dir.path().join("run"), "#!/usr/bin/env -S X=1 sh -e\n");
        let (_, tree) = collect(&[&script]).unwrap();
        for wanted in ["/run", "/env", "/sh\"", "/sleep"] {
            assert!(tree.contains(wanted), "{wanted} in {tree}");
        }
    }

    #[test]
    fn what_cannot_run_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let text = program(&dir.path().join("text"), "echo no first line");
        let plain = dir.path().join("plain");
        fs::write(&plain, "#!/bin/sh").unwrap();
        let bare = program(&dir.path().join("bare"), "#!\n");
        let lost = program(&dir.path().join("lost"), "#!/no/such/interpreter\n");
        let round = dir.path().join("round");
        let round = program(&round, &format!("#!{}\n", round.display()));
        let table = [
            ("no-such-program-at-all", "no program"),
            ("./no-such-file", "failed to find the program"),
            (text.as_str(), "neither a program nor a script"),
            (plain.to_str().unwrap(), "is not executable"),
            (&bare, "names no interpreter"),
            (&lost, "failed to find the program /no/such/interpreter"),
            ("/", "is not executable"),
        ];
        for (program, why) in table {
            let error = collect(&[program]).unwrap_err();
            assert!(error.chain().contains(why), "{program}: {error}");
            assert_eq!(error.fault(), crate::Fault::Input, "{program}");
        }
        // The kernel refuses it; here it must only end.
        assert!(collect(&[&round]).is_ok());
        assert!(collect(&[]).is_err());
    }

    #[test]
    fn standard_libraries_lie_where_distributions_put_them() {
        for (program, wanted) in [
            (
                "python3.13",
                &["/usr/lib/python3.13", "/usr/lib64/python3.13"][..],
            ),
            (
                "perl",
                &[
                    "/usr/share/perl",
                    "/usr/lib64/perl5",
                    "/usr/lib/perl5",
                    "/usr/share/perl5",
                ],
            ),
            ("sh", &[]),
        ] {
            let folders = standard_library(program);
            let missing = wanted
                .iter()
                .find(|one| !folders.contains(&PathBuf::from(one)));
            assert_eq!(
                (missing, folders.is_empty()),
                (None, wanted.is_empty()),
                "{program}"
            );
        }
    }

    #[test]
    fn a_folder_is_refused_unless_the_guest_may_have_it() {
        // Tests run in the package's folder.
        for argument in ["src/", "./src", "src/.."] {
            let error = collect(&["true", argument]).unwrap_err();
            assert_eq!(error.fault(), crate::Fault::Input, "{argument}");
            assert!(error.to_string().contains(argument), "{error}");
        }
        for argument in ["src", ".", "./", "/tmp", "/", "no-such-folder/", ""] {
            let (command, _) = collect(&["true", argument]).unwrap();
            assert_eq!(command[1], argument);
        }
    }
}
