//! Series on small trees, with the host's own git.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    time::SystemTime,
};

use super::*;
use crate::{
    Fault,
    patch::{diff, reader::parse},
};

/// A base with a numbered file of forty lines, and a few others.
fn base() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let numbered: String = (1..=40).map(|n| format!("line {n}\n")).collect();
    for (path, text) in [
        ("fs/a.c", numbered.as_str()),
        ("fs/b.c", "one\ntwo\n"),
        ("mm/far.c", "far\n"),
        ("Makefile", "all:\n"),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs::File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    symlink("../mm", dir.path().join("fs/behind")).unwrap();
    dir
}

fn series(diffs: &[&str]) -> Series {
    let patch = |(n, diff): (usize, &&str)| {
        let files = parse(diff.as_bytes()).unwrap();
        Patch {
            subject: format!("patch {}", n + 1),
            origin: format!("{}.patch", n + 1),
            diff: diff::emit(&files),
            files: files.iter().map(FileDiff::change).collect(),
            mail: None,
        }
    };
    Series::new(diffs.iter().enumerate().map(patch).collect())
}

/// Everything under a folder: path, content or link, mode, time.
fn state(dir: &Path) -> Vec<(PathBuf, Vec<u8>, u32, i64)> {
    let mut all = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                folders.push(path);
                continue;
            }
            let content = if meta.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            all.push((
                path.strip_prefix(dir).unwrap().to_owned(),
                content,
                meta.mode(),
                meta.mtime(),
            ));
        }
    }
    all.sort();
    all
}

/// Replaces line 20 of `fs/a.c`; the header claims line `at`.
fn change_20(at: u32) -> String {
    format!(
        "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -{at},3 +{at},4 @@\n line 19\n-line 20\n+twenty\n+more\n line 21\n"
    )
}

#[test]
fn the_base_stays_and_untouched_files_are_shared() {
    let base = base();
    let before = state(base.path());
    let out = tempfile::tempdir().unwrap();
    let create = "diff --git a/fs/new/n.sh b/fs/new/n.sh\nnew file mode 100755\n--- /dev/null\n+++ b/fs/new/n.sh\n@@ -0,0 +1 @@\n+new\n";
    let rename = "diff --git a/fs/b.c b/fs/c.c\nrename from fs/b.c\nrename to fs/c.c\n";
    let remove = "--- a/Makefile\n+++ /dev/null\n@@ -1 +0,0 @@\n-all:\n";
    let series = series(&[&change_20(19), create, rename, remove]);
    apply(&series, base.path(), out.path(), &Cancel::new()).unwrap();

    assert_eq!(state(base.path()), before);
    let read = |path: &str| fs::read_to_string(out.path().join(path)).unwrap();
    assert!(read("fs/a.c").contains("line 19\ntwenty\nmore\nline 21\n"));
    assert_eq!(read("fs/new/n.sh"), "new\n");
    assert_eq!(read("fs/c.c"), "one\ntwo\n");
    assert!(!out.path().join("fs/b.c").exists() && !out.path().join("Makefile").exists());
    let mode = |path: &str| {
        fs::metadata(out.path().join(path))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("fs/new/n.sh") & 0o100, 0o100);
    let inode = |dir: &Path, path: &str| fs::symlink_metadata(dir.join(path)).unwrap().ino();
    assert_eq!(
        inode(base.path(), "mm/far.c"),
        inode(out.path(), "mm/far.c")
    );
    assert_ne!(inode(base.path(), "fs/a.c"), inode(out.path(), "fs/a.c"));
    assert_eq!(
        fs::read_link(out.path().join("fs/behind")).unwrap(),
        Path::new("../mm")
    );
}

#[test]
fn a_file_may_take_a_folders_place() {
    let base = base();
    fs::create_dir_all(base.path().join("fs/deep/er")).unwrap();
    fs::write(base.path().join("fs/deep/er/x.c"), "old\n").unwrap();
    let out = tempfile::tempdir().unwrap();
    let remove = "diff --git a/fs/deep/er/x.c b/fs/deep/er/x.c\ndeleted file mode 100644\n--- a/fs/deep/er/x.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n";
    let create = "diff --git a/fs/deep b/fs/deep\nnew file mode 100644\n--- /dev/null\n+++ b/fs/deep\n@@ -0,0 +1 @@\n+new\n";
    let series = series(&[remove, create]);
    apply(&series, base.path(), out.path(), &Cancel::new()).unwrap();
    let text = fs::read_to_string(out.path().join("fs/deep")).unwrap();
    assert_eq!(text, "new\n");
}

#[test]
fn stacked_patches_and_moved_hunks_get_their_true_numbers() {
    let base = base();
    let top = "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,2 +1,4 @@\n+top\n+top\n line 1\n line 2\n";
    let again = "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -4,3 +4,3 @@\n twenty\n-more\n+less\n line 21\n@@ -33,3 +33,2 @@\n line 35\n-line 36\n line 37\n";
    let fitted = check(
        &series(&[&change_20(7), top, again]),
        base.path(),
        &Cancel::new(),
    )
    .unwrap();
    let hunk = |patch: usize, n: usize| {
        let hunk = &fitted.patches[patch].files[0].hunks[n];
        (hunk.old_start, hunk.new_start)
    };
    assert_eq!(hunk(0, 0), (19, 19));
    assert_eq!(hunk(1, 0), (1, 1));
    assert_eq!(hunk(2, 0), (22, 22));
    // Two lines on top and one more in the middle: 35 stands in line 38.
    assert_eq!(hunk(2, 1), (38, 38));
    assert_eq!(
        fitted.patches[0].files[0].hunks[0].added,
        [(20, "twenty".into()), (21, "more".into())]
    );
}

#[test]
fn a_file_may_be_touched_twice_and_copied() {
    let base = base();
    let out = tempfile::tempdir().unwrap();
    let copy = "diff --git a/fs/b.c b/fs/c.c\ncopy from fs/b.c\ncopy to fs/c.c\n--- a/fs/b.c\n+++ b/fs/c.c\n@@ -1,2 +1,2 @@\n one\n-two\n+deux\n";
    let modes = "diff --git a/fs/b.c b/fs/b.c\nold mode 100644\nnew mode 100755\n";
    apply(
        &series(&[copy, modes]),
        base.path(),
        out.path(),
        &Cancel::new(),
    )
    .unwrap();
    assert_eq!(
        fs::read_to_string(out.path().join("fs/c.c")).unwrap(),
        "one\ndeux\n"
    );
    let mode = fs::metadata(out.path().join("fs/b.c"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111);
    assert_eq!(
        fs::metadata(base.path().join("fs/b.c"))
            .unwrap()
            .permissions()
            .mode()
            & 0o111,
        0
    );
}

#[test]
fn rejections_say_which_hunk_and_what_stands_there() {
    let base = base();
    let table = [
        (
            change_20(19).replace("line 20", "line 2o"),
            "hunk 1 of fs/a.c",
            "line 20 should read `line 2o` and reads `line 20`",
        ),
        (
            change_20(19).replace("fs/a.c", "fs/none.c"),
            "fs/none.c",
            "not in this kernel",
        ),
        (
            "--- /dev/null\n+++ b/fs/b.c\n@@ -0,0 +1 @@\n+x\n".into(),
            "fs/b.c",
            "there already",
        ),
        (
            "--- a/fs/behind/far.c\n+++ b/fs/behind/far.c\n@@ -1 +1 @@\n-far\n+near\n".into(),
            "fs/behind/far.c",
            "symbolic link",
        ),
        (
            "--- /dev/null\n+++ b/fs/behind/new.c\n@@ -0,0 +1 @@\n+x\n".into(),
            "fs/behind/new.c",
            "symbolic link",
        ),
        (
            "--- a/fs/behind\n+++ b/fs/behind\n@@ -1 +1 @@\n-../mm\n+/etc\n".into(),
            "fs/behind",
            "symbolic link",
        ),
    ];
    for (diff, place, cause) in table {
        let good = "--- a/mm/far.c\n+++ b/mm/far.c\n@@ -1 +1 @@\n-far\n+near\n";
        let error =
            Error::from(check(&series(&[good, &diff]), base.path(), &Cancel::new()).unwrap_err());
        assert_eq!(error.fault(), Fault::Untestable);
        let chain = error.chain();
        for expected in ["patch 2", "2.patch", place, cause] {
            assert!(chain.contains(expected), "{chain}\nexpected {expected}");
        }
    }
}

#[test]
fn somebodys_repository_around_the_scratch_folder_changes_nothing() {
    // What `git apply` does not find at its own level it would pass over in silence there.
    let base = base();
    let series = series(&[&change_20(19)]);
    let around = tempfile::tempdir().unwrap();
    Cmd::new("git")
        .args(["init", "--quiet"])
        .cwd(around.path())
        .run_ok(&Cancel::new())
        .unwrap();
    let scratch = around.path().join("scratch");
    bring(base.path(), &scratch, "fs/a.c").ok().unwrap();
    git_apply(
        &series.patches[0],
        &parse(&series.patches[0].diff).unwrap(),
        &scratch,
        &Cancel::new(),
    )
    .unwrap();
    assert!(
        fs::read_to_string(scratch.join("fs/a.c"))
            .unwrap()
            .contains("twenty")
    );
}
