//! How often findings are seen, by kernel, patch and profile.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{ask::doing, store::History};
use crate::{Result, error::Context};

/// How often a title was seen, of all comparisons that could have shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// The title.
    pub title: String,
    /// The kernel's version.
    pub kernel: String,
    /// The config.
    pub config: String,
    /// The scenario.
    pub scenario: String,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// The variant; empty for base.
    pub variant: String,
    /// SHA-256 of the run's (first) patch series, in hex; empty for base.
    pub patch: String,
    /// `quick`, `standard` or `full`; empty where that is not known.
    pub profile: String,
    /// The program that ran instead of the scenario's loads, as a shell would take it; empty for none.
    pub program: String,
    /// How many runs showed it.
    pub seen: u32,
    /// Of how many.
    pub of: u32,
}

/// Rates, and how many there are besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    /// By title, and then by kernel.
    pub rates: Vec<Rate>,
    /// Rows that were left out.
    pub left_out: usize,
}

/// What is run again and again: base or a patch, on one kernel, in one config, scenario (or program) and
/// profile.
struct Arm {
    id: i64,
    /// Which config and scenario, or program.
    place: usize,
    /// When it ran last.
    last: String,
    /// As if it had shown nothing, without a title.
    rate: Rate,
}

/// The newest first.
const ARMS: &str = "
SELECT id, last, kernel, config, scenario, accel, variant, patch, runs, profile, program FROM arms
ORDER BY last DESC, id";
const SHOWN: &str = "SELECT arm, runs FROM shown WHERE title = ?1";

impl History {
    /// How often titles with a part in them are seen, by kernel, patch and profile, in the configs and
    /// scenarios (or programs) that ever showed them: of each title at most so many rows, of those kernels
    /// that ran last, and among them those that show it most often.
    ///
    /// Base is counted once a run, however many variants it was compared with. A kernel that ran
    /// alone is base, and all that it showed is base's.
    ///
    /// # Errors
    /// As [`History::since`].
    pub fn rate(&self, part: &str, most: usize) -> Result<Rates> {
        let mut all = Rates::default();
        let titles = self.texts("titles", "title", part)?;
        let arms = self.arms().host(doing)?;
        let at: HashMap<i64, usize> = arms.iter().map(|arm| arm.id).zip(0..).collect();
        for (id, title) in titles {
            let shown = self.shown(id, &at).host(doing)?;
            rates(&title, &arms, &shown, most, &mut all);
        }
        Ok(all)
    }

    fn arms(&self) -> rusqlite::Result<Vec<Arm>> {
        let mut places = BTreeMap::new();
        let mut query = self.connection.prepare_cached(ARMS)?;
        let arms = query.query_map([], |row| {
            let rate = Rate {
                title: String::new(),
                kernel: row.get(2)?,
                config: row.get(3)?,
                scenario: row.get(4)?,
                accel: row.get(5)?,
                variant: row.get(6)?,
                patch: row.get(7)?,
                profile: row.get(9)?,
                program: row.get(10)?,
                seen: 0,
                of: row.get(8)?,
            };
            let next = places.len();
            let place = [&rate.config, &rate.scenario, &rate.program].map(String::clone);
            Ok(Arm {
                id: row.get(0)?,
                place: *places.entry(place).or_insert(next),
                last: row.get(1)?,
                rate,
            })
        })?;
        arms.collect()
    }

    /// How many runs of each arm showed a title, by the arms' places; none where it was never seen.
    fn shown(&self, title: i64, at: &HashMap<i64, usize>) -> rusqlite::Result<Vec<Option<u32>>> {
        let mut shown = vec![None; at.len()];
        let mut query = self.connection.prepare_cached(SHOWN)?;
        let mut rows = query.query([title])?;
        while let Some(row) = rows.next()? {
            if let Some(at) = at.get(&row.get(0)?) {
                shown[*at] = Some(row.get(1)?);
            }
        }
        Ok(shown)
    }
}

/// Adds a title's rates.
fn rates(title: &str, arms: &[Arm], shown: &[Option<u32>], most: usize, all: &mut Rates) {
    // Places are fewer than arms.
    let mut places = vec![false; arms.len()];
    for (arm, shown) in arms.iter().zip(shown) {
        places[arm.place] |= shown.is_some();
    }
    let mut own: Vec<(&Arm, u32)> = Vec::new();
    for (arm, shown) in arms.iter().zip(shown) {
        if arm.rate.of == 0 || !places[arm.place] {
            continue;
        }
        // Those that ran at the same time are weighed against each other.
        if own.len() >= most && own.last().is_some_and(|(last, _)| last.last != arm.last) {
            all.left_out += 1;
            continue;
        }
        own.push((arm, shown.unwrap_or(0)));
    }
    let often = |(arm, seen): &(&Arm, u32)| f64::from(*seen) / f64::from(arm.rate.of);
    own.sort_by(|a, b| {
        let newest = b.0.last.cmp(&a.0.last);
        newest.then_with(|| often(b).total_cmp(&often(a)))
    });
    all.left_out += own.len().saturating_sub(most);
    own.truncate(most);
    own.sort_by(|a, b| order(&a.0.rate).cmp(&order(&b.0.rate)));
    all.rates.extend(own.into_iter().map(|(arm, seen)| Rate {
        title: title.to_owned(),
        seen,
        ..arm.rate.clone()
    }));
}

/// By what rates are in order.
fn order(rate: &Rate) -> [&str; 8] {
    [
        &rate.kernel,
        &rate.config,
        &rate.scenario,
        &rate.program,
        &rate.profile,
        &rate.accel,
        &rate.variant,
        &rate.patch,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::ask::tests::{history, night},
        judge::verdict::Status,
    };

    #[test]
    fn rates_count_each_side_by_kernel() {
        let mut alone = night(6, "7.3.6", Some(Status::New));
        alone.comparisons[0].variant = "base".into();
        let nights = [
            night(2, "7.3.4", None),
            night(3, "7.3.4", Some(Status::New)),
            night(4, "7.3.4", Some(Status::Common)),
            night(5, "7.3.5", Some(Status::Fixed)),
            alone,
        ];
        let (_temp, history) = history(&nights);
        let all = history.rate("use-after-free", usize::MAX).unwrap();
        assert_eq!(all.left_out, 0);
        let got: Vec<(&str, bool, u32, u32)> = all
            .rates
            .iter()
            .map(|r| (r.kernel.as_str(), r.patch.is_empty(), r.seen, r.of))
            .collect();
        let expected = [
            ("7.3.4", true, 1, 3),
            ("7.3.4", false, 2, 3),
            ("7.3.5", true, 1, 1),
            ("7.3.5", false, 0, 1),
            ("7.3.6", true, 1, 1),
        ];
        assert_eq!(got, expected);
        // The kernels that ran last, those that show it first.
        for most in 1..expected.len() {
            let some = history.rate("use-after-free", most).unwrap();
            let mut newest = all.rates.clone();
            newest.sort_by(|a, b| (&b.kernel, b.seen).cmp(&(&a.kernel, a.seen)));
            newest.truncate(most);
            newest.sort_by(|a, b| order(a).cmp(&order(b)));
            assert_eq!(some.rates, newest);
            assert_eq!(some.left_out, expected.len() - most);
        }
    }

    #[test]
    fn unlike_profiles_and_programs_are_counted_apart() {
        let run = ["cargo", "xtask", "run"];
        let commands: [(&[&str], Option<Status>); 5] = [
            (&[], Some(Status::Common)),
            (&["--profile", "full"], None),
            (&["--", "./a"], Some(Status::Common)),
            (&["--", "./b"], None),
            (&[], None),
        ];
        let nights = (2..).zip(commands).map(|(day, (more, status))| {
            let mut night = night(day, "7.3.4", status);
            night.command = run.iter().chain(more).map(|w| (*w).to_owned()).collect();
            night
        });
        let (_temp, history) = history(&nights.collect::<Vec<_>>());
        let all = history.rate("use-after-free", usize::MAX).unwrap();
        let base = all.rates.iter().filter(|rate| rate.patch.is_empty());
        let got: Vec<(&str, &str, u32, u32)> = base
            .map(|r| (r.profile.as_str(), r.program.as_str(), r.seen, r.of))
            .collect();
        // The other program never showed it: it is another place.
        let expected = [
            ("full", "", 0, 1),
            ("quick", "", 1, 2),
            ("quick", "./a", 1, 1),
        ];
        assert_eq!(got, expected);
    }
}
