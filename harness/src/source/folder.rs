//! An unpacked tree or a tarball, brought into the cache without its build products.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{
    Identity, SourceTree, Ways, kernel, products,
    unread::{changed, unpacked, unreadable},
};
use crate::{
    Error, Result,
    cache::Kind,
    error::Context,
    event::{Event, Progress, Step},
    hash::{bytes_sha256, hex_sha256, read_sha256},
    host::Cmd,
};

/// Changes whenever the same input would give another tree.
const RECIPE: &str = "folder-2";
/// Unpacking a kernel takes seconds; a slow disk gets an hour.
const UNPACK_LIMIT: Duration = Duration::from_secs(3600);
/// One in so many files is told to whoever watches.
const TOLD: u64 = 997;

/// One thing to export.
struct Item {
    /// Relative to the top.
    path: PathBuf,
    kind: ItemKind,
}

enum ItemKind {
    File { executable: bool },
    Link { to: PathBuf },
}

pub(super) fn export(tree: &Path, ways: Ways<'_>) -> Result<SourceTree> {
    let tree = tree
        .canonicalize()
        .input(|| format!("failed to resolve {}", tree.display()))?;
    let what = tree.display().to_string();
    ways.step(&what, || {
        let items = walk(&tree)?;
        let identity = Identity::Folder {
            hash: hash(&tree, &items, ways)?,
        };
        let hashed = identity.hash();
        let entry = ways
            .cache
            .entry(Kind::Source, &identity.key(), ways.cancel, |to| {
                // A file that was saved meanwhile must not lie under another's hash for good.
                let mut placed = Fingerprint::default();
                place(&tree, &items, to, ways, |item, bytes| {
                    placed.add(item, || Ok(bytes_sha256(bytes)))
                })?;
                if placed.hash() != hashed {
                    return Err(changed(&tree));
                }
                // What is no kernel any more must not stay in the cache.
                kernel::check(to)
            })?;
        SourceTree::new(entry, what.clone(), identity)
    })
}

/// What keys everything made from a tarball.
pub(super) fn tarball_hash(sha256: &str) -> String {
    hex_sha256(&[RECIPE.as_bytes(), sha256.as_bytes()])
}

/// What the user can give instead of what is no kernel's source.
pub(super) const ARCHIVES: &str =
    "give a kernel tree's folder, or a .tar, .tar.gz, .tar.xz or .tar.zst of one";

pub(super) fn unpack(tarball: &Path, ways: Ways<'_>) -> Result<SourceTree> {
    let what = tarball.display().to_string();
    if !tarball.is_file() {
        let error = Error::input(format!("no tree or tarball {what}"));
        return Err(error.mend(ARCHIVES));
    }
    ways.step(&what, || {
        let identity = Identity::Tarball {
            sha256: sha256(tarball)?,
        };
        let hashed = identity.hash();
        let entry = ways
            .cache
            .entry(Kind::Source, &identity.key(), ways.cancel, |to| {
                let temp = ways.cache.temp()?;
                extract(tarball, temp.path(), ways, true)?;
                if tarball_hash(&sha256(tarball)?) != hashed {
                    return Err(changed(tarball));
                }
                let top = only_folder(temp.path())?;
                kernel::check(&top)?;
                place(&top, &walk(&top)?, to, ways, |_, _| Ok(()))?;
                kernel::check(to)
            })?;
        SourceTree::new(entry, what.clone(), identity)
    })
}

/// Unpacks an archive; tar refuses names that leave the folder.
pub(super) fn extract(tarball: &Path, to: &Path, ways: Ways<'_>, foreign: bool) -> Result<()> {
    let mut files = 0;
    let command = Cmd::new("tar")
        .args([
            "--extract",
            "--verbose",
            // A name with a colon is a file here, not another host's.
            "--force-local",
            "--no-same-owner",
            "--no-same-permissions",
            "--delay-directory-restore",
        ])
        .arg("--file")
        .arg(tarball)
        .arg("--directory")
        .arg(to)
        .env("TAR_OPTIONS", "")
        // What it says is read.
        .env("LC_ALL", "C")
        .limit(UNPACK_LIMIT);
    let what = tarball
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let output = command.lines(ways.cancel, |_| {
        files += 1;
        tell(ways, &what, files);
    })?;
    if output.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(unpacked(&what, &said, command.failed(&output), foreign))
}

fn tell(ways: Ways<'_>, what: &str, files: u64) {
    if files.is_multiple_of(TOLD) {
        let progress = Progress {
            done: files,
            total: None,
            unit: "files",
            left: None,
        };
        ways.watcher.event(&Event::Advanced {
            step: Step::Source,
            what: what.to_owned(),
            progress,
        });
    }
}

/// The one folder in an unpacked tarball, or the folder itself where the kernel lies at its top.
fn only_folder(dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).and_then(|d| {
        d.map(|e| e.map(|e| e.path()))
            .collect::<Result<Vec<_>, _>>()
    });
    let entries = entries.host(|| format!("failed to list {}", dir.display()))?;
    match entries.as_slice() {
        [only] if only.is_dir() && !only.is_symlink() => Ok(only.clone()),
        _ => Ok(dir.to_owned()),
    }
}

/// Everything in a tree but build products, sorted.
fn walk(tree: &Path) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    products::sources(tree, &mut |path, kind| {
        let full = tree.join(&path);
        let failed = || format!("failed to read {}", full.display());
        let kind = if kind.is_symlink() {
            let to = fs::read_link(&full).input(failed)?;
            inside(&path, &to)?;
            ItemKind::Link { to }
        } else if kind.is_file() {
            let mode = full.symlink_metadata().input(failed)?.mode();
            ItemKind::File {
                executable: mode & 0o111 != 0,
            }
        } else {
            let message = format!("{} is neither file nor folder nor link", full.display());
            return Err(Error::input(message).mend("remove it from the tree"));
        };
        items.push(Item { path, kind });
        Ok(())
    })?;
    items.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(items)
}

/// Refuses links that lead out of the tree.
pub(super) fn inside(link: &Path, to: &Path) -> Result<()> {
    let mut depth = link.components().count().saturating_sub(1);
    for part in to.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => {
                let message = format!(
                    "the link {} -> {} leaves the kernel tree",
                    link.display(),
                    to.display()
                );
                return Err(Error::input(message)
                    .mend("links in a kernel tree are relative and stay inside"));
            }
        }
    }
    Ok(())
}

/// What a tree is known by: its items in their order.
struct Fingerprint(Vec<Vec<u8>>);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(vec![RECIPE.as_bytes().to_vec()])
    }
}

impl Fingerprint {
    /// Adds an item; `sha256` is that of a file's bytes.
    fn add(&mut self, item: &Item, sha256: impl FnOnce() -> Result<String>) -> Result<()> {
        let path = item.path.to_string_lossy().into_owned();
        let what = match &item.kind {
            ItemKind::Link { to } => format!("-> {}", to.display()),
            ItemKind::File { executable } => format!("{executable} {}", sha256()?),
        };
        self.0.extend([path.into_bytes(), what.into_bytes()]);
        Ok(())
    }

    fn hash(&self) -> String {
        hex_sha256(&self.0.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

fn hash(tree: &Path, items: &[Item], ways: Ways<'_>) -> Result<String> {
    let mut fingerprint = Fingerprint::default();
    for item in items {
        ways.cancel.check()?;
        fingerprint.add(item, || sha256(&tree.join(&item.path)))?;
    }
    Ok(fingerprint.hash())
}

/// The hash of a file of the user's.
fn sha256(path: &Path) -> Result<String> {
    read_sha256(path).map_err(|error| unreadable(path, error))
}

/// Puts the items of a tree into a folder, telling `each` of them with a file's bytes as they are written.
fn place(
    tree: &Path,
    items: &[Item],
    to: &Path,
    ways: Ways<'_>,
    mut each: impl FnMut(&Item, &[u8]) -> Result<()>,
) -> Result<()> {
    for (files, item) in (1..).zip(items) {
        ways.cancel.check()?;
        tell(ways, &tree.display().to_string(), files);
        let target = to.join(&item.path);
        let failed = || format!("failed to write {}", target.display());
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).host(failed)?;
        }
        match &item.kind {
            ItemKind::Link { to } => {
                symlink(to, &target).host(failed)?;
                each(item, &[])?;
            }
            ItemKind::File { executable } => {
                let from = tree.join(&item.path);
                let bytes = fs::read(&from).map_err(|error| unreadable(&from, error))?;
                each(item, &bytes)?;
                fs::write(&target, bytes).host(failed)?;
                if *executable {
                    fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).host(failed)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::Cache, cancel::Cancel, event::Unwatched};

    /// A tree that looks enough like a kernel's.
    fn toy(dir: &Path) {
        for (path, text) in [
            (
                "Makefile",
                "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\nEXTRAVERSION =\n",
            ),
            ("Kconfig", ""),
            // Debian's packages end theirs so.
            (
                ".gitignore",
                "*.o\n.*\n/include/generated/\n/*\n!/debian/\n",
            ),
            ("arch/x86/Kconfig", ""),
            ("kernel/fork.c", "int fork;\n"),
            ("fs/Kconfig", ""),
            // Left by a build.
            ("kernel/fork.o", "\u{7f}ELF"),
            (".config", "CONFIG_EVIL=y"),
            ("include/generated/autoconf.h", "#define EVIL"),
        ] {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn with_ways<T>(body: impl FnOnce(Ways<'_>) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        body(Ways {
            cache: &cache,
            cancel: &Cancel::new(),
            watcher: &Unwatched,
        })
    }

    #[test]
    fn build_products_stay_behind() {
        let dir = tempfile::tempdir().unwrap();
        toy(dir.path());
        with_ways(|ways| {
            let tree = export(dir.path(), ways).unwrap();
            assert_eq!(tree.version, "7.3.0");
            assert!(tree.path.join("kernel/fork.c").exists());
            assert!(tree.path.join(".gitignore").exists());
            for product in ["kernel/fork.o", ".config", "include/generated"] {
                assert!(!tree.path.join(product).exists(), "{product}");
            }
            let again = export(dir.path(), ways).unwrap();
            assert_eq!(again.hash, tree.hash);
            fs::write(dir.path().join("kernel/fork.c"), "int spoon;\n").unwrap();
            assert_ne!(export(dir.path(), ways).unwrap().hash, tree.hash);
        });
    }

    #[test]
    fn tarballs_are_unpacked_below_their_one_folder() {
        let dir = tempfile::tempdir().unwrap();
        toy(&dir.path().join("linux-7.3"));
        let tar = dir.path().join("linux.tar.gz");
        let pack = Cmd::new("tar")
            .arg("-C")
            .arg(dir.path())
            .arg("-czf")
            .arg(&tar)
            .arg("linux-7.3");
        pack.run_ok(&Cancel::new()).unwrap();
        with_ways(|ways| {
            assert!(
                unpack(&tar, ways)
                    .unwrap()
                    .path
                    .join("kernel/fork.c")
                    .exists()
            )
        });
    }

    /// Saves a file while the tree is placed in the cache: the first event is the step's beginning.
    struct Saves<'a>(&'a Path, std::sync::atomic::AtomicUsize);

    impl crate::event::Watcher for Saves<'_> {
        fn event(&self, event: &Event) {
            let advanced = matches!(event, Event::Advanced { .. });
            if advanced && self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                fs::write(self.0.join("kernel/fork.c"), "int saved;\n").unwrap();
            }
        }
    }

    #[test]
    fn a_file_that_is_saved_meanwhile_is_not_kept_under_the_old_hash() {
        let dir = tempfile::tempdir().unwrap();
        toy(dir.path());
        // Enough before `kernel/` that somebody is told of them, and can save it.
        for n in 0..TOLD {
            fs::write(dir.path().join(format!("arch/x86/{n}.c")), "").unwrap();
        }
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        let (cancel, saves) = (Cancel::new(), Saves(dir.path(), 0.into()));
        let ways = |watcher| Ways {
            cache: &cache,
            cancel: &cancel,
            watcher,
        };
        let error = export(dir.path(), ways(&saves)).unwrap_err();
        assert!(
            error.chain().contains("changed while it was read"),
            "{error:?}"
        );
        assert_eq!(
            (error.fault(), error.mending()),
            (crate::Fault::Input, Some("run it again"))
        );
        let again = export(dir.path(), ways(&saves)).unwrap();
        let text = fs::read_to_string(again.path.join("kernel/fork.c")).unwrap();
        assert_eq!(text, "int saved;\n");
        // The state before has an entry of its own, with its own content.
        fs::write(dir.path().join("kernel/fork.c"), "int fork;\n").unwrap();
        let before = export(dir.path(), ways(&Unwatched)).unwrap();
        let text = fs::read_to_string(before.path.join("kernel/fork.c")).unwrap();
        assert_eq!(text, "int fork;\n");
    }

    #[test]
    fn what_is_no_tarball_is_bad_input() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "not a tarball").unwrap();
        with_ways(|ways| {
            assert_eq!(
                unpack(file.path(), ways).unwrap_err().fault(),
                crate::Fault::Input
            );
            assert_eq!(
                unpack(Path::new("no-such.tar"), ways).unwrap_err().fault(),
                crate::Fault::Input
            );
        });
    }

    #[test]
    fn links_stay_inside() {
        for (link, to, good) in [
            ("a/b/link", "../c", true),
            ("a/link", "../../etc/passwd", false),
            ("link", "/etc/passwd", false),
            ("a/b/link", "../../x/../y", true),
            ("a/link", "../x/../../y", false),
        ] {
            assert_eq!(
                inside(Path::new(link), Path::new(to)).is_ok(),
                good,
                "{link} -> {to}"
            );
        }
    }
}
