//! Where a run's guests are held: the plugin, and each kernel's stall points.

use std::{
    cell::RefCell,
    collections::HashMap,
    path::{Path, PathBuf},
};

use protocol::{Load, Phase};
use tempfile::TempDir;

use crate::{
    Error, Result,
    boot::settings::Accel,
    build::{self, KernelImage, sandbox},
    plan::Cell,
    source::Ways,
    splat::Symbolizer,
    stall::{Board, Point, Spec, points},
};

/// The stalls of a run.
pub(super) struct Holding {
    specs: Vec<Spec>,
    library: PathBuf,
    /// Each kernel's points, by its key: base and variants boot more than once.
    points: RefCell<HashMap<String, Vec<Point>>>,
}

/// One boot's board; its file goes with it.
pub(super) struct Held {
    pub(super) board: Board,
    _dir: TempDir,
}

impl Holding {
    /// Builds the plugin; none where nothing is to be held.
    pub(super) fn prepare(specs: &[Spec], ways: Ways<'_>) -> Result<Option<Self>> {
        if specs.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            specs: specs.to_vec(),
            library: build::plugin(ways.cancel)?,
            points: RefCell::default(),
        }))
    }

    /// What QEMU loads.
    pub(super) fn library(&self) -> &Path {
        &self.library
    }

    /// The board of one boot; none where it has no load to hold.
    pub(super) fn board(
        &self,
        cell: &Cell,
        image: &KernelImage,
        accel: Accel,
        ways: Ways<'_>,
    ) -> Result<Option<Held>> {
        if !cell.plan.phases.iter().any(is_held) {
            return Ok(None);
        }
        if accel != Accel::Tcg {
            return Err(Error::input("only emulated vCPUs can be held")
                .mend("add --accel tcg, or leave --stall out"));
        }
        let points = self.points_of(image)?;
        let dir = ways.cache.temp()?;
        let board = Board::create(
            &dir.path().join("board"),
            cell.plan.seed,
            &self.specs,
            points,
        )?;
        Ok(Some(Held { board, _dir: dir }))
    }

    fn points_of(&self, image: &KernelImage) -> Result<Vec<Point>> {
        if let Some(known) = self.points.borrow().get(&image.key) {
            return Ok(known.clone());
        }
        let kernel = Symbolizer::load(&image.vmlinux, [sandbox::SOURCE, sandbox::BUILD])?;
        let points = points(&self.specs, &kernel);
        let mut known = self.points.borrow_mut();
        Ok(known.entry(image.key.clone()).or_insert(points).clone())
    }
}

fn is_held(phase: &Phase) -> bool {
    match phase.load {
        Load::BackingRace(_) | Load::Exec(_) => true,
        // Its figures would mean nothing.
        Load::Fio(_) => false,
    }
}
