//! Which Kconfig symbol would compile a file, from the kernel's makefiles.

use std::{
    fs::File,
    io::Read,
    path::{Component, Path},
};

/// The largest makefile that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Objects within objects that are followed (`fuse-y` → `fuse.o`); the kernel has one or two.
const DEEPEST: u32 = 4;

/// The outermost symbol that is off and, turned on, lets `file` be compiled; none where makefiles
/// do not say. `on` says which symbols are on.
pub fn would_compile(tree: &Path, file: &str, on: impl Fn(&str) -> bool) -> Option<String> {
    gates(tree, file).into_iter().find(|symbol| !on(symbol))
}

/// Every symbol on the way from the top of the tree down to the file.
fn gates(tree: &Path, file: &str) -> Vec<String> {
    let path = Path::new(file);
    let plain = path.components().all(|c| matches!(c, Component::Normal(_)));
    let source = path
        .extension()
        .is_some_and(|e| e == "c" || e == "S" || e == "rs");
    if !plain || !source {
        return Vec::new();
    }
    let mut symbols = Vec::new();
    let mut target = path.with_extension("o");
    // From the file's own folder up; a makefile may name something several folders below.
    while let Some(folder) = target.parent().map(Path::to_owned) {
        let mut at = Some(folder.as_path());
        let found = loop {
            let Some(folder) = at else { break None };
            let name = target.strip_prefix(folder).unwrap_or(&target);
            let name = name.to_string_lossy();
            let name = if target == path.with_extension("o") {
                name.into_owned()
            } else {
                format!("{name}/")
            };
            if let Some(found) = makefile(tree, folder).and_then(|m| m.gates_of(&name, 0)) {
                break Some(found);
            }
            at = folder.parent();
        };
        symbols.splice(0..0, found.unwrap_or_default());
        if folder.as_os_str().is_empty() {
            break;
        }
        target = folder;
    }
    symbols
}

/// `NAME-CONDITION += WORDS`, under conditions of its own.
struct Assignment {
    name: String,
    symbols: Vec<String>,
    words: Vec<String>,
}

struct Makefile {
    assignments: Vec<Assignment>,
}

impl Makefile {
    /// Symbols that `word` needs here; none if nothing names it.
    fn gates_of(&self, word: &str, depth: u32) -> Option<Vec<String>> {
        let assignment = self
            .assignments
            .iter()
            .find(|a| a.words.iter().any(|w| w == word))?;
        let mut symbols = Vec::new();
        if !["obj", "lib", "core", "drivers"].contains(&assignment.name.as_str()) && depth < DEEPEST
        {
            // Part of a composite object.
            symbols.extend(self.gates_of(&format!("{}.o", assignment.name), depth + 1)?);
        }
        symbols.extend(assignment.symbols.iter().cloned());
        Some(symbols)
    }

    fn parse(text: &str) -> Self {
        let mut assignments = Vec::new();
        let mut conditions: Vec<Option<String>> = Vec::new();
        for line in text.replace("\\\n", " ").lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            match line.split([' ', '\t', '(']).next().unwrap_or_default() {
                "ifdef" | "ifeq" => conditions.push(symbol(line)),
                "ifndef" | "ifneq" => conditions.push(None),
                "else" => {
                    conditions.pop();
                    conditions.push(None);
                }
                "endif" => drop(conditions.pop()),
                _ => assignments.extend(assignment(line, &conditions)),
            }
        }
        Self { assignments }
    }
}

fn assignment(line: &str, conditions: &[Option<String>]) -> Option<Assignment> {
    let (left, right) = line.split_once('=')?;
    let left = left.trim_end_matches(['+', ':', '?']).trim();
    let (name, condition) = match left.split_once("-$(") {
        Some((name, condition)) => (name, condition),
        None => left.rsplit_once('-')?,
    };
    let own = symbol(condition);
    Some(Assignment {
        name: name.to_owned(),
        symbols: conditions.iter().flatten().cloned().chain(own).collect(),
        words: right
            .split_whitespace()
            .map(|w| w.replace("$(SRCARCH)", "x86"))
            .collect(),
    })
}

/// The first `CONFIG_X` in a text, without `CONFIG_`.
fn symbol(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("CONFIG_")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let name = &rest[..end.unwrap_or(rest.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

/// A folder's `Kbuild`, which counts before its `Makefile`.
fn makefile(tree: &Path, folder: &Path) -> Option<Makefile> {
    let names = ["Kbuild", "Makefile"];
    let file = names
        .iter()
        .map(|n| tree.join(folder).join(n))
        .find_map(|p| File::open(p).ok())?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).ok()?;
    Some(Makefile::parse(&String::from_utf8_lossy(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_outermost_symbol_that_is_off_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let makefiles = [
            (
                "Kbuild",
                "obj-y += fs/\nobj-$(CONFIG_NET) += net/\nobj-y += arch/$(SRCARCH)/\n",
            ),
            (
                "fs/Makefile",
                "obj-y := open.o \\\n\tread.o\nobj-$(CONFIG_FUSE_FS) += fuse/ # why\n",
            ),
            (
                "fs/fuse/Makefile",
                "obj-$(CONFIG_FUSE_FS) += fuse.o\nobj-$(CONFIG_CUSE) += cuse.o\nfuse-y := dev.o\n\
                 fuse-$(CONFIG_FUSE_PASSTHROUGH) += backing.o\n",
            ),
            (
                "net/Makefile",
                "ifeq ($(CONFIG_INET),y)\nobj-y += deep/er/\nelse\nobj-y += no/\nendif\n",
            ),
            (
                "net/deep/er/Makefile",
                "obj-$(subst m,y,$(CONFIG_DEEP)) += x.o\n",
            ),
            ("arch/x86/Kbuild", "obj-$(CONFIG_KVM) += kvm/\n"),
            (
                "arch/x86/kvm/Makefile",
                "kvm-y += mmu/mmu.o\nobj-$(CONFIG_KVM_X86) += kvm.o\n",
            ),
        ];
        for (name, text) in makefiles {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), text).unwrap();
        }
        let table: [(&str, &[&str], Option<&str>); 10] = [
            ("fs/open.c", &[], None),
            ("fs/fuse/dev.c", &[], Some("FUSE_FS")),
            ("fs/fuse/backing.c", &["FUSE_FS"], Some("FUSE_PASSTHROUGH")),
            ("fs/fuse/backing.c", &["FUSE_FS", "FUSE_PASSTHROUGH"], None),
            ("fs/fuse/cuse.c", &["FUSE_FS"], Some("CUSE")),
            ("net/deep/er/x.c", &["NET"], Some("INET")),
            ("net/deep/er/x.c", &["NET", "INET"], Some("DEEP")),
            ("arch/x86/kvm/mmu/mmu.c", &["KVM"], Some("KVM_X86")),
            ("fs/fuse/fuse_i.h", &[], None),
            ("../etc/x.c", &[], None),
        ];
        for (file, on, expected) in table {
            let named = would_compile(dir.path(), file, |s| on.contains(&s));
            assert_eq!(named.as_deref(), expected, "{file} with {on:?}");
        }
    }
}
