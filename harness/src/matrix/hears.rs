//! Whoever hears of what came of cells.

use std::path::{Path, PathBuf};

use super::types::Cell;
use crate::{Result, judge::verdict::Outcome};

/// An attempt that left a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Its run directory.
    pub dir: PathBuf,
    /// What the matrix makes of it: not the verdict's outcome where a budget stopped it. None where it was
    /// cut off.
    pub made: Option<Outcome>,
}

/// Hears of what came of cells; nothing that it does changes it.
pub trait Hears {
    /// An attempt said something about the patch, after so many seconds.
    ///
    /// # Errors
    /// The host's; they end the command.
    fn took(&mut self, cell: &Cell, seconds: f64) -> Result<()>;

    /// A command is done with a cell: it has ended, before this command did anything perhaps, or was
    /// interrupted. `attempts` are those that have a verdict, and `telling` is the run directory of the
    /// one of them whose outcome is the cell's: the worst of those that say something about the patch.
    /// None where no outcome is settled yet.
    fn left(&mut self, cell: &Cell, attempts: &[Left], telling: Option<&Path>);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unheard;

impl Hears for Unheard {
    fn took(&mut self, _: &Cell, _: f64) -> Result<()> {
        Ok(())
    }

    fn left(&mut self, _: &Cell, _: &[Left], _: Option<&Path>) {}
}
