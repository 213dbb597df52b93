//! Objects that were compiled before, kept by ccache where the host has it, and who may add to them.
//!
//! ccache gives a later compilation what an earlier one made of the same text. Whoever writes into its
//! folder can therefore put code of his own into kernels that are built later, and a build runs the
//! makefiles of its tree. Hence a folder for each origin, and one rule, [`may_add`]: what came from there
//! unchanged adds to it, whatever has a patch on top only reads.
//!
//! | build | reads | adds |
//! |---|---|---|
//! | base of a Debian package | the archive's | yes |
//! | base or a commit of a user's tree, folder or tarball | that path's own | yes |
//! | either of them with a patch, an overlay, a variant | its base's | no: mounted read-only |
//! | a bundle's kernel, whose Kconfig lines are its sender's | none | no |
//! | anything without a sandbox | none | no |

use std::path::{Path, PathBuf};

use super::{
    kernel::{Patched, Source},
    sandbox::{Kept, Sandbox},
};
use crate::{
    Result,
    cache::{Cache, Entry, Kind},
    cancel::Cancel,
    hash::hex_sha256,
    host::doctor,
};

/// Where a kernel's source comes from, and with it what its compiled objects are kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The distribution's archive, whose signatures apt checked.
    Archive,
    /// A tree, folder or tarball of the user's.
    Path(&'a Path),
}

impl Origin<'_> {
    /// What its objects lie under in the cache.
    fn key(&self) -> String {
        match self {
            Self::Archive => "archive".into(),
            Self::Path(path) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
                hex_sha256(&[path.as_os_str().as_encoded_bytes()])
            }
        }
    }
}

/// Whether a build may add to its origin's objects.
pub(super) fn may_add(source: &Source<'_>, patched: Option<&Patched<'_>>) -> bool {
    source.as_it_came && patched.is_none()
}

/// An origin's objects, which stay in the cache as long as this.
pub(super) struct Objects {
    ccache: PathBuf,
    entry: Entry,
}

impl Objects {
    /// Those of an origin; none where the host has no ccache, or builds have no sandbox.
    pub(super) fn of(
        origin: &Origin<'_>,
        sandbox: &Sandbox,
        cache: &Cache,
        cancel: &Cancel,
    ) -> Result<Option<Self>> {
        let Some(ccache) = doctor::find("ccache").filter(|path| sandbox.shows(path)) else {
            return Ok(None);
        };
        let entry = cache.entry(Kind::Objects, &origin.key(), cancel, |_| Ok(()))?;
        Ok(Some(Self { ccache, entry }))
    }

    /// As one build sees them.
    pub(super) fn kept(&self, adds: bool) -> Kept<'_> {
        Kept {
            ccache: &self.ccache,
            folder: &self.entry.path,
            adds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::Series;

    #[test]
    fn only_what_came_from_there_adds_to_an_origins_objects() {
        let path = Path::new("/tree");
        let source = |as_it_came| Source {
            path,
            hash: "h",
            as_it_came,
        };
        let series = Series {
            patches: Vec::new(),
            sha256: "s".into(),
            cover: None,
        };
        let patched = Patched {
            name: "v",
            path,
            series: &series,
        };
        assert!(may_add(&source(true), None));
        assert!(!may_add(&source(true), Some(&patched)));
        // A variant that is built without its base is no base.
        assert!(!may_add(&source(false), None));
    }

    #[test]
    fn each_path_has_objects_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
        std::fs::create_dir(&one).unwrap();
        let keys = [
            Origin::Archive.key(),
            Origin::Path(&one).key(),
            Origin::Path(&other).key(),
        ];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        let roundabout = one.join("../one");
        assert_eq!(Origin::Path(&roundabout).key(), keys[1]);
    }
}
