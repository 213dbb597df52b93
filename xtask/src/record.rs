//! What `run` and `matrix run` do with a run that has ended: it goes into the history, and a command of
//! the user's hears where outcomes changed.

use std::{env, ffi::OsString, path::PathBuf};

use anyhow::Result;
use clap::Args;
use harness::{
    Error,
    event::{Event, Watcher},
    history::{self, Change, History, Message},
    judge::verdict::Verdict,
    matrix::Left,
};

/// Whether runs are recorded, and who hears of them.
#[derive(Debug, Args)]
pub(crate) struct Recording {
    /// Do not record it in the history; an empty KTWIN_HISTORY is the same for every command.
    #[arg(long, help_heading = "The run")]
    no_history: bool,

    /// Run this by `sh -c` where a comparison comes out otherwise than the last recorded time, or does not
    /// pass the first time. On its stdin is one JSON object with what changed and the verdict; it
    /// has 30 seconds. KTWIN_NOTIFY is the same for every command.
    #[arg(long, value_name = "CMD", help_heading = "The run")]
    notify: Option<OsString>,
}

/// Records runs, and tells of changes. What fails is a warning: it changes no verdict.
pub(crate) struct Recorder {
    file: Option<PathBuf>,
    notify: Option<OsString>,
}

impl Recording {
    /// What the options and the environment ask for.
    pub(crate) fn recorder(&self) -> Result<Recorder> {
        let file = match self.no_history {
            true => None,
            false => history::file()?,
        };
        let named = self.notify.clone().or_else(|| env::var_os(history::NOTIFY));
        let notify = named.filter(|command| !command.is_empty());
        if file.is_none() && notify.is_some() {
            let what = "there is somebody to notify, and no history to see changes by";
            let mend = format!(
                "leave out --no-history (and unset {} where it is empty), or notify nobody: --notify ''",
                history::NAMED
            );
            return Err(Error::input(what).mend(mend).into());
        }
        Ok(Recorder { file, notify })
    }
}

impl Recorder {
    /// Takes an attempt at a matrix's cell in, and tells of what changed by it if it tells.
    pub(crate) fn attempt(&self, left: &Left, watcher: &dyn Watcher) {
        self.record(left, watcher);
        // What a cell comes to is told of, and no attempt at it that is made again.
        if left.tells {
            self.tell(left, watcher);
        }
    }

    /// Takes a run in.
    pub(crate) fn record(&self, left: &Left, watcher: &dyn Watcher) {
        let Some(file) = &self.file else {
            return;
        };
        let dir = &left.dir;
        let recorded = History::at(file).and_then(|mut history| match &left.unjudged {
            Some(verdict) => history.import_unjudged(verdict, dir),
            None => history.import_attempt(dir, left.made),
        });
        if let Err(error) = recorded {
            let what = format!("{} is not recorded", dir.display());
            warn(watcher, &what, &error);
        }
    }

    /// Tells of what changed by a recorded run, if anything did and nobody has been told of it.
    pub(crate) fn tell(&self, left: &Left, watcher: &dyn Watcher) {
        let (Some(file), Some(command)) = (&self.file, &self.notify) else {
            return;
        };
        let dir = &left.dir;
        let hook = |changes: &[Change], verdict: &Verdict| {
            let message = Message {
                changes,
                dir: &dir.canonicalize().unwrap_or_else(|_| dir.clone()),
                verdict,
            };
            history::notify(command, &message, |line| {
                watcher.event(&Event::Note(line.to_owned()));
            })
        };
        let told = History::at(file).and_then(|mut history| match &left.unjudged {
            Some(verdict) => history.tell_of(verdict, dir, left.made, hook),
            None => history.tell(dir, left.made, hook),
        });
        if let Err(error) = told {
            warn(watcher, "the changed outcome was not told of", &error);
        }
    }
}

/// Says why something was left undone, and how that is mended.
pub(crate) fn warn(watcher: &dyn Watcher, what: &str, error: &Error) {
    let mend = error.mending().map(|mend| format!("; mend: {mend}"));
    let text = format!("{what}: {}{}", error.chain(), mend.unwrap_or_default());
    watcher.event(&Event::Warning(text));
}
