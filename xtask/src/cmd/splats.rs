//! `cargo xtask splats FILE...`: the splats of any console log.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;
use harness::{
    error::{Context as _, Error},
    splat::{Splat, Symbolizer, scan_reader},
};
use serde_json::{Value, json};

/// Find, cut out and name every kernel report in console logs
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask splats console.log
  dmesg | cargo xtask splats -
  cargo xtask splats --json a.log b.log
  cargo xtask splats --vmlinux build/vmlinux --prefix /src/linux console.log")]
pub(crate) struct Options {
    /// Console logs; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// One JSON object a file, each on its own line
    #[arg(long)]
    json: bool,

    /// Print each report's lines, too
    #[arg(long, short, conflicts_with = "json")]
    text: bool,

    /// That very kernel with its debug information: adds source lines to the stacks
    #[arg(long, value_name = "FILE")]
    vmlinux: Option<PathBuf>,

    /// A folder that the kernel was built in or from; files below it are named from there
    #[arg(long, value_name = "DIR", requires = "vmlinux")]
    prefix: Vec<String>,
}

/// Reads the logs and prints what is in them. The exit code is 0, whatever was found.
pub(crate) fn run(options: Options) -> Result<u8> {
    let stdout = io::stdout();
    let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let mut out = BufWriter::new(stdout.lock());
    match print_all(&options, colour, &mut out).and_then(|()| Ok(out.flush()?)) {
        // Whoever read this has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(0),
        result => result.map(|()| 0),
    }
}

fn print_all(options: &Options, colour: bool, out: &mut impl Write) -> Result<()> {
    let symbolizer = match &options.vmlinux {
        Some(vmlinux) => {
            let loaded = Symbolizer::load(vmlinux, options.prefix.iter().cloned());
            Some(loaded.input(|| "failed to use --vmlinux".into())?)
        }
        None => None,
    };
    let finish = |mut splat: Splat| {
        if let Some(symbolizer) = &symbolizer {
            symbolizer.symbolize(&mut splat);
        }
        splat
    };
    for file in &options.files {
        if options.json {
            let mut splats = Vec::new();
            scan(file, |splat| splats.push(finish(splat)))?;
            let reports: Vec<Value> = splats.iter().map(as_json).collect();
            serde_json::to_writer(
                &mut *out,
                &json!({"file": file.to_string_lossy(), "reports": reports}),
            )?;
            writeln!(out)?;
        } else {
            let mut failed = None;
            let name = (options.files.len() > 1).then(|| file.display().to_string());
            scan(file, |splat| {
                if failed.is_none() {
                    let splat = finish(splat);
                    failed = human(&splat, name.as_deref(), colour, options.text, out).err();
                }
            })?;
            if let Some(error) = failed {
                return Err(error.into());
            }
        }
    }
    Ok(())
}

fn scan(file: &Path, found: impl FnMut(Splat)) -> Result<()> {
    let log: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let doing = || format!("failed to open {}", file.display());
        if file.is_dir() {
            let error = Error::input(format!("{}: it is a folder", doing()));
            return Err(error.mend("name the log in it").into());
        }
        Box::new(File::open(file).input(doing)?)
    };
    Ok(scan_reader(log, found).host(|| format!("failed to read {}", file.display()))?)
}

/// The contract's object for one report: the splat's own fields, its class also under `kind`, and
/// `corrupted` as a flag with the reason beside it.
fn as_json(splat: &Splat) -> Value {
    json!({
        "title": splat.title,
        "alternatives": splat.alternatives,
        "kind": splat.class,
        "class": splat.class,
        "functions": splat.functions,
        "start_line": splat.start_line,
        "end_line": splat.end_line,
        "corrupted": splat.corrupted.is_some(),
        "corrupted_reason": splat.corrupted,
        "time_s": splat.time_s,
        "phase": splat.phase,
        "stacks": splat.stacks,
        "context": splat.context,
    })
}

fn human(
    splat: &Splat,
    file: Option<&str>,
    colour: bool,
    text: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let (bold, red, dim, off) = if colour {
        ("\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[0m")
    } else {
        ("", "", "", "")
    };
    if let Some(file) = file {
        write!(out, "{dim}{}:{off}", plain(file))?;
    }
    writeln!(
        out,
        "{dim}{}-{}:{off} {bold}{}{off}",
        splat.start_line,
        splat.end_line,
        plain(&splat.title)
    )?;
    let mut notes = vec![splat.class.clone()];
    notes.extend(splat.time_s.map(|time| format!("at {time:.3} s")));
    notes.extend(
        splat
            .phase
            .as_ref()
            .map(|phase| format!("during {}", plain(phase))),
    );
    write!(out, "    {dim}{}{off}", notes.join(", "))?;
    if let Some(reason) = &splat.corrupted {
        write!(out, "{dim},{off} {red}corrupted: {}{off}", plain(reason))?;
    }
    writeln!(out)?;
    places(splat, (dim, off), out)?;
    if text {
        for line in splat.text.split(|&b| b == b'\n') {
            writeln!(out, "    {}", plain(&String::from_utf8_lossy(line)))?;
        }
    }
    Ok(())
}

/// The symbolized frames of the fault itself, with what was inlined there.
fn places(splat: &Splat, (dim, off): (&str, &str), out: &mut impl Write) -> io::Result<()> {
    for stack in &splat.stacks {
        let frames = stack.iter().filter(|frame| !frame.unreliable);
        for place in frames.flat_map(|frame| &frame.places) {
            let function = plain(&place.function);
            writeln!(
                out,
                "      {function} {dim}{}:{}{off}",
                plain(&place.file),
                place.line
            )?;
        }
    }
    Ok(())
}

/// Text of a guest, without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| *c == '\t' || !c.is_control())
        .collect()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_the_contract_promises() {
        let splat = Splat {
            title: "t".into(),
            class: "kasan".into(),
            start_line: 3,
            end_line: 9,
            ..Splat::default()
        };
        let value = as_json(&splat);
        assert_eq!(
            (&value["kind"], &value["corrupted"]),
            (&json!("kasan"), &json!(false))
        );
        assert_eq!(
            (&value["start_line"], &value["end_line"]),
            (&json!(3), &json!(9))
        );
    }

    #[test]
    fn escapes_of_the_guest_never_reach_the_terminal() {
        let splat = Splat {
            title: "a\x1b[2Jb".into(),
            text: b"x\x1b]0;y\x07".to_vec(),
            ..Splat::default()
        };
        let mut out = Vec::new();
        human(&splat, None, false, true, &mut out).unwrap();
        assert!(!out.contains(&0x1b), "{out:?}");
    }
}
