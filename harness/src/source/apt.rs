//! apt on state folders of our own: the host's configuration is read, for its mirror and proxies, and
//! never changed; apt checks the signatures.

use std::{
    fs,
    fs::File,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::{Lock, Ways};
use crate::{
    Error, Result,
    cache::Kind,
    error::Context,
    host::{Cmd, doctor},
};

/// Suites that hold newer kernels than a release's own, newest packages first.
const SUITES: [&str; 3] = ["trixie-backports", "sid", "experimental"];
/// Names of the suites that a Debian mirror always has: its address is theirs.
const RELEASES: [&str; 4] = ["stable", "testing", "unstable", "sid"];
/// How long package lists serve.
const LISTS_AGE: Duration = Duration::from_secs(24 * 3600);
/// A slow line gets this long.
pub(super) const FETCH_LIMIT: Duration = Duration::from_secs(3 * 3600);
/// What of the host's configuration must not hold here: what hosts run after an update of their own
/// (Debian's containers empty the host's package cache then).
const CLEARED: &str = "#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
";
/// Where Debian keeps its archive keys; apt's own trust serves where it is missing.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt, with state of its own.
pub(super) struct Apt<'a> {
    ways: Ways<'a>,
    state: PathBuf,
}

impl<'a> Apt<'a> {
    pub(super) fn new(ways: Ways<'a>) -> Result<Self> {
        for program in ["apt-get", "apt-cache", "dpkg-deb"] {
            if doctor::find(program).is_none() {
                let error = Error::infrastructure(format!(
                    "no {program} here: kernel packages come from Debian"
                ));
                return Err(error.mend("give a kernel of your own: --kernel TREE|TARBALL"));
            }
        }
        let state = ways.cache.folder(Kind::Deb).join("apt");
        for part in ["state/lists/partial", "cache/archives/partial", "etc"] {
            let part = state.join(part);
            fs::create_dir_all(&part).host(|| format!("failed to make {}", part.display()))?;
        }
        let status = state.join("state/status");
        for (path, text) in [(status, ""), (state.join("etc/cleared.conf"), CLEARED)] {
            fs::write(&path, text).host(|| format!("failed to write {}", path.display()))?;
        }
        Ok(Self { ways, state })
    }

    /// A command of apt's on our own state; the rest of the host's configuration (proxies) holds.
    fn command(&self, program: &str) -> Cmd {
        let state = self.state.display();
        let options = [
            format!("Dir::State={state}/state"),
            format!("Dir::State::status={state}/state/status"),
            format!("Dir::Cache={state}/cache"),
            format!("Dir::Etc::SourceList={state}/etc/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".into(),
            "Dir::Etc::Preferences=/dev/null".into(),
            "Dir::Etc::PreferencesParts=/dev/null".into(),
            "APT::Architecture=amd64".into(),
            "Acquire::Languages=none".into(),
            // apt's own user cannot write into the cache of whoever runs this.
            "APT::Sandbox::User=root".into(),
        ];
        let options = options.iter().flat_map(|o| ["-o", o.as_str()]);
        Cmd::new(program)
            .arg(format!("--config-file={state}/etc/cleared.conf"))
            .args(options)
            .env("LC_ALL", "C")
            .limit(FETCH_LIMIT)
    }

    /// Every package whose name begins so.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        self.update(false)?;
        let names = self
            .command("apt-cache")
            .args(["pkgnames", prefix])
            .run_ok(self.ways.cancel)?;
        Ok(names.text().lines().map(str::to_owned).collect())
    }

    /// A package's versions, newest first.
    pub(super) fn versions(&self, package: &str, fresh: bool) -> Result<Vec<String>> {
        self.update(fresh)?;
        // An unknown package is an answer, not a failure.
        let output = self
            .command("apt-cache")
            .args(["madison", package])
            .run(self.ways.cancel)?;
        Ok(madison(&output.text()))
    }

    fn update(&self, fresh: bool) -> Result<()> {
        // Another run may be at it; its lists then serve here too.
        let _lock = self.lock()?;
        let stamp = self.state.join("fetched");
        let sources = sources_list(&self.mirror()?, &suites());
        let path = self.state.join("etc/sources.list");
        let same = fs::read_to_string(&path).is_ok_and(|old| old == sources);
        let young = stamp
            .metadata()
            .and_then(|m| m.modified())
            .ok()
            .and_then(|t| SystemTime::now().duration_since(t).ok());
        if same && !fresh && young.is_some_and(|age| age < LISTS_AGE) {
            return Ok(());
        }
        fs::write(&path, sources).host(|| format!("failed to write {}", path.display()))?;
        self.ways.step("package lists", || {
            // A suite that is gone fails the whole command; the others' lists are there all the same.
            let update = self.command("apt-get").args(["--quiet", "update"]);
            let output = update.run(self.ways.cancel)?;
            let lists = fs::read_dir(self.state.join("state/lists"))
                .host(|| "failed to list apt's lists".into())?;
            let any = lists
                .filter_map(Result::ok)
                .any(|e| e.file_name().to_string_lossy().contains("_Packages"));
            if any {
                Ok(())
            } else {
                Err(update
                    .failed(&output)
                    .mend("is the network up? or give --kernel TREE"))
            }
        })?;
        fs::write(&stamp, "").host(|| format!("failed to write {}", stamp.display()))
    }

    /// Waits in small steps for another run that fetches lists, so that the user can stop it.
    fn lock(&self) -> Result<Flock<File>> {
        let path = self.state.join("lock");
        loop {
            self.ways.cancel.check()?;
            let file = File::create(&path).host(|| format!("failed to open {}", path.display()))?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((_, Errno::EWOULDBLOCK)) => thread::sleep(Duration::from_millis(100)),
                Err((_, errno)) => {
                    let error = Error::infrastructure(format!("failed to lock {}", path.display()));
                    return Err(error.because(errno));
                }
            }
        }
    }

    /// The Debian archive's address, as the host's own configuration has it.
    fn mirror(&self) -> Result<String> {
        let targets = Cmd::new("apt-get")
            .args([
                "indextargets",
                "--format",
                "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                "Created-By: Packages",
            ])
            .run_ok(self.ways.cancel)?;
        mirror_in(&targets.text(), &codename()).ok_or_else(|| {
            Error::infrastructure("apt's configuration names no Debian archive")
                .mend("give a kernel of your own: --kernel TREE|TARBALL")
        })
    }

    /// Fetches a package at a version into a folder.
    pub(super) fn download(&self, package: &Lock, to: &Path) -> Result<()> {
        let wanted = format!("{}={}", package.package, package.version);
        let download = self
            .command("apt-get")
            .args(["--quiet", "download", &wanted]);
        download.cwd(to).run_ok(self.ways.cancel).map(drop)
    }
}

/// Versions in `apt-cache madison`'s table, in its order (newest first), once each.
fn madison(table: &str) -> Vec<String> {
    let mut versions = Vec::new();
    for line in table.lines() {
        let Some(version) = line.split('|').nth(1).map(str::trim) else {
            continue;
        };
        if !versions.iter().any(|v| v == version) {
            versions.push(version.to_owned());
        }
    }
    versions
}

/// The address that serves the host's release, or any release that every Debian mirror has.
fn mirror_in(targets: &str, codename: &str) -> Option<String> {
    let rows = || {
        targets.lines().filter_map(|l| {
            let mut words = l.split(' ');
            Some((words.next()?, words.next()?, words.next()?))
        })
    };
    let main =
        |wanted: &str| rows().find(|(_, release, part)| *release == wanted && *part == "main");
    let found = main(codename).or_else(|| RELEASES.iter().find_map(|r| main(r)));
    found.map(|(uri, ..)| uri.to_owned())
}

fn sources_list(mirror: &str, suites: &[String]) -> String {
    let signed = if Path::new(KEYRING).exists() {
        format!(" signed-by={KEYRING}")
    } else {
        String::new()
    };
    // Hosts may ask for more (icons, lists of contents): tens of megabytes that nobody reads here.
    suites.iter().fold(String::new(), |out, suite| {
        out + &format!("deb [target=Packages{signed}] {mirror} {suite} main\n")
    })
}

fn suites() -> Vec<String> {
    let own = codename();
    let mut suites: Vec<String> = SUITES.map(str::to_owned).into();
    if !own.is_empty() && !suites.contains(&own) {
        suites.push(own);
    }
    suites
}

/// The host's release, e.g. `bookworm`; empty where it says nothing.
fn codename() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|l| l.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_once_each() {
        let table = " linux-source-7.2 | 7.2.12-1 | mirror trixie-backports/main amd64 Packages\n \
                     linux-source-7.2 | 7.2.12-1 | mirror sid/main amd64 Packages\n \
                     linux-source-7.2 | 7.2.9-1 | mirror sid/main amd64 Packages\n";
        assert_eq!(madison(table), ["7.2.12-1", "7.2.9-1"]);
        assert!(madison("N: Unable to locate package x").is_empty());
    }

    #[test]
    fn the_mirror_is_the_hosts_own() {
        let targets = "http://a.example/security/ bookworm-security main\n\
                       http://a.example/debian/ bookworm main\n\
                       http://other.example/tool stable contrib\n";
        assert_eq!(
            mirror_in(targets, "bookworm").as_deref(),
            Some("http://a.example/debian/")
        );
        assert_eq!(mirror_in(targets, "trixie"), None);
        assert_eq!(
            mirror_in("http://b.example/d/ sid main", "").as_deref(),
            Some("http://b.example/d/")
        );
    }

    #[test]
    fn only_package_lists_are_fetched() {
        let list = sources_list("http://a.example/debian/", &["sid".into(), "x".into()]);
        assert_eq!(list.lines().count(), 2);
        for (line, suite) in list.lines().zip(["sid", "x"]) {
            assert!(line.starts_with("deb [target=Packages"), "{line}");
            assert!(line.ends_with(&format!(" http://a.example/debian/ {suite} main")));
        }
    }
}
