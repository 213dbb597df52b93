//! The plots of a verdict: throughput by boots, and what was measured at several numbers of backing ids.

use super::{
    costs::{groups, said},
    plot::{
        self,
        chart::{Boots, Chart, Drawn, Lines, Ratio, Strip},
    },
};
use crate::{
    judge::{
        is_throughput,
        verdict::{Comparison, Measure, Sample, Verdict},
    },
    plan::BASE,
};

/// Where a plot's file lies in a run directory.
pub(super) const FOLDER: &str = "plots";
/// A curve has points at so many numbers at least.
const FEWEST: usize = 2;

/// A plot, and what its file is called.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plot {
    /// Within [`FOLDER`]: letters, digits and dashes.
    pub(super) file: String,
    chart: Chart,
}

impl Plot {
    /// What it shows.
    pub(super) fn title(&self) -> &str {
        &self.chart.title
    }

    /// The file.
    pub(super) fn svg(&self) -> String {
        plot::svg(&self.chart)
    }
}

/// Every plot that the verdict has figures for: those of a config and scenario hold base and all
/// variants side by side.
pub(super) fn plots(verdict: &Verdict) -> Vec<Plot> {
    let groups = groups(verdict);
    let charts = groups.iter().flat_map(|group| {
        let throughput = names(group, is_throughput, |measure| &measure.name);
        let throughput = throughput.into_iter().map(|name| {
            let chart = strip(group, name, &verdict.host.accel);
            (name, chart)
        });
        let curves = names(group, is_on_curve, |measure| {
            measure.curve.as_ref().map_or("", |point| &point.of)
        });
        let curves = curves.into_iter().map(|name| (name, lines(group, name)));
        let all = throughput.chain(curves);
        all.filter_map(|(name, chart)| Some((name, chart?)))
            .collect::<Vec<_>>()
    });
    charts
        .zip(1..)
        .map(|((name, chart), number)| Plot {
            // Names may be anything: the number tells them from others.
            file: format!("{number}-{}.svg", slug(name)),
            chart,
        })
        .collect()
}

/// What breaks another measure down is in the tables.
fn is_on_curve(measure: &Measure) -> bool {
    measure.curve.is_some() && !measure.part
}

/// The names of such measures, in the order in which they come.
fn names<'v>(
    group: &[&'v Comparison],
    wanted: impl Fn(&Measure) -> bool,
    name: impl Fn(&'v Measure) -> &'v str,
) -> Vec<&'v str> {
    let mut names = Vec::new();
    let measures = group.iter().flat_map(|comparison| &comparison.measures);
    for measure in measures.filter(|measure| wanted(measure)) {
        let name = name(measure);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A dot for each boot; none where nothing was measured.
fn strip(group: &[&Comparison], name: &str, accel: &str) -> Option<Chart> {
    let measures: Vec<(&str, &Measure)> = group
        .iter()
        .filter_map(|comparison| {
            let mut found = comparison.measures.iter();
            let found = found.find(|measure| measure.name == name)?;
            Some((comparison.variant.as_str(), found))
        })
        .collect();
    let (_, first) = measures.first()?;
    let base = Some((BASE, &first.base)).filter(|(_, sample)| !sample.values.is_empty());
    let variants = measures
        .iter()
        .map(|(variant, measure)| (*variant, &measure.variant));
    let series = base.into_iter().chain(variants);
    let series = series.map(|(of, sample): (&str, &Sample)| Boots {
        of: of.to_owned(),
        values: sample.values.clone(),
        median: sample.median,
    });
    let ratios = measures.iter().filter_map(|(variant, measure)| {
        Some(Ratio {
            of: (*variant).to_owned(),
            ratio: measure.ratio?,
            interval: measure.ci95,
            margin: measure.margin?,
            says: said(measure, accel)?.0,
        })
    });
    Some(Chart {
        title: titled(group, name, &first.unit, ", a mark for each boot"),
        drawn: Drawn::Strip(Strip {
            series: series.collect(),
            ratios: ratios.collect(),
        }),
    })
}

/// Curves over the number of ids; none where there are too few points for one.
fn lines(group: &[&Comparison], curve: &str) -> Option<Chart> {
    let on = |comparison: &&Comparison, side: fn(&Measure) -> &Sample| -> Vec<(f64, f64)> {
        let mut points: Vec<(f64, f64)> = comparison
            .measures
            .iter()
            .filter(|measure| is_on_curve(measure))
            .filter_map(|measure| {
                let point = measure.curve.as_ref().filter(|point| point.of == curve)?;
                Some((f64::from(point.ids), side(measure).median?))
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let with = |comparison: &&&Comparison| !on(comparison, |measure| &measure.variant).is_empty();
    let base = group.iter().find(with).or(group.first())?;
    let base = (BASE.to_owned(), on(base, |measure| &measure.base));
    let variants = group.iter().map(|comparison| {
        let points = on(comparison, |measure| &measure.variant);
        (comparison.variant.clone(), points)
    });
    let series: Vec<(String, Vec<(f64, f64)>)> = std::iter::once(base)
        .chain(variants)
        .filter(|(_, points)| !points.is_empty())
        .collect();
    if series.iter().all(|(_, points)| points.len() < FEWEST) {
        return None;
    }
    let of_curve = |measure: &&Measure| {
        let point = measure.curve.as_ref();
        point.is_some_and(|point| point.of == curve)
    };
    let mut all = group.iter().flat_map(|comparison| &comparison.measures);
    let unit = all.find(of_curve).map_or("", |measure| &measure.unit);
    Some(Chart {
        title: titled(group, curve, unit, ""),
        drawn: Drawn::Lines(Lines {
            across: "backing ids".into(),
            series,
        }),
    })
}

/// `plain: memory, B`.
fn titled(group: &[&Comparison], name: &str, unit: &str, more: &str) -> String {
    let config = &group[0].config;
    let unit = match unit {
        "" => String::new(),
        unit => format!(", {unit}"),
    };
    format!("{config}: {name}{unit}{more}")
}

/// The words of a name, for a file's.
fn slug(name: &str) -> String {
    const LONGEST: usize = 40;
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => ' ',
    };
    let text: String = name.chars().map(plain).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let slug: String = words.join("-").chars().take(LONGEST).collect();
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{costs, sample};

    #[test]
    fn each_curve_and_each_throughput_has_a_plot_with_all_kernels() {
        let plots = plots(&costs());
        let files: Vec<&str> = plots.iter().map(|plot| plot.file.as_str()).collect();
        assert_eq!(
            files,
            [
                "1-fio-iops.svg",
                "2-memory.svg",
                "3-instructions-of-lookup.svg",
            ]
        );
        for plot in &plots {
            let svg = plot.svg();
            for kernel in ["base", "ida-hashtable", "ida-rhashtable"] {
                assert!(
                    svg.contains(&format!(">{kernel}</text>")),
                    "{kernel}: {svg}"
                );
            }
        }
        assert!(plots[0].svg().contains("1.01, equivalent, under emulation"));
        assert_eq!(
            super::plots(&sample()),
            [],
            "one boot's latency is no curve"
        );
    }

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(slug("../a: <b>, \u{202e}c/s "), "a-b-c-s");
        assert_eq!(
            slug(&"long ".repeat(20)),
            "long-".repeat(8).trim_end_matches('-')
        );
    }
}
