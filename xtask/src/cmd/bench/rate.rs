//! The load's rate, against a minimal C program that does the same in the same guest.

use anyhow::{Context, Result, bail};
use harness::{
    engine::{Home, Lab, Request, Variants, Workload},
    host::Cmd,
};
use protocol::{Exec, Load, Phase};

use super::{Bench, Figure, request};

const CONFIGS: [&str; 2] = ["plain", "kasan"];
const SECONDS: u64 = 20;
const SOURCE: &str = "xtask/src/cmd/bench/race.c";
const COUNTS: [&str; 2] = ["lookups", "removes"];

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let temp = bench.cache.temp()?;
    let program = temp.path().join("race");
    let compile = Cmd::new("gcc")
        .args(["-O2", "-static", "-pthread", "-o"])
        .arg(&program);
    compile
        .arg(bench.home.top().join(SOURCE))
        .run_ok(bench.cancel)?;
    let command = vec![program.display().to_string(), SECONDS.to_string()];
    let ours = Request {
        workload: Workload::Scenario("hammer".into()),
        ..request()
    };
    let theirs = Request {
        workload: Workload::Command(command.clone()),
        variants: Variants::None,
        ..request()
    };
    let mut figures = Vec::new();
    for config in CONFIGS {
        let a = agent(bench, bench.home, &ours, config)?;
        let c = c_program(bench, &theirs, config, &command)?;
        for (n, count) in COUNTS.iter().enumerate() {
            figures.push(Figure::new(
                format!("{config}, {count} a second, agent"),
                a[n],
                "1/s",
            ));
            figures.push(Figure::new(
                format!("{config}, {count} a second, C"),
                c[n],
                "1/s",
            ));
            figures.push(
                Figure::new(format!("{config}, {count}, agent over C"), a[n] / c[n], "")
                    .at_least(1.0),
            );
        }
    }
    Ok(figures)
}

fn agent(bench: &Bench<'_>, home: &Home, request: &Request, config: &str) -> Result<[f64; 2]> {
    let mut lab = Lab::new(home, request, bench.cache, bench.cancel, bench.watcher)?;
    let image = lab.base(config)?;
    let phases = lab.phases(request);
    let record = lab.boot(config, &image, phases)?;
    let phase = record
        .phases
        .first()
        .with_context(|| format!("no phase ran: {:?}", record.end))?;
    let seconds = phase.ended_s.context("the phase did not end")? - phase.started_s;
    Ok(COUNTS.map(|name| *phase.counters.get(name).unwrap_or(&0) as f64 / seconds))
}

fn c_program(
    bench: &Bench<'_>,
    request: &Request,
    config: &str,
    command: &[String],
) -> Result<[f64; 2]> {
    let mut lab = Lab::new(
        bench.home,
        request,
        bench.cache,
        bench.cancel,
        bench.watcher,
    )?;
    let image = lab.base(config)?;
    let exec = Exec {
        command: command.to_vec(),
        expect: 0,
    };
    let record = lab.boot(
        config,
        &image,
        vec![Phase {
            load: Load::Exec(exec),
            seconds: SECONDS * 4,
        }],
    )?;
    let result = record
        .exec
        .first()
        .with_context(|| format!("the program did not run: {:?}", record.end))?;
    let words: Vec<&str> = result.output.split_whitespace().collect();
    let value = |name: &str| {
        let at = words.iter().position(|w| *w == name)?;
        words.get(at + 1)?.parse::<f64>().ok()
    };
    match (value("lookups"), value("removes")) {
        (Some(lookups), Some(removes)) => Ok([lookups, removes].map(|n| n / SECONDS as f64)),
        _ => bail!("the C program said {:?}", result.output),
    }
}
