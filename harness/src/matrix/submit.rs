//! Handing a matrix to Slurm: scripts into its folder, arrays to `sbatch`.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    folder::Folder,
    slurm::{Job, Setup},
    types::Slurm,
};
use crate::{
    Error, Result,
    cancel::Cancel,
    collect::{read_json, write_json, write_whole},
    error::Context,
    host::Cmd,
};

/// Where scripts, logs and jobs are, in the matrix's folder.
const FOLDER: &str = "slurm";
const JOBS: &str = "jobs.json";

/// A job that was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// `build`, or `cells-N` of the group N.
    pub name: String,
    /// Slurm's number.
    pub job: u64,
    /// How many tasks it has.
    pub tasks: usize,
}

/// Submits what has not ended yet: builds first, cells after them.
///
/// # Errors
/// Bad input, such as jobs of the same folder that are still there; what `sbatch` says.
pub fn submit(
    folder: &Folder,
    slurm: &Slurm,
    program: &Path,
    top: &Path,
    cache: &Path,
    runner: Option<&Path>,
    cancel: &Cancel,
) -> Result<Vec<Submitted>> {
    let own = folder.dir().join(FOLDER);
    fs::create_dir_all(&own).host(|| format!("failed to make {}", own.display()))?;
    let jobs = own.join(JOBS);
    if jobs.exists() {
        refuse_second(&read_json::<Vec<Submitted>>(&jobs)?, cancel)?;
    }
    let setup = Setup {
        dir: folder.dir(),
        plan: folder.plan(),
        slurm,
        program,
        top,
        cache,
        runner,
    };
    let mut left = Vec::new();
    for (number, group) in folder.plan().groups().into_iter().enumerate() {
        let mut cells = Vec::new();
        for (within, at) in group.into_iter().enumerate() {
            if !folder.has_ended(at)? {
                cells.push(within);
            }
        }
        if !cells.is_empty() {
            left.push((number, cells));
        }
    }
    let mut submitted = Vec::new();
    if left.is_empty() {
        return Ok(submitted);
    }
    let mut send = |job: Job, tasks: usize| -> Result<u64> {
        let script = own.join(format!("{}.sh", job.name));
        write_whole(&script, job.script.as_bytes())?;
        let sbatch = Cmd::new("sbatch").args(&job.options).arg(&script);
        let said = sbatch.run_ok(cancel)?.text();
        // `123`, or `123;cluster`.
        let number = said
            .split(';')
            .next()
            .and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| {
            Error::infrastructure(format!("sbatch told no job's number but {said:?}"))
        })?;
        submitted.push(Submitted {
            name: job.name,
            job: number,
            tasks,
        });
        // On disk at once: what is cut off later is known to have been submitted.
        write_json(&jobs, &submitted)?;
        Ok(number)
    };
    // A command that runs cells builds what they need; there is nothing to build apart.
    let build = match runner {
        Some(_) => None,
        None => {
            let groups: Vec<usize> = left.iter().map(|(group, _)| *group).collect();
            Some(send(setup.build(&groups)?, groups.len())?)
        }
    };
    for (group, cells) in left {
        send(setup.cells(group, &cells, build)?, cells.len())?;
    }
    Ok(submitted)
}

/// Jobs of this folder that still wait or run would do the same work.
fn refuse_second(jobs: &[Submitted], cancel: &Cancel) -> Result<()> {
    let numbers: Vec<String> = jobs.iter().map(|job| job.job.to_string()).collect();
    let numbers = numbers.join(",");
    let asked = Cmd::new("squeue")
        .args(["--noheader", "--format=%A", "--jobs"])
        .arg(&numbers);
    // Jobs that it no longer knows are an error of its own, and no obstacle.
    let output = asked.run(cancel)?;
    if output.success() && !output.text().is_empty() {
        let error = Error::input(format!("its jobs {numbers} still wait or run"));
        return Err(error.mend(format!("wait for them, or scancel {numbers}")));
    }
    Ok(())
}
