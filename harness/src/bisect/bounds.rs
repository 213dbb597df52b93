//! What any search must take, and what plain bisect takes (pure).

/// How much one trial can tell, in bits, of a finding that shows in a share `rate` of a bad commit's
/// trials and never in a good one's: the capacity of a Z-channel.
pub fn capacity(rate: f64) -> f64 {
    if rate >= 1.0 {
        return 1.0;
    }
    (1.0 + rate * (1.0 - rate).powf((1.0 - rate) / rate)).log2()
}

/// log2(n)/C + ln(1-confidence)/ln(1-rate): to find one of `commits`, and to rule out those before it.
pub fn reference(commits: usize, rate: f64, confidence: f64) -> f64 {
    (commits as f64).log2() / capacity(rate) + ruled_out(rate, confidence)
}

/// Trials without a hit that rule a commit out.
fn ruled_out(rate: f64, confidence: f64) -> f64 {
    match rate < 1.0 {
        true => (1.0 - confidence).ln() / (1.0 - rate).ln(),
        false => 0.0,
    }
}

/// The fewest trials that any search takes on average, however clever: what it is to learn over what
/// a trial can tell (Fano).
pub fn fewest(commits: usize, rate: f64, confidence: f64) -> f64 {
    let (n, wrong) = (commits as f64, 1.0 - confidence);
    let part = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    let unsure = part(wrong) + part(confidence) + wrong * (n - 1.0).max(1.0).log2();
    ((n.log2() - unsure) / capacity(rate)).max(0.0)
}

/// The trials of each step of plain bisect, where each of its steps over `commits` may be wrong by
/// misses alone and all of them are to be right with this confidence.
pub fn repeats(commits: usize, rate: f64, confidence: f64) -> u32 {
    let steps = (commits as f64).log2().ceil().max(1.0);
    let each = confidence.powf(1.0 / steps);
    (ruled_out(rate, each).ceil() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_z_channels_capacity() {
        assert!((capacity(0.5) - 1.25_f64.log2()).abs() < 1e-12);
        assert_eq!(capacity(1.0), 1.0);
        // The best of all inputs, tried out.
        let h = |p: f64| -p * p.log2() - (1.0 - p) * (1.0 - p).log2();
        for rate in [0.05, 0.2, 0.9] {
            let told = |share: f64| h(share * rate) - share * h(rate);
            let best = (1..1000).map(|n| told(f64::from(n) / 1000.0));
            let best = best.fold(0.0, f64::max);
            assert!((best - capacity(rate)).abs() < 1e-5, "{rate}");
        }
    }

    #[test]
    fn plain_bisect_repeats_by_its_steps() {
        assert_eq!(repeats(1000, 1.0, 0.99), 1);
        assert_eq!(repeats(1000, 0.2, 0.99), 31);
        assert!((reference(1000, 0.2, 0.99) - 108.4).abs() < 0.1);
        assert!((fewest(1000, 0.2, 0.99) - 86.1).abs() < 0.1);
    }
}
