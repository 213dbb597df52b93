//! Tables for the forms of diff that are taken, and for those that are refused.

use proptest::prelude::*;

use super::*;
use crate::patch::diff::emit;

const GIT: &str = "\
From 0123 Mon Sep 17 00:00:00 2001
Subject: [PATCH] x

---
 fs/fuse/a.c | 2 +-

diff --git a/fs/fuse/a.c b/fs/fuse/a.c
index 1111111..2222222 100644
--- a/fs/fuse/a.c
+++ b/fs/fuse/a.c
@@ -2,3 +2,3 @@ int f(void)
 two
-three
+THREE
 four
-- 
2.47
";

fn one(text: &str) -> FileDiff {
    let mut files = parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    assert_eq!(files.len(), 1, "{text}");
    files.remove(0)
}

#[test]
fn forms_that_are_taken() {
    use Fate::*;
    let hunk = "@@ -2,3 +2,3 @@\n two\n-three\n+THREE\n four\n";
    let new = "@@ -0,0 +1,1 @@\n+one\n";
    let gone = "@@ -1,1 +0,0 @@\n-one\n";
    let table = [
        (GIT.to_owned(), Changed, "fs/fuse/a.c", "fs/fuse/a.c"),
        (GIT.replace('\n', "\r\n"), Changed, "fs/fuse/a.c", "fs/fuse/a.c"),
        (format!("--- a/fs/a.c\n+++ b/fs/a.c\n{hunk}"), Changed, "fs/a.c", "fs/a.c"),
        (
            format!("diff -ruN l.orig/fs/a.c l/fs/a.c\n--- l.orig/fs/a.c\t2024-01-02 03:04:05\n+++ l/fs/a.c\t2024-01-02 03:04:06\n{hunk}"),
            Changed, "fs/a.c", "fs/a.c",
        ),
        (
            format!("--- l.orig/fs/a.c\t1970-01-01 01:00:00.0 +0100\n+++ l/fs/a.c\t2024-01-02 03:04:06\n{new}"),
            Created, "fs/a.c", "fs/a.c",
        ),
        (
            format!("--- l.orig/fs/a.c\t2024-01-01 01:00:00.0 +0100\n+++ l/fs/a.c\t1969-12-31 23:00:00\n{gone}"),
            Removed, "fs/a.c", "fs/a.c",
        ),
        (format!("Index: fs/a.c\n===\n--- fs/a.c.orig\n+++ fs/a.c\n{hunk}"), Changed, "fs/a.c", "fs/a.c"),
        (format!("diff --git a/fs/a.c b/fs/a.c\nnew file mode 100755\n--- /dev/null\n+++ b/fs/a.c\n{new}"), Created, "fs/a.c", "fs/a.c"),
        (format!("diff --git a/fs/a.c b/fs/a.c\ndeleted file mode 100644\n--- a/fs/a.c\n+++ /dev/null\n{gone}"), Removed, "fs/a.c", "fs/a.c"),
        ("diff --git a/fs/a.c b/fs/a.c\nnew file mode 100644\nindex 0..0\n".into(), Created, "fs/a.c", "fs/a.c"),
        ("diff --git a/fs/a b/fs/a\nold mode 100644\nnew mode 100755\n".into(), Changed, "fs/a", "fs/a"),
        ("diff --git a/fs/a.c b/fs/b.c\nsimilarity index 100%\nrename from fs/a.c\nrename to fs/b.c\n".into(), Renamed, "fs/a.c", "fs/b.c"),
        (
            format!("diff --git a/fs/a.c b/fs/b.c\nsimilarity index 90%\nrename from fs/a.c\nrename to fs/b.c\n--- a/fs/a.c\n+++ b/fs/b.c\n{hunk}"),
            Renamed, "fs/a.c", "fs/b.c",
        ),
        ("diff --git a/fs/a.c b/fs/b.c\nsimilarity index 100%\ncopy from fs/a.c\ncopy to fs/b.c\n".into(), Copied, "fs/a.c", "fs/b.c"),
        (format!("diff --git fs/a.c fs/a.c\nindex 1..2 100644\n--- fs/a.c\n+++ fs/a.c\n{hunk}"), Changed, "fs/a.c", "fs/a.c"),
    ];
    for (text, fate, old, new) in table {
        let file = one(&text);
        assert_eq!(
            (file.fate, file.old.as_str(), file.new.as_str()),
            (fate, old, new),
            "{text}"
        );
        // What we write reads as what we read.
        let again = parse(&emit(std::slice::from_ref(&file))).unwrap();
        assert_eq!(again, [file], "{text}");
    }
}

#[test]
fn forms_that_are_refused() {
    let hunk = "@@ -1,1 +1,1 @@\n-a\n+b\n";
    let table = [
        (format!("--- a/../x\n+++ b/../x\n{hunk}"), 1, "leaves the tree"),
        (format!("--- a/.git/config\n+++ b/.git/config\n{hunk}"), 1, "git's own folder"),
        (format!("--- /etc/passwd\n+++ /etc/passwd\n{hunk}"), 1, "absolute"),
        ("diff --git a/fs/l b/fs/l\nnew file mode 120000\n--- /dev/null\n+++ b/fs/l\n@@ -0,0 +1 @@\n+/etc\n".into(), 2, "`fs/l` is a symbolic link"),
        ("diff --git a/fs/l b/fs/l\nindex 1..2 120000\n--- a/fs/l\n+++ b/fs/l\n@@ -1 +1 @@\n-x\n+/etc\n".into(), 2, "symbolic link"),
        ("diff --git a/fs/m b/fs/m\nnew file mode 160000\n".into(), 2, "submodule"),
        ("diff --git a/fs/m b/fs/m\nnew file mode 100644\nGIT binary patch\nliteral 3\n".into(), 3, "binary"),
        ("diff --git a/fs/m b/fs/m\nindex 1..2\nBinary files a/fs/m and b/fs/m differ\n".into(), 3, "binary"),
        ("Binary files l/fs/m and l2/fs/m differ\n".into(), 1, "binary"),
        ("diff --git a/fs/m b/fs/m\nnew file mode 40000\n".into(), 2, "unknown file mode"),
        ("diff --git a/fs/a b/fs/b\nrename from ../fs/a\nrename to fs/b\n".into(), 4, "leaves the tree"),
        (format!("diff --git a/fs/a b/fs/a\n--- a/fs/b\n+++ b/fs/b\n{hunk}"), 2, "other files"),
        (format!("diff --git a/fs/a b/fs/b\n--- a/fs/a\n+++ b/fs/b\n{hunk}"), 4, "no rename"),
        ("diff --git a/fs/a b/fs/a\nindex 1..2 100644\n".into(), 3, "no hunk"),
        ("diff --git a/fs/a b/fs/a\nindex 1..2 100644\n--- a/fs/a\n".into(), 3, "cut off"),
        (hunk.into(), 1, "without a file's header"),
        ("@@@ -1,2 -1,2 +1,2 @@@\n".into(), 1, "combined"),
        ("*** a/x\n--- b/x\n***************\n*** 1,2 ****\n".into(), 1, "context diff"),
        ("--- a/fs/a\n+++ b/fs/a\n@@ -7,0 +8 @@\n+a\n".into(), 5, "no line of context"),
        ("--- a/fs/a\n+++ b/fs/a\n@@ -7 +7 @@\n-a\n+b\n@@ -5 +5 @@\n-a\n+b\n".into(), 6, "before the last one ends"),
        ("--- a/fs/a\n+++ b/fs/a\n@@ -7,2 +7,2 @@\n-a\n+b\n".into(), 6, "ends after 1 and 1"),
        ("diff --git \"a/fs/\\303\" \"b/fs/\\303\"\n".into(), 1, "quotes"),
        ("diff --git a/x y b/x y\n".into(), 1, "two names"),
    ];
    for (text, line, what) in table {
        let error = parse(text.as_bytes()).expect_err(&text);
        assert_eq!(error.line + 1, line, "{text}: {}", error.what);
        assert!(error.what.contains(what), "{text}: {}", error.what);
    }
}

#[test]
fn prose_holds_no_diff() {
    for text in [
        "",
        "hello\n",
        "---\n fs/x | 2 +-\n",
        "> --- a/x\n> +++ b/x\n> @@ -1 +1 @@\n",
        "--- a/x\n+++ b/x\n",
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap(), [], "{text}");
    }
}

#[test]
fn a_copy_counts_as_new() {
    let change = one("diff --git a/fs/a.c b/fs/b.c\ncopy from fs/a.c\ncopy to fs/b.c\n").change();
    assert_eq!((change.old, change.new.as_deref()), (None, Some("fs/b.c")));
}

/// Words that a diff is made of, so that random texts come near to one.
fn near_diff() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "diff --git a/fs/x b/fs/x\n",
        "--- a/fs/x\n",
        "+++ b/fs/x\n",
        "@@ -1,2 +1,2 @@\n",
        "@@ -1 +1 @@ f\n",
        " a\n",
        "-b\n",
        "+c\n",
        "\n",
        "\\ No newline at end of file\n",
        "new file mode 100644\n",
        "-- \n",
        "rename from fs/x\n",
        "rename to fs/y\n",
        "index 1..2 100644\n",
        "\r\n",
        "@@ -4294967295 +0,0 @@\n",
        "--- /dev/null\n",
        "+++ /dev/null\n",
        "> ",
        "old mode 100644\n",
        "new mode 100755\n",
        "@@",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn what_is_written_reads_the_same(bytes in near_diff()) {
        if let Ok(files) = parse(&bytes) {
            for file in &files {
                prop_assert!(!file.new.contains(".."));
                let _ = file.change();
            }
            let again = parse(&emit(&files));
            prop_assert_eq!(again.as_ref(), Ok(&files));
        }
    }
}
