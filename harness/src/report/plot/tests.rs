//! Drawn charts against golden files; `UPDATE_GOLDEN=1` writes them anew.

use super::{
    super::tests::golden_is,
    chart::{Boots, Chart, Drawn, Lines, Ratio, Strip},
    svg,
};

fn lines(names: &[&str]) -> Chart {
    let numbers = [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0];
    let curve = |series: usize| -> Vec<(f64, f64)> {
        let grows = [0.0, 0.02, 0.0004][series % 3];
        let cost = |n: f64| 40.0 + 60.0 * (series + 1) as f64 + n * grows;
        numbers.map(|n| (n, cost(n))).into()
    };
    let series = names.iter().enumerate();
    Chart {
        title: "instructions of lookup".into(),
        drawn: Drawn::Lines(Lines {
            across: "backing ids".into(),
            series: series
                .map(|(at, name)| ((*name).to_owned(), curve(at)))
                .collect(),
        }),
    }
}

fn boots(of: &str, values: &[f64]) -> Boots {
    Boots {
        of: of.into(),
        values: values.into(),
        median: values.first().copied(),
    }
}

fn strip(judged: bool) -> Chart {
    let ratio = |of: &str, ratio, interval, says: &str| Ratio {
        of: of.into(),
        ratio,
        interval,
        margin: 0.05,
        says: says.into(),
    };
    let ratios = [
        ratio(
            "ida-hashtable",
            0.99,
            Some([0.97, 1.02]),
            "equivalent, under emulation",
        ),
        ratio("slower", 0.79, Some([0.74, 0.85]), "worse"),
    ];
    let values = [
        ("base", [20_019.0, 19_800.0, 20_700.0, 20_100.0]),
        ("ida-hashtable", [19_900.0, 19_700.0, 20_500.0, 20_000.0]),
        ("slower", [16_000.0, 15_400.0, 16_300.0, 15_900.0]),
    ];
    Chart {
        title: "fio iops, 1/s, a dot for each boot".into(),
        drawn: Drawn::Strip(Strip {
            series: values.map(|(of, values)| boots(of, &values)).into(),
            ratios: if judged { ratios.into() } else { Vec::new() },
        }),
    }
}

#[test]
fn golden() {
    let evil = "\u{1b}]0;x\u{7}</text><script>alert(1)</script> & \"quoted\" \u{202e}";
    let mut hostile = lines(&[evil, "", evil]);
    hostile.title = evil.into();
    for (name, chart) in [
        (
            "plot-lines.svg",
            lines(&["base", "ida-hashtable", "ida-rhashtable"]),
        ),
        ("plot-strip.svg", strip(true)),
        ("plot-strip-unjudged.svg", strip(false)),
        ("plot-hostile.svg", hostile),
    ] {
        golden_is(name, &svg(&chart));
    }
}

#[test]
fn many_names_go_on_below() {
    let names: Vec<String> = (0..12)
        .map(|n| format!("a-variant-with-a-long-name-{n}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let drawn = svg(&lines(&names));
    let x_of = |line: &str| -> Option<f64> {
        line.contains("a-variant")
            .then(|| line.split("x=\"").nth(1)?.split('"').next()?.parse().ok())?
    };
    let places: Vec<f64> = drawn.lines().filter_map(x_of).collect();
    assert_eq!(places.len(), 12);
    assert!(places.iter().all(|x| *x < 460.0), "{places:?}");
}

#[test]
fn any_figures_are_drawn() {
    let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300, 5e-324];
    let pairs: Vec<(f64, f64)> = odd.iter().flat_map(|x| odd.map(|y| (*x, y))).collect();
    let charts = [
        Drawn::Lines(Lines::default()),
        Drawn::Strip(Strip::default()),
        Drawn::Lines(Lines {
            across: String::new(),
            series: vec![("odd".into(), pairs), ("none".into(), Vec::new())],
        }),
        Drawn::Strip(Strip {
            series: vec![boots("odd", &odd), boots("none", &[])],
            ratios: odd
                .map(|ratio| Ratio {
                    of: "gone".into(),
                    ratio,
                    interval: Some([ratio, f64::NAN]),
                    margin: ratio,
                    says: String::new(),
                })
                .into(),
        }),
    ];
    for drawn in charts {
        let title = String::new();
        let text = svg(&Chart { title, drawn });
        assert!(text.ends_with("</svg>\n"));
        assert!(!text.contains("NaN") && !text.contains("\"inf"), "{text}");
    }
}
