//! What a boot says of the finding that is followed.

use protocol::DetectorState;

use super::{
    fixtures::{count, good, held, kasan, splat, splats},
    followed::{Bound, Followed, Shown},
    verdict::Kind,
};
use crate::{
    collect::record::{End, Limit, RunRecord},
    plan::Purpose,
};

const TITLE: &str = "KASAN: slab-use-after-free Read in f";

fn title() -> Followed {
    Followed::Title(TITLE.into())
}

fn shown(followed: &Followed, record: &RunRecord) -> Shown {
    match followed.in_boot(record, &|title| title == "accepted") {
        Shown::Miss => {
            let figure = followed.figure(std::slice::from_ref(record));
            figure.unwrap_or(Shown::Miss)
        }
        said => said,
    }
}

fn is_hit(followed: &Followed, record: &RunRecord) -> bool {
    matches!(shown(followed, record), Shown::Hit { .. })
}

#[test]
fn a_title_is_followed_with_its_alternatives() {
    let mut record = good("c-1");
    assert_eq!(shown(&title(), &record), Shown::Miss);
    kasan("f")(&mut record);
    let hit = Shown::Hit {
        title: TITLE.into(),
        evidence: "c-1/splats/0001.txt".into(),
        late: false,
    };
    assert_eq!(shown(&title(), &record), hit);
    let mut other = good("c-2");
    kasan("g")(&mut other);
    assert_eq!(shown(&title(), &other), Shown::Miss);
    other.splats[0].splat.alternatives = vec![TITLE.into()];
    assert!(is_hit(&title(), &other));
    // A boot that dies of it is a hit, one that dies of something else says nothing.
    let died = |record: &mut RunRecord| {
        record.end = End::Died {
            why: "x".into(),
            panicked: true,
        };
    };
    died(&mut record);
    assert!(is_hit(&title(), &record));
    let mut dead = good("c-3");
    kasan("g")(&mut dead);
    died(&mut dead);
    assert!(matches!(shown(&title(), &dead), Shown::Blind(_)));
}

#[test]
fn a_hit_says_whether_the_loads_had_begun() {
    let late = |followed: &Followed, record: &RunRecord| match shown(followed, record) {
        Shown::Hit { late, .. } => late,
        other => panic!("{other:?}"),
    };
    let mut record = good("c-1");
    kasan("f")(&mut record);
    for followed in [title(), Followed::Any, Followed::Kind(Kind::Splat)] {
        record.splats[0].splat.phase = None;
        assert!(!late(&followed, &record), "{followed:?}");
        record.splats[0].splat.phase = Some("backing-race".into());
        assert!(late(&followed, &record), "{followed:?}");
    }
    // Between loads, and after them, there is no mark.
    record.splats[0].splat.phase = None;
    record.splats[0].at_s = 12.0;
    assert!(late(&title(), &record));

    let mut command = good("c-2");
    command.exec[0].code = Some(1);
    assert!(late(&Followed::Any, &command));
    let mut failed = good("c-3");
    failed.hello = None;
    failed.end = End::BootFailed { why: "x".into() };
    assert!(!late(&Followed::Kind(Kind::BootFailed), &failed));
}

#[test]
fn a_time_limit_alone_is_doubted() {
    let stood_still = "backing-race: the agent beats and its load does no work";
    let no_hello = "the kernel did not reach the agent's hello";
    for (followed, doubted) in [
        (Followed::Kind(Kind::BootFailed), true),
        (Followed::Kind(Kind::Hang), true),
        (Followed::Title(stood_still.into()), true),
        (Followed::Title(no_hello.into()), true),
        (title(), false),
        (Followed::Kind(Kind::Splat), false),
        (Followed::Any, false),
    ] {
        assert_eq!(followed.may_be_a_limits(), doubted, "{followed:?}");
    }

    let doubtful = |followed: &Followed, record: &RunRecord| {
        assert!(is_hit(followed, record), "{followed:?}");
        followed.is_doubtful(record, &|title| title == "accepted")
    };
    let mut record = good("c-1");
    record.end = End::Watchdog {
        limit: Limit::NoProgress,
        why: "x".into(),
    };
    assert!(doubtful(&Followed::Any, &record));
    assert!(!doubtful(&Followed::Kind(Kind::Hang), &record));
    splats(vec![splat("kcsan", "accepted", &[])])(&mut record);
    assert!(doubtful(&Followed::Any, &record));
    kasan("f")(&mut record);
    assert!(!doubtful(&Followed::Any, &record));
    assert!(!doubtful(&title(), &record));
    let mut died = good("c-2");
    died.end = End::Died {
        why: "x".into(),
        panicked: true,
    };
    assert!(!doubtful(&Followed::Any, &died));
}

#[test]
fn a_detector_that_stopped_says_nothing() {
    let lockdep = Followed::Title("possible deadlock in f".into());
    let mut record = good("c-1");
    assert_eq!(shown(&lockdep, &record), Shown::Miss);
    splats(vec![splat("lockdep", "possible deadlock in g", &[])])(&mut record);
    record
        .detectors
        .insert("lockdep".into(), DetectorState::Off);
    let Shown::Blind(why) = shown(&lockdep, &record) else {
        panic!("{:?}", shown(&lockdep, &record));
    };
    assert_eq!(why, "lockdep had stopped after possible deadlock in g");
    for (words, stops) in [
        ("inconsistent lock state in f", true),
        ("WARNING: bad unlock balance in f", true),
        ("BUG: held lock freed in f", true),
        ("INFO: trying to register non-static key in f", true),
        ("WARNING: locking bug in f", true),
        ("WARNING: nested lock was not taken in f", true),
        ("BUG: spinlock bad magic in f", false),
        ("BUG: workqueue leaked atomic, lock or RCU in f", false),
    ] {
        let shown = shown(&Followed::Title(words.into()), &record);
        assert_eq!(matches!(shown, Shown::Blind(_)), stops, "{words}");
    }
    record
        .detectors
        .insert("lockdep".into(), DetectorState::Absent);
    assert!(matches!(shown(&lockdep, &record), Shown::Never(_)));
}

#[test]
fn what_was_not_exercised_is_no_miss() {
    let mut record = good("c-1");
    count("overlaps", 0)(&mut record);
    let why = "backing-race was not exercised on it: no overlaps in 1 boot".to_owned();
    for followed in [title(), Followed::Any, Followed::Kind(Kind::Hang)] {
        assert_eq!(shown(&followed, &record), Shown::Blind(why.clone()));
    }
    let below = Followed::Measure {
        name: "backing-race lookups".into(),
        bound: Bound::Below(1.0),
    };
    assert_eq!(shown(&below, &record), Shown::Blind(why));
    // It booted, and it showed: neither asks for more.
    let boots = Followed::Kind(Kind::BootFailed);
    assert_eq!(shown(&boots, &record), Shown::Miss);
    kasan("f")(&mut record);
    assert!(is_hit(&title(), &record));

    let mut record = good("c-2");
    record.exec.clear();
    assert!(matches!(shown(&title(), &record), Shown::Blind(_)));
    // A commit need not have the place at which a later one's splat says to hold.
    let mut record = good("c-3");
    held(0, 0, 0)(&mut record);
    assert_eq!(shown(&title(), &record), Shown::Miss);
}

#[test]
fn kinds_commands_and_boots() {
    let any = Followed::Any;
    let mut record = good("c-1");
    assert_eq!(shown(&any, &record), Shown::Miss);
    record.exec[0].code = Some(1);
    assert!(is_hit(&any, &record));
    assert!(is_hit(&Followed::Kind(Kind::CommandFailed), &record));
    assert!(!is_hit(&Followed::Kind(Kind::Hang), &record));
    record.exec[0].code = Some(125);
    for followed in [title(), any.clone(), Followed::Kind(Kind::CommandFailed)] {
        assert!(matches!(shown(&followed, &record), Shown::Never(_)));
    }
    let mut accepted = good("c-2");
    splats(vec![splat("kcsan", "accepted", &[])])(&mut accepted);
    assert_eq!(shown(&any, &accepted), Shown::Miss);
    assert_eq!(shown(&Followed::Kind(Kind::Splat), &accepted), Shown::Miss);

    let mut failed = good("c-3");
    failed.hello = None;
    failed.end = End::BootFailed { why: "x".into() };
    assert!(matches!(shown(&any, &failed), Shown::Blind(_)));
    assert!(is_hit(&Followed::Kind(Kind::BootFailed), &failed));
    failed.end = End::Infrastructure { why: "x".into() };
    assert!(matches!(shown(&any, &failed), Shown::Spoiled(_)));
    failed.end = End::Interrupted;
    assert_eq!(shown(&any, &failed), Shown::Interrupted);
}

#[test]
fn a_figure_past_its_bound() {
    let of = |name: &str, bound| Followed::Measure {
        name: name.into(),
        bound,
    };
    let record = good("c-1");
    let iops = "fio read iops";
    assert!(is_hit(&of(iops, Bound::Below(60.0)), &record));
    assert_eq!(shown(&of(iops, Bound::Below(50.0)), &record), Shown::Miss);
    assert!(is_hit(&of(iops, Bound::Above(49.0)), &record));
    let Shown::Never(why) = shown(&of("nothing", Bound::Above(1.0)), &record) else {
        panic!("a figure that is not there");
    };
    assert!(why.contains(iops), "{why}");
}

#[test]
fn where_a_figure_is_made() {
    for (name, purpose) in [
        ("instructions of lookup at 100 ids", Purpose::Counted),
        ("emulated time of lookup at 100 ids", Purpose::Counted),
        ("memory per id: radix_tree_node", Purpose::Weighed),
        ("sparse memory at 100 ids", Purpose::Weighed),
        ("time of open at 100 ids", Purpose::Weighed),
        ("fio read iops", Purpose::Loads),
    ] {
        let bound = Bound::Above(1.0);
        let name = name.to_owned();
        let followed = Followed::Measure { name, bound };
        assert_eq!(followed.made_in(), Some(purpose), "{followed:?}");
    }
    assert_eq!(title().made_in(), None);
}

#[test]
fn a_console_line_is_no_title() {
    for (text, is) in [
        ("KASAN: slab-use-after-free Read in f", true),
        ("WARNING in f", true),
        ("BUG: KASAN: slab-use-after-free in f", false),
        ("general protection fault in f+0x1c/0x40", false),
        ("WARNING: CPU: 1 PID: 7 at fs/a.c:1", false),
    ] {
        assert_eq!(Followed::title(text).is_ok(), is, "{text}");
    }
}
