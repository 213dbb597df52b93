//! Whether a kernel's detectors speak: provoked once for each image, in a boot of its own, and
//! remembered.

use std::{fs, path::Path};

use protocol::{FindingKind, Load, Phase, Plan};

use crate::{
    Result,
    build::{Enabled, KernelImage},
    cache::Kind,
    collect::{
        read_json,
        record::{End, RunRecord},
        write_json,
    },
    engine::guests::Guests,
    error::Context,
    event::Event,
    hash::hex_sha256,
    judge::Proof,
    plan::{Cell, stem},
    provoke::{Failures, PROVOCATIONS, Provocation},
    source::Ways,
};

/// How long the guest is left to the provocations, in seconds: they begin as it does.
const SECONDS: u64 = 2;
/// How often that boot is made, where it breaks off.
const ATTEMPTS: u32 = 3;

/// What the image's detectors did when they were provoked. Those that spoke in one of its own
/// `boots` need not be.
pub(super) fn prove(
    guests: &Guests<'_>,
    boots: &[RunRecord],
    image: &KernelImage,
    run: &Path,
    ways: Ways<'_>,
) -> Result<Proof> {
    let built = Enabled::read(&image.config)?;
    let spoke_up = |p: &Provocation| boots.iter().any(|boot| speaks(p.class, boot));
    let there = PROVOCATIONS.iter().filter(|p| built.has(p.symbol));
    let (heard, mut silent): (Vec<&'static Provocation>, Vec<&'static Provocation>) =
        there.partition(|p| spoke_up(p));
    let heard = heard.iter().map(|p| (p.detector.to_owned(), None));
    let mut proof: Proof = heard.collect();
    let Some(like) = boots
        .first()
        .map(|boot| &boot.cell)
        .filter(|_| !silent.is_empty())
    else {
        return Ok(proof);
    };
    let folder = ways.cache.folder(Kind::Seen).join(&image.key);
    let file = folder.join(format!("proof-{}", version()));
    let known = read(&file).unwrap_or_default();
    if silent.iter().all(|p| known.get(p.detector) == Some(&None)) {
        proof.extend(known);
        return Ok(proof);
    }
    for attempt in 1..=ATTEMPTS {
        let cell = provoked_cell(like, attempt);
        let provoked = guests.provoke(&cell, image, &silent, run);
        ways.cancel.check()?;
        let answers = silent
            .iter()
            .map(|p| (p.detector.to_owned(), why(p, &provoked)));
        proof.extend(answers);
        // What a whole boot says counts; one that broke off may have been broken by the provoking.
        if matches!(&provoked, Ok((record, _)) if record.end == End::Finished) {
            break;
        }
        silent.retain(|p| proof.get(p.detector).is_some_and(Option::is_some));
        if silent.is_empty() {
            break;
        }
    }
    for (detector, why) in &proof {
        if let Some(why) = why {
            let text = format!(
                "{}: {detector} is not known to speak: {why}",
                stem(&like.id)
            );
            ways.watcher.event(&Event::Warning(text));
        }
    }
    // What failed may do better the next time.
    if proof.values().all(Option::is_none) {
        remember(&folder, &file, &proof)?;
    }
    Ok(proof)
}

/// The boot in which detectors are provoked, after the model of another.
fn provoked_cell(like: &Cell, attempt: u32) -> Cell {
    Cell {
        id: format!("{}-provoked-{attempt}", stem(&like.id)),
        plan: Plan {
            seed: like.plan.seed,
            phases: vec![Phase {
                load: Load::Idle,
                seconds: SECONDS,
            }],
        },
        ..like.clone()
    }
}

/// Why a detector is not known to speak, if it is not.
fn why(provocation: &Provocation, provoked: &Result<(RunRecord, Failures)>) -> Option<String> {
    match provoked {
        Err(error) => Some(error.chain()),
        Ok((record, _)) if spoke(provocation, record) => None,
        Ok((record, failures)) => {
            let failure = failures.get(provocation.detector).cloned();
            Some(failure.unwrap_or_else(|| said_nothing(record)))
        }
    }
}

/// Changes with what is provoked.
fn version() -> String {
    let text = format!("{PROVOCATIONS:?}");
    hex_sha256(&[text.as_bytes()]).chars().take(16).collect()
}

fn spoke(provocation: &Provocation, record: &RunRecord) -> bool {
    let splats = record.splats.iter().map(|timed| &timed.splat);
    let told = splats
        .clone()
        .any(|splat| splat.class == provocation.class && splat.title.contains(provocation.title));
    let leaked = record
        .findings
        .iter()
        .any(|timed| timed.finding.kind == FindingKind::Leak);
    told || (provocation.class == "leak" && leaked)
}

/// Whether a boot holds a report of a class.
fn speaks(class: &str, boot: &RunRecord) -> bool {
    boot.splats.iter().any(|timed| timed.splat.class == class)
}

fn said_nothing(record: &RunRecord) -> String {
    match &record.end {
        End::Finished => "it said nothing when it was provoked".to_owned(),
        End::BootFailed { why }
        | End::Watchdog { why, .. }
        | End::Died { why, .. }
        | End::Infrastructure { why } => format!("the boot that provokes it ended: {why}"),
        End::Interrupted => "it was interrupted".to_owned(),
    }
}

fn read(file: &Path) -> Option<Proof> {
    read_json(file).ok()
}

fn remember(folder: &Path, file: &Path, proof: &Proof) -> Result<()> {
    fs::create_dir_all(folder).host(|| format!("failed to make {}", folder.display()))?;
    write_json(file, proof)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_was_proved_is_read_back_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("k").join("proof");
        assert_eq!(read(&file), None);
        let proof: Proof = BTreeMap::from([
            ("KASAN".to_owned(), None),
            ("lockdep".to_owned(), Some("it said nothing".to_owned())),
        ]);
        remember(&dir.path().join("k"), &file, &proof).unwrap();
        assert_eq!(read(&file), Some(proof));
        fs::write(&file, "{").unwrap();
        assert_eq!(read(&file), None);
    }
}
