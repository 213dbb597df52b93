//! The driver's ends, with a shell script in QEMU's place: stdin is the agent's port, stdout the
//! console.

use std::{
    ffi::OsString,
    fs, thread,
    time::{Duration, Instant},
};

use protocol::{BackingRace, Load, PROTOCOL, Phase, Plan};

use super::{Go, Limits, drive};
use crate::{
    boot::machine::Machine,
    cancel::Cancel,
    collect::{
        CellDir, Collector,
        record::{End, Limit, RunRecord},
    },
    event::Unwatched,
    plan::Cell,
};

/// Limits that no test runs into, but for the one that it changes.
fn roomy() -> Limits {
    Limits {
        boot_s: 60.0,
        silence_s: 60.0,
        beat_s: 60.0,
        progress_s: 60.0,
        idle_s: 60.0,
        power_off_s: 60.0,
        cell_s: 90.0,
        console_bytes: 1 << 30,
        agent_line: protocol::MAX_LINE,
        agent_bytes: 256 << 20,
    }
}

fn cell() -> Cell {
    let race = BackingRace {
        servers: 1,
        openers: 1,
        churners: 1,
        ids: 1,
        files: 1,
    };
    Cell {
        id: "plain-base-1".into(),
        config: "plain".into(),
        variant: crate::plan::BASE.into(),
        scenario: "race".into(),
        repeat: 1,
        plan: Plan {
            seed: 4711,
            phases: vec![Phase {
                load: Load::BackingRace(race),
                seconds: 5,
            }],
        },
        memory_mib: 512,
        cpus: 1,
        append: vec![],
        purpose: crate::plan::Purpose::Loads,
    }
}

/// What a guest's script begins with.
fn prelude() -> String {
    format!(
        r#"
        exec 3<&0
        say() {{ echo "$1" >&3; }}
        print() {{ echo "[    1.000000][    T1] $1"; }}
        hello() {{ print 'Linux version 7.3'; say '{{"type":"hello","protocol":{PROTOCOL},"kernel":"7.3","agent":"1"}}'; read -r plan <&0; }}
        phase() {{ hello; say '{{"type":"phase_started","index":0,"phase":"backing-race"}}'; }}
        beat() {{ say '{{"type":"heartbeat","phase":"backing-race","counters":{{"lookups":'"$1"'}}}}'; }}
        finish() {{ say '{{"type":"finished"}}'; }}
        "#
    )
}

struct Ran {
    record: RunRecord,
    dir: tempfile::TempDir,
    took: Duration,
}

impl Ran {
    fn file(&self, name: &str) -> String {
        let path = self.dir.path().join("plain-base-1").join(name);
        String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
    }
}

fn run(script: &str, limits: &Limits, cancel: &Cancel) -> Ran {
    let line = ["sh", "-c", &format!("{}{script}", prelude())].map(OsString::from);
    let temp = tempfile::tempdir().unwrap();
    let dir = CellDir::create(temp.path(), "plain-base-1").unwrap();
    let cell = cell();
    let mut collector = Collector::new(&dir, &cell, &Unwatched).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let started = Instant::now();
    let cause = runtime.block_on(async {
        let mut machine = Machine::start(&line).unwrap();
        let mut take = |at, event: super::Event<'_>| {
            collector.take(at, event)?;
            Ok(Go::On)
        };
        drive(&mut machine, &cell.plan, None, limits, cancel, &mut take)
            .await
            .unwrap()
    });
    let took = started.elapsed();
    let record = collector.finish(cause, took).unwrap();
    assert_eq!(
        dir.read_record().unwrap(),
        record,
        "what is on disk is what was given"
    );
    Ran {
        record,
        dir: temp,
        took,
    }
}

fn ran(script: &str) -> Ran {
    run(script, &roomy(), &Cancel::new())
}

#[test]
fn a_boot_that_goes_well_leaves_everything() {
    let ran = ran(r#"
        phase; echo "plan: $plan"; beat 3
        say '{"type":"finding","kind":"wrong-data","title":"t","detail":"d","count":2}'
        say '{"type":"fio_result","code":0,"json":{"jobs":[1]},"stderr":""}'
        say '{"type":"phase_ended","index":0,"phase":"backing-race","counters":{"lookups":9,"overlaps":1}}'
        say '{"type":"detectors","lockdep":"on","kasan":"absent"}'
        finish
    "#);
    let record = &ran.record;
    assert_eq!(record.end, End::Finished);
    assert!(record.hello.is_some() && record.hello_s.unwrap() <= record.elapsed_s);
    assert_eq!(record.phases[0].counters["overlaps"], 1);
    assert!(record.phases[0].ended_s.is_some() && record.last_lines.is_empty());
    assert_eq!(
        (
            record.findings[0].finding.count,
            record.fio.len(),
            record.detectors.len()
        ),
        (2, 1, 2)
    );
    assert!(
        ran.file("console.log")
            .contains(r#"plan: {"type":"plan","seed":4711"#)
    );
    assert_eq!(record.console_bytes, ran.file("console.log").len() as u64);
    assert!(ran.file("fio.json").contains("\"jobs\""));
    let events = ran.file("events.ndjson");
    let lines: Vec<serde_json::Value> = events
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines[0]["message"]["type"], "hello");
    assert_eq!(lines.last().unwrap()["event"], "stopped");
}

#[test]
fn a_splat_is_cut_out_and_named() {
    let ran = ran(r#"
        phase
        print 'BUG: KASAN: slab-use-after-free in fuse_backing_lookup+0x1/0x2'
        print 'Read of size 4 at addr ffff888000000000 by task opener/7'
        print 'Call Trace:'
        print ' fuse_backing_lookup+0x1/0x2'
        print '=================================================================='
        finish
    "#);
    let splat = &ran.record.splats[0];
    assert_eq!(splat.splat.class, "kasan");
    assert!(splat.splat.text.is_empty(), "the text is in the file");
    assert!(
        ran.file(&splat.file)
            .contains("slab-use-after-free in fuse_backing_lookup")
    );
    assert!(ran.file("events.ndjson").contains(r#""event":"splat""#));
}

#[test]
fn ends_that_qemu_or_the_guest_chose() {
    let table = [
        (
            "print 'Linux version 7.3'; exit 0",
            "boot-failed: the guest reset or powered off",
        ),
        (
            "print 'Kernel panic - not syncing: early'",
            "boot-failed: Kernel panic - not syncing: early",
        ),
        (
            "echo 'qemu: no such device' >&2; exit 1",
            "infrastructure: QEMU ended with exit code 1: qemu: no such",
        ),
        (
            "phase; kill -9 $$",
            "infrastructure: QEMU was ended by signal 9",
        ),
        (
            "phase; print 'Kernel panic - not syncing: late'; exit 0",
            "panicked: Kernel panic - not syncing: late",
        ),
        (
            r#"hello; say '{"type":"fatal","message":"no disk"}'"#,
            "died: the agent gave up: no disk",
        ),
        ("phase; exit 0", "died: the guest reset"),
    ];
    for (script, expected) in table {
        let ran = ran(script);
        let got = told(&ran.record.end);
        assert!(got.starts_with(expected), "{script}: {got}");
        let spoke =
            script.contains("print") || script.contains("phase") || script.contains("hello");
        assert_eq!(!ran.record.last_lines.is_empty(), spoke, "{script}");
    }
}

fn told(end: &End) -> String {
    match end {
        End::BootFailed { why } => format!("boot-failed: {why}"),
        End::Infrastructure { why } => format!("infrastructure: {why}"),
        End::Died {
            why,
            panicked: false,
        } => format!("died: {why}"),
        End::Died {
            why,
            panicked: true,
        } => format!("panicked: {why}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn watchdogs_end_the_guest_for_certain() {
    type Change = fn(&mut Limits);
    let table: [(&str, Change, Limit); 5] = [
        ("phase; sleep 99", |l| l.silence_s = 2.0, Limit::Silence),
        (
            "phase; while :; do print tick; sleep 0.2; done",
            |l| l.beat_s = 2.0,
            Limit::NoBeat,
        ),
        (
            "phase; while :; do beat 7; sleep 0.2; done",
            |l| l.progress_s = 2.0,
            Limit::NoProgress,
        ),
        (
            "phase; n=0; while :; do n=$((n+1)); beat $n; sleep 0.2; done",
            |l| l.cell_s = 3.0,
            Limit::Cell,
        ),
        (
            "phase; yes 'a flood' & yes 'a flood'",
            |l| l.console_bytes = 1 << 20,
            Limit::Console,
        ),
    ];
    for (script, change, expected) in table {
        let mut limits = roomy();
        change(&mut limits);
        let ran = run(script, &limits, &Cancel::new());
        let limit = match &ran.record.end {
            End::Watchdog { limit, .. } => *limit,
            other => panic!("{script}: {other:?}"),
        };
        assert_eq!(limit, expected, "{script}");
        assert!(
            ran.took < Duration::from_secs(30),
            "{script}: {:?}",
            ran.took
        );
        assert!(
            ran.file("console.log").len() < (1 << 20) + (1 << 17),
            "{script}"
        );
    }
}

#[test]
fn a_guest_that_hangs_is_asked_for_its_stacks() {
    let limits = Limits {
        silence_s: 2.0,
        ..roomy()
    };
    let script = "exec 4<&1; phase; print 'it hangs'; for n in 1 2; do
        key=$(head -c 3 <&4 | tail -c 1); print \"an answer to $key\"; done; sleep 99";
    let ran = run(script, &limits, &Cancel::new());
    let console = ran.file("console.log");
    for answer in ["an answer to w", "an answer to l"] {
        assert!(console.contains(answer), "{console}");
    }
    let last = ran.record.last_lines.join("\n");
    assert!(
        last.contains("it hangs") && !last.contains("answer"),
        "{last}"
    );
}

#[test]
fn a_boot_that_hangs_has_failed() {
    let limits = Limits {
        silence_s: 1.0,
        ..roomy()
    };
    for script in ["sleep 99", "print 'Linux version 7.3'; sleep 99"] {
        let ran = run(script, &limits, &Cancel::new());
        assert!(
            matches!(ran.record.end, End::BootFailed { .. }),
            "{script}: {:?}",
            ran.record.end
        );
    }
}

#[test]
fn what_is_no_message_ends_the_guest() {
    let table = [
        "phase; say '{\"type\":\"dance\"}'; sleep 99",
        "phase; head -c 2000000 /dev/zero | tr '\\0' x >&3; sleep 99",
    ];
    for script in table {
        let ran = ran(script);
        let end = &ran.record.end;
        assert!(
            matches!(
                end,
                End::Watchdog {
                    limit: Limit::AgentLine,
                    ..
                }
            ),
            "{script}: {end:?}"
        );
    }
    let ran =
        ran(r#"print x; say '{"type":"hello","protocol":99,"kernel":"","agent":""}'; sleep 99"#);
    assert_eq!(ran.record.hello, None);
    assert!(
        told(&ran.record.end).contains("protocol 99"),
        "{:?}",
        ran.record.end
    );
}

#[test]
fn a_guest_that_stays_after_its_last_word_hangs() {
    let limits = Limits {
        power_off_s: 0.5,
        ..roomy()
    };
    let ran = run("phase; finish; sleep 99", &limits, &Cancel::new());
    let why = "the guest did not power off within 0.5 s of its last word".into();
    let limit = Limit::PowerOff;
    assert_eq!(ran.record.end, End::Watchdog { limit, why });
}

#[test]
fn the_users_wish_leaves_a_record() {
    let cancel = Cancel::new();
    let other = cancel.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(1));
        other.cancel();
    });
    let ran = run("phase; sleep 99 & sleep 99", &roomy(), &cancel);
    assert_eq!(ran.record.end, End::Interrupted);
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
    assert!(ran.file("events.ndjson").contains("the user stopped it"));
}
