//! Scripts of what a guest says, played to the watchdogs second by second.

use super::*;
use protocol::{BackingRace, Exec, Hello, Phase};

fn limits() -> Limits {
    Limits {
        boot_s: 30.0,
        silence_s: 20.0,
        beat_s: 40.0,
        progress_s: 50.0,
        idle_s: 60.0,
        power_off_s: 10.0,
        cell_s: 300.0,
        console_bytes: 1000,
        agent_line: 100,
        agent_bytes: 500,
    }
}

fn race() -> Load {
    Load::BackingRace(BackingRace {
        servers: 1,
        openers: 1,
        churners: 1,
        ids: 1,
        files: 1,
    })
}

fn command() -> Load {
    Load::Exec(Exec {
        command: vec!["true".into()],
        expect: 0,
    })
}

fn hello(protocol: u32) -> GuestMessage {
    GuestMessage::Hello(Hello {
        protocol,
        kernel: "7.3".into(),
        agent: "1".into(),
    })
}

fn beat(n: u64) -> GuestMessage {
    GuestMessage::Heartbeat {
        phase: "p".into(),
        counters: Counters::from([("n".into(), n)]),
    }
}

fn started() -> GuestMessage {
    GuestMessage::PhaseStarted {
        index: 0,
        phase: "p".into(),
    }
}

fn ended() -> GuestMessage {
    GuestMessage::PhaseEnded {
        index: 0,
        phase: "p".into(),
        counters: Counters::new(),
    }
}

/// One thing heard, or a run of them, one a second.
enum Step {
    Console(u64),
    ConsoleTo(u64, u64),
    Say(u64, GuestMessage),
    BeatTo(u64, u64),
    FinishTo(u64, u64),
    WorkTo(u64, u64),
}

/// Plays a script, looking at the clock every second; says when the guest was ended, and why.
fn play(load: Load, script: &[Step], until: u64) -> Option<(u64, Stop)> {
    use Step::*;
    let plan = Plan {
        seed: 1,
        phases: vec![Phase { load, seconds: 20 }],
    };
    let mut dog = Watchdog::new(limits(), &plan);
    for second in 0..=until {
        let at = Duration::from_secs(second);
        for step in script {
            let within = |a: u64, b: u64| (a..=b).contains(&second);
            let stop = match step {
                Console(s) if *s == second => dog.hear(at, Heard::Console(1)),
                ConsoleTo(a, b) if within(*a, *b) => dog.hear(at, Heard::Console(1)),
                Say(s, m) if *s == second => dog.hear(at, Heard::Message(m, 2)),
                BeatTo(a, b) if within(*a, *b) => dog.hear(at, Heard::Message(&beat(7), 1)),
                FinishTo(a, b) if within(*a, *b) => {
                    dog.hear(at, Heard::Message(&GuestMessage::Finished, 1))
                }
                WorkTo(a, b) if within(*a, *b) => dog.hear(at, Heard::Message(&beat(second), 1)),
                _ => None,
            };
            if let Some(stop) = stop {
                return Some((second, stop));
            }
        }
        if let Some(stop) = dog.check(at) {
            return Some((second, stop));
        }
    }
    None
}

#[test]
fn each_watchdog_bites_at_its_limit_and_no_other() {
    use Step::*;
    type Row = (&'static str, Load, Vec<Step>, u64, Option<(u64, Limit)>);
    let running = |rest: Vec<Step>| {
        let mut script = vec![Say(2, hello(PROTOCOL)), Say(2, started())];
        script.extend(rest);
        script
    };
    let table: Vec<Row> = vec![
        (
            "never a word",
            race(),
            vec![],
            99,
            Some((20, Limit::Silence)),
        ),
        (
            "falls silent in boot",
            race(),
            vec![Console(7)],
            99,
            Some((27, Limit::Silence)),
        ),
        (
            "talks, no hello",
            race(),
            vec![ConsoleTo(0, 99)],
            99,
            Some((30, Limit::Boot)),
        ),
        (
            "falls silent in a phase",
            race(),
            running(vec![WorkTo(3, 10)]),
            99,
            Some((30, Limit::Silence)),
        ),
        (
            "works quietly",
            race(),
            running(vec![WorkTo(3, 200)]),
            200,
            None,
        ),
        (
            "prints, does not beat",
            race(),
            running(vec![ConsoleTo(0, 99)]),
            99,
            Some((42, Limit::NoBeat)),
        ),
        (
            "one late line is no sign of life",
            race(),
            running(vec![Console(15)]),
            99,
            Some((35, Limit::Silence)),
        ),
        (
            "beats, does no work",
            race(),
            running(vec![BeatTo(3, 200)]),
            200,
            Some((53, Limit::NoProgress)),
        ),
        (
            "works, then stops",
            race(),
            running(vec![WorkTo(3, 99), BeatTo(100, 200)]),
            200,
            Some((150, Limit::NoProgress)),
        ),
        (
            "a command may sleep",
            command(),
            running(vec![BeatTo(3, 250)]),
            250,
            None,
        ),
        (
            "between phases",
            race(),
            vec![Say(2, hello(PROTOCOL)), BeatTo(3, 200)],
            200,
            Some((63, Limit::NoProgress)),
        ),
        (
            "never ends",
            command(),
            running(vec![WorkTo(3, 400)]),
            400,
            Some((300, Limit::Cell)),
        ),
        (
            "after its phase",
            race(),
            running(vec![WorkTo(3, 9), Say(10, ended()), BeatTo(11, 200)]),
            200,
            Some((71, Limit::NoProgress)),
        ),
    ];
    for (name, load, script, until, expected) in table {
        let got = play(load, &script, until).map(|(at, stop)| match stop {
            Stop::Limit(limit, _) => (at, limit),
            other => panic!("{name}: {other:?}"),
        });
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn a_guest_that_finished_may_power_off() {
    use Step::*;
    let done = |last: GuestMessage| vec![Say(2, hello(PROTOCOL)), Say(5, last)];
    let fatal = GuestMessage::Fatal {
        message: "no disk".into(),
    };
    let lingers = Stop::Lingers("the guest did not power off within 10 s of its last word".into());
    for last in [GuestMessage::Finished, fatal] {
        assert_eq!(play(race(), &done(last), 99), Some((15, lingers.clone())));
    }
    let again = [Say(2, hello(PROTOCOL)), FinishTo(5, 99)];
    assert_eq!(play(race(), &again, 99), Some((15, lingers)));
}

#[test]
fn what_is_no_conversation_ends_at_once() {
    use Step::*;
    assert_eq!(
        play(race(), &[Say(3, hello(9))], 9),
        Some((3, Stop::Protocol(9)))
    );
    let table = [
        ("no hello", vec![Say(3, beat(1))]),
        (
            "hello twice",
            vec![Say(1, hello(PROTOCOL)), Say(3, hello(PROTOCOL))],
        ),
    ];
    for (name, script) in table {
        let got = play(race(), &script, 9);
        assert!(
            matches!(got, Some((3, Stop::Limit(Limit::AgentLine, _)))),
            "{name}: {got:?}"
        );
    }
    let mut dog = Watchdog::new(limits(), &Plan::default());
    let stop = dog.hear(Duration::ZERO, Heard::NoMessage("garbage"));
    assert_eq!(stop, Some(Stop::Limit(Limit::AgentLine, "garbage".into())));
}

#[test]
fn too_much_is_too_much() {
    let mut dog = Watchdog::new(limits(), &Plan::default());
    let at = Duration::from_secs(1);
    assert_eq!(dog.hear(at, Heard::Console(1000)), None);
    let stop = dog.hear(at, Heard::Console(1));
    assert!(
        matches!(stop, Some(Stop::Limit(Limit::Console, _))),
        "{stop:?}"
    );
    assert_eq!(dog.hear(at, Heard::Message(&hello(PROTOCOL), 500)), None);
    let stop = dog.hear(at, Heard::Message(&beat(1), 1));
    assert!(
        matches!(stop, Some(Stop::Limit(Limit::AgentLine, _))),
        "{stop:?}"
    );
}

#[test]
fn what_nobody_listened_to_is_left_out_of_every_count() {
    let secs = Duration::from_secs;
    let text = GuestMessage::Finished;
    type Row<'a> = (&'a str, Vec<(u64, Heard<'a>)>, (u64, u64), u64);
    let (hello, started) = (hello(PROTOCOL), started());
    let (talk, say) = (Heard::Console(1), |m| Heard::Message(m, 1));
    let work = beat(1);
    let phase = || vec![(2, say(&hello)), (2, say(&started))];
    let with = |more: Vec<_>| phase().into_iter().chain(more).collect();
    // Heard at; stalled up to and how long; the first second that a watchdog bites in.
    let table: Vec<Row<'_>> = vec![
        ("silent from the start", vec![], (110, 100), 120),
        ("silent in a phase", phase(), (110, 100), 122),
        (
            "read before the clock",
            with(vec![(110, talk), (110, say(&work))]),
            (110, 100),
            130,
        ),
        (
            "prints, no hello",
            vec![(110, talk), (120, talk)],
            (110, 100),
            130,
        ),
        (
            "finished before",
            with(vec![(5, say(&text))]),
            (110, 100),
            115,
        ),
        ("the boot's own limit", vec![(10, talk)], (1290, 1280), 1310),
    ];
    for (name, heard, (now, gap), expected) in table {
        let mut dog = Watchdog::new(limits(), &Plan::default());
        let bite = (0..2000).find(|&second| {
            for (_, heard) in heard.iter().filter(|(at, _)| *at == second) {
                assert_eq!(dog.hear(secs(second), *heard), None, "{name}");
            }
            if second == now {
                dog.shift(secs(now), secs(gap));
            }
            let listening = second <= now - gap || second >= now;
            listening && dog.check(secs(second)).is_some()
        });
        assert_eq!(bite, Some(expected), "{name}");
    }
}
