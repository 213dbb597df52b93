//! What the agent itself saw go wrong, gathered by title.
//!
//! A load reports from its hot path, perhaps thousands of times a second; the
//! heartbeat takes the sums and sends them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use protocol::{FindingKind, GuestFinding};

/// Distinct titles held between two beats; more are not worth telling apart.
const TITLES: usize = 64;
/// The longest detail, in bytes: a line must stay below the protocol's limit
/// even if every byte is escaped.
const DETAIL: usize = 128 << 10;

/// Findings on their way to the host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings(Arc<Mutex<BTreeMap<String, GuestFinding>>>);

impl Findings {
    /// Adds one sighting. Only the first detail of a title is kept until it is sent.
    pub(crate) fn report(&self, kind: FindingKind, title: &str, detail: impl FnOnce() -> String) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = pending.get_mut(title) {
            seen.count += 1;
        } else if pending.len() < TITLES {
            let mut detail = detail();
            detail.truncate(detail.floor_char_boundary(DETAIL));
            pending.insert(
                title.into(),
                GuestFinding {
                    kind,
                    title: title.into(),
                    detail,
                    count: 1,
                },
            );
        }
    }

    /// Takes what has gathered.
    pub(crate) fn take(&self) -> Vec<GuestFinding> {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *pending).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sightings_of_one_title_are_summed_until_taken() {
        let findings = Findings::default();
        for detail in ["first", "second"] {
            findings.report(FindingKind::WrongData, "stamp", || detail.into());
        }
        let taken = findings.take();
        assert_eq!(
            (taken.len(), taken[0].count, taken[0].detail.as_str()),
            (1, 2, "first")
        );
        assert!(findings.take().is_empty());
    }

    #[test]
    fn titles_and_details_are_bounded() {
        let findings = Findings::default();
        for n in 0..2 * TITLES {
            findings.report(FindingKind::Leak, &format!("leak {n}"), || {
                "é".repeat(DETAIL)
            });
        }
        let taken = findings.take();
        assert_eq!(taken.len(), TITLES);
        assert!(taken.iter().all(|finding| finding.detail.len() <= DETAIL));
    }
}
