//! CPU time of kernel builds: base from nothing, then the variant on a copy of its folder.

use anyhow::{Context, Result};
use harness::{cache::Cache, engine::Lab};

use super::{Bench, Figure, request};

const CONFIG: &str = "kasan";

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    // Sources come from the real cache: they are brought there first, then linked.
    let request = request();
    drop(Lab::new(
        bench.home,
        &request,
        bench.cache,
        bench.cancel,
        bench.progress,
    )?);
    let temp = bench.cache.temp()?;
    let empty = Cache::at(temp.path())?;
    let sources = empty.root().join("source");
    std::fs::remove_dir(&sources)?;
    std::os::unix::fs::symlink(bench.cache.root().join("source"), &sources)?;
    let mut lab = Lab::new(bench.home, &request, &empty, bench.cancel, bench.progress)?;
    let base = lab.base(CONFIG)?;
    let (variant, _) = lab
        .variant(CONFIG)?
        .context("the default variant has no kernel")?;
    let ratio = variant.cpu_s / base.cpu_s;
    // Either bound will do; the one that is nearer to being met is shown.
    let cost = Figure::new(
        format!("{CONFIG} variant's build over base's, CPU time"),
        ratio,
        "",
    );
    let cost = if ratio > 0.10 && variant.cpu_s <= 60.0 {
        cost
    } else {
        cost.at_most(0.10)
    };
    Ok(vec![
        Figure::new(format!("{CONFIG} base's build, CPU time"), base.cpu_s, "s").at_most(480.0),
        Figure::new(
            format!("{CONFIG} variant's build, CPU time"),
            variant.cpu_s,
            "s",
        )
        .at_most(60.0),
        cost,
    ])
}
