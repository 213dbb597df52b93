//! `report`: a past run's verdict once more.

use std::{path::PathBuf, process::Command};

use anyhow::Result;
use clap::{Args, ValueEnum};
use harness::{
    Error, exit,
    judge::verdict::Outcome,
    report::{self, Format, Identity},
};

use crate::ui;

/// A past run's verdict once more.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cargo xtask report target/ktwin/runs/20260102-030405-kasan-1a2b3c4d --format md"
)]
pub(crate) struct Options {
    /// A run directory; with `--format html`, a matrix's folder too.
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = FormatName::Term)]
    format: FormatName,

    /// With `--format mail`: who answers; by default git's user.name and user.email.
    #[arg(long, value_name = "NAME <ADDRESS>")]
    from: Option<String>,

    /// With `--format kcidb`: the reporting system's name.
    #[arg(long, value_name = "NAME", default_value = "ktwin")]
    origin: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    /// One screen of text.
    Term,
    /// Markdown.
    Md,
    /// A page for browsers.
    Html,
    /// The verdict, one object.
    Json,
    /// JUnit's XML, for CI systems.
    Junit,
    /// The kernel's test format.
    Ktap,
    /// KernelCI's database takes it.
    Kcidb,
    /// An answer to the patch's mail.
    Mail,
}

pub(crate) fn run(options: Options) -> Result<u8> {
    if let FormatName::Html = options.format
        && let Some(summary) = report::read_matrix(&options.run)?
    {
        ui::out(report::render_matrix(Format::Html, &summary)?.trim_end());
        let unfinished = Outcome::Inconclusive;
        return Ok(exit::of_outcome(summary.outcome.unwrap_or(unfinished)));
    }
    let verdict = report::read_verdict(&options.run)?;
    let format = match options.format {
        FormatName::Term => Format::Term {
            colour: ui::Paint::stdout().is_on(),
        },
        FormatName::Md => Format::Markdown,
        FormatName::Html => Format::Html,
        FormatName::Json => Format::Json,
        FormatName::Junit => Format::Junit,
        FormatName::Ktap => Format::Ktap,
        FormatName::Kcidb => Format::Kcidb {
            origin: options.origin,
        },
        FormatName::Mail => Format::Mail {
            from: identity(options.from.as_deref())?,
        },
    };
    ui::out(report::render(format, &verdict, &options.run)?.trim_end());
    Ok(exit::of_outcome(verdict.outcome))
}

/// As given, else as git knows the user; nobody is made up.
fn identity(given: Option<&str>) -> Result<Identity> {
    if let Some(given) = given {
        return Ok(Identity::parse(given)?);
    }
    let git = |key: &str| {
        let output = Command::new("git")
            .args(["config", "--get", key])
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
    };
    match (git("user.name"), git("user.email")) {
        (Some(name), Some(address)) => Ok(Identity::parse(&format!("{name} <{address}>"))?),
        _ => {
            let error = Error::input("nobody is known to answer as");
            Err(error
                .mend("give --from 'NAME <ADDRESS>', or set git's user.name and user.email")
                .into())
        }
    }
}
