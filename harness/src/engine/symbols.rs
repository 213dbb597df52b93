//! Adds file and line to a boot's splats, from the kernel that showed them.

use std::{fmt::Write, fs, path::Path};

use crate::{
    Result,
    build::{KernelImage, sandbox},
    collect::{CellDir, record::RunRecord},
    error::Context,
    event::{Event, Watcher},
    splat::{Frame, Splat, Symbolizer},
};

/// Symbolizes the record's splats, and writes each decoded beside its raw text. Where debug
/// information cannot be read, the splats stay as they are.
pub(super) fn add(
    record: &mut RunRecord,
    image: &KernelImage,
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
    let dir = run.join(&record.cell.id);
    for timed in &mut record.splats {
        symbolizer.symbolize(&mut timed.splat);
        let path = dir.join(&timed.file).with_extension("decoded.txt");
        fs::write(&path, decoded(&timed.splat))
            .host(|| format!("failed to write {}", path.display()))?;
    }
    CellDir::open(&dir).write_record(record)
}

/// A splat's stacks with their source lines.
fn decoded(splat: &Splat) -> String {
    let mut out = format!("{}\n", splat.title);
    for (heading, stacks) in [("stack", &splat.stacks), ("earlier", &splat.context)] {
        for stack in stacks {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "\n{heading}:");
            stack.iter().for_each(|frame| add_frame(&mut out, frame));
        }
    }
    out
}

fn add_frame(out: &mut String, frame: &Frame) {
    let doubt = if frame.unreliable { "? " } else { "" };
    let offset = frame
        .offset
        .map(|o| format!("+0x{o:x}"))
        .unwrap_or_default();
    let _ = write!(out, "  {doubt}{}{offset}", frame.symbol);
    for place in &frame.places {
        let _ = write!(
            out,
            "\n      {}:{} {}",
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
    fn inlined_callers_are_shown_innermost_first() {
        let place = |function: &str, line| Place {
            function: function.into(),
            file: "fs/x.c".into(),
            line,
        };
        let frame = Frame {
            symbol: "f.isra.0".into(),
            offset: Some(16),
            places: vec![place("g", 3), place("f", 9)],
            ..Frame::default()
        };
        let splat = Splat {
            title: "T".into(),
            stacks: vec![vec![frame]],
            ..Splat::default()
        };
        assert_eq!(
            decoded(&splat),
            "T\n\nstack:\n  f.isra.0+0x10\n      fs/x.c:3 g\n      fs/x.c:9 f\n"
        );
    }
}
