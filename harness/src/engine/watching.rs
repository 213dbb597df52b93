//! What the plugin inside QEMU watches in a run's guests: each kernel's stall points, and the lines
//! of the patch that it was made of.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use protocol::Phase;

use crate::{
    Error, Fault, Result,
    boot::{settings::Accel, version::Qemu},
    build::{Enabled, KernelImage, sandbox},
    cache::Temp,
    collect::WatchedFile,
    engine::{AccelChoice, Request, Stalls, library::Library},
    event::Event,
    judge::Touched,
    plan::{Cell, is_counted, is_watched},
    plugin::{Board, Code, Spec, Stalled, Watch, likely, lines, references, stalls},
    source::Ways,
    splat::Symbolizer,
};

/// A task's stack has 16 KiB and lies at a multiple of that on x86-64; with KASAN it is twice that.
const STACK_BITS: u8 = 14;
const KASAN_STACK_BITS: u8 = 15;

/// The watching of a run.
pub(super) struct Watching {
    stalls: Stalls,
    /// The user asked for them: where they cannot be had is an error.
    demanded: bool,
    /// Each kernel's plan, by its key: base and variants boot more than once.
    plans: RefCell<BTreeMap<String, Watch>>,
}

/// What there is to watch in one kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The patch that the kernel was made of; none for base.
    pub(super) touched: Option<&'a Touched>,
    /// Functions that any variant's patch touches, and those near them: the same on every side.
    pub(super) functions: &'a BTreeSet<String>,
    /// The files that they stand in.
    pub(super) files: &'a BTreeSet<String>,
}

/// One boot's board; its file goes with it.
pub(super) struct Watched {
    pub(super) board: Board,
    pub(super) about: WatchedFile,
    _dir: Temp,
}

impl Watching {
    /// None where nothing is to be watched.
    pub(super) fn new(stalls: &Stalls, scenarios: &[Spec]) -> Option<Self> {
        let chosen = match stalls {
            Stalls::Off => return None,
            Stalls::Auto if !scenarios.is_empty() => Stalls::At(scenarios.to_vec()),
            stalls => stalls.clone(),
        };
        Some(Self {
            demanded: matches!(stalls, Stalls::At(_)),
            stalls: chosen,
            plans: RefCell::default(),
        })
    }

    /// Whether what is demanded can be had beside what these phases count.
    ///
    /// # Errors
    /// Nothing else than counting is left to hold vCPUs in.
    pub(super) fn beside_counting(&self, phases: &[Phase], ways: Ways<'_>) -> Result<()> {
        if !self.demanded {
            return Ok(());
        }
        if let Some(note) = excluded(phases)? {
            ways.watcher.event(&Event::Warning(note));
        }
        Ok(())
    }

    /// Whether QEMU takes the plugin; what follows from a no is said once.
    fn taken(&self, library: &Library, qemu: &Qemu, ways: Ways<'_>) -> Result<bool> {
        let Some((why, first)) = library.refused(qemu, ways)? else {
            return Ok(true);
        };
        if self.demanded {
            return Err(Error::infrastructure(why)
                .mend("put a QEMU first in PATH that does, or leave --stall out"));
        }
        if first {
            let text = format!("{why}: no vCPU is held, and which lines run is not known");
            ways.watcher.event(&Event::Warning(text));
        }
        Ok(false)
    }

    /// The board of one boot; none where there is nothing to watch.
    pub(super) fn board(
        &self,
        cell: &Cell,
        image: &KernelImage,
        subject: Subject<'_>,
        accel: Accel,
        (library, qemu): (&Library, &Qemu),
        ways: Ways<'_>,
    ) -> Result<Option<Watched>> {
        if !cell.plan.phases.iter().any(|p| is_watched(&p.load)) {
            return Ok(None);
        }
        if accel != Accel::Tcg {
            return match self.demanded {
                true => Err(not_emulated(Fault::Input)),
                false => Ok(None),
            };
        }
        if !self.taken(library, qemu, ways)? {
            return Ok(None);
        }
        let plan = self.plan_of(image, subject)?;
        let covers = !plan.lines.is_empty() || !plan.functions.is_empty();
        if plan.points.is_empty() && !covers && plan.stalled.is_empty() {
            return Ok(None);
        }
        let dir = ways.cache.temp()?;
        let path = dir.path().join("board");
        let board = Board::create(&path, cell.plan.seed, cell.cpus, plan)?;
        let about = WatchedFile {
            specs: match &self.stalls {
                Stalls::At(specs) => specs.clone(),
                Stalls::Auto | Stalls::Nowhere | Stalls::Off => Vec::new(),
            },
            derived: self.stalls == Stalls::Auto,
            functions: subject.functions.clone(),
            files: subject.files.clone(),
            lines: subject
                .touched
                .into_iter()
                .flat_map(Touched::lines)
                .collect(),
        };
        Ok(Some(Watched {
            board,
            about,
            _dir: dir,
        }))
    }

    fn plan_of(&self, image: &KernelImage, subject: Subject<'_>) -> Result<Watch> {
        if let Some(known) = self.plans.borrow().get(&image.key) {
            return Ok(known.clone());
        }
        let stalled = match &self.stalls {
            Stalls::At(specs) => Stalled {
                specs: specs.clone(),
                functions: BTreeSet::new(),
            },
            Stalls::Auto => Stalled {
                specs: Vec::new(),
                functions: subject.functions.clone(),
            },
            Stalls::Nowhere | Stalls::Off => Stalled::default(),
        };
        let kernel = Symbolizer::load(&image.vmlinux, [sandbox::SOURCE, sandbox::BUILD])?;
        let code = Code::load(&image.vmlinux)?;
        let touched = |file: &str| subject.files.contains(file);
        let names = subject.functions.iter().chain(stalled.names());
        let ranges = kernel.ranges(&names.cloned().collect());
        let watched = references(subject.functions, &touched, &ranges, &kernel, &code);
        let mut points = stalls(&stalled, &ranges, &kernel, &code);
        let likely = likely(subject.functions, &watched, &ranges, &code);
        for point in &mut points {
            point.likely = likely
                .iter()
                .any(|stretch| stretch.contains(&point.address));
        }
        let lines = match subject.touched {
            Some(touched) => lines(touched.lines(), &kernel),
            None => BTreeMap::new(),
        };
        // What a patch deletes, and what of it is compiled to nothing, cannot run: what is around it can.
        let touched = subject.touched.into_iter().flat_map(Touched::functions);
        let functions = touched.filter_map(|name| {
            let starts = ranges.get(name)?.iter().map(|range| range.start);
            Some((name.to_owned(), starts.collect::<Vec<u64>>()))
        });
        let functions = match lines.values().all(Vec::is_empty) {
            true => functions.filter(|(_, starts)| !starts.is_empty()).collect(),
            false => BTreeMap::new(),
        };
        let plan = Watch {
            points,
            watched,
            stack_bits: match Enabled::read(&image.config)?.has("KASAN") {
                true => KASAN_STACK_BITS,
                false => STACK_BITS,
            },
            lines,
            functions,
            stalled,
        };
        let mut known = self.plans.borrow_mut();
        Ok(known.entry(image.key.clone()).or_insert(plan).clone())
    }
}

/// Whether vCPUs can be held where the user wants it, as far as is known before a trial boot.
///
/// # Errors
/// They are not to be emulated: bad input, unless a kernel is one of many, none of which is to be called
/// bad for it.
pub(super) fn can_hold(request: &Request) -> Result<()> {
    let fault = match request.one_of_many {
        true => Fault::Untestable,
        false => Fault::Input,
    };
    match (&request.stalls, request.accel) {
        (Stalls::At(_), AccelChoice::Kvm) => Err(not_emulated(fault)),
        _ => Ok(()),
    }
}

fn not_emulated(fault: Fault) -> Error {
    let error = Error::new(fault, "only emulated vCPUs can be held");
    error.mend("add --accel tcg, or leave --stall out")
}

/// What is lost where vCPUs are to be held in a run that counts instructions too.
fn excluded(phases: &[Phase]) -> Result<Option<String>> {
    const WHY: &str = "one thread runs all vCPUs while instructions are counted";
    let any = |wanted: fn(&protocol::Load) -> bool| phases.iter().any(|p| wanted(&p.load));
    match (any(is_counted), any(is_watched)) {
        (false, _) => Ok(None),
        (true, true) => Ok(Some(format!(
            "{WHY}: no vCPU is held in the boots that count, only in the others"
        ))),
        (true, false) => Err(Error::input(format!("no vCPU can be held: {WHY}"))
            .mend("leave --stall out, or name a scenario with another load, such as race")),
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Load, Operations};

    use super::*;

    #[test]
    fn what_is_to_be_held_must_be_emulated() {
        use AccelChoice::{Auto, Kvm, Tcg};
        let at = || Stalls::At(vec!["f:5us".parse().unwrap()]);
        let of = |stalls, accel, one_of_many| {
            let told = can_hold(&Request {
                stalls,
                accel,
                one_of_many,
                ..Request::default()
            });
            told.map_err(|error| error.fault())
        };
        for (stalls, accel, one_of_many, told) in [
            (at(), Kvm, false, Err(Fault::Input)),
            (at(), Kvm, true, Err(Fault::Untestable)),
            (at(), Auto, false, Ok(())),
            (at(), Tcg, false, Ok(())),
            (Stalls::Auto, Kvm, false, Ok(())),
            (Stalls::Off, Kvm, true, Ok(())),
        ] {
            let words = format!("{stalls:?} {accel:?}");
            assert_eq!(of(stalls, accel, one_of_many), told, "{words}");
        }
    }

    #[test]
    fn holding_and_counting_exclude_each_other() {
        let phase = |load| Phase { load, seconds: 1 };
        let counted = phase(Load::Operations(Operations {
            times: 1000,
            ids: 1,
            functions: BTreeMap::new(),
        }));
        let held = phase(Load::Exec(protocol::Exec {
            command: vec!["true".into()],
            expect: 0,
        }));
        assert_eq!(excluded(std::slice::from_ref(&held)).unwrap(), None);
        let note = excluded(&[held, counted.clone()]).unwrap().unwrap();
        assert!(note.contains("only in the others"), "{note}");
        let error = excluded(&[counted]).unwrap_err();
        assert_eq!(error.fault(), Fault::Input);
    }
}
