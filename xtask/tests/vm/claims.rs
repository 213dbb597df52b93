//! A patch's claims, measured: those of the first subject's, and a wrong one.

use std::fs;

use serde_json::Value;

use crate::ktwin::plain;

/// A true claim holds, and a false one of the same figures does not, which is no error; what ended is
/// not measured again.
#[test]
fn claims_are_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("claims.yaml"), dir.path().join("runs"));
    let check = |often: u32| {
        format!(
            "[{{run: one, measure: executions of lookup in open, is: {often}, why: each asks once}}]"
        )
    };
    let text = format!(
        "variant: ida-hashtable\nruns:\n  one: {{config: plain, scenario: operations}}\nclaims:\n  \
         - {{id: once, text: once, checks: {}}}\n  - {{id: twice, text: twice, checks: {}}}\n  \
         - {{id: class, text: class, checks: [{{run: one, slab: fuse_backing, is: 64, why: it fits}}]}}\n  \
         - {{id: other, text: other, checks: [{{run: one, measure: other, is: 1, why: none}}]}}\n",
        check(1),
        check(2)
    );
    fs::write(&file, text).unwrap();
    let args = [
        "claims",
        file.to_str().unwrap(),
        "--locked",
        "--json",
        "--out",
    ];
    let args = [&args[..], &[out.to_str().unwrap()]].concat();
    let some = ["--only", "once", "--only", "twice", "--only", "class"];
    let some = [&args[..], &some].concat();
    for (args, code, expected) in [
        (some, 0, &["holds", "does-not-hold", "holds"][..]),
        (args, 3, &["holds", "does-not-hold", "holds", "cannot-tell"]),
    ] {
        let before = fs::metadata(out.join("one/verdict.json")).and_then(|file| file.modified());
        let output = plain(&args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        let claims: Value = serde_json::from_slice(&output.stdout).unwrap();
        let claims = claims["claims"].as_array().unwrap();
        let judged: Vec<&str> = claims
            .iter()
            .map(|claim| claim["judgement"].as_str().unwrap())
            .collect();
        assert_eq!(judged, expected, "{claims:#?}");
        assert_eq!(claims[0]["variant"], "1.00");
        let after = fs::metadata(out.join("one/verdict.json")).and_then(|file| file.modified());
        if let Ok(before) = before {
            assert_eq!(before, after.unwrap(), "measured again");
        }
    }
}
