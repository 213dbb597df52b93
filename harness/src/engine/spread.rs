//! How much boots of one kernel differ in throughput on this host, remembered from run to run.
//!
//! Each run that booted a kernel more than once writes a file of its own, so two runs at once are in
//! nobody's way.

use std::{fs, io::Write, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    cache::{Cache, Kind},
    error::Context,
    hash::hex_sha256,
    judge::{log_variance, verdict::Measure},
};

/// Files that are read; a bound for a folder that somebody filled.
const MAX_FILES: usize = 1000;
/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 4096;
/// Fewer degrees of freedom than this say nothing.
const FEWEST: f64 = 3.0;

/// What one run's boots of its kernels came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Seen {
    /// The variance of the logarithm of a boot's throughput, around its kernel's own mean.
    variance: f64,
    /// Degrees of freedom: boots less kernels.
    freedom: f64,
}

/// What is known of one kind of boot on one host.
#[derive(Debug)]
pub(super) struct Spread {
    folder: PathBuf,
}

impl Spread {
    /// Of boots that agree in all of these: the host, the accelerator, the config, the scenario, the
    /// profile.
    pub(super) fn of(cache: &Cache, kind: &[&str]) -> Self {
        let parts: Vec<&[u8]> = kind.iter().map(|part| part.as_bytes()).collect();
        let name = format!("spread-{}", hex_sha256(&parts));
        Self {
            folder: cache.folder(Kind::Host).join(name),
        }
    }

    /// The standard deviation of the logarithm of the ratio of two boots; none where too little is
    /// known. A file that cannot be read tells nothing.
    pub(super) fn known(&self) -> Option<f64> {
        let files = fs::read_dir(&self.folder).ok()?.flatten().take(MAX_FILES);
        let seen = files.filter_map(|entry| {
            entry
                .metadata()
                .ok()
                .filter(|meta| meta.len() <= MAX_BYTES)?;
            serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()
        });
        let all = pooled(seen.filter(Seen::is_sane))?;
        (all.freedom >= FEWEST).then(|| (2.0 * all.variance).sqrt())
    }

    /// Keeps what a measure's values of these kernels came to, if there are several of any.
    pub(super) fn remember(&self, kernels: &[&[f64]]) -> Result<()> {
        let seen = kernels.iter().filter_map(|values| {
            Some(Seen {
                variance: log_variance(values)?,
                freedom: values.len() as f64 - 1.0,
            })
        });
        let Some(all) = pooled(seen.filter(Seen::is_sane)) else {
            return Ok(());
        };
        let failed = || format!("failed to write into {}", self.folder.display());
        fs::create_dir_all(&self.folder).host(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).host(failed)?;
        serde_json::to_writer(&mut file, &all)
            .map_err(std::io::Error::from)
            .and_then(|()| file.flush())
            .host(failed)?;
        file.keep().map_err(|error| error.error).host(failed)?;
        Ok(())
    }
}

impl Seen {
    fn is_sane(&self) -> bool {
        let finite = self.variance.is_finite() && self.freedom.is_finite();
        finite && self.variance >= 0.0 && self.freedom > 0.0
    }
}

/// All of them as one; none of none.
fn pooled(seen: impl Iterator<Item = Seen>) -> Option<Seen> {
    seen.reduce(|a, b| {
        let freedom = a.freedom + b.freedom;
        Seen {
            variance: (a.variance * a.freedom + b.variance * b.freedom) / freedom,
            freedom,
        }
    })
}

/// The values of each kernel in a measure's comparisons, which share base.
pub(super) fn kernels<'a>(measures: &[&'a Measure]) -> Vec<&'a [f64]> {
    let base = measures
        .first()
        .map(|measure| measure.base.values.as_slice());
    let variants = measures
        .iter()
        .map(|measure| measure.variant.values.as_slice());
    base.into_iter().chain(variants).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread() -> (tempfile::TempDir, Spread) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("spread");
        (dir, Spread { folder })
    }

    #[test]
    fn runs_add_up() {
        let (_dir, spread) = spread();
        assert_eq!(spread.known(), None);
        spread.remember(&[&[100.0], &[50.0]]).unwrap();
        assert_eq!(spread.known(), None, "single boots tell nothing");
        // Of one kernel each: what kernels differ by among themselves does not count.
        spread
            .remember(&[&[100.0, 110.0], &[1000.0, 1100.0]])
            .unwrap();
        assert_eq!(spread.known(), None, "too little");
        spread.remember(&[&[200.0, 220.0, 200.0]]).unwrap();
        let known = spread.known().unwrap();
        assert!((0.08..0.1).contains(&known), "{known}");
    }

    #[test]
    fn what_makes_no_sense_tells_nothing() {
        let (_dir, spread) = spread();
        fs::create_dir_all(&spread.folder).unwrap();
        for (name, text) in [
            ("a", "{"),
            ("b", r#"{"variance": -1, "freedom": 99}"#),
            ("c", r#"{"variance": 1e400, "freedom": 99}"#),
            ("d", r#"{"variance": 1, "freedom": 0}"#),
        ] {
            fs::write(spread.folder.join(name), text).unwrap();
        }
        assert_eq!(spread.known(), None);
        spread.remember(&[&[1.0, 0.0]]).unwrap();
        assert_eq!(spread.known(), None);
    }
}
