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
pub(crate) struct Findings {
    pending: Arc<Mutex<BTreeMap<String, GuestFinding>>>,
    /// Held by whoever hands over.
    leaving: Arc<Mutex<()>>,
}

impl Findings {
    /// Adds one sighting. Only the first detail of a title is kept until it is sent.
    pub(crate) fn report(&self, kind: FindingKind, title: &str, detail: impl FnOnce() -> String) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Hands over what has gathered, one after the other. Once it returns, nothing that was reported before
    /// is still on its way in another thread: a last message overtakes none.
    pub(crate) fn hand_over(&self, to: impl FnMut(GuestFinding)) {
        let _leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        self.take().into_iter().for_each(to);
    }

    /// Takes what has gathered.
    pub(crate) fn take(&self) -> Vec<GuestFinding> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *pending).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

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
    fn nothing_overtakes_a_finding_on_its_way() {
        let findings = Findings::default();
        for title in ["first", "second"] {
            findings.report(FindingKind::Leak, title, String::new);
        }
        let order = Mutex::new(Vec::new());
        let say = |word: String| order.lock().unwrap().push(word);
        let (begins, begun) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                findings.hand_over(|finding| {
                    let _ = begins.send(());
                    thread::sleep(Duration::from_millis(50));
                    say(finding.title);
                });
            });
            begun.recv().unwrap();
            findings.hand_over(|finding| say(finding.title));
            say("finished".into());
        });
        assert_eq!(*order.lock().unwrap(), ["first", "second", "finished"]);
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
