//! Line numbers: tables by hand, and every mapping against a model.

use proptest::prelude::*;

use super::*;
use crate::patch::{
    Patch,
    diff::FileDiff,
    hunk::{Body, Line, Side},
    reader::parse,
};

fn series(diffs: &[&str]) -> Series {
    let patch = |diff: &&str| Patch {
        subject: String::new(),
        origin: String::new(),
        diff: diff.as_bytes().to_vec(),
        files: parse(diff.as_bytes())
            .unwrap()
            .iter()
            .map(FileDiff::change)
            .collect(),
    };
    Series::new(diffs.iter().map(patch).collect())
}

const HEAD: &str = "--- a/fs/x.c\n+++ b/fs/x.c\n";

#[test]
fn one_patch() {
    // 10 lines: 3 is changed, a line comes after 5, 8 goes.
    let text = format!("{HEAD}@@ -2,8 +2,8 @@\n 2\n-3\n+three\n 4\n 5\n+new\n 6\n 7\n-8\n 9\n");
    let series = series(&[&text]);
    let table = [
        (1, Some(1)),
        (2, Some(2)),
        (3, None),
        (4, Some(4)),
        (5, Some(5)),
        (6, Some(7)),
        (8, None),
        (9, Some(9)),
        (99, Some(99)),
    ];
    for (old, new) in table {
        assert_eq!(map_line(&series, "fs/x.c", old), new, "line {old}");
        if let Some(new) = new {
            assert_eq!(
                map_line_back(&series, "fs/x.c", new),
                Some(old),
                "line {new} back"
            );
        }
    }
    assert_eq!(map_line_back(&series, "fs/x.c", 3), None);
    assert_eq!(map_line_back(&series, "fs/x.c", 6), None);
    assert_eq!(map_line(&series, "fs/other.c", 3), Some(3));
    let touched = &touched_lines(&series)["fs/x.c"];
    assert_eq!(touched.added, [3, 6].into());
    assert_eq!(touched.cuts, [9].into());
}

#[test]
fn later_patches_move_what_earlier_ones_wrote() {
    let first = format!("{HEAD}@@ -5,2 +5,4 @@\n 5\n+a\n+b\n 6\n");
    let second =
        format!("{HEAD}@@ -1,1 +1,3 @@\n+top\n+top\n 1\n@@ -5,4 +7,4 @@\n 5\n a\n-b\n+B\n 6\n");
    let series = series(&[&first, &second]);
    assert_eq!(map_line(&series, "fs/x.c", 6), Some(10));
    assert_eq!(touched_lines(&series)["fs/x.c"].added, [1, 2, 8, 9].into());
    assert_eq!(map_line_back(&series, "fs/x.c", 10), Some(6));
    assert_eq!(map_line_back(&series, "fs/x.c", 8), None);
}

#[test]
fn renamed_new_and_removed_files() {
    let rename = "diff --git a/fs/x.c b/fs/y.c\nrename from fs/x.c\nrename to fs/y.c\n--- a/fs/x.c\n+++ b/fs/y.c\n@@ -1,1 +1,2 @@\n+top\n 1\n";
    let new = "--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1,2 @@\n+1\n+2\n";
    let gone = "--- a/fs/gone.c\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-1\n";
    let series = series(&[rename, new, gone]);
    let place = |file: &str, line| {
        Some(Place {
            file: file.into(),
            line,
        })
    };
    assert_eq!(forward(&series, "fs/x.c", 1), place("fs/y.c", 2));
    assert_eq!(backward(&series, "fs/y.c", 2), place("fs/x.c", 1));
    assert_eq!(backward(&series, "fs/new.c", 1), None);
    assert_eq!(forward(&series, "fs/gone.c", 1), None);
    let touched = touched_lines(&series);
    assert_eq!(touched.keys().collect::<Vec<_>>(), ["fs/new.c", "fs/y.c"]);
    assert_eq!(touched["fs/new.c"].added, [1, 2].into());
}

/// What happens at one line: kept, removed, or lines written before it.
#[derive(Debug, Clone, Copy)]
enum Edit {
    Keep,
    Remove,
    Write,
}

/// Hunks of an edit script, cut where `context` kept lines separate two changes.
fn hunks(script: &[Edit], context: usize) -> Vec<Hunk> {
    let changed: Vec<usize> = (0..script.len())
        .filter(|&i| !matches!(script[i], Edit::Keep))
        .collect();
    let near = |i: usize| changed.iter().any(|&c| c.abs_diff(i) <= context);
    let mut hunks = Vec::new();
    let mut body: Option<Body> = None;
    let (mut old, mut new) = (1, 1);
    for (i, edit) in script.iter().enumerate() {
        if near(i) {
            let body = body.get_or_insert_with(|| Body {
                old_start: old,
                new_start: new,
                ..Body::default()
            });
            let side = match edit {
                Edit::Keep => Side::Both,
                Edit::Remove => Side::Old,
                Edit::Write => Side::New,
            };
            body.old_lines += u32::from(side != Side::New);
            body.new_lines += u32::from(side != Side::Old);
            body.lines.push(Line {
                side,
                text: Vec::new(),
                unended: false,
            });
        } else if let Some(body) = body.take() {
            hunks.push(body);
        }
        old += u32::from(!matches!(edit, Edit::Write));
        new += u32::from(!matches!(edit, Edit::Remove));
    }
    hunks.extend(body);
    for body in &mut hunks {
        body.old_start -= u32::from(body.old_lines == 0);
        body.new_start -= u32::from(body.new_lines == 0);
    }
    hunks.iter().map(Body::change).collect()
}

proptest! {
    #[test]
    fn mappings_agree_with_the_edits(
        script in prop::collection::vec(prop::sample::select(vec![Edit::Keep, Edit::Keep, Edit::Keep, Edit::Remove, Edit::Write]), 0..40),
        context in 1_usize..4,
    ) {
        let file = FileChange { old: Some("x".into()), new: Some("x".into()), hunks: hunks(&script, context) };
        let patch = Patch { subject: String::new(), origin: String::new(), diff: vec![], files: vec![file] };
        let series = Series::new(vec![patch]);
        let mut written = BTreeSet::new();
        let (mut old, mut new) = (1, 1);
        for edit in script {
            match edit {
                Edit::Keep => {
                    prop_assert_eq!(map_line(&series, "x", old), Some(new));
                    prop_assert_eq!(map_line_back(&series, "x", new), Some(old));
                    (old, new) = (old + 1, new + 1);
                }
                Edit::Remove => {
                    prop_assert_eq!(map_line(&series, "x", old), None);
                    old += 1;
                }
                Edit::Write => {
                    prop_assert_eq!(map_line_back(&series, "x", new), None);
                    written.insert(new);
                    new += 1;
                }
            }
        }
        let touched = touched_lines(&series).remove("x").unwrap_or_default();
        prop_assert_eq!(touched.added, written);
    }
}
