//! Adds file and line to a boot's splats, from the kernel that showed them.

use std::{fmt::Write, fs, path::Path};

use crate::{
    Result,
    build::{KernelImage, sandbox},
    collect::{CellDir, record::RunRecord},
    error::Context,
    event::{Event, Watcher},
    judge::Touched,
    splat::{Frame, Place, Splat, Symbolizer},
};

/// In front of a place that the patch wrote.
const PATCHED: char = '+';

/// Symbolizes the record's splats, marks the frames in lines that the patch wrote, and writes each
/// decoded beside its raw text. Where debug information cannot be read, the splats stay as they are.
pub(super) fn add(
    record: &mut RunRecord,
    image: &KernelImage,
    touched: Option<&Touched>,
    run: &Path,
    watcher: &dyn Watcher,
) -> Result<()> {
    if record.splats.is_empty() {
        return Ok(());
    }
    let symbolizer = match Symbolizer::load(&image.vmlinux, [sandbox::SOURCE, sandbox::BUILD]) {
        Ok(symbolizer) => symbolizer,
        Err(error) => {
            watcher.event(&Event::Warning(format!(
                "traces stay without source lines: {}",
                error.chain()
            )));
            return Ok(());
        }
    };
    let wrote = |place: &Place| touched.is_some_and(|touched| touched.wrote(place));
    let dir = run.join(&record.cell.id);
    for timed in &mut record.splats {
        let splat = &mut timed.splat;
        symbolizer.symbolize(splat);
        for frame in splat.stacks.iter_mut().chain(&mut splat.context).flatten() {
            frame.patched = frame.places.iter().any(wrote);
        }
        let path = dir.join(&timed.file).with_extension("decoded.txt");
        fs::write(&path, decoded(&timed.splat, &wrote))
            .host(|| format!("failed to write {}", path.display()))?;
    }
    CellDir::open(&dir).write_record(record)
}

/// A splat's stacks with their source lines, those that the patch wrote marked.
fn decoded(splat: &Splat, wrote: &dyn Fn(&Place) -> bool) -> String {
    let mut out = format!("{}\n", splat.title);
    for (heading, stacks) in [("stack", &splat.stacks), ("earlier", &splat.context)] {
        for stack in stacks {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "\n{heading}:");
            for frame in stack {
                add_frame(&mut out, frame, wrote);
            }
        }
    }
    if splat
        .stacks
        .iter()
        .chain(&splat.context)
        .flatten()
        .any(|frame| frame.patched)
    {
        let _ = writeln!(out, "\n{PATCHED} marks lines that the patch wrote");
    }
    out
}

fn add_frame(out: &mut String, frame: &Frame, wrote: &dyn Fn(&Place) -> bool) {
    let doubt = if frame.unreliable { "? " } else { "" };
    let offset = frame
        .offset
        .map(|o| format!("+0x{o:x}"))
        .unwrap_or_default();
    let _ = write!(out, "  {doubt}{}{offset}", frame.symbol);
    for place in &frame.places {
        let mark = if wrote(place) { PATCHED } else { ' ' };
        let _ = write!(
            out,
            "\n    {mark} {}:{} {}",
            place.file, place.line, place.function
        );
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splat::Place;

    #[test]
    fn inlined_callers_come_innermost_first_and_the_patchs_lines_are_marked() {
        let place = |function: &str, line| Place {
            function: function.into(),
            file: "fs/x.c".into(),
            line,
        };
        let frame = Frame {
            symbol: "f.isra.0".into(),
            offset: Some(16),
            places: vec![place("g", 3), place("f", 9)],
            patched: true,
            ..Frame::default()
        };
        let splat = Splat {
            title: "T".into(),
            stacks: vec![vec![frame]],
            ..Splat::default()
        };
        assert_eq!(
            decoded(&splat, &|place| place.line == 9),
            "T\n\nstack:\n  f.isra.0+0x10\n      fs/x.c:3 g\n    + fs/x.c:9 f\n\
             \n+ marks lines that the patch wrote\n"
        );
    }
}
