//! ktwin's command line: parse, dispatch, print the error chain, exit code.

mod cli;
mod cmd;
mod host;
mod record;
mod ui;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};
use harness::exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let result = match cli.command {
        Command::Run(options) => cmd::run::run(options),
        Command::Test(options) => cmd::test::run(options),
        Command::Doctor(options) => cmd::doctor::run(options),
        Command::List(options) => cmd::list::run(options),
        Command::Shell(options) => cmd::shell::run(options),
        Command::Splats(options) => cmd::splats::run(options),
        Command::Report(options) => cmd::report::run(options),
        Command::Replay(options) => cmd::replay::run(options),
        Command::Claims(options) => cmd::claims::run(options),
        Command::Bisect(options) => cmd::bisect::run(options),
        Command::Matrix(options) => cmd::matrix::run(options),
        Command::Bench(options) => cmd::bench::run(options),
        Command::History(options) => cmd::history::run(options),
        Command::Bundle(options) => cmd::bundle::run(options),
        Command::Cache(options) => cmd::cache::run(options),
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        ui::print_error(&error);
        exit_code(&error)
    }))
}

/// Says what is wrong with the command line, or what was asked of it.
fn refused(error: &clap::Error) -> ExitCode {
    // A terminal that went away hears nothing.
    let _ = error.print();
    let code = match error.use_stderr() {
        true => exit::USAGE,
        false => exit::PASS,
    };
    let in_bisect = std::env::args_os().any(|arg| arg == "--bisect-exit");
    ExitCode::from(match in_bisect {
        true => exit::for_bisect(code),
        false => code,
    })
}

/// The engine's errors know whose fault they are; any other is the harness's own.
fn exit_code(error: &anyhow::Error) -> u8 {
    let fault = error
        .chain()
        .find_map(|e| e.downcast_ref::<harness::Error>())
        .map(harness::Error::fault);
    fault.map_or(exit::INFRASTRUCTURE, exit::of_fault)
}
