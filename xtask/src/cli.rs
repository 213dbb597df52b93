//! The command line's shape.

use clap::{Parser, Subcommand};

use crate::cmd;

/// Boots a Linux kernel with and without a patch, and says what the patch changes.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask run kcsan --yes                    the project's own patch, under KCSAN and lockdep
  cargo xtask run kasan --patch my.patch         a patch of yours to fs/fuse
  cargo xtask run all --keep-going --kernel ~/linux --base HEAD~3 -- ./repro --fast
                                                 the last three commits of your tree, with a
                                                 program of your own, in every config

Exit codes:
  0 pass   1 regression   2 wrong usage or bad input   3 inconclusive   4 infrastructure
  5 the variant cannot be tested   130 interrupted";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build and boot base and variant, exercise both, and give a verdict.
    Run(cmd::run::Options),
    /// The project's tests, VM tests included.
    Test(cmd::test::Options),
    /// What this host has and lacks, and the one command that mends it.
    Doctor(cmd::doctor::Options),
    /// Configs, scenarios, variants, profiles and cached kernels.
    List(cmd::list::Options),
    /// A shell in that very guest, or one that waits for gdb.
    Shell(cmd::shell::Options),
    /// The splats of any console log.
    Splats(cmd::splats::Options),
    /// A past run's verdict once more.
    Report(cmd::report::Options),
    /// One boot of a past run, or of a bundle, once more.
    Replay(cmd::replay::Options),
    /// One file that repeats a boot elsewhere.
    Bundle(cmd::bundle::Options),
    /// A patch's claims, measured.
    Claims(cmd::claims::Options),
    /// The commit that brought a finding, however rarely it shows.
    Bisect(cmd::bisect::Options),
    /// Many kernels, patches, configs and scenarios, on one machine or a cluster.
    Matrix(cmd::matrix::Options),
    /// What past runs said, asked across them.
    History(cmd::history::Options),
    /// The project's own figures, side by side.
    Bench(cmd::bench::Options),
    /// What lies in the cache, and clearing it.
    Cache(cmd::cache::Options),
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::Cli;

    fn all(command: &Command, check: &mut dyn FnMut(&Command)) {
        check(command);
        command.get_subcommands().for_each(|one| all(one, check));
    }

    /// A line that clap breaks is another command to whoever pastes it.
    #[test]
    fn examples_are_shown_as_they_are_to_be_typed() {
        let mut cli = Cli::command();
        cli.build();
        let mut seen = 0;
        all(&cli, &mut |command| {
            let Some(examples) = command.get_after_help().map(ToString::to_string) else {
                return;
            };
            let shown = command
                .clone()
                .term_width(100)
                .render_long_help()
                .to_string();
            for line in examples.lines().filter(|line| line.starts_with("  ")) {
                let whole = shown.lines().any(|one| one.trim_end() == line.trim_end());
                assert!(whole, "{}: {line}", command.get_name());
                seen += 1;
            }
        });
        assert!(seen > 40, "{seen} lines of examples");
    }
}
