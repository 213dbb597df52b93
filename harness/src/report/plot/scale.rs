//! Values to places on an axis, and the marks at it.

/// Marks of an axis, about.
const MARKS: f64 = 5.0;
/// A larger ratio between the least and the most is shown by factors of ten.
const FACTORS_FROM: f64 = 50.0;

/// An axis: what lies at its ends, both finite and the second larger.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Equal steps.
    Steps(f64, f64),
    /// Equal factors; the ends are powers of ten, by their exponents.
    Factors(i32, i32),
}

impl Scale {
    /// From zero, or by factors where the values span many of them.
    pub(super) fn of(values: &[f64]) -> Self {
        let (least, most) = ends(values);
        if least > 0.0 && most / least > FACTORS_FROM {
            return Self::factors(values);
        }
        Self::widened(least.min(0.0), most.max(0.0))
    }

    /// By factors of ten. What is not above zero has no place on it.
    pub(super) fn factors(values: &[f64]) -> Self {
        let positive: Vec<f64> = values
            .iter()
            .copied()
            .filter(|value| *value > 0.0)
            .collect();
        let (least, most) = ends(&positive);
        if least <= 0.0 {
            return Self::Factors(0, 1);
        }
        // Rounded first: a power of ten is its own decade's begin, whatever its logarithm's last bit.
        let exponent = |value: f64| (value.log10() * 1e9).round() / 1e9;
        let from = exponent(least).floor() as i32;
        let to = exponent(most).ceil() as i32;
        Self::Factors(from, to.max(from + 1))
    }

    /// Around the values, whether or not zero is near.
    pub(super) fn around(values: &[f64]) -> Self {
        let (least, most) = ends(values);
        let room = match most - least {
            0.0 => least.abs().max(1.0) * 0.1,
            span => span * 0.1,
        };
        Self::widened(least - room, most + room)
    }

    /// Steps whose ends are marks.
    fn widened(least: f64, most: f64) -> Self {
        let (least, most) = match most > least {
            true => (least, most),
            false => (least, least + 1.0),
        };
        let step = step(most - least);
        let (from, to) = ((least / step).floor() * step, (most / step).ceil() * step);
        match from < to && from.is_finite() && to.is_finite() {
            true => Self::Steps(from, to),
            false => Self::Steps(least, most),
        }
    }

    /// The place of a value: 0 at the axis's begin, 1 at its end; none where it has no place.
    pub(super) fn place(self, value: f64) -> Option<f64> {
        let place = match self {
            Self::Steps(from, to) => (value - from) / (to - from),
            Self::Factors(from, to) => {
                (value.log10() - f64::from(from)) / (f64::from(to) - f64::from(from))
            }
        };
        (-0.001..=1.001).contains(&place).then_some(place)
    }

    /// The values that are marked.
    pub(super) fn marks(self) -> Vec<f64> {
        match self {
            Self::Steps(from, to) => {
                let step = step(to - from);
                let count = ((to - from) / step).round().clamp(1.0, 4.0 * MARKS) as u32;
                (0..=count).map(|at| from + f64::from(at) * step).collect()
            }
            Self::Factors(from, to) => {
                let every = (to - from) / 8 + 1;
                (from..=to)
                    .filter(|exponent| (exponent - from) % every == 0)
                    .map(|exponent| 10_f64.powi(exponent))
                    .collect()
            }
        }
    }
}

/// 1, 2 or 5, times a power of ten.
fn step(span: f64) -> f64 {
    let rough = span / MARKS;
    let ten = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let fits = steps.into_iter().find(|one| one * ten >= rough * 0.999);
    fits.unwrap_or(10.0) * ten
}

/// The least and the most of what is finite; 0 and 0 for nothing.
fn ends(values: &[f64]) -> (f64, f64) {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let ends = finite.fold(None, |ends: Option<(f64, f64)>, value| {
        let (least, most) = ends.unwrap_or((value, value));
        Some((least.min(value), most.max(value)))
    });
    ends.unwrap_or((0.0, 0.0))
}

/// A value at a mark, short: `20k`, `1.5M`, `0.95`.
pub(super) fn label(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e15 || size > 0.0 && size < 1e-4 => return format!("{value:.0e}"),
        size if size >= 1e12 => (value / 1e12, "T"),
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = format!("{value:.4}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    match digits {
        "-0" | "" => "0".to_owned(),
        digits => format!("{digits}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_hold_all_values() {
        let table: [(&[f64], &[&str]); 8] = [
            (&[3.0, 17.0], &["0", "5", "10", "15", "20"]),
            (&[0.0, 0.93], &["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            (&[-4.0, 4.0], &["-4", "-2", "0", "2", "4"]),
            (&[1.0, 100_000.0], &["1", "10", "100", "1k", "10k", "100k"]),
            (
                &[40.0, 9e6],
                &["10", "100", "1k", "10k", "100k", "1M", "10M"],
            ),
            (&[7.0], &["0", "2", "4", "6", "8"]),
            (&[0.0], &["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            (
                &[f64::NAN, f64::INFINITY],
                &["0", "0.2", "0.4", "0.6", "0.8", "1"],
            ),
        ];
        for (values, marks) in table {
            let scale = Scale::of(values);
            let shown: Vec<String> = scale.marks().into_iter().map(label).collect();
            assert_eq!(shown, marks, "{values:?}");
            for value in values.iter().filter(|value| value.is_finite()) {
                assert!(scale.place(*value).is_some(), "{value}");
            }
        }
    }

    #[test]
    fn places() {
        assert_eq!(Scale::Steps(10.0, 20.0).place(15.0), Some(0.5));
        assert_eq!(Scale::Steps(10.0, 20.0).place(25.0), None);
        assert_eq!(Scale::factors(&[1.0, 100.0]).place(10.0), Some(0.5));
        assert_eq!(Scale::factors(&[1.0, 100.0]).place(0.0), None);
        assert_eq!(Scale::factors(&[]), Scale::Factors(0, 1));
        assert_eq!(Scale::factors(&[1000.0]), Scale::Factors(3, 4));
        let Scale::Steps(from, to) = Scale::around(&[19_000.0, 21_000.0]) else {
            panic!("it goes by steps");
        };
        assert!((15_000.0..19_000.0).contains(&from) && to > 21_000.0);
    }

    #[test]
    fn any_values_have_an_axis() {
        for values in [
            [1e300, -1e300],
            [1e-300, 1e300],
            [f64::MAX, f64::MIN],
            [5e-324, 0.0],
        ] {
            for scale in [
                Scale::of(&values),
                Scale::around(&values),
                Scale::factors(&values),
            ] {
                assert!(scale.marks().len() < 50, "{scale:?}");
            }
        }
    }
}
