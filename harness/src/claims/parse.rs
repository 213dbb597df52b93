//! A file of claims, read; errors name the place, the cause and the mend.

use std::{fs, path::Path};

use super::{raw::RawClaims, types::Claims};
use crate::{Error, Result, error::Context, scenario::explain};

/// No file of claims is longer.
const MAX_BYTES: u64 = 1 << 20;

/// The claims in a file; a patch that it names lies beside it.
///
/// # Errors
/// Bad input: what is wrong, and where.
pub fn load(path: &Path) -> Result<Claims> {
    let doing = || format!("failed to read {}", path.display());
    let about = fs::metadata(path).input(doing)?;
    if !about.is_file() || about.len() > MAX_BYTES {
        let error = Error::input(format!("{} is no file of claims", path.display()));
        return Err(error.mend("name a YAML file such as scenarios/fuse-backing/claims.yaml"));
    }
    let text = fs::read_to_string(path).input(doing)?;
    parse(&text, path)
}

fn parse(text: &str, file: &Path) -> Result<Claims> {
    let raw: RawClaims = serde_yaml::from_str(text).map_err(|error| explain(&error, text, file))?;
    let claims = raw.claims();
    let mut claims =
        claims.map_err(|cause| Error::input(format!("{}: {cause}", file.display())))?;
    claims.patch = claims
        .patch
        .map(|patch| file.parent().unwrap_or(Path::new("")).join(patch));
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::types::{Expect, Side, What};

    const GOOD: &str = "\
variant: mine
patch: mine.patch
runs:
  memory: {config: plain, scenario: memory}
claims:
  - id: C1
    text: it is small
    checks:
      - {run: memory, measure: memory per id, of: ratio, about: 1, within: 5, why: noise}
";

    #[test]
    fn a_file_is_read() {
        let claims = parse(GOOD, Path::new("dir/claims.yaml")).unwrap();
        assert_eq!(claims.patch.as_deref(), Some(Path::new("dir/mine.patch")));
        let check = &claims.claims[0].checks[0];
        assert_eq!(check.figure.what, What::Measure("memory per id".into()));
        assert_eq!(
            (check.figure.side, &check.expect),
            (Side::Ratio, &Expect::About(1.0, 5.0))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = "measure: memory per id, of: ratio, about: 1, within: 5";
        let table = [
            (
                "run: memory",
                "run: memories",
                "check 1: no run \"memories\" among memory",
            ),
            (
                check,
                "of: ratio, about: 1, within: 5",
                "one of `measure`, `count`",
            ),
            (check, "measure: a, about: 1", "`about` wants `within`"),
            (
                check,
                "measure: a, is: 1, at_most: 3",
                "it wants one of `about`",
            ),
            (check, "measure: a", "it wants one of `about`"),
            (
                check,
                "findings: [kasan], is: 0",
                "nothing can be expected but",
            ),
            (check, "measure: a, is: 9, within: 10", "`within` goes with"),
            (
                check,
                "measure: a, of: ratio, says: [worse]",
                "`of` goes with",
            ),
            (check, "measure: a, says: []", "names no judgement"),
            (
                check,
                "count: a, says: [worse]",
                "`says` goes with `measure`",
            ),
            (check, "measure: a, is: .nan", "none that anything can be"),
            (
                check,
                "measure: a, about: 1, within: -5",
                "less than nothing",
            ),
            (
                check,
                "findings: [KASAN]",
                "no finding is of class \"KASAN\"; did you mean kasan",
            ),
            (check, "findings: [kasn, rcu]", "did you mean kasan"),
            (check, "measure: a, is: 1, in: [fs/]", "`in` goes with"),
            (check, "findings: [], in: [/fs]", "`in` wants paths"),
            (
                check,
                "measure: a, at_least: 2, at_most: 1",
                "`at_least` is more than",
            ),
            (
                "run: memory",
                "run: memory, variant: other",
                "does not compare other",
            ),
            ("  memory: {", "  ../memory: {", "letters, digits"),
            ("  memory: {", "  /memory: {", "letters, digits"),
            ("config: plain", "config: all", "name one config"),
            (
                GOOD.split_once("runs:").map_or("", |(_, rest)| rest),
                "\n  m: {config: kasan, scenario: memory}\nclaims:\n  - {id: C1, text: a, checks: [\
                 {run: m, size: fuse_inode, is: 1, why: b}]}\n",
                "structures are measured in plain, and the run m is in kasan",
            ),
            ("id: C1", "idd: C1", "claims.yaml:6:"),
            ("of: ratio", "of: ration", "unknown variant `ration`"),
        ];
        for (from, to, said) in table {
            assert!(GOOD.contains(from), "{from}");
            let error = parse(&GOOD.replace(from, to), Path::new("claims.yaml"));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let none = format!("{}claims: []\n", &GOOD[..GOOD.find("claims:").unwrap()]);
        let error = parse(&none, Path::new("claims.yaml")).unwrap_err();
        assert!(error.to_string().contains("it claims nothing"), "{error}");
        let twice = format!("{GOOD}{}", &GOOD[GOOD.find("  - id").unwrap()..]);
        let error = parse(&twice, Path::new("claims.yaml")).unwrap_err();
        assert!(error.to_string().contains("two claims C1"), "{error}");
    }
}
