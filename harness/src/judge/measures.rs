//! Costs, base and variant side by side.

use protocol::FioResult;
use serde_json::Value;

use super::{
    throughput::{self, Rules},
    verdict::{Measure, Sample},
};
use crate::{
    collect::record::{End, RunRecord},
    plan::Purpose,
};

/// The directions of fio's report that are compared.
const DIRECTIONS: [&str; 2] = ["read", "write"];

/// A figure of one direction of one job of fio's report.
struct Figure {
    name: &'static str,
    unit: &'static str,
    read: fn(&Value) -> Option<f64>,
    /// Several jobs' figures add up; otherwise their mean by I/Os stands for all.
    sums: bool,
}

/// What is read from fio's report.
const FIGURES: [Figure; 4] = [
    Figure {
        name: "iops",
        unit: "1/s",
        read: |of| number(of.get("iops")?),
        sums: true,
    },
    Figure {
        name: "bandwidth",
        unit: "B/s",
        // `bw` is in KiB/s; older versions know no other.
        read: |of| {
            let bytes = of.get("bw_bytes").and_then(number);
            bytes.or_else(|| Some(number(of.get("bw")?)? * 1024.0))
        },
        sums: true,
    },
    Figure {
        name: "latency p50",
        unit: "us",
        read: |of| percentile(of, "50.000000"),
        sums: false,
    },
    Figure {
        name: "latency p99",
        unit: "us",
        read: |of| percentile(of, "99.000000"),
        sums: false,
    },
];

/// What throughput is judged by: I/Os of both directions, as a mix of them has one rate.
const THROUGHPUT: &str = "fio iops";

/// Counts of a load that are shown as rates.
const RATES: [(&str, &[&str]); 1] = [("backing-race", &["lookups", "removes"])];

/// Every measure that either side has; without a base the variant's alone.
pub(super) fn measures(base: &[RunRecord], variant: &[RunRecord]) -> Vec<Measure> {
    let mut all = Vec::new();
    let mut add = |name: String, unit: &str, read: &dyn Fn(&RunRecord) -> Option<f64>| {
        let (base, variant) = (sample(base, read), sample(variant, read));
        if base.values.is_empty() && variant.values.is_empty() {
            return;
        }
        all.push(Measure::shown(name, unit, base, variant));
    };
    let phases = |records: &[RunRecord]| records.iter().map(|r| r.fio.len()).max().unwrap_or(0);
    let fio_phases = phases(base).max(phases(variant));
    for phase in 0..fio_phases {
        let which = match fio_phases {
            1 => String::new(),
            _ => format!(" {}", phase + 1),
        };
        add(format!("{THROUGHPUT}{which}"), "1/s", &|record| {
            let result = record.fio.get(phase)?;
            let iops = DIRECTIONS.map(|direction| over_jobs(result, direction, &FIGURES[0]));
            iops.into_iter().flatten().reduce(|a, b| a + b)
        });
        for direction in DIRECTIONS {
            for figure in &FIGURES {
                add(
                    format!("fio{which} {direction} {}", figure.name),
                    figure.unit,
                    &|record| over_jobs(record.fio.get(phase)?, direction, figure),
                );
            }
        }
    }
    for (load, names) in RATES {
        for name in names {
            add(format!("{load} {name}"), "1/s", &|record| {
                rate(record, load, name)
            });
        }
    }
    all
}

/// The load whose throughput is judged.
const FIO: &str = "fio";

/// Whether a measure is one of throughput, which is judged.
pub fn is_throughput(measure: &Measure) -> bool {
    measure.name.starts_with(THROUGHPUT)
}

/// The throughput of these boots, judged; none where no fio ran.
pub fn judged_throughput(
    base: &[RunRecord],
    variant: &[RunRecord],
    rules: &Rules,
) -> Option<Measure> {
    let mut measure = measures(base, variant).into_iter().find(is_throughput)?;
    throughput::judge(&mut measure, rules, taken(base, variant));
    Some(measure)
}

/// How far apart the sides' throughputs may be for their neighbours' sake alone, as the logarithm of a
/// ratio: what fio does is at worst in proportion to the CPUs that others left.
pub(super) fn taken(base: &[RunRecord], variant: &[RunRecord]) -> f64 {
    // However much others had, something was left.
    const MOST: f64 = 0.95;
    let left = |records: &[RunRecord]| {
        let phases = records.iter().flat_map(|record| &record.phases);
        let fio = phases.filter(|phase| phase.name == FIO);
        let left = fio.filter_map(|phase| Some(1.0 - phase.others?.clamp(0.0, MOST)));
        median(&left.collect::<Vec<f64>>())
    };
    match (left(base), left(variant)) {
        (Some(base), Some(variant)) => (variant / base).ln().abs(),
        _ => 0.0,
    }
}

/// I/Os that fio did.
pub(super) fn ios(result: &FioResult) -> u64 {
    jobs(result)
        .flat_map(|job| DIRECTIONS.map(|direction| job.get(direction)?.get("total_ios")?.as_u64()))
        .flatten()
        .fold(0, u64::saturating_add)
}

fn jobs(result: &FioResult) -> impl Iterator<Item = &Value> {
    result
        .json
        .get("jobs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn over_jobs(result: &FioResult, direction: &str, figure: &Figure) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for of in jobs(result).filter_map(|job| job.get(direction)) {
        let ios = of.get("total_ios").and_then(number).unwrap_or(0.0);
        if ios <= 0.0 {
            continue;
        }
        let value = (figure.read)(of)?;
        sum += if figure.sums { value } else { value * ios };
        weight += ios;
    }
    let value = if figure.sums { sum } else { sum / weight };
    (weight > 0.0 && value.is_finite()).then_some(value)
}

fn percentile(of: &Value, which: &str) -> Option<f64> {
    let latency = of.get("clat_ns").or_else(|| of.get("lat_ns"))?;
    Some(number(latency.get("percentile")?.get(which)?)? / 1000.0)
}

/// A figure that makes sense: the guest may write anything.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|n| n.is_finite() && *n >= 0.0)
}

fn rate(record: &RunRecord, load: &str, name: &str) -> Option<f64> {
    let (mut count, mut seconds) = (0.0, 0.0);
    for phase in record.phases.iter().filter(|phase| phase.name == load) {
        count += *phase.counters.get(name)? as f64;
        seconds += phase.ended_s? - phase.started_s;
    }
    (seconds > 0.0).then(|| count / seconds)
}

/// One value for each boot that finished.
fn sample(records: &[RunRecord], read: &dyn Fn(&RunRecord) -> Option<f64>) -> Sample {
    let values: Vec<f64> = records
        .iter()
        // vCPUs are held in a boot that is emulated for that: its speed is no other's.
        .filter(|record| record.end == End::Finished && record.cell.purpose == Purpose::Loads)
        .filter_map(read)
        .collect();
    Sample {
        median: median(&values),
        values,
    }
}

/// The middle value, or what lies between the middle two.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::fixtures::good;

    fn result(json: Value) -> FioResult {
        FioResult {
            code: 0,
            json,
            stderr: String::new(),
        }
    }

    /// What fio 3.33 writes, as far as it is read.
    fn report() -> Value {
        json!({"fio version": "fio-3.33", "jobs": [{
            "jobname": "ktwin",
            "read": {"io_bytes": 4096, "bw_bytes": 1_048_576, "bw": 1024, "iops": 256.5,
                "total_ios": 10,
                "clat_ns": {"min": 1, "percentile": {"50.000000": 2000, "99.000000": 9500}}},
            "write": {"bw": 2, "iops": 1.0, "total_ios": 3, "clat_ns": {}},
            "trim": {"iops": 0.0, "total_ios": 0}}]})
    }

    #[test]
    fn fios_report() {
        let result = result(report());
        let read = |direction: &str| -> Vec<Option<f64>> {
            FIGURES
                .iter()
                .map(|figure| over_jobs(&result, direction, figure))
                .collect()
        };
        assert_eq!(
            read("read"),
            [Some(256.5), Some(1_048_576.0), Some(2.0), Some(9.5)]
        );
        assert_eq!(read("write"), [Some(1.0), Some(2048.0), None, None]);
        assert_eq!(ios(&result), 13);
    }

    #[test]
    fn several_jobs() {
        let job = |iops: f64, ios: u64, p50: u64| {
            json!({"read": {"iops": iops, "total_ios": ios,
                "clat_ns": {"percentile": {"50.000000": p50}}}})
        };
        let result =
            result(json!({"jobs": [job(1.0, 1, 1000), job(2.0, 3, 5000), job(9.0, 0, 9)]}));
        assert_eq!(over_jobs(&result, "read", &FIGURES[0]), Some(3.0));
        assert_eq!(over_jobs(&result, "read", &FIGURES[2]), Some(4.0));
    }

    #[test]
    fn an_emulated_boots_speed_is_not_compared() {
        let boot = |emulated| {
            let mut boot = good("kasan-base-1");
            boot.cell.purpose = if emulated {
                Purpose::Widened
            } else {
                Purpose::Loads
            };
            boot
        };
        let race = |boots: &[RunRecord]| {
            let mut all = measures(boots, boots).into_iter();
            let found = all.find(|measure| measure.name == "backing-race lookups");
            found.map(|measure| measure.base.values.len())
        };
        assert_eq!(race(&[boot(false), boot(false)]), Some(2));
        assert_eq!(race(&[boot(false), boot(true)]), Some(1));
        assert_eq!(race(&[boot(true)]), None);
    }

    #[test]
    fn reports_that_are_none() {
        for json in [
            Value::Null,
            json!([]),
            json!({"jobs": {}}),
            json!({"jobs": [7, null, {}, {"read": 7}, {"read": {"total_ios": -4}}]}),
            json!({"jobs": [{"read": {"total_ios": "many", "iops": 1}}]}),
            json!({"jobs": [{"read": {"total_ios": 5, "iops": -1.0}}]}),
            json!({"jobs": [{"read": {"total_ios": 5, "iops": "fast"}}]}),
        ] {
            let result = result(json);
            for figure in &FIGURES {
                assert_eq!(over_jobs(&result, "read", figure), None, "{}", result.json);
            }
        }
        let huge = json!({"jobs": [{"read": {"total_ios": u64::MAX}}, {"read": {"total_ios": 9}}]});
        assert_eq!(ios(&result(huge)), u64::MAX);
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }
}
