//! What `run` and `matrix run` do with a run that has ended: it goes into the history.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use harness::{
    Error,
    event::{Event, Watcher},
    history::{self, History},
};

/// Whether runs are recorded.
#[derive(Debug, Args)]
pub(crate) struct Recording {
    /// Do not record it in the history; an empty KTWIN_HISTORY is the same for every command.
    #[arg(long, help_heading = "The run")]
    no_history: bool,
}

/// Records runs. What fails is a warning: it changes no verdict.
pub(crate) struct Recorder {
    file: Option<PathBuf>,
}

impl Recording {
    /// What the options and the environment ask for.
    pub(crate) fn recorder(&self) -> Result<Recorder> {
        let file = match self.no_history {
            true => None,
            false => history::file()?,
        };
        Ok(Recorder { file })
    }
}

impl Recorder {
    /// Takes a run in.
    pub(crate) fn record(&self, run: &Path, watcher: &dyn Watcher) {
        let Some(file) = &self.file else {
            return;
        };
        let recorded = || History::at(file)?.import(run);
        if let Err(error) = recorded() {
            let what = format!("{} is not recorded", run.display());
            warn(watcher, &what, &error);
        }
    }
}

fn warn(watcher: &dyn Watcher, what: &str, error: &Error) {
    let mend = error.mending().map(|mend| format!("; mend: {mend}"));
    let text = format!("{what}: {}{}", error.chain(), mend.unwrap_or_default());
    watcher.event(&Event::Warning(text));
}
