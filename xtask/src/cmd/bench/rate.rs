//! The load's rate, against a minimal C program that does the same.
//!
//! Both take turns in one guest: on a machine with neighbours, what one boot
//! reaches and what the next one does differ by a third.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use harness::{
    collect::record::RunRecord,
    engine::{Request, Variants, Workload},
    host::Cmd,
};
use protocol::{Counters, ExecResult, Load};

use super::{Bench, Figure, request};

const CONFIGS: [&str; 2] = ["plain", "kasan"];
const SOURCE: &str = "xtask/src/cmd/bench/race.c";
/// Turns each takes. Many short ones: neighbours come and go within tens of seconds.
const TURNS: usize = 10;
/// Seconds of a turn.
const SECONDS: u64 = 8;
/// What is compared, and the counters that make it up: a lookup that misses is one, too, and so is a
/// removal that comes too late.
const COUNTS: [(&str, &[&str]); 2] = [
    ("lookups", &["lookups", "misses", "refused"]),
    ("removes", &["removes", "enoents"]),
];

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let temp = bench.cache.temp()?;
    let program = temp.path().join("race");
    let compile = Cmd::new("gcc")
        .args(["-O2", "-static", "-pthread", "-o"])
        .arg(&program);
    compile
        .arg(bench.home.top().join(SOURCE))
        .run_ok(bench.cancel)?;
    let scenario = temp.path().join("rate.yaml");
    fs::write(&scenario, turns(&program.display().to_string()))?;
    let request = Request {
        workload: Workload::Scenario(scenario.display().to_string()),
        variants: Variants::None,
        ..request()
    };
    let mut figures = Vec::new();
    for config in CONFIGS {
        let mut lab = bench.lab(&request)?;
        let image = lab.base(config)?;
        let mut phases = lab.phases(&request);
        for phase in &mut phases {
            if matches!(phase.load, Load::BackingRace(_)) {
                phase.seconds = SECONDS;
            }
        }
        let record = lab.boot(config, &image, None, phases)?;
        for (what, counters) in COUNTS {
            let (agent, c) = (ours(&record, counters)?, theirs(&record, counters)?);
            let name = |who| format!("{config}, {what} a second, {who}");
            figures.push(Figure::new(name("agent"), agent, "1/s"));
            figures.push(Figure::new(name("C"), c, "1/s"));
            figures.push(
                Figure::new(format!("{config}, {what}, agent over C"), agent / c, "").at_least(1.0),
            );
        }
    }
    Ok(figures)
}

fn turns(program: &str) -> String {
    let agent = "  - backing-race: {servers: 3, openers: 3, churners: 2, ids: 64, files: 512}\n";
    let c = format!("  - exec: {{command: [{program:?}, \"{SECONDS}\"]}}\n");
    // Who goes first changes from pair to pair: what drifts, drifts for both.
    let loads: String = (0..TURNS)
        .map(|turn| match turn % 2 {
            0 => format!("{agent}{c}"),
            _ => format!("{c}{agent}"),
        })
        .collect();
    format!(
        "# The agent's load and a minimal C program, taking turns.\nname: rate\nsubject: fuse-backing\ncovers: [fs/fuse]\n\
         variants: []\nrequires: [FUSE_FS, FUSE_PASSTHROUGH]\nguest: {{memory: 1G, cpus: 2}}\nloads:\n{loads}"
    )
}

fn ours(record: &RunRecord, counters: &[&str]) -> Result<f64> {
    let phases: Vec<&Counters> = record
        .phases
        .iter()
        .filter(|phase| phase.name == "backing-race" && phase.ended_s.is_some())
        .map(|phase| &phase.counters)
        .collect();
    ensure!(
        phases.len() == TURNS,
        "{} of {TURNS} turns of the agent's ended: {:?}",
        phases.len(),
        record.end
    );
    let total: u64 = phases
        .iter()
        .flat_map(|counts| counters.iter().filter_map(|name| counts.get(*name)))
        .sum();
    Ok(per_second(total))
}

fn theirs(record: &RunRecord, counters: &[&str]) -> Result<f64> {
    ensure!(
        record.exec.len() == TURNS,
        "{} of {TURNS} turns of the C program's ended: {:?}",
        record.exec.len(),
        record.end
    );
    let mut total = 0;
    for result in &record.exec {
        for name in counters {
            total += said(result, name)?;
        }
    }
    Ok(per_second(total))
}

/// What follows the name in the program's output; nothing if it does not count that.
fn said(result: &ExecResult, name: &str) -> Result<u64> {
    let words: Vec<&str> = result.output.split_whitespace().collect();
    if !words.contains(&"lookups") {
        bail!("the C program said {:?}", result.output);
    }
    let Some(at) = words.iter().position(|word| *word == name) else {
        return Ok(0);
    };
    words
        .get(at + 1)
        .and_then(|count| count.parse().ok())
        .with_context(|| format!("the C program said {:?}", result.output))
}

fn per_second(total: u64) -> f64 {
    total as f64 / (TURNS as u64 * SECONDS) as f64
}
