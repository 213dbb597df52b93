//! How soon a shift in a measure is seen, night after night, and how often one that is none: against
//! Apache Otava where it is installed, on the same simulated series.

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use harness::{
    history::simulate::{Stepped, seen, stepped},
    host::doctor,
};
use serde_json::Value;

use super::{Bench, Figure};

const SERIES: u64 = 50;
/// Chance moves what so few series say by some per cent: ours are looked at in more, too.
const MANY: u64 = 400;
const NIGHTS: usize = 200;
/// The first night on which somebody looks.
const FIRST: usize = 11;
/// A shift is to be seen when so many nights have shown it.
const WITHIN: usize = 7;
/// A place this close to the step is the step's, and one this close to an older alarm that alarm's.
const NEAR: usize = 7;
const MOST_FALSE: f64 = 1.0;
/// Names Otava where it is not on the PATH, as in a virtual environment.
const OTAVA: &str = "KTWIN_OTAVA";

/// What a detector came to over some series.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Sum {
    series: u32,
    /// Steps that were seen in time.
    found: u32,
    /// Alarms that were none.
    alarms: u32,
    /// Series with a step seen in time, and at most one false alarm.
    good: u32,
}

impl Sum {
    fn share(self, of: u32) -> f64 {
        f64::from(of) / f64::from(self.series)
    }
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<()> {
    let all: Vec<Stepped> = (0..MANY).map(|seed| stepped(NIGHTS, seed)).collect();
    let few = &all[..SERIES as usize];
    let ours = |series: &[Stepped]| {
        let mut sum = Sum::default();
        for one in series {
            bench.cancel.check()?;
            sum.add(one, (FIRST..=NIGHTS).map(|n| (n, seen(&one.values, n))));
        }
        Ok::<_, anyhow::Error>(sum)
    };
    let own = ours(few)?;
    let theirs = match otava() {
        Some(otava) => Some(by_otava(&otava, few, bench)?),
        None => {
            bench.progress.out(&format!(
                "Apache Otava is not installed ({OTAVA} names it): the comparison with it was NOT made"
            ));
            None
        }
    };
    let found = Figure::new(
        format!("{SERIES} series, steps seen within {WITHIN} nights"),
        own.share(own.found),
        "",
    );
    let alarms = Figure::new("false alarms a series", own.share(own.alarms), "");
    bench.show(&match theirs {
        Some(theirs) => found.at_least(theirs.share(theirs.found)),
        None => found,
    });
    let most = theirs.map_or(MOST_FALSE, |theirs| {
        theirs.share(theirs.alarms).min(MOST_FALSE)
    });
    bench.show(&alarms.at_most(most));
    context(bench, "", own);
    if let Some(theirs) = theirs {
        bench.show(&Figure::new(
            "Otava: steps seen",
            theirs.share(theirs.found),
            "",
        ));
        bench.show(&Figure::new(
            "Otava: false alarms a series",
            theirs.share(theirs.alarms),
            "",
        ));
        context(bench, "Otava: ", theirs);
    }
    let own = ours(&all)?;
    bench.show(&Figure::new(
        format!("{MANY} series, steps seen"),
        own.share(own.found),
        "",
    ));
    bench.show(&Figure::new(
        format!("{MANY} series, false alarms a series"),
        own.share(own.alarms),
        "",
    ));
    let best = knowing(&all, own.share(own.alarms));
    bench.show(&Figure::new(
        "the same, where level, noise and size are known beforehand",
        best.share(best.found),
        "",
    ));
    Ok(())
}

fn context(bench: &Bench<'_>, who: &str, sum: Sum) {
    bench.show(&Figure::new(
        format!("{who}seen, and at most 1 false alarm"),
        sum.share(sum.good),
        "",
    ));
}

impl Sum {
    /// Adds what was said of a series: by night, the places where it was seen to shift. What was said
    /// once is no second alarm.
    fn add(&mut self, series: &Stepped, nights: impl IntoIterator<Item = (usize, Vec<usize>)>) {
        let mut raised: Vec<usize> = Vec::new();
        let (mut found, mut alarms) = (false, 0);
        for (night, places) in nights {
            for place in places {
                if raised.iter().any(|old| old.abs_diff(place) <= NEAR) {
                    continue;
                }
                raised.push(place);
                let right = night > series.at && place.abs_diff(series.at) <= NEAR;
                found |= right && night - series.at <= WITHIN;
                alarms += u32::from(!right);
            }
        }
        self.series += 1;
        self.found += u32::from(found);
        self.alarms += alarms;
        self.good += u32::from(found && alarms <= 1);
    }
}

/// The most steps that are seen with so many false alarms a series, by sums of what is beyond half the
/// step (Page's), where nothing has to be learnt from the series.
fn knowing(series: &[Stepped], alarms: f64) -> Sum {
    let bounds = (10..=80).map(|tenth| f64::from(tenth) / 10.0);
    let sums = bounds.map(|bound| {
        let mut sum = Sum::default();
        for one in series {
            sum.add(one, page(one, bound));
        }
        sum
    });
    let mut sums = sums.filter(|sum| sum.share(sum.alarms) <= alarms);
    sums.next().unwrap_or_default()
}

/// Alarms, each on its night.
fn page(series: &Stepped, bound: f64) -> Vec<(usize, Vec<usize>)> {
    const NOISE: f64 = 0.02;
    let mut alarms = Vec::new();
    // Up and down: the sum, and where it began.
    let mut sums = [(0.0, 0); 2];
    let mut level = 1.0;
    for (night, value) in series.values.iter().enumerate() {
        for (sum, sign) in sums.iter_mut().zip([1.0, -1.0]) {
            if sum.0 == 0.0 {
                sum.1 = night;
            }
            let beyond = sign * (value - level) - series.by.abs() / 2.0;
            sum.0 = (sum.0 + beyond / NOISE).max(0.0);
        }
        if let Some((_, from)) = sums.into_iter().find(|sum| sum.0 > bound) {
            alarms.push((night + 1, vec![from]));
            sums = [(0.0, 0); 2];
            // It knows as well whether it was right.
            if night >= series.at {
                level = 1.0 + series.by;
            }
        }
    }
    alarms
}

fn otava() -> Option<PathBuf> {
    let named = env::var_os(OTAVA).filter(|named| !named.is_empty());
    named.map(PathBuf::from).or_else(|| doctor::find("otava"))
}

/// Otava with its defaults, asked on every night.
fn by_otava(otava: &Path, series: &[Stepped], bench: &Bench<'_>) -> Result<Sum> {
    let mut sum = Sum::default();
    for one in series {
        bench.cancel.check()?;
        let dir = tempfile::tempdir()?;
        sum.add(one, asked(otava, one, dir.path())?);
    }
    Ok(sum)
}

/// What it says of a series, by night.
fn asked(otava: &Path, series: &Stepped, dir: &Path) -> Result<Vec<(usize, Vec<usize>)>> {
    const BEGUN: usize = 1_700_000_000;
    const DAY: usize = 86_400;
    let mut config = String::from("tests:\n");
    let mut table = String::from("time,value\n");
    for (night, value) in series.values.iter().enumerate() {
        writeln!(table, "{},{:.6}", BEGUN + DAY * night, value * 1000.0)?;
        if night + 1 < FIRST {
            continue;
        }
        let file = dir.join(format!("{}.csv", night + 1));
        fs::write(&file, &table)?;
        writeln!(
            config,
            "  night{}:\n    type: csv\n    file: {}\n    time_column: time\n    metrics:\n      value: {{}}",
            night + 1,
            file.display()
        )?;
    }
    let file = dir.join("config.yaml");
    fs::write(&file, config)?;
    let mut command = Command::new(otava);
    command
        .arg("analyze")
        .arg("--config-file")
        .arg(&file)
        .args(["--since", "1 Jan 2000", "--output", "json"])
        .args((FIRST..=NIGHTS).map(|night| format!("night{night}")));
    let output = command
        .output()
        .with_context(|| format!("failed to start {}", otava.display()))?;
    ensure!(
        output.status.success(),
        "{} ended with {}: {}",
        otava.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let said = answers(&String::from_utf8(output.stdout)?)?;
    ensure!(
        said.len() == NIGHTS + 1 - FIRST,
        "otava answered for {} nights",
        said.len()
    );
    Ok(said)
}

/// One line a night: its name, and the changes in it.
fn answers(text: &str) -> Result<Vec<(usize, Vec<usize>)>> {
    let mut said = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line: Value = serde_json::from_str(line).context("otava said no JSON")?;
        for (name, points) in line.as_object().context("otava said no object")? {
            let night = name.trim_start_matches("night").parse()?;
            let changes = points.as_array().into_iter().flatten();
            let changes = changes.filter_map(|point| point["changes"].as_array());
            let places = changes
                .flatten()
                .filter_map(|change| change["index"].as_u64());
            said.push((night, places.map(|place| place as usize).collect()));
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_counted_once() {
        let series = Stepped {
            values: Vec::new(),
            at: 100,
            by: 0.03,
        };
        type Nights = &'static [(usize, &'static [usize])];
        let table: [(Nights, bool, u32); 6] = [
            (&[(104, &[101]), (105, &[100])], true, 0),
            (&[(108, &[100])], false, 0),
            (&[(100, &[97])], false, 1),
            (&[(50, &[47]), (51, &[48]), (52, &[40, 60])], false, 2),
            (&[(50, &[20]), (107, &[20, 103])], true, 1),
            (&[], false, 0),
        ];
        for (nights, found, alarms) in table {
            let mut sum = Sum::default();
            sum.add(&series, nights.iter().map(|(n, p)| (*n, p.to_vec())));
            let expected = Sum {
                series: 1,
                found: u32::from(found),
                alarms,
                good: u32::from(found && alarms <= 1),
            };
            assert_eq!(sum, expected, "{nights:?}");
        }
    }

    #[test]
    fn otavas_answers_are_read() {
        let text = r#"{"night11": [{"time": 1, "attributes": {}, "changes": [{"metric": "value", "index": 7}]}]}

{"night12": []}"#;
        let said = answers(text).unwrap();
        assert_eq!(said, [(11, vec![7]), (12, vec![])]);
        assert!(answers("Traceback").is_err());
    }
}
