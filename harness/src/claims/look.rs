//! A figure in the verdicts of the runs (pure).

use super::types::{Among, Figure, Runs, Side, What};
use crate::judge::verdict::{Comparison, Finding, Judgement, Measure, Shape, Status};

/// Both sides' figures, and the one that was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) base: Option<f64>,
    pub(super) variant: Option<f64>,
    pub(super) value: Option<f64>,
}

/// The comparison that a figure is looked for in; or why there is none.
pub(super) fn comparison<'a>(
    runs: &'a Runs,
    figure: &Figure,
    own: &str,
) -> Result<&'a Comparison, String> {
    let Some((verdict, _)) = runs.get(&figure.run) else {
        return Err(format!("the run {} was not made", figure.run));
    };
    let variant = figure.variant.as_deref().unwrap_or(own);
    let mut found = verdict.comparisons.iter();
    let found = found.find(|comparison| comparison.variant == variant);
    found.ok_or_else(|| format!("{variant} was not compared in the run {}", figure.run))
}

/// The figure there; or why there is none.
pub(super) fn figure(comparison: &Comparison, figure: &Figure) -> Result<Seen, String> {
    let [base, variant] = sides(comparison, &figure.what)?;
    let mut value = at(comparison, &figure.what, figure.side)?;
    if let Some((what, side)) = &figure.over {
        let over = at(comparison, what, *side)?;
        if over == 0.0 {
            return Err(format!("{} is zero", name(what)));
        }
        value /= over;
    }
    Ok(Seen {
        base,
        variant,
        value: Some(value),
    })
}

/// One figure.
pub(super) fn at(comparison: &Comparison, what: &What, side: Side) -> Result<f64, String> {
    let missing = |side: &str| format!("{} is not known of {side}", name(what));
    let [base, variant] = sides(comparison, what)?;
    let base = base.ok_or_else(|| missing("base"));
    let variant = variant.ok_or_else(|| missing("the variant"));
    match side {
        Side::Base => base,
        Side::Variant => variant,
        Side::Difference => Ok(variant? - base?),
        Side::Ratio => match base? {
            0.0 => Err(format!("{} is zero on base", name(what))),
            base => Ok(variant? / base),
        },
    }
}

/// What a measure was judged.
pub(super) fn judgement<'a>(
    comparison: &'a Comparison,
    what: &What,
) -> Result<(Judgement, &'a Measure), String> {
    let What::Measure(name) = what else {
        return Err("only measures are judged".into());
    };
    let measure = measure(comparison, name)?;
    let judgement = measure.judgement;
    judgement
        .map(|judgement| (judgement, measure))
        .ok_or_else(|| format!("{name} was not judged"))
}

/// Which of these the variant shows and base does not, with this status.
pub(super) fn news<'a>(
    comparison: &'a Comparison,
    among: &Among,
    status: Status,
) -> Vec<&'a Finding> {
    let news = comparison.findings.iter().filter(|finding| {
        finding.status == status && finding.accepted.is_none() && among.holds(finding)
    });
    news.collect()
}

impl Among {
    fn holds(&self, finding: &Finding) -> bool {
        let begins = |file: &String| self.files.iter().any(|start| file.starts_with(start));
        let inside = self.files.is_empty() || finding.files.is_empty();
        (self.classes.is_empty() || self.classes.contains(&finding.class))
            && (inside || finding.files.iter().any(begins))
    }
}

/// What is looked at, in words.
pub(super) fn name(what: &What) -> String {
    match what {
        What::Measure(name) => name.clone(),
        What::Count(name) => name.replace('_', " "),
        What::Size(name) => format!("size of struct {name}"),
        What::Slab(name) => format!("slab object of struct {name}"),
        What::Findings(Among { classes, files }) => {
            let part = |word: &str, names: &[String]| match names {
                [] => String::new(),
                names => format!(" {word} {}", names.join(", ")),
            };
            format!("findings{}{}", part("of", classes), part("in", files))
        }
    }
}

fn measure<'a>(comparison: &'a Comparison, name: &str) -> Result<&'a Measure, String> {
    let mut found = comparison.measures.iter();
    let found = found.find(|measure| measure.name == name);
    found.ok_or_else(|| format!("there is no measure {name:?}"))
}

/// Base's and the variant's.
fn sides(comparison: &Comparison, what: &What) -> Result<[Option<f64>; 2], String> {
    match what {
        What::Measure(name) => {
            let measure = measure(comparison, name)?;
            Ok([measure.base.median, measure.variant.median])
        }
        What::Count(name) => {
            let sides = [&comparison.exercise_base, &comparison.exercise];
            let counts = sides.map(|counts| counts.get(name).map(|n| *n as f64));
            match counts {
                [None, None] => Err(format!("nothing counted {name:?}")),
                counts => Ok(counts),
            }
        }
        What::Size(name) => shapes(comparison, name, |shape| shape.bytes),
        What::Slab(name) => shapes(comparison, name, |shape| shape.slab_bytes),
        What::Findings(_) => Ok([None, None]),
    }
}

fn shapes(
    comparison: &Comparison,
    name: &str,
    of: impl Fn(&Shape) -> u64,
) -> Result<[Option<f64>; 2], String> {
    let mut found = comparison.structures.iter();
    let Some(one) = found.find(|structure| structure.name == name) else {
        return Err(format!(
            "struct {name} was not measured: the patch changes none of that name, or its files did not \
             compile again with types"
        ));
    };
    let sides = [&one.base, &one.variant];
    Ok(sides.map(|side| side.as_ref().map(|shape| of(shape) as f64)))
}
