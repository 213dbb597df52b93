//! Trials before it is known where to hold vCPUs: their hit says where.

use std::collections::BTreeSet;

use super::{
    journal::Line,
    run::Run,
    scout::{self, Places},
};
use crate::{
    Error, Result,
    build::KernelImage,
    engine::Stalls,
    judge::{Followed, Shown},
    report::escape::terminal_line,
};

impl Run<'_> {
    /// Whether the first splat is still to say where vCPUs are held.
    pub(super) fn is_to_scout(&mut self, image: &KernelImage) -> Result<bool> {
        let Followed::Title(title) = &self.asked.followed else {
            return Ok(false);
        };
        let settled = self.asked.request.stalls != Stalls::Auto || self.trials.are_held();
        if self.scouted.is_some() || settled {
            return Ok(false);
        }
        if !self.trials.can_hold(image)? {
            self.scouted = Some(Places::default());
            return Ok(false);
        }
        if !self.held_by_title {
            self.trials.hold(scout::of_title(title))?;
            self.held_by_title = true;
        }
        Ok(true)
    }

    /// A trial whose hit says where to hold vCPUs in all that follow: they must be alike, so it is
    /// none of them.
    pub(super) fn scout(&mut self, commit: &str, image: &KernelImage) -> Result<Option<u32>> {
        let tried = self.made(commit, image)?;
        let late = match &tried.shown {
            Shown::Hit { late, .. } => tried.whole.then_some(*late),
            _ => None,
        };
        let nowhere = || (BTreeSet::new(), BTreeSet::new());
        let (hit, (functions, files)) = match (tried.shown, tried.splat) {
            (Shown::Hit { .. }, Some(splat)) => {
                let places = scout::of_splat(&splat);
                let names: Vec<&str> = places.functions.iter().map(String::as_str).collect();
                let names = terminal_line(&names.join(", "));
                self.say(format!("it shows; vCPUs are held in {names} from now on"));
                (true, (places.functions, places.files))
            }
            // What is followed is no splat, whatever its title: it says nothing of where.
            (Shown::Hit { .. }, None) => (true, nowhere()),
            (Shown::Miss, _) => (false, nowhere()),
            (Shown::Never(why), _) => {
                self.skip(commit, why)?;
                return Ok(None);
            }
            (Shown::Blind(why), _) => {
                self.blind(commit, why)?;
                return Ok(None);
            }
            (Shown::Interrupted, _) => return Err(Error::interrupted()),
            (Shown::Spoiled(why), _) => {
                self.spoiled(commit, why)?;
                return Ok(None);
            }
        };
        if !hit {
            self.say(format!(
                "{commit:.12}: nothing yet, in {} trials",
                self.scouts + 1
            ));
        }
        self.add(Line::Scouted {
            commit: commit.to_owned(),
            hit,
            functions,
            files,
            late,
        })?;
        if let Some(places) = self.scouted.clone() {
            self.trials.hold(places)?;
        }
        let vain = !hit && self.scouts >= self.search.patience();
        Ok(vain.then_some(self.scouts))
    }
}
