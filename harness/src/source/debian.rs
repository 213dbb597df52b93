//! The locked Debian `linux-source-N` package, or the newest that fits.
//!
//! Package lists are fetched at most once a day, packages once.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Identity, Lock, SourceTree, Ways,
    apt::{Apt, FETCH_LIMIT},
    folder,
};
use crate::{
    Error, Result, cache::Kind, error::Context, event::Event, hash::hex_sha256, host::Cmd,
};

/// Changes whenever the same package would give another tree.
const RECIPE: &str = "debian-1";

/// Whether a source will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It will.
    Yes,
    /// It will not; says why.
    No(String),
}

/// The locked package, or the newest that fits.
pub(super) fn newest(
    lock: Option<&Lock>,
    ways: Ways<'_>,
    fits: &dyn Fn(&SourceTree) -> Result<Fit>,
) -> Result<SourceTree> {
    if let Some(lock) = lock {
        match locked(lock, ways)? {
            Some(tree) => return Ok(tree),
            None => {
                let Lock { package, version } = lock;
                let text = format!(
                    "no mirror has {package} {version} any more; taking the newest that fits"
                );
                ways.watcher.event(&Event::Note(text));
            }
        }
    }
    let apt = Apt::new(ways)?;
    let mut first = None;
    for package in packages(&apt)? {
        let Some(tree) = latest(&apt, &package, ways)? else {
            continue;
        };
        match fits(&tree)? {
            Fit::Yes => return Ok(tree),
            Fit::No(why) => {
                let text = format!("{} will not do: {why}; trying the next older", tree.origin);
                ways.watcher.event(&Event::Note(text));
                first = first.or(Some(tree));
            }
        }
    }
    // Nothing fits: the newest shows best why.
    first.ok_or_else(|| {
        Error::infrastructure("the mirror has no linux-source package")
            .mend("give a kernel of your own: --kernel TREE|TARBALL")
    })
}

/// The newest version of the package that the user names.
pub(super) fn named(package: &str, ways: Ways<'_>) -> Result<SourceTree> {
    let apt = Apt::new(ways)?;
    if let Some(tree) = latest(&apt, package, ways)? {
        return Ok(tree);
    }
    let has = packages(&apt)?.join(", ");
    let error = Error::input(format!("the mirror has no package {package}"));
    Err(error.mend(format!("it has {has}; or give a tree or a tarball")))
}

/// Whether that is what a source package is called.
pub fn is_package(name: &str) -> bool {
    number(name).is_some()
}

/// The locked package, where it is in the cache or a mirror has it.
pub(super) fn locked(lock: &Lock, ways: Ways<'_>) -> Result<Option<SourceTree>> {
    if let Some(tree) = cached(lock, ways)? {
        return Ok(Some(tree));
    }
    let apt = Apt::new(ways)?;
    let has = |apt: &Apt<'_>, fresh| {
        Ok::<_, Error>(apt.versions(&lock.package, fresh)?.contains(&lock.version))
    };
    if has(&apt, false)? || has(&apt, true)? {
        tree(&apt, lock, ways).map(Some)
    } else {
        Ok(None)
    }
}

pub(super) fn key(package: &Lock) -> String {
    // Of the characters that versions have, a cache key lacks the epoch's colon.
    format!("{}_{}", package.package, package.version.replace(':', "+"))
}

fn cached(package: &Lock, ways: Ways<'_>) -> Result<Option<SourceTree>> {
    let entry = ways.cache.get(Kind::Source, &key(package), ways.cancel)?;
    entry
        .map(|entry| SourceTree::new(entry, origin(package), Identity::Debian(package.clone())))
        .transpose()
}

fn origin(package: &Lock) -> String {
    format!("{} {}", package.package, package.version)
}

/// What keys everything made from a package.
pub(super) fn hash(package: &Lock) -> String {
    hex_sha256(&[
        RECIPE.as_bytes(),
        package.package.as_bytes(),
        package.version.as_bytes(),
    ])
}

/// Every source package's name, newest first.
fn packages(apt: &Apt<'_>) -> Result<Vec<String>> {
    let names = apt.names("linux-source-")?;
    let mut found: Vec<_> = names
        .into_iter()
        .filter_map(|name| Some((number(&name)?, name)))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

/// A package's newest version. The lists may be a day old and name one that the mirror has dropped
/// since; then fresh ones decide.
fn latest(apt: &Apt<'_>, package: &str, ways: Ways<'_>) -> Result<Option<SourceTree>> {
    let newest = |fresh| {
        let version = apt.versions(package, fresh)?.into_iter().next();
        let lock = |version| Lock {
            package: package.to_owned(),
            version,
        };
        Ok::<_, Error>(version.map(lock))
    };
    let Some(known) = newest(false)? else {
        return Ok(None);
    };
    match tree(apt, &known, ways) {
        Err(error) if !ways.cancel.is_cancelled() => match newest(true)? {
            Some(now) if now != known => tree(apt, &now, ways).map(Some),
            _ => Err(error),
        },
        result => result.map(Some),
    }
}

/// A package's kernel, unpacked once.
fn tree(apt: &Apt<'_>, package: &Lock, ways: Ways<'_>) -> Result<SourceTree> {
    if let Some(tree) = cached(package, ways)? {
        return Ok(tree);
    }
    ways.step(&origin(package), || {
        let fill = |to: &Path| unpack(apt, package, to, ways);
        let entry = ways
            .cache
            .entry(Kind::Source, &key(package), ways.cancel, fill)?;
        SourceTree::new(entry, origin(package), Identity::Debian(package.clone()))
    })
}

fn unpack(apt: &Apt<'_>, package: &Lock, to: &Path, ways: Ways<'_>) -> Result<()> {
    let temp = ways.cache.temp()?;
    apt.download(package, temp.path())?;
    let deb = only(temp.path(), ".deb")?;
    let inside = temp.path().join("package");
    let extract = Cmd::new("dpkg-deb").arg("--extract").arg(&deb).arg(&inside);
    extract.limit(FETCH_LIMIT).run_ok(ways.cancel)?;
    let tarball = only(&inside.join("usr/src"), ".tar.xz")?;
    let unpacked = temp.path().join("tree");
    fs::create_dir(&unpacked).host(|| format!("failed to make {}", unpacked.display()))?;
    folder::extract(&tarball, &unpacked, ways, false)?;
    let top = only(&unpacked, "")?;
    let failed = || format!("failed to list {}", top.display());
    for entry in fs::read_dir(&top).host(failed)? {
        let entry = entry.host(failed)?;
        let target = to.join(entry.file_name());
        fs::rename(entry.path(), &target)
            .host(|| format!("failed to move {}", target.display()))?;
    }
    Ok(())
}

/// The one file of a folder whose name ends so.
fn only(dir: &Path, end: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).host(|| format!("failed to list {}", dir.display()))?;
    let fits = |p: &PathBuf| {
        p.file_name()
            .is_some_and(|n| n.to_string_lossy().ends_with(end))
    };
    let mut found = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(fits);
    found
        .next()
        .ok_or_else(|| Error::infrastructure(format!("no file *{end} in {}", dir.display())))
}

/// `linux-source-7.3` → (7, 3); other packages of that name (`linux-source-7.3-xyz`) do not count.
fn number(package: &str) -> Option<(u32, u32)> {
    let (major, minor) = package.strip_prefix("linux-source-")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_ordered_by_number() {
        let table = [
            ("linux-source-7.3", Some((7, 3))),
            ("linux-source-7.10", Some((7, 10))),
        ];
        for (name, expected) in table {
            assert_eq!(number(name), expected);
        }
        assert!(is_package("linux-source-7.3") && !is_package("linux-7.3.tar.xz"));
        assert_eq!(number("linux-source"), None);
        assert_eq!(number("linux-source-7.3-rt"), None);
        assert!(number("linux-source-7.10") > number("linux-source-7.3"));
    }

    #[test]
    fn keys_hold_versions() {
        let lock = Lock {
            package: "linux-source-7.3".into(),
            version: "1:7.3~rc7-1~exp1".into(),
        };
        assert_eq!(key(&lock), "linux-source-7.3_1+7.3~rc7-1~exp1");
    }
}
