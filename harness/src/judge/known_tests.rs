//! What base is known to show, by tables.

use super::{fixtures::*, verdict::Status};
use crate::splat::{Frame, Place, Splat};

/// A race in a header's helper, made by these two callers; `touched_fn` calls from a line of the patch.
fn of_callers(a: (&str, u32), b: (&str, u32)) -> Splat {
    let stack = |(caller, line): (&str, u32)| {
        let (file, called_at) = match caller {
            "touched_fn" => ("fs/fuse/backing.c", 14),
            "open" | "renamed" => ("fs/file_table.c", 1),
            "init" | "renamed_init" => ("fs/file_table.c", 2),
            _ => ("fs/file_table.c", 3),
        };
        vec![Frame {
            function: caller.into(),
            places: vec![
                Place {
                    function: "get_cred".into(),
                    file: "include/linux/cred.h".into(),
                    line,
                },
                Place {
                    function: caller.into(),
                    file: file.into(),
                    line: called_at,
                },
            ],
            ..Frame::default()
        }]
    };
    Splat {
        title: format!("KCSAN: data-race in {} / {}", a.0, b.0),
        class: "kcsan".into(),
        stacks: vec![stack(a), stack(b)],
        ..Splat::default()
    }
}

#[test]
fn a_race_that_base_showed_once_is_bases() {
    let open = |line| ("open", line);
    let init = |line| ("init", line);
    let on_variant = || of_callers(open(7), init(9));
    type Row = (&'static str, Vec<Splat>, Vec<Splat>, Status);
    let table: [Row; 8] = [
        ("never seen", vec![], vec![], Status::Unconfirmed),
        ("earlier", vec![], vec![on_variant()], Status::Common),
        (
            "earlier, and other lines",
            vec![],
            vec![of_callers(open(7), init(8))],
            Status::Unconfirmed,
        ),
        (
            "its sides, apart",
            vec![of_callers(open(7), ("other", 9))],
            vec![of_callers(("other", 7), init(9))],
            Status::Common,
        ),
        (
            "its sides, both with themselves",
            vec![],
            vec![of_callers(open(7), open(9)), of_callers(init(7), init(9))],
            Status::Common,
        ),
        (
            "one side, the other from another caller",
            vec![of_callers(open(7), ("other", 9))],
            vec![],
            Status::Common,
        ),
        (
            "its callers, each with another race",
            vec![
                of_callers(open(7), ("other", 1)),
                of_callers(("other", 2), init(9)),
            ],
            vec![],
            Status::Unconfirmed,
        ),
        (
            "its callers, the other way round",
            vec![
                of_callers(open(9), ("other", 7)),
                of_callers(("other", 9), init(7)),
            ],
            vec![],
            Status::Unconfirmed,
        ),
    ];
    for (name, base, earlier, status) in table {
        let mut setup = Setup::new(vec![splats(base)], vec![splats(vec![on_variant()])]);
        setup.earlier = earlier;
        let comparison = setup.judge();
        let finding = comparison
            .findings
            .iter()
            .find(|one| one.title == on_variant().title);
        assert_eq!(
            finding.map(|one| one.status),
            Some(status),
            "{name}: {comparison:?}"
        );
    }
}

#[test]
fn what_the_patch_calls_must_be_known_on_both_sides() {
    let seen = || of_callers(("touched_fn", 7), ("init", 9));
    let one = of_callers(("other", 7), ("init", 9));
    let both = of_callers(("touched_fn", 7), ("other", 9));
    for (base, status) in [
        (vec![one.clone()], Status::New),
        (vec![one, both], Status::Common),
    ] {
        let mut setup = Setup::new(vec![splats(base)], vec![splats(vec![seen()])]);
        setup.touched = Some(patch());
        let comparison = setup.judge();
        let finding = comparison.findings.iter().find(|f| f.title == seen().title);
        assert_eq!(finding.map(|f| f.status), Some(status), "{comparison:?}");
    }
}

#[test]
fn a_function_of_another_name_races_as_it_did() {
    let seen = of_callers(("renamed", 7), ("renamed_init", 9));
    for (base, status) in [
        (of_callers(("open", 7), ("init", 9)), Status::Common),
        (of_callers(("open", 8), ("init", 9)), Status::Unconfirmed),
        (of_callers(("other", 7), ("other", 9)), Status::Unconfirmed),
    ] {
        let setup = Setup::new(vec![splats(vec![base])], vec![splats(vec![seen.clone()])]);
        let comparison = setup.judge();
        let finding = comparison.findings.iter().find(|f| f.title == seen.title);
        assert_eq!(finding.map(|f| f.status), Some(status), "{comparison:?}");
    }
}

#[test]
fn what_only_earlier_boots_showed_is_no_finding() {
    let mut setup = Setup::new(vec![nothing()], vec![nothing()]);
    setup.earlier = vec![of_callers(("open", 7), ("init", 9))];
    assert!(setup.judge().findings.is_empty());
}

/// `f` sets forty fields in lines 3 to 42, and the patch changes what is set in line 20; `g`, in line
/// 46, is left alone. Which of base's races make the variant's, at other lines of `f`, less than new?
#[test]
fn a_touched_function_that_base_shows_racing_too() {
    let text = |twentieth: &str| {
        let fields: String = (3..43)
            .map(|line| match line {
                20 => format!("\t{twentieth}\n"),
                _ => format!("\tx.f{line} = 1;\n"),
            })
            .collect();
        format!("int f(void)\n{{\n{fields}}}\n\nint g(void)\n{{\n\treturn x.f1;\n}}\n")
    };
    let race = |f: u32, g: u32| {
        splat(
            "kcsan",
            "KCSAN: data-race in f / g",
            &[("f", Some(f)), ("g", Some(g))],
        )
    };
    let titled = |title: &str, race: Splat| Splat {
        title: title.into(),
        ..race
    };
    type Row = (&'static str, Vec<Splat>, Splat, Status);
    let table: [Row; 6] = [
        ("nothing on base", vec![], race(40, 46), Status::New),
        (
            "the same reader",
            vec![race(30, 46)],
            race(40, 46),
            Status::Unconfirmed,
        ),
        (
            "another reader",
            vec![race(30, 47)],
            race(40, 46),
            Status::New,
        ),
        (
            "the patch's own line",
            vec![race(30, 46)],
            race(20, 46),
            Status::New,
        ),
        (
            "a line next to it",
            vec![race(30, 46)],
            race(21, 46),
            Status::Unconfirmed,
        ),
        (
            "another title",
            vec![titled("KCSAN: data-race in e / g", race(30, 46))],
            race(40, 46),
            Status::New,
        ),
    ];
    for (what, base, variant, status) in table {
        for is_earlier in [false, true] {
            let (now, earlier) = match is_earlier {
                true => (vec![], base.clone()),
                false => (base.clone(), vec![]),
            };
            let mut setup = Setup::new(vec![splats(now)], vec![splats(vec![variant.clone()])]);
            setup.touched = Some(patch_of(&text("x.f20 = 1;"), &text("x.f20 = 2;")));
            setup.earlier = earlier;
            let comparison = setup.judge();
            let mut findings = comparison.findings.iter();
            let found = findings.find(|one| one.status != Status::Fixed);
            assert_eq!(
                found.map(|one| one.status),
                Some(status),
                "{what}: {comparison:?}"
            );
        }
    }
}
