//! What cells took before, from all that remembers it.

use anyhow::Result;
use harness::{
    Error,
    cache::Cache,
    history::{self, History, Past},
    matrix::{Cell, Durations, Remembered},
};

use crate::ui;

/// Past runs of the like, else what this very cell took.
pub(super) struct Before {
    past: Option<Past>,
    remembered: Remembered,
}

/// Reads the history and the cache; a history that cannot be read is a warning.
pub(super) fn before() -> Result<Before> {
    let file = history::file()?.filter(|file| file.exists());
    let past = file.map_or(Ok(None), |file| History::at(&file)?.past());
    let past = past.unwrap_or_else(|error: Error| {
        ui::warn(&format!(
            "what past runs took is not known: {}",
            error.chain()
        ));
        None
    });
    Ok(Before {
        past,
        remembered: Remembered::read(&Cache::open()?),
    })
}

impl Durations for Before {
    fn seconds(&self, cell: &Cell) -> Option<f64> {
        let past = self.past.as_ref().and_then(|past| past.seconds(cell));
        past.or_else(|| self.remembered.seconds(cell))
    }
}
