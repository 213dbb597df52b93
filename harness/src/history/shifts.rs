//! Shifts of measures over the nights: between which kernels, how large, and how each is bisected.

use serde::Serialize;

use super::{
    ask::doing,
    segment::{AFTER, BEFORE, Split, splits},
    store::History,
    trend::{Kind, Point, Series},
};
use crate::{
    Result,
    error::Context,
    host::quote,
    judge::{interval_of_many, median, shift},
};

/// So many nights on either side tell how large a shift is: the nearest.
const NEAREST: usize = 50;

/// What became of a measure over the nights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shifts {
    /// Which measure, where.
    #[serde(flatten)]
    pub kind: Kind,
    /// How many nights there are. A night with two kernels counts as two.
    pub nights: usize,
    /// So few nights tell nothing.
    pub too_few: bool,
    /// By time.
    pub shifts: Vec<Shift>,
}

/// One shift.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shift {
    /// The first night after it, `YYYY-MM-DD`.
    pub night: String,
    /// It may have been as early as this night,
    pub earliest: String,
    /// or as late as this one.
    pub latest: String,
    /// The last night before it.
    pub before: Side,
    /// The first night after it.
    pub after: Side,
    /// How much larger values are after it, in the measure's unit. What was found after few nights
    /// is, on average, overstated.
    pub by: f64,
    /// 95 % interval of `by`; none where there are too few nights for one.
    pub by95: Option<[f64; 2]>,
    /// `by` as a share of what was usual before; none where that is zero.
    pub share: Option<f64>,
    /// The command that finds the commit.
    pub bisect: Option<String>,
    /// Why there is no such command.
    pub why_not: Option<String>,
}

/// A shift's one side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The night next to the shift, `YYYY-MM-DD`.
    pub night: String,
    /// Its kernel's version.
    pub kernel: String,
    /// The git commit that it is; empty where it is none, or that is not known.
    pub commit: String,
    /// One of its run directories.
    pub folder: String,
    /// The median over the side's nights, up to the next shift.
    pub median: f64,
    /// How many nights those are.
    pub nights: usize,
    /// That run's number in the database.
    #[serde(skip)]
    run: i64,
}

impl History {
    /// Shifts of all measures with a part in their name.
    ///
    /// # Errors
    /// As [`History::since`].
    pub fn shifts(&self, part: &str) -> Result<Vec<Shifts>> {
        let all = self.series(part, usize::MAX)?;
        let mut all: Vec<Shifts> = all.into_iter().map(shifts).collect();
        let shifts = all.iter_mut().flat_map(|one| &mut one.shifts);
        for side in shifts.flat_map(|shift| [&mut shift.before, &mut shift.after]) {
            side.folder = self.folder(side.run).host(doing)?;
        }
        Ok(all)
    }
}

/// The shifts of one series.
pub fn shifts(series: Series) -> Shifts {
    let nights = nights(&series.points);
    let values: Vec<f64> = nights.iter().map(|night| night.value).collect();
    let found = splits(&values);
    let mut shifts = Vec::new();
    for (number, split) in found.iter().enumerate() {
        let from = number.checked_sub(1).map_or(0, |last| found[last].at);
        let to = found.get(number + 1).map_or(nights.len(), |next| next.at);
        shifts.push(one(&series.kind, &nights, (from, *split, to)));
    }
    Shifts {
        nights: nights.len(),
        too_few: nights.len() < BEFORE + AFTER,
        kind: series.kind,
        shifts,
    }
}

/// A night's values of one kernel.
struct Night<'a> {
    date: &'a str,
    first: &'a Point,
    value: f64,
}

fn nights(points: &[Point]) -> Vec<Night<'_>> {
    let mut groups: Vec<(&Point, Vec<f64>)> = Vec::new();
    // The groups of the night that the last point was of.
    let (mut tonight, mut last) = (0, "");
    for point in points.iter().filter(|point| point.value.is_finite()) {
        let date = date(point);
        if date != last {
            (tonight, last) = (groups.len(), date);
        }
        // Kernels may take turns within a night, and no night has many.
        let own = groups[tonight..].iter_mut();
        let mut own = own
            .filter(|(first, _)| (&first.kernel, &first.commit) == (&point.kernel, &point.commit));
        match own.next() {
            Some((_, values)) => values.push(point.value),
            None => groups.push((point, vec![point.value])),
        }
    }
    let night = |(first, values): (_, Vec<f64>)| {
        median(&values).map(|value| Night {
            date: date(first),
            first,
            value,
        })
    };
    groups.into_iter().filter_map(night).collect()
}

/// The day on which a run began.
fn date(point: &Point) -> &str {
    let end = memchr::memchr(b'T', point.started.as_bytes());
    end.map_or(&point.started, |end| &point.started[..end])
}

fn one(kind: &Kind, nights: &[Night<'_>], (from, split, to): (usize, Split, usize)) -> Shift {
    let values = |from: usize, to: usize| -> Vec<f64> {
        nights[from..to].iter().map(|night| night.value).collect()
    };
    let side = |next: usize, values: &[f64]| Side {
        night: nights[next].date.to_owned(),
        kernel: nights[next].first.kernel.clone(),
        commit: nights[next].first.commit.clone(),
        folder: nights[next].first.folder.clone(),
        run: nights[next].first.run,
        median: median(values).unwrap_or_default(),
        nights: values.len(),
    };
    let (old, new) = (values(from, split.at), values(split.at, to));
    let (before, after) = (side(split.at - 1, &old), side(split.at, &new));
    let near = &old[old.len().saturating_sub(NEAREST)..];
    let next = &new[..new.len().min(NEAREST)];
    let by = shift(near, next);
    // What may lie on either side of the shift is no end of a bisect.
    let good = &nights[split.earliest.max(from + 1) - 1];
    let bad = &nights[split.latest.min(to - 1)];
    let bound = f64::midpoint(before.median, after.median);
    let bisect = bisect(kind, good.first, bad.first, (by, bound));
    Shift {
        night: after.night.clone(),
        earliest: nights[split.earliest].date.to_owned(),
        latest: nights[split.latest].date.to_owned(),
        by,
        by95: interval_of_many(near, next),
        share: (before.median != 0.0).then(|| by / before.median.abs()),
        why_not: bisect.as_ref().err().map(|why| (*why).to_owned()),
        bisect: bisect.ok(),
        before,
        after,
    }
}

/// The command that finds the commit between two kernels.
fn bisect(
    kind: &Kind,
    good: &Point,
    bad: &Point,
    (by, bound): (f64, f64),
) -> std::result::Result<String, &'static str> {
    if !kind.variant.is_empty() {
        return Err("bisect tries kernels without a patch: look at base's shifts");
    }
    let unknown = "the kernels are no commits or releases that a git tree would know";
    let (from, to) = (
        revision(good).ok_or(unknown)?,
        revision(bad).ok_or(unknown)?,
    );
    if from == to {
        return Err("the kernel is the same on both sides: what changed is the host or the load");
    }
    let side = if by > 0.0 { "--above" } else { "--below" };
    let bound = rounded(bound);
    let mut words = vec![
        "cargo",
        "xtask",
        "bisect",
        "--kernel",
        "TREE",
        "--good",
        &from,
        "--bad",
        &to,
        &kind.config,
    ];
    if kind.program.is_empty() {
        words.extend(["--scenario", &kind.scenario]);
    }
    if !kind.profile.is_empty() {
        words.extend(["--profile", &kind.profile]);
    }
    words.extend([
        "--accel",
        &kind.accel,
        "--measure",
        &kind.measure,
        side,
        &bound,
    ]);
    let mut command = words.into_iter().map(quote).collect::<Vec<_>>().join(" ");
    if !kind.program.is_empty() {
        // It is quoted already.
        command = format!("{command} -- {}", kind.program);
    }
    Ok(command)
}

/// Four digits tell the sides apart, and are easily read.
fn rounded(bound: f64) -> String {
    let digits = 3 - bound.abs().max(f64::MIN_POSITIVE).log10().floor() as i32;
    match usize::try_from(digits) {
        Ok(digits) => format!("{bound:.*}", digits.min(9)),
        Err(_) => format!("{bound:.0}"),
    }
}

/// What a git tree calls a kernel: its commit, or its release's tag.
fn revision(point: &Point) -> Option<String> {
    if !point.commit.is_empty() {
        return Some(point.commit.clone());
    }
    let (release, candidate) = match point.kernel.split_once("-rc") {
        Some((release, number)) => (release, Some(number)),
        None => (point.kernel.as_str(), None),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let numbers: Vec<&str> = release.split('.').collect();
    if !(2..=3).contains(&numbers.len()) || !numbers.iter().copied().chain(candidate).all(is_number)
    {
        return None;
    }
    // `make kernelversion` says 7.3.0 of what is tagged v7.3.
    let release = match numbers[..] {
        [major, minor, "0"] => format!("v{major}.{minor}"),
        _ => format!("v{release}"),
    };
    Some(match candidate {
        Some(number) => format!("{release}-rc{number}"),
        None => release,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> Kind {
        Kind {
            measure: "instructions of lookup".into(),
            unit: "1".into(),
            config: "plain".into(),
            scenario: "operations".into(),
            cpus: 2,
            profile: "standard".into(),
            accel: "tcg".into(),
            qemu: "7.2".into(),
            line: "7.3".into(),
            ..Kind::default()
        }
    }

    /// A value a night; the kernel is 7.3.4 until one night, and 7.3.5 from then on.
    fn series(values: &[f64], new_kernel: usize) -> Series {
        let point = |(night, value): (usize, &f64)| Point {
            started: format!("2026-{:02}-{:02}T01:00:00Z", 1 + night / 28, 1 + night % 28),
            kernel: if night < new_kernel { "7.3.4" } else { "7.3.5" }.into(),
            commit: String::new(),
            value: *value,
            folder: format!("run-{night}"),
            run: 0,
        };
        Series {
            kind: kind(),
            older: 0,
            points: values.iter().enumerate().map(point).collect(),
        }
    }

    /// Forty nights about 116, shifted from one on, and a little noise.
    fn stepped(at: usize, by: f64) -> Vec<f64> {
        let value = |night: usize| {
            let noise = [0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5][night * 3 % 7];
            116.0 + noise + if night < at { 0.0 } else { by }
        };
        (0..40).map(value).collect()
    }

    #[test]
    fn a_planted_step_is_named() {
        let found = shifts(series(&stepped(33, 12.0), 33));
        assert!(!found.too_few);
        assert_eq!(found.nights, 40);
        let [one] = &found.shifts[..] else {
            panic!("{found:?}");
        };
        assert_eq!(one.night, "2026-02-06");
        assert_eq!((&one.earliest, &one.latest), (&one.night, &one.night));
        let sides = [&one.before, &one.after];
        assert_eq!(sides.map(|s| s.kernel.as_str()), ["7.3.4", "7.3.5"]);
        assert_eq!(sides.map(|s| s.folder.as_str()), ["run-32", "run-33"]);
        assert_eq!(sides.map(|s| s.nights), [33, 7]);
        assert!((one.by - 12.0).abs() < 0.6, "{one:?}");
        let [low, high] = one.by95.unwrap();
        assert!(low < 12.0 && 12.0 < high && high - low < 4.0, "{one:?}");
        assert!((one.share.unwrap() - 0.103).abs() < 0.01, "{one:?}");
        assert_eq!(
            one.bisect.as_deref(),
            Some(
                "cargo xtask bisect --kernel TREE --good v7.3.4 --bad v7.3.5 plain --scenario \
                 operations --profile standard --accel tcg --measure 'instructions of lookup' --above 122.0"
            )
        );
    }

    #[test]
    fn a_bisect_needs_two_kernels_without_a_patch() {
        type Change = fn(&mut Series);
        let table: [(&str, Change, Option<&str>, Option<&str>); 5] = [
            ("less", |_| {}, Some("--below 110.0"), None),
            (
                "a program's",
                |s| s.kind.program = "./repro 'a b'".into(),
                Some(
                    "v7.3.5 plain --profile standard --accel tcg --measure 'instructions of lookup' --below 110.0 -- ./repro 'a b'",
                ),
                None,
            ),
            (
                "one kernel",
                |s| s.points.iter_mut().for_each(|p| p.kernel = "7.3.4".into()),
                None,
                Some("the same"),
            ),
            (
                "a variant's",
                |s| s.kind.variant = "ida".into(),
                None,
                Some("without a patch"),
            ),
            (
                "commits",
                |s| {
                    let commit = |p: &Point| if p.kernel == "7.3.4" { "aaa" } else { "bbb" };
                    s.points
                        .iter_mut()
                        .for_each(|p| p.commit = commit(p).into());
                },
                Some("--good aaa --bad bbb"),
                None,
            ),
        ];
        for (what, change, command, why_not) in table {
            let mut series = series(&stepped(33, -12.0), 33);
            change(&mut series);
            let found = shifts(series);
            let [one] = &found.shifts[..] else {
                panic!("{what}: {found:?}");
            };
            let has = |text: &Option<String>, part: Option<&str>| match (text, part) {
                (Some(text), Some(part)) => text.contains(part),
                (None, None) => true,
                _ => false,
            };
            assert!(has(&one.bisect, command), "{what}: {one:?}");
            assert!(has(&one.why_not, why_not), "{what}: {one:?}");
        }
    }

    #[test]
    fn no_step_is_quiet_and_too_few_nights_say_so() {
        let quiet = shifts(series(&stepped(40, 0.0), 20));
        assert!(quiet.shifts.is_empty() && !quiet.too_few, "{quiet:?}");
        let few = shifts(series(&stepped(5, 50.0)[..10], 5));
        assert!(few.shifts.is_empty() && few.too_few, "{few:?}");
        assert!(shifts(series(&[], 0)).too_few);
    }

    #[test]
    fn a_nights_values_of_a_kernel_are_one() {
        let mut series = series(&stepped(33, 12.0), 33);
        let twice = series.points.iter().flat_map(|p| [p.clone(), p.clone()]);
        series.points = twice.collect();
        let mut far = series.points[10].clone();
        far.value = f64::NAN;
        series.points.insert(10, far);
        let found = shifts(series);
        assert_eq!((found.nights, found.shifts.len()), (40, 1));
    }

    #[test]
    fn what_a_tree_calls_a_kernel() {
        let table = [
            ("7.3.4", "", Some("v7.3.4")),
            ("7.3.0", "", Some("v7.3")),
            ("7.4.0-rc2", "", Some("v7.4-rc2")),
            ("7.4-rc2", "", Some("v7.4-rc2")),
            ("7.3.4-next", "", None),
            ("7.3.4; rm", "", None),
            ("7", "", None),
            ("7.3.4", "abc", Some("abc")),
        ];
        for (kernel, commit, expected) in table {
            let mut point = series(&[1.0], 0).points.remove(0);
            (point.kernel, point.commit) = (kernel.into(), commit.into());
            assert_eq!(revision(&point).as_deref(), expected, "{kernel}");
        }
        let bounds = [121.96, 0.01234567, 1234567.0, 0.0, -5.5].map(rounded);
        assert_eq!(
            bounds,
            ["122.0", "0.01235", "1234567", "0.000000000", "-5.500"]
        );
    }
}
