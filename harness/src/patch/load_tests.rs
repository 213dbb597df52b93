//! What each form of input is read as.

use proptest::prelude::*;

use super::*;
use crate::{Fault, patch::Ambiguous};

/// A diff that changes one line of `fs/fuse/NAME.c`.
fn diff(name: &str) -> String {
    let file = format!("fs/fuse/{name}.c");
    format!(
        "diff --git a/{file} b/{file}\n--- a/{file}\n+++ b/{file}\n@@ -1,2 +1,2 @@\n one\n-two\n+{name}\n"
    )
}

/// A mail as `git send-email` makes it.
fn mail(subject: &str, body: &str) -> String {
    format!(
        "From: A Person <a@example.org>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <x@example.org>\nSubject: {subject}\n\n{body}\n"
    )
}

/// A mail as `git format-patch` writes it.
fn formatted(subject: &str, name: &str) -> String {
    let sha = "0123456789abcdef0123456789abcdef01234567";
    format!(
        "From {sha} Mon Sep 17 00:00:00 2001\n{}-- \n2.47\n\n",
        mail(subject, &format!("why\n---\n stat\n\n{}", diff(name)))
    )
}

/// A mail in an archive's mbox.
fn boxed(subject: &str, body: &str) -> String {
    format!(
        "From mboxrd@z Thu Jan  1 00:00:00 1970\n{}\n",
        mail(subject, body)
    )
}

/// A mail on public-inbox's thread page.
fn shown(subject: &str, body: &str) -> String {
    format!(
        "* {subject}\n  2024-01-01 12:00 x A Person\n@ 2024-01-01 12:00 ` A Person\n  0 siblings, 0 replies; 3+ messages in thread\n\
             From: A Person @ 2024-01-01 12:00 UTC (permalink / raw)\n  To: list; +Cc: b\n\n{body}\n^ permalink raw reply\t[flat|nested] 3+ messages in thread\n\n"
    )
}

fn quoted(text: &str) -> String {
    text.lines().map(|l| format!("> {l}\n")).collect()
}

/// A file's name and its text.
type Named<'a> = (&'a str, &'a str);

/// Loads files of a fresh folder: the folder itself, or the one file `x`.
fn load_files(files: &[Named<'_>], choose: &mut Chooser<'_>) -> Result<Series> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let path = if files.len() == 1 && files[0].0 == "x" {
        dir.path().join("x")
    } else {
        dir.path().to_owned()
    };
    load_choosing(&[path], choose)
}

/// The files that each patch of a series changes, by the names of [`diff`].
fn names(series: &Series) -> Vec<String> {
    let name = |p: &super::super::Patch| {
        p.files
            .iter()
            .map(|f| f.new.clone().unwrap())
            .collect::<Vec<_>>()
            .join("+")
    };
    series
        .patches
        .iter()
        .map(|p| name(p).replace("fs/fuse/", "").replace(".c", ""))
        .collect()
}

fn loaded(text: &str) -> Vec<String> {
    names(&load_files(&[("x", text)], &mut |_| None).unwrap_or_else(|e| panic!("{e:?}\n{text}")))
}

#[test]
fn one_file_of_each_form() {
    let table: Vec<(String, &[&str])> = vec![
        (diff("a"), &["a"]),
        (diff("a") + &diff("b"), &["a+b"]),
        (
            format!("Subject: x\nFrom: me\n\nwhy\n{}", diff("a")),
            &["a"],
        ),
        (formatted("[PATCH] x", "a"), &["a"]),
        (formatted("[PATCH] x", "a").replace('\n', "\r\n"), &["a"]),
        (
            formatted("[PATCH 2/2] y", "b") + &formatted("[PATCH 1/2] x", "a"),
            &["a", "b"],
        ),
        (
            formatted("[PATCH] y", "b") + &formatted("[PATCH] x", "a"),
            &["b", "a"],
        ),
        (
            boxed("[PATCH v2 0/2] c", "cover")
                + &boxed("[PATCH v2 2/2] y", &diff("b"))
                + &boxed("Re: [PATCH v2 2/2] y", &quoted(&diff("b")))
                + &boxed("[PATCH v2 1/2] x", &diff("a"))
                + &boxed("[PATCH v2 1/2] x", &diff("a")),
            &["a", "b"],
        ),
        (
            format!(
                "help / color\n{}{}{}",
                shown("[PATCH 1/2] x", &diff("a")),
                shown("[PATCH 2/2] y", &diff("b")),
                shown("Re: [PATCH 2/2] y", &quoted(&diff("b")))
            ),
            &["a", "b"],
        ),
        (
            format!(
                "nav\n\n{}\n\n{}",
                mail("[PATCH 1/2] x", &diff("a")),
                mail("[PATCH 2/2] y", &diff("b"))
            ),
            &["a", "b"],
        ),
        (
            format!(
                "<!DOCTYPE html>\n<html><body><pre>{}</pre></body></html>",
                shown("[PATCH] x", &diff("a").replace(" one", " &lt;one&gt;"))
            ),
            &["a"],
        ),
        (
            mail("[PATCH] x", &diff("a"))
                .replace('<', "&lt;")
                .replace('>', "&gt;"),
            &["a"],
        ),
        (mail("[PATCH 3/7] alone", &diff("a")), &["a"]),
    ];
    for (text, expected) in table {
        assert_eq!(loaded(&text), expected, "{text}");
    }
}

#[test]
fn encoded_mails() {
    let head = mail("[PATCH] x", "");
    let head = head.trim_end();
    let flowed = diff("a")
        .replace("\n one", "\n  one")
        .replace("+a", "+a and a long \nline");
    let qp = diff("a").replace('=', "=3D").replace("@@\n", "@=\n@\n");
    for (field, body) in [
        ("Content-Transfer-Encoding: quoted-printable", qp),
        (
            "Content-Type: text/plain; charset=utf-8; format=flowed",
            flowed,
        ),
        ("Content-Type: text/plain; format=flowed", diff("a")),
        (
            "Content-Type: multipart/mixed; boundary=B",
            format!(
                "--B\n\nhi\n--B\nContent-Type: text/x-patch; name=a.patch\n\n{}\n--B--\n",
                diff("a")
            ),
        ),
    ] {
        assert_eq!(
            loaded(&format!("{head}\n{field}\n\n{body}")),
            ["a"],
            "{field}"
        );
    }
}

#[test]
fn the_mails_that_a_series_came_in_are_known() {
    let sent = |id: &str, before: &str, subject: &str, body: &str| {
        boxed(subject, body)
            .replace("<x@example.org>", &format!("<{id}@example.org>"))
            .replace("Subject:", &format!("References: {before}\nSubject:"))
    };
    let old = sent("0", "", "[PATCH 0/1] c", "cover");
    let cover = sent("c", "<0@example.org>", "[PATCH v2 0/2] c", "cover");
    let a = sent("a", "<c@example.org>", "[PATCH v2 1/2] x", &diff("a"));
    let b = sent("b", "<c@example.org>", "[PATCH v2 2/2] y", &diff("b"));
    let plain = diff("a");
    let table = [
        (format!("{old}{cover}{b}{a}"), vec!["c", "a", "b"]),
        (format!("{b}{a}"), vec!["a", "b"]),
        (shown("[PATCH] x", &plain), vec![]),
        (format!("nav\n\n{}", mail("[PATCH] x", &plain)), vec!["x"]),
        (plain, vec![]),
    ];
    for (text, expected) in table {
        let series = load_files(&[("x", &text)], &mut |_| None).unwrap();
        let mails = series.mails();
        let ids: Vec<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|id| format!("<{id}@example.org>"))
            .collect();
        assert_eq!(ids, expected, "{text}");
    }
}

#[test]
fn folders() {
    let (a, b) = (
        formatted("[PATCH 1/2] x", "a"),
        formatted("[PATCH 2/2] y", "b"),
    );
    let (single, other) = (
        formatted("[PATCH 1/1] z", "c"),
        formatted("[PATCH 1/2] z", "c"),
    );
    let cover = boxed("[PATCH 0/2] *** SUBJECT HERE ***", "blurb");
    let (plain_a, plain_b) = (diff("a"), diff("b"));
    let table: Vec<(Vec<Named<'_>>, &[&str])> = vec![
        (
            vec![
                ("0000-cover.patch", &cover),
                ("0001-x.patch", &a),
                ("0002-y.patch", &b),
                ("notes.txt", "no"),
            ],
            &["a", "b"],
        ),
        (vec![("1.patch", &b), ("2.patch", &a)], &["a", "b"]),
        // Two series, one after the other.
        (
            vec![("1.patch", &a), ("2.patch", &b), ("3.patch", &single)],
            &["a", "b", "c"],
        ),
        (
            vec![("1.patch", &a), ("2.patch", &b), ("3.patch", &other)],
            &["a", "b", "c"],
        ),
        (
            vec![("1.diff", &plain_b), ("2.diff", &plain_a)],
            &["b", "a"],
        ),
        (
            vec![
                ("series", "# first\n2.p -p1\n\n1.p # why\n"),
                ("1.p", &plain_a),
                ("2.p", &plain_b),
                ("3.patch", &a),
            ],
            &["b", "a"],
        ),
        (
            vec![("series", "2.p\n1.p\n"), ("1.p", &a), ("2.p", &b)],
            &["b", "a"],
        ),
    ];
    for (files, expected) in table {
        assert_eq!(
            names(&load_files(&files, &mut |_| None).unwrap()),
            expected,
            "{files:?}"
        );
    }
}

#[test]
fn several_versions_or_diffs_are_a_choice() {
    let v1 = boxed("[PATCH 1/2] x", &diff("a")) + &boxed("[PATCH 2/2] y", &diff("b"));
    let v2 = boxed("[PATCH v2 1/1] x", &diff("c"));
    let reply = boxed(
        "Re: [PATCH v2 1/1] x",
        &format!("how about\n\n{}", diff("d")),
    );
    let cut = boxed(
        "Re: [PATCH v2 1/1] x",
        "--- a/fs/x\n+++ b/fs/x\n@@ -1,9 +1,9 @@\n a\n",
    );
    let table: Vec<(String, Vec<&str>)> = vec![
        (
            format!("{v1}{v2}"),
            vec!["2 patches: x; y", "v2, one patch: x"],
        ),
        (
            format!("{v2}{reply}"),
            vec!["v2, one patch: x", "v2, in a reply, one patch: x"],
        ),
        (
            format!("{v2}{cut}"),
            vec!["v2, one patch: x", "v2, in a reply, one patch: x"],
        ),
        (
            boxed("[PATCH] x", &diff("a")) + &boxed("[PATCH] y", &diff("b")),
            vec!["one patch: x", "one patch: y"],
        ),
    ];
    for (text, expected) in table {
        let error = load_files(&[("x", &text)], &mut |_| None).unwrap_err();
        assert_eq!(error.fault(), Fault::Input);
        let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<Ambiguous>());
        let choices: Vec<String> = cause
            .unwrap()
            .choices
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(choices, expected, "{text}");
        let last = load_files(&[("x", &text)], &mut |a| Some(a.choices.len() - 1));
        let first = load_files(&[("x", &text)], &mut |_| Some(0)).unwrap();
        assert!(
            last.as_ref().map_or(true, |l| names(l) != names(&first)),
            "{text}"
        );
    }
    let folder = [
        ("v1-1.patch", &*formatted("[PATCH] x", "a")),
        ("v2-1.patch", &*formatted("[PATCH v2] x", "b")),
    ];
    let second = load_files(&folder, &mut |_| Some(1)).unwrap();
    assert_eq!(names(&second), ["b"]);
}

#[test]
fn bad_inputs_say_where_and_why() {
    let cut = diff("a").replace("@@ -1,2", "@@ -1,5");
    let table: Vec<(Vec<(&str, String)>, &str)> = vec![
        (vec![("x", "prose\n".into())], "holds no diff"),
        (vec![("x", boxed("[PATCH 0/2] c", "cover"))], "cover letter"),
        (vec![("x", "\u{1f}".into())], "holds no diff"),
        (vec![("x", "a\0b".into())], "no text"),
        (vec![("x", "PK\u{3}\u{4}".into())], "compressed"),
        (
            vec![("x", cut.clone())],
            "x, line 8: the hunk promises 5 lines before and 2 after",
        ),
        (
            vec![("x", boxed("[PATCH] c", &format!("why\n{cut}")))],
            "line 15: the hunk promises 5",
        ),
        (
            vec![("x", diff("../../../a"))],
            "line 1: the name `a/fs/fuse/../../../a.c` leaves the tree",
        ),
        (
            vec![(
                "x",
                boxed("[PATCH 1/3] x", &diff("a")) + &boxed("[PATCH 3/3] y", &diff("b")),
            )],
            "lacks 2/3",
        ),
        (
            vec![("a.patch", "prose\n".into()), ("b.patch", diff("b"))],
            "a.patch holds no diff",
        ),
        (
            vec![("a.txt", "prose\n".into()), ("b.txt", diff("b"))],
            "holds no patch",
        ),
        (
            vec![("series", "../x.patch\n".into()), ("b.txt", String::new())],
            "series, line 1: `../x.patch` lies outside",
        ),
        (
            vec![("series", "x.patch -R\n".into()), ("b.txt", String::new())],
            "`-R` is not supported",
        ),
    ];
    for (files, expected) in table {
        let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
        let error = load_files(&files, &mut |_| None).unwrap_err();
        assert!(
            error.chain().contains(expected),
            "{}\nexpected {expected}",
            error.chain()
        );
        assert_eq!(error.fault(), Fault::Input);
    }
    let missing = load(&[PathBuf::from("/nonexistent/x.patch")]).unwrap_err();
    assert!(
        missing
            .chain()
            .contains("failed to read /nonexistent/x.patch: No such file")
    );
}

#[test]
fn several_inputs_make_one_series() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["b", "a"].map(|name| {
        let path = dir.path().join(name);
        fs::write(&path, diff(name)).unwrap();
        path
    });
    assert_eq!(names(&load(&paths).unwrap()), ["b", "a"]);
}

/// Pieces that inputs are made of, so that random texts come near to one.
fn near_input() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "From mboxrd@z Thu Jan  1 00:00:00 1970\n",
        "Subject: [PATCH 1/2] x\n",
        "From: A @ 2024-01-01 1:00 UTC (permalink / raw)\n",
        "Date: now\n",
        "From: A\n",
        "\n",
        "* [PATCH] x\n",
        "@ 2024 A\n",
        "<html><pre>",
        "&lt;",
        "&#99999999999;",
        "<script>",
        "<a href='",
        "Content-Type: multipart/mixed; boundary=B\n",
        "--B\n",
        "--B--\n",
        "Content-Transfer-Encoding: base64\n",
        "K2EK\n",
        "diff --git a/fs/x b/fs/x\n",
        "--- a/fs/x\n",
        "+++ b/fs/x\n",
        "@@ -1 +1 @@\n",
        "-a\n",
        "+b\n",
        "> ",
        "=\n",
        " \n",
        "Content-Type: text/plain; format=flowed; delsp=yes\n",
        "\r\n",
        "\u{fffd}",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|p| p.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = gather("x", &bytes).map(|f| pick("x", f.candidates, Gathered::File, &mut |_| Some(0)));
    }

    #[test]
    fn nothing_like_an_input_makes_it_panic(bytes in near_input()) {
        let _ = gather("x", &bytes).map(|f| pick("x", f.candidates, Gathered::File, &mut |_| Some(0)));
    }
}
