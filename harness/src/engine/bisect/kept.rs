//! When a trial may begin from a guest that was kept at its agent's hello, and whether that guest is
//! fit for it (pure).
//!
//! Such a trial takes a fraction of a boot, and sees nothing of one: what shows before the loads
//! begin would be missed in every trial, and what a boot left behind would be in all of them.

use super::journal::Line;
use crate::{
    engine::emulator::Spoiled,
    judge::{Followed, When},
    splat::scan_bytes,
};

/// A guest that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    /// Trials may begin from it.
    Fit,
    /// Its boot showed what boots of this kernel may show: all its trials are boots.
    Unlike,
    /// The host spoiled it: another may be fit.
    Spoiled,
}

/// Whether no trial that begins after the boot misses what is followed: where a finding may come at
/// any time, a whole boot's hit must have said that it comes later, and none that it does not.
pub(super) fn may_be_restored(followed: &Followed, lines: &[Line]) -> bool {
    match followed.when() {
        When::AtBoot => false,
        When::UnderLoad => true,
        When::Either => {
            let said = |line: &Line| match line {
                Line::Trial { late, .. } | Line::Scouted { late, .. } => *late,
                _ => None,
            };
            let mut said = lines.iter().filter_map(said).peekable();
            said.peek().is_some() && said.all(|late| late)
        }
    }
}

/// What a guest is good for that printed this until it was kept. A splat may have stopped a detector:
/// lockdep ends with the first of any kind.
pub(super) fn fitness(
    console: &[u8],
    followed: &Followed,
    emulated: bool,
    accepts: &dyn Fn(&str) -> bool,
) -> Fitness {
    if emulated && Spoiled::by_messages(console).is_some() {
        return Fitness::Spoiled;
    }
    let splats = scan_bytes(console);
    match splats.iter().all(|splat| followed.survives(splat, accepts)) {
        true => Fitness::Fit,
        false => Fitness::Unlike,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Bound, verdict::Kind};

    const RACE: &str = "KCSAN: data-race in f / g";

    #[test]
    fn only_what_comes_later_is_looked_for_after_a_boot() {
        let trial = |hit, late| Line::Trial {
            commit: "a".into(),
            hit,
            seconds: 1.0,
            title: None,
            evidence: None,
            late,
        };
        let miss = trial(false, None);
        // By an earlier version, or restored.
        let untold = trial(true, None);
        let (late, early) = (trial(true, Some(true)), trial(true, Some(false)));
        let scouted = Line::Scouted {
            commit: "a".into(),
            hit: true,
            functions: [].into(),
            files: [].into(),
            late: Some(true),
        };
        let title = Followed::Title(RACE.into());
        let any = Followed::Any;
        let splat = Followed::Kind(Kind::Splat);
        let hang = Followed::Kind(Kind::Hang);
        let failed = Followed::Kind(Kind::BootFailed);
        let figure = Followed::Measure {
            name: "x".into(),
            bound: Bound::Above(1.0),
        };
        let table: [(&Followed, &[&Line], bool); 13] = [
            (&title, &[], false),
            (&title, &[&miss, &miss], false),
            (&title, &[&untold], false),
            (&title, &[&miss, &late, &miss], true),
            (&title, &[&scouted], true),
            (&title, &[&late, &early], false),
            (&title, &[&early, &late], false),
            (&any, &[], false),
            (&splat, &[&late], true),
            (&hang, &[], true),
            (&figure, &[], true),
            (&failed, &[], false),
            (&failed, &[&late], false),
        ];
        for (followed, lines, expected) in table {
            let lines: Vec<Line> = lines.iter().map(|line| (*line).clone()).collect();
            let got = may_be_restored(followed, &lines);
            assert_eq!(got, expected, "{followed:?} {lines:?}");
        }
    }

    #[test]
    fn a_boot_that_left_something_behind_is_not_begun_from() {
        let race = "[    1.000000] BUG: KCSAN: data-race in f / g\n\
            [    1.000000] \n\
            [    1.000000] write to 0xffff888000000000 of 4 bytes by task 1 on cpu 0:\n\
            [    1.000000]  f+0x1/0x2\n\
            [    1.000000] \n\
            [    1.000000] read to 0xffff888000000000 of 4 bytes by task 2 on cpu 1:\n\
            [    1.000000]  g+0x1/0x2\n\
            [    1.000000] ==================================================================\n";
        let warning = "[    1.000000] ------------[ cut here ]------------\n\
            [    1.000000] WARNING: CPU: 0 PID: 1 at fs/x.c:1 f+0x1/0x2\n\
            [    1.000000] ---[ end trace 0000000000000000 ]---\n";
        let timer = "[    0.100000] ..... APIC timer disabled due to verification failure\n";
        let title = |title: &str| Followed::Title(title.into());
        let other = title("KASAN: slab-use-after-free Read in h");
        let table = [
            (
                "[    0.000000] Linux version 7\n",
                &other,
                true,
                Fitness::Fit,
            ),
            (warning, &other, true, Fitness::Unlike),
            // A race stops no detector, and is told once.
            (race, &other, true, Fitness::Fit),
            (race, &title(RACE), true, Fitness::Unlike),
            (race, &Followed::Any, true, Fitness::Unlike),
            (timer, &other, true, Fitness::Spoiled),
            (timer, &other, false, Fitness::Fit),
        ];
        for (console, followed, emulated, expected) in table {
            let got = fitness(console.as_bytes(), followed, emulated, &|_| false);
            assert_eq!(got, expected, "{followed:?}: {console}");
        }
    }
}
