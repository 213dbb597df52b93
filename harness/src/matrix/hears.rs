//! Whoever hears of what came of cells.

use super::{left::Left, types::Cell};

/// Hears of what came of cells; nothing that it does changes it.
pub trait Hears {
    /// An attempt said something about the patch, after so many seconds.
    fn took(&mut self, cell: &Cell, seconds: f64);

    /// A command is done with a cell: it has ended, before this command did anything perhaps, or was
    /// interrupted. `attempts` are those that left something; of them the one tells whose outcome is the
    /// cell's, the worst of those that say something about the patch, or none where no outcome is settled
    /// yet.
    fn left(&mut self, cell: &Cell, attempts: &[Left]);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unheard;

impl Hears for Unheard {
    fn took(&mut self, _: &Cell, _: f64) {}

    fn left(&mut self, _: &Cell, _: &[Left]) {}
}
