//! Whole reports against golden files; `UPDATE_GOLDEN=1` writes them anew.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Format, Identity,
    fixtures::{EVIL_LINES, claimed, comparison, costs, hostile, leave, sample},
    html, render, render_claims, render_matrix,
};
use crate::{
    judge::verdict::{Comparison, Outcome, Verdict},
    matrix::simulate,
    plugin::Coverage,
};

#[test]
fn what_ran_of_a_patch_whose_lines_own_no_code() {
    let functions = [("f".to_owned(), 3), ("g".to_owned(), 0)];
    let of = |coverage| {
        let mut verdict = sample();
        verdict.comparisons[0].coverage = Some(coverage);
        let term = Format::Term { colour: false };
        render(term, &verdict, Path::new(".")).unwrap()
    };
    let entered = of(Coverage {
        functions: functions.into(),
        ..Coverage::default()
    });
    let told = "executed 1 of 2 functions that it touches; no line of its own owns code";
    assert!(entered.contains(told), "{entered}");
    let unwatched = of(Coverage {
        unwatched: Some("--stall off".into()),
        ..Coverage::default()
    });
    assert!(
        unwatched.contains("not watched (--stall off)"),
        "{unwatched}"
    );
    assert!(!unwatched.contains("executed 0 of 0"), "{unwatched}");
}

/// The formats that programs and browsers read, of a run whose boots are there.
#[test]
fn golden_of_runs() {
    let me = || Identity::parse("A Tester <t@example.org>").unwrap();
    let decoded = "stack:\n  fuse_backing_lookup+0x10\n    + fs/fuse/backing.c:94 fuse_backing_lookup\n      fs/fuse/passthrough.c:9 g\n";
    let mut evil = hostile();
    evil.comparisons[0].config = "kasan".into();
    evil.comparisons[0].scenario = "race".into();
    evil.comparisons[0].variant = "ida-hashtable".into();
    evil.comparisons[0].findings[0].evidence = "kasan-ida-1/splats/0001-kasan.txt".into();
    evil.comparisons[0].findings[0].accepted = None;
    let evil_title = evil.comparisons[0].findings[0].title.clone();
    let title = "KASAN: slab-use-after-free Read in fuse_backing_lookup";
    for (name, verdict, title, lines) in [
        ("sample", sample(), title, decoded.to_owned()),
        (
            "hostile",
            evil,
            &evil_title,
            format!("{decoded}  {}", EVIL_LINES.replace('\n', "\n  ")),
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        leave(dir.path(), title, &lines);
        for (ending, format) in [
            ("html", Format::Html),
            ("junit.xml", Format::Junit),
            ("ktap", Format::Ktap),
            (
                "kcidb.json",
                Format::Kcidb {
                    origin: "ktwin".into(),
                },
            ),
            ("eml", Format::Mail { from: me() }),
        ] {
            let got = render(format, &verdict, dir.path()).unwrap();
            let acts = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{feff}".contains(c);
            assert!(!got.chars().any(acts), "{name}.{ending}");
            golden_is(&format!("{name}.{ending}"), &got);
        }
    }
}

#[test]
fn nothing_foreign_is_markup() {
    let page = fs::read_to_string(golden_path("hostile.html")).unwrap();
    let main = page
        .split("<main>")
        .nth(1)
        .unwrap()
        .split("</main>")
        .next()
        .unwrap();
    assert!(
        !main.contains("<script") && !main.contains("<img"),
        "{main}"
    );
    for part in main.split("href=\"").skip(1) {
        assert!(
            part.starts_with("./") || part.starts_with('#'),
            "{part:.60}"
        );
    }
    let xml = fs::read_to_string(golden_path("hostile.junit.xml")).unwrap();
    assert!(!xml.contains("<script") && !xml.contains("]]>"), "{xml}");
}

#[test]
fn a_mails_headers_are_only_ours() {
    let mail = fs::read(golden_path("hostile.eml")).unwrap();
    let mail = mailparse::parse_mail(&mail).unwrap();
    let names: Vec<String> = mail.headers.iter().map(|header| header.get_key()).collect();
    assert_eq!(
        names,
        [
            "From",
            "To",
            "Cc",
            "Subject",
            "In-Reply-To",
            "References",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding"
        ]
    );
    let body = mail.get_body().unwrap();
    assert!(
        !body
            .lines()
            .any(|line| line.trim_start().starts_with("Tested-by:")),
        "{body}"
    );
}

#[test]
fn only_a_pass_is_tested_by() {
    let from = Identity::parse("A Tester <t@example.org>").unwrap();
    let mail = |verdict: &Verdict| {
        render(
            Format::Mail { from: from.clone() },
            verdict,
            Path::new("nowhere"),
        )
        .unwrap()
    };
    let pass = Verdict {
        outcome: Outcome::Pass,
        comparisons: vec![comparison("plain", Outcome::Pass, vec![])],
        ..sample()
    };
    let line = "\nTested-by: A Tester <t@example.org>\n";
    assert!(mail(&pass).ends_with(line));
    for outcome in [
        Outcome::Inconclusive,
        Outcome::Regression,
        Outcome::Infrastructure,
    ] {
        let other = Verdict {
            outcome,
            ..pass.clone()
        };
        assert!(!mail(&other).contains("Tested-by"), "{outcome:?}");
        let mut mixed = pass.clone();
        mixed.comparisons.push(comparison("kasan", outcome, vec![]));
        assert!(!mail(&mixed).contains("Tested-by"), "{outcome:?}");
    }
    let mut several = pass.clone();
    several.comparisons.push(Comparison {
        variant: "other".into(),
        ..pass.comparisons[0].clone()
    });
    assert!(!mail(&several).contains("Tested-by"), "whose?");
    let mut none = pass;
    none.patch.sha256.clear();
    let alone = render(
        Format::Mail { from: from.clone() },
        &none,
        Path::new("nowhere"),
    );
    assert!(alone.is_err());
    for text in ["", "x", "a@b", "N <a>", "N <a@b>\nBcc: x", "N <a b@c>"] {
        assert!(Identity::parse(text).is_err(), "{text:?}");
    }
}

/// The parser that the kernel has for its own tests says of each line what we mean by it: no foreign
/// line is a result, a plan, a version or a heading.
#[test]
fn ktap_has_only_our_results() {
    for name in ["sample", "hostile"] {
        let text = fs::read_to_string(golden_path(&format!("{name}.ktap"))).unwrap();
        let results = |indent: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(indent));
            lines
                .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "))
                .map(|line| {
                    line.trim_start_matches("not ")
                        .split(' ')
                        .nth(1)
                        .unwrap()
                        .to_owned()
                })
                .collect::<Vec<String>>()
        };
        let comparisons = results("");
        let counted: Vec<String> = (1..=comparisons.len()).map(|n| n.to_string()).collect();
        assert_eq!(comparisons, counted, "{text}");
        let lines = |begin: &str| {
            let lines = text.lines().map(str::trim_start);
            lines.filter(|line| line.starts_with(begin)).count()
        };
        assert_eq!(lines("KTAP version"), 1 + comparisons.len());
        assert_eq!(lines("# Subtest: "), comparisons.len());
        for line in text.lines() {
            let line = line.trim_start();
            let known = ["ok ", "not ok ", "# ", "1..", "KTAP version 1"];
            assert!(known.iter().any(|begin| line.starts_with(begin)), "{line}");
        }
    }
}

#[test]
fn a_matrix_of_500_cells_is_no_large_page() {
    let page = render_matrix(Format::Html, &simulate::summary(500, "")).unwrap();
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert_eq!(page.matches("id=\"cell-").count(), 500);
    assert!(page.contains("./runs/7/report.html#kasan-ida-1.0001-kasan"));
}

#[test]
fn golden_matrices() {
    golden_is(
        "matrix.html",
        &render_matrix(Format::Html, &simulate::summary(8, "")).unwrap(),
    );
    let evil = "\u{1b}[1m</td><script>x</script>\u{202e}\"' onclick=x/../..";
    golden_is(
        "matrix-hostile.html",
        &render_matrix(Format::Html, &simulate::summary(1, evil)).unwrap(),
    );
}

#[test]
fn golden_claims() {
    for (name, format) in [
        ("claims.txt", Format::Term { colour: false }),
        ("claims.md", Format::Markdown),
        ("claims.json", Format::Json),
    ] {
        golden_is(name, &render_claims(format, &claimed()).unwrap());
    }
}

fn golden_path(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report");
    folder.join(name)
}

pub(super) fn golden_is(name: &str, got: &str) {
    // Style and script are files of their own already.
    let got = got
        .replace(html::STYLE, "page.css")
        .replace(html::SCRIPT, "page.js");
    let path = golden_path(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &got).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        got, expected,
        "{name} differs; UPDATE_GOLDEN=1 writes it anew"
    );
}

#[test]
fn golden() {
    let plain = || Format::Term { colour: false };
    for (name, verdict, format) in [
        ("sample.txt", sample(), plain()),
        ("sample-colour.txt", sample(), Format::Term { colour: true }),
        ("sample.md", sample(), Format::Markdown),
        ("sample.json", sample(), Format::Json),
        ("costs.txt", costs(), plain()),
        ("costs.md", costs(), Format::Markdown),
        ("hostile.txt", hostile(), plain()),
        ("hostile.md", hostile(), Format::Markdown),
    ] {
        let got = render(format, &verdict, Path::new("runs/1")).unwrap();
        golden_is(name, &got);
    }
}

#[test]
fn nothing_foreign_acts_on_the_terminal() {
    let text = render(Format::Term { colour: false }, &hostile(), Path::new("r")).unwrap();
    assert!(
        text.chars()
            .all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'),
        "{text:?}"
    );
}

#[test]
fn one_screen() {
    let verdict = Verdict {
        comparisons: vec![sample().comparisons.remove(0)],
        ..sample()
    };
    let text = render(Format::Term { colour: false }, &verdict, Path::new("r")).unwrap();
    assert!(text.lines().count() <= 45, "{text}");
}
