//! Which known name a mistyped one may have meant.

/// At most this many suggestions.
const MOST: usize = 3;

/// The known names closest to `name`, best first; none that is merely as long.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = name.to_lowercase();
    let allowed = (lower.chars().count() / 3).max(2);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&lower, &other);
            let part = lower.len() >= 3 && (other.contains(&lower) || lower.contains(&other));
            match (
                distance <= allowed && distance < lower.chars().count(),
                part,
            ) {
                (true, _) => Some((distance, candidate)),
                (false, true) => Some((allowed + distance, candidate)),
                (false, false) => None,
            }
        })
        .collect();
    near.sort();
    near.dedup();
    near.truncate(MOST);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// `did you mean X or Y? known: X, Y, Z`, or only the second half.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let near = nearest(name, known.iter().copied());
    let all = match known.len() {
        0 => "none are known".to_owned(),
        _ => format!("known: {}", known.join(", ")),
    };
    match near.len() {
        0 => all,
        _ => format!("did you mean {}? {all}", near.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let known = ["kasan", "kcsan", "lockdep", "plain"];
        let table: &[(&str, &[&str])] = &[
            ("kasn", &["kasan", "kcsan"]),
            ("KASAN", &["kasan", "kcsan"]),
            ("lock", &["lockdep"]),
            ("lockdpe", &["lockdep"]),
            ("xyz", &[]),
            ("", &[]),
            ("ab", &[]),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, known), *expected, "{name}");
        }
    }

    #[test]
    fn in_words() {
        assert_eq!(
            did_you_mean("rase", ["race", "fio"]),
            "did you mean race? known: race, fio"
        );
        assert_eq!(did_you_mean("zzz", ["race"]), "known: race");
        assert_eq!(did_you_mean("zzz", []), "none are known");
    }
}
