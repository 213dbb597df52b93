//! What a patch touches, by tables of texts before and after it.

use super::touched::Touched;
use crate::{
    patch::{FileChange, Hunk, Patch, Series},
    splat::{Frame, Place},
};

fn series(files: &[(Option<&str>, Option<&str>)]) -> Series {
    let file = |(old, new): &(Option<&str>, Option<&str>)| FileChange {
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
        hunks: Vec::new(),
    };
    let patches = files
        .iter()
        .map(|pair| Patch {
            subject: String::new(),
            origin: String::new(),
            diff: Vec::new(),
            files: vec![file(pair)],
            mail: None,
        })
        .collect();
    Series {
        patches,
        ..Series::default()
    }
}

/// One C file before and after.
fn touched(before: &str, after: &str) -> Touched {
    let (before, after) = (before.to_owned(), after.to_owned());
    Touched::of(
        &series(&[(Some("a.c"), Some("a.c"))]),
        &move |_| Some(before.clone()),
        &move |_| Some(after.clone()),
    )
}

fn names(touched: &Touched) -> Vec<&str> {
    touched.functions().collect()
}

const BEFORE: &str = "\
/* top */
int one(void)
{
	return 1;
}

int two(void)
{
	int x = 2;

	return x; /* two */
}
";

#[test]
fn functions_with_changed_code() {
    let inserted = BEFORE.replace("int two", "int new(void)\n{\n\treturn 3;\n}\n\nint two");
    let table = [
        (BEFORE.replace("return 1", "return 7"), vec!["one"]),
        (BEFORE.replace("\tint x = 2;\n", ""), vec!["two"]),
        // A function put between two others touches neither.
        (inserted, vec!["new"]),
        (
            BEFORE.replace("int one(void)", "static int one(void)"),
            vec!["one"],
        ),
        (
            BEFORE.replace("int one(void)\n{\n\treturn 1;\n}\n", ""),
            vec!["one"],
        ),
    ];
    for (after, expected) in table {
        let touched = touched(BEFORE, &after);
        assert_eq!(names(&touched), expected, "{after}");
        assert!(touched.has_code());
    }
}

#[test]
fn comments_and_blanks_are_no_code() {
    for after in [
        BEFORE.replace("/* top */", "/* other\n * words\n */"),
        BEFORE.replace(" /* two */", ""),
        BEFORE.replace("\treturn 1;", "\t/* why */\n\n\treturn 1; // so"),
        BEFORE.replace("\treturn 1;", "        return 1;"),
    ] {
        let touched = touched(BEFORE, &after);
        assert!(!touched.has_code() && names(&touched).is_empty(), "{after}");
    }
}

#[test]
fn what_kind_of_file() {
    for (path, code) in [
        ("Documentation/a.rst", false),
        ("MAINTAINERS", false),
        ("tools/testing/selftests/mm/a.c", false),
        ("tools/perf/a.c", false),
        ("samples/a.c", true),
        ("scripts/mod/a.c", true),
        ("fs/fuse/Kconfig", true),
        ("fs/fuse/Makefile", true),
        ("include/a.h", true),
    ] {
        let touched = Touched::of(
            &series(&[(Some(path), Some(path))]),
            &|_| Some("a\n".into()),
            &|_| Some("b\n".into()),
        );
        assert_eq!(touched.has_code(), code, "{path}");
        assert_eq!(touched.files().collect::<Vec<_>>(), [path]);
    }
}

#[test]
fn what_moves_out_of_the_kernel_is_removed_from_it() {
    for (old, new, names) in [
        ("lib/a.c", "tools/testing/a.c", ["one", "two"]),
        ("tools/testing/a.c", "lib/a.c", ["one", "two"]),
    ] {
        let text = |_: &str| Some(BEFORE.to_owned());
        let touched = Touched::of(&series(&[(Some(old), Some(new))]), &text, &text);
        assert!(touched.has_code(), "{old}");
        assert_eq!(self::names(&touched), names, "{old}");
    }
}

#[test]
fn lines_move_with_the_patch() {
    let after = BEFORE.replace("\treturn 1;", "\tint y;\n\n\treturn 9;");
    let touched = touched(BEFORE, &after);
    for (line, expected) in [(1, Some(1)), (4, None), (7, Some(9)), (11, Some(13))] {
        let expected = expected.map(|to| ("a.c".to_owned(), to));
        assert_eq!(touched.map_line("a.c", line), expected, "{line}");
    }
    assert_eq!(touched.map_line("b.c", 4), Some(("b.c".into(), 4)));
    assert_eq!(touched.map_line("a.c", 4000), None);
}

#[test]
fn renames_removals_and_several_patches_of_one_file() {
    let series = series(&[
        (Some("a.c"), Some("b.c")),
        (Some("b.c"), Some("c.c")),
        (None, Some("n.c")),
        (Some("gone.c"), None),
    ]);
    let text = |path: &str| match path {
        "n.c" => Some("int n(void)\n{\n}\n".into()),
        "gone.c" => Some("int gone(void)\n{\n}\n".into()),
        "a.c" | "c.c" => Some(BEFORE.to_owned()),
        _ => None,
    };
    let touched = Touched::of(&series, &text, &text);
    assert_eq!(
        touched.files().collect::<Vec<_>>(),
        ["c.c", "gone.c", "n.c"]
    );
    assert_eq!(names(&touched), ["gone", "n"]);
    assert_eq!(touched.map_line("a.c", 4), Some(("c.c".into(), 4)));
    assert_eq!(touched.map_line("gone.c", 1), None);
}

#[test]
fn without_texts_the_hunks_must_do() {
    let mut series = series(&[(Some("a.c"), Some("a.c"))]);
    series.patches[0].files[0].hunks = vec![
        Hunk {
            section: "static int one(struct a *b,".into(),
            added: vec![(5, "\tx++; /* y */".into()), (6, " * words".into())],
            ..Hunk::default()
        },
        Hunk {
            section: "int comment_only(void)".into(),
            removed: vec![(9, "\t * words".into()), (10, "// more".into())],
            ..Hunk::default()
        },
    ];
    let touched = Touched::of(&series, &|_| None, &|_| None);
    assert_eq!(names(&touched), ["one"]);
    let place = |function: &str, line| Place {
        function: function.into(),
        file: "a.c".into(),
        line,
    };
    assert!(touched.place(&place("one", 99)));
    assert!(!touched.wrote(&place("one", 99)));
    assert!(touched.place(&place("other", 5)));
    assert!(touched.wrote(&place("other", 5)));
    assert!(!touched.place(&place("other", 6)));
    assert!(touched.has_code());
}

#[test]
fn frames_with_and_without_places() {
    let touched = touched(BEFORE, &BEFORE.replace("return 1", "return 7"));
    let frame = |function: &str, places: Vec<Place>| Frame {
        function: function.into(),
        places,
        ..Frame::default()
    };
    let one = Place {
        function: "one".into(),
        file: "a.c".into(),
        line: 4,
    };
    let elsewhere = Place {
        file: "b.c".into(),
        ..one.clone()
    };
    assert_eq!(touched.frame(&frame("one", vec![])).unwrap(), "one");
    assert_eq!(
        touched.frame(&frame("outer", vec![one])).unwrap(),
        "one (a.c:4)"
    );
    // Another file's function of the same name.
    assert_eq!(touched.frame(&frame("one", vec![elsewhere])), None);
    assert_eq!(touched.frame(&frame("two", vec![])), None);
}

#[test]
fn structures_with_changed_definitions_and_files_that_may_shape_others() {
    const TEXT: &str = "\
#define MANY 4

struct one {
	int a; /* first */
	int b[MANY];
};

int f(struct one *one)
{
	return one->a;
}
";
    let table: [(String, &[&str], bool); 6] = [
        (TEXT.replace("\tint a;", "\tlong a;"), &["one"], true),
        (TEXT.replace("\tint a; /* first */\n", ""), &["one"], true),
        (
            TEXT.replace("int f", "struct two {\n\tint a;\n};\n\nint f"),
            &["two"],
            true,
        ),
        (TEXT.replace("first", "foremost"), &[], false),
        (TEXT.replace("MANY 4", "MANY 8"), &[], true),
        (TEXT.replace("return one->a", "return 0"), &[], false),
    ];
    for (after, structures, shapes) in table {
        let touched = touched(TEXT, &after);
        let names: Vec<&str> = touched
            .structures()
            .iter()
            .map(|(_, name)| name.as_str())
            .collect();
        assert_eq!(names, structures, "{after}");
        assert_eq!(touched.shaping().contains("a.c"), shapes, "{after}");
    }
}

#[test]
fn what_is_moved_is_not_written() {
    let two = "int two(void)\n{\n\tint x = 2;\n\n\treturn x;\n}\n";
    let one = "int one(void)\n{\n\treturn 1;\n}\n";
    let touched = touched(&format!("{one}{two}"), &format!("{two}int y;\n{one}"));
    let place = |line| Place {
        function: "one".into(),
        file: "a.c".into(),
        line,
    };
    // `return 1`, `return x` and `int y`.
    assert_eq!(touched.map_line("a.c", 3), Some(("a.c".into(), 10)));
    assert_eq!(touched.map_line("a.c", 9), Some(("a.c".into(), 5)));
    assert!(!touched.wrote(&place(10)) && !touched.wrote(&place(5)));
    assert!(touched.wrote(&place(7)));
}
