//! How far apart two small samples lie: an exact interval from ranks, whatever the distribution (pure).

/// The shift from one sample to the other: the median of all pairwise differences (Hodges and
/// Lehmann's estimate). NaN where a sample is empty.
pub(crate) fn shift(from: &[f64], to: &[f64]) -> f64 {
    let differences = differences(from, to);
    match differences.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => differences[n / 2],
        n => f64::midpoint(differences[n / 2 - 1], differences[n / 2]),
    }
}

/// The interval that misses the true shift with a probability of at most `level` (Mann and Whitney's
/// test, inverted); none where there are too few values for any such interval.
pub(super) fn interval(from: &[f64], to: &[f64], level: f64) -> Option<[f64; 2]> {
    let differences = differences(from, to);
    let below = critical(from.len(), to.len(), level)?;
    let above = differences.len().checked_sub(below + 1)?;
    (below <= above).then(|| [differences[below], differences[above]])
}

/// [`interval`] at 95 % for samples whose orders are too many to count: by the normal distribution that
/// U comes near to.
pub(crate) fn interval_of_many(from: &[f64], to: &[f64]) -> Option<[f64; 2]> {
    const TWO_SIDED: f64 = 1.96;
    let differences = differences(from, to);
    let (n, m) = (from.len() as f64, to.len() as f64);
    let below = n * m / 2.0 - TWO_SIDED * (n * m * (n + m + 1.0) / 12.0).sqrt();
    let below = (below >= 1.0).then(|| below as usize - 1)?;
    let above = differences.len().checked_sub(below + 1)?;
    Some([differences[below], differences[above]])
}

/// The smallest level that so many values a side can reach.
pub(super) fn finest(values: usize) -> f64 {
    2.0 / arrangements(values, values).iter().sum::<f64>()
}

fn differences(from: &[f64], to: &[f64]) -> Vec<f64> {
    let pairs = from.iter().flat_map(|a| to.iter().map(move |b| b - a));
    let mut differences: Vec<f64> = pairs.collect();
    differences.sort_by(f64::total_cmp);
    differences
}

/// The largest U with twice the probability of it or less, were both samples alike, at most `level`.
fn critical(n: usize, m: usize, level: f64) -> Option<usize> {
    let counts = arrangements(n, m);
    let all: f64 = counts.iter().sum();
    let sums = counts.iter().scan(0.0, |sum, count| {
        *sum += count;
        Some(*sum)
    });
    // Equal levels come out of different divisions.
    let within = sums.take_while(|sum| 2.0 * sum / all <= level * (1.0 + 1e-9));
    within.count().checked_sub(1)
}

/// In how many orders of `n` and `m` values each U occurs, from 0 to `n * m`.
fn arrangements(n: usize, m: usize) -> Vec<f64> {
    // For every number of values of the one sample, with the other's taken one by one: the largest
    // value is the one sample's and beats all of the other's, or it is the other's.
    let mut by_n: Vec<Vec<f64>> = vec![vec![1.0]; n + 1];
    for others in 1..=m {
        for ours in 1..=n {
            let mut counts = vec![0.0; ours * others + 1];
            for (u, count) in by_n[ours].iter().enumerate() {
                counts[u] += count;
            }
            for (u, count) in by_n[ours - 1].iter().enumerate() {
                counts[u + others] += count;
            }
            by_n[ours] = counts;
        }
    }
    by_n.swap_remove(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrangements_are_those_of_the_published_tables() {
        assert_eq!(arrangements(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        assert_eq!(arrangements(4, 4)[..5], [1.0, 1.0, 2.0, 3.0, 5.0]);
        assert_eq!(arrangements(4, 4).iter().sum::<f64>(), 70.0);
        assert_eq!(arrangements(10, 10).iter().sum::<f64>(), 184_756.0);
        // Two-sided critical values at 5 %, by number of values a side.
        let table = [
            (3, None),
            (4, Some(0)),
            (5, Some(2)),
            (6, Some(5)),
            (8, Some(13)),
            (10, Some(23)),
        ];
        for (n, u) in table {
            assert_eq!(critical(n, n, 0.05), u, "{n}");
        }
        assert_eq!(critical(4, 6, 0.05), Some(2));
    }

    #[test]
    fn an_interval_spans_the_pairwise_differences() {
        let (from, to) = ([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0]);
        assert_eq!(interval(&from, &to, 0.05), Some([7.0, 13.0]));
        assert_eq!(shift(&from, &to), 10.0);
        assert_eq!(
            interval(&from, &to, 0.01),
            None,
            "four a side do not reach that"
        );
        assert_eq!(interval(&from[..1], &to[..1], 0.05), None);
        assert_eq!(interval(&[], &to, 0.05), None);
        assert!(shift(&[], &to).is_nan());
        // One that is far off does not drag the interval along.
        let to = [11.0, 12.0, 13.0, 14.0, 1e9, 12.5];
        let from = [1.0, 2.0, 3.0, 4.0, 2.5, 1.5];
        assert!(interval(&from, &to, 0.05).unwrap()[1] < 1e9);
    }

    #[test]
    fn many_are_counted_about_as_exactly() {
        let from: Vec<f64> = (0..12).map(f64::from).collect();
        let to: Vec<f64> = (0..10).map(|value| f64::from(value) * 1.37 + 4.0).collect();
        let (exact, near) = (
            interval(&from, &to, 0.05).unwrap(),
            interval_of_many(&from, &to).unwrap(),
        );
        for (exact, near) in exact.iter().zip(near) {
            assert!((exact - near).abs() < 0.5, "{exact} {near}");
        }
        assert_eq!(interval_of_many(&from[..2], &to[..2]), None);
        assert_eq!(interval_of_many(&[], &to), None);
    }

    #[test]
    fn levels_that_can_be_reached() {
        assert!((finest(4) - 2.0 / 70.0).abs() < 1e-12);
        assert!(finest(3) > 0.05);
    }
}
