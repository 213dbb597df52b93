//! One config's boots: base and variants by turns, reruns while they settle something, judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::Path,
};

use crate::{
    Fault, Result,
    boot::settings::Accel,
    build::{Enabled, KernelImage, same_code, would_compile},
    collect::{
        Provenance,
        record::{End, RunRecord},
    },
    engine::{
        Request,
        failures::{or_failed, or_stopped, unproved},
        guests::Guests,
        kernels::{Built, Image, Kernels},
        overlay, proof,
        seen::Seen,
        spread::{self, Spread},
        subject::Variant,
        watching::Subject,
    },
    event::Event,
    judge::{
        self, Broken, EMULATED_LAYOUT, JudgeInput, Judged, Proof, Rules, Touched, is_throughput,
        verdict::{Comparison, Measure, Outcome, Patch, Structure},
    },
    patch::Series,
    plan::{self, BASE, Cell, PlanInput, Purpose, is_counted},
    scenario::{Profile, Scenario, judges_costs},
    source::Ways,
};

/// A short load's boots differ by so much more than a long one's at most.
const SHORTER: f64 = 2.0;

/// The kernels of one config, and what their boots showed so far.
pub(super) struct Sides<'a> {
    config: &'a str,
    /// One kernel alone.
    alone: bool,
    base: std::result::Result<Side, Broken>,
    /// What base's kernel showed in earlier runs.
    seen: Seen,
    variants: Vec<VariantSide<'a>>,
}

struct Side {
    image: KernelImage,
    records: Vec<RunRecord>,
}

struct VariantSide<'a> {
    variant: &'a Variant,
    /// What its detectors did when they were provoked.
    proof: Option<Proof>,
    /// What its patch makes of structures.
    structures: Vec<Structure>,
    /// Whether its kernel holds base's very code and data.
    unchanged: bool,
    kernel: std::result::Result<(Side, Touched), Broken>,
}

impl<'a> Sides<'a> {
    pub(super) fn new(config: &'a str, base: Image, seen: Seen, alone: bool) -> Self {
        Self {
            config,
            alone,
            base: base.map(Side::new),
            seen,
            variants: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, variant: &'a Variant, built: Built, structures: Vec<Structure>) {
        let kernel = built.map(|(image, touched)| (Side::new(image), touched));
        let unchanged = match (&self.base, &kernel) {
            // An image that cannot be read shows when it is booted.
            (Ok(base), Ok((own, _))) => same_code(&base.image, &own.image).unwrap_or(false),
            _ => false,
        };
        self.variants.push(VariantSide {
            variant,
            proof: None,
            structures,
            unchanged,
            kernel,
        });
    }

    /// A kernel that was built, if any was.
    pub(super) fn any_image(&self) -> Option<&KernelImage> {
        let variants = self.variants.iter().filter_map(|v| v.kernel.as_ref().ok());
        let variants = variants.map(|(side, _)| side);
        self.base
            .iter()
            .chain(variants)
            .map(|side| &side.image)
            .next()
    }

    /// The kernels that were built, base's first.
    fn kernels(&self) -> Vec<String> {
        let base = self.base.iter().map(|_| BASE.to_owned());
        let built = self.variants.iter().filter(|v| v.kernel.is_ok());
        base.chain(built.map(|v| v.variant.name.clone())).collect()
    }

    /// Base's boots.
    fn base_records(&self) -> &[RunRecord] {
        self.base.as_ref().map_or(&[], |side| &side.records)
    }

    /// What any variant's patch touches: functions, with those near them, and files.
    fn touched(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let built = self.variants.iter().filter_map(|v| v.kernel.as_ref().ok());
        let (mut functions, mut files) = (BTreeSet::new(), BTreeSet::new());
        for (_, touched) in built {
            functions.extend(touched.related().iter().cloned());
            files.extend(touched.files().map(str::to_owned));
        }
        (functions, files)
    }

    /// Whether the host kept a boot from being made: it would the next as well.
    fn host_failed(&self) -> bool {
        let built = self.variants.iter().filter_map(|v| v.kernel.as_ref().ok());
        let variants = built.flat_map(|(side, _)| &side.records);
        let mut all = self.base_records().iter().chain(variants);
        all.any(|record| matches!(record.end, End::Infrastructure { .. }))
    }

    fn series(&self, name: &str) -> Option<&'a Series> {
        let found = self.variants.iter().find(|v| v.variant.name == name);
        found.map(|v| &v.variant.series)
    }

    /// The side of a kernel that was built, and what its patch touches.
    fn side(&mut self, name: &str) -> Option<(&mut Side, Option<&Touched>)> {
        if name == BASE {
            return self.base.as_mut().ok().map(|side| (side, None));
        }
        let found = self.variants.iter_mut().find(|v| v.variant.name == name)?;
        let (side, touched) = found.kernel.as_mut().ok()?;
        Some((side, Some(touched)))
    }
}

impl Side {
    fn new(image: KernelImage) -> Self {
        Self {
            image,
            records: Vec::new(),
        }
    }
}

/// What comparing needs besides the kernels.
pub(super) struct Comparing<'a> {
    pub(super) request: &'a Request,
    /// All of the run's.
    pub(super) configs: &'a [String],
    pub(super) scenario: &'a Scenario,
    /// The kernels and their trees.
    pub(super) kernels: &'a Kernels<'a>,
    pub(super) guests: &'a Guests<'a>,
    /// The run directory.
    pub(super) dir: &'a Path,
    pub(super) ways: Ways<'a>,
    pub(super) today: String,
}

impl Comparing<'_> {
    pub(super) fn run(&self, mut sides: Sides<'_>) -> Result<Vec<Comparison>> {
        let kernels = sides.kernels();
        // Where no variant was built there is nothing to compare base with: it need not boot.
        let any = kernels.iter().any(|name| sides.alone || name != BASE);
        if any {
            let (first, most) = self.looks(&sides);
            or_stopped(self.boot(&mut sides, &kernels, 1..=first))?;
            for repeat in first + 1..=most {
                let wanted = self.unsettled(&sides, most - repeat + 1);
                // Without base there is nothing that further boots could settle.
                let stop = sides.host_failed() || self.ways.cancel.is_cancelled();
                if wanted.is_empty() || sides.base.is_err() || stop {
                    break;
                }
                let again: Vec<String> = std::iter::once(BASE.to_owned()).chain(wanted).collect();
                or_stopped(self.boot(&mut sides, &again, repeat..=repeat))?;
            }
        }
        if !self.ways.cancel.is_cancelled() {
            self.warn_of(sides.seen.remember(sides.base_records()))?;
        }
        if sides.alone {
            return Ok(vec![self.judge_alone(&sides)]);
        }
        let proved = self.prove(&mut sides);
        let variants = sides.variants.iter();
        let mut compared: Vec<Comparison> = variants
            .map(|v| self.judge(&sides, v, 0).comparison)
            .collect();
        if let Err(error) = proved {
            unproved(&mut compared, error)?;
        }
        self.warn_of(self.remember_spread(&sides, &compared))?;
        Ok(compared)
    }

    /// What only serves later runs is not worth this one's verdict.
    fn warn_of(&self, kept: Result<()>) -> Result<()> {
        match kept {
            Err(error) if error.fault() == Fault::Infrastructure => {
                self.ways.watcher.event(&Event::Warning(error.chain()));
                Ok(())
            }
            kept => kept,
        }
    }

    fn looks(&self, sides: &Sides<'_>) -> (u32, u32) {
        let Request {
            profile, repeat, ..
        } = self.request;
        profile.looks(sides.config, *repeat)
    }

    /// What throughput is judged by; none where it is not judged.
    fn rules(&self, sides: &Sides<'_>) -> Option<Rules> {
        judges_costs(sides.config).then(|| Rules {
            margin: self.scenario.margin,
            looks: self.looks(sides),
            spread: self.known_spread(sides.config),
            layout: match self.guests.accel_name() == Accel::Tcg.name() {
                true => EMULATED_LAYOUT,
                false => 0.0,
            },
        })
    }

    /// Why instructions that this config is to count are not counted.
    fn uncounted(&self, config: &str) -> Option<&str> {
        let phases = self.request.profile.phases(self.scenario);
        let wanted = judges_costs(config) && phases.iter().any(|p| is_counted(&p.load));
        self.guests.uncounted().filter(|_| wanted)
    }

    /// What boots of one kernel are known to differ by. One boot a side teaches nothing, so what longer
    /// loads of the same kind were seen at does for a short one, with room for what it averages less.
    fn known_spread(&self, config: &str) -> Option<f64> {
        let own = self.request.profile;
        let longer = [Profile::Standard, Profile::Full].into_iter();
        let mut longer = longer.filter(|profile| profile.row().fio_s > own.row().fio_s);
        let own = self.spread(config, own).known();
        own.or_else(|| {
            let known = longer.find_map(|profile| self.spread(config, profile).known());
            known.map(|known| known * SHORTER)
        })
    }

    fn spread(&self, config: &str, profile: Profile) -> Spread {
        let (scenario, profile) = (&self.scenario.name, profile.name());
        let host = self.guests.host();
        let accel = self.guests.accel_name();
        Spread::of(self.ways.cache, &[&host, &accel, config, scenario, profile])
    }

    fn remember_spread(&self, sides: &Sides<'_>, compared: &[Comparison]) -> Result<()> {
        let measures = compared.iter().flat_map(|one| &one.measures);
        let throughput: Vec<&Measure> = measures.filter(|m| is_throughput(m)).collect();
        match judges_costs(sides.config) {
            true => self
                .spread(sides.config, self.request.profile)
                .remember(&spread::kernels(&throughput)),
            false => Ok(()),
        }
    }

    fn boot(
        &self,
        sides: &mut Sides<'_>,
        kernels: &[String],
        repeats: RangeInclusive<u32>,
    ) -> Result<()> {
        let (functions, files) = sides.touched();
        for cell in self.cells(sides, kernels, repeats)? {
            if self.ways.cancel.is_cancelled() || sides.host_failed() {
                return Ok(());
            }
            let provenance = self.provenance(sides.series(&cell.variant));
            if let Some((side, touched)) = sides.side(&cell.variant) {
                let subject = Subject {
                    touched,
                    functions: &functions,
                    files: &files,
                };
                let made = self
                    .guests
                    .boot(&cell, &side.image, subject, &provenance, self.dir);
                side.records.push(or_failed(&cell, made)?);
            }
        }
        Ok(())
    }

    /// Before a clean verdict counts, the kernel's detectors have to be known to speak.
    fn prove(&self, sides: &mut Sides<'_>) -> Result<()> {
        for at in 0..sides.variants.len() {
            let one = &sides.variants[at];
            let clean = self.judge(sides, one, 0).comparison.outcome == Outcome::Pass;
            let Some((side, _)) = one.kernel.as_ref().ok().filter(|_| clean) else {
                continue;
            };
            let (boots, image) = (&side.records, &side.image);
            let proof = proof::prove(self.guests, boots, image, self.dir, self.ways)?;
            sides.variants[at].proof = Some(proof);
        }
        Ok(())
    }

    /// What a boot's kernel was made of.
    fn provenance(&self, series: Option<&Series>) -> Provenance {
        let patch = series.map(Patch::of).unwrap_or_default();
        let source = self.kernels.source();
        Provenance {
            version: source.version.clone(),
            source: source.origin.clone(),
            tree_hash: source.hash.clone(),
            patch_files: patch.files,
            patch_sha256: patch.sha256,
        }
    }

    /// These kernels' boots. They are planned among all of the run's, so that names and seeds do not
    /// depend on which boots are made when.
    fn cells(
        &self,
        sides: &Sides<'_>,
        kernels: &[String],
        repeats: RangeInclusive<u32>,
    ) -> Result<Vec<Cell>> {
        let all = sides.kernels();
        let input = PlanInput {
            scenario: self.scenario,
            profile: self.request.profile,
            configs: self.configs,
            kernels: &all,
            repeats: self.request.repeat,
            seed: self.request.seed,
            memory_mib: self.request.memory_mib,
            cpus: self.request.cpus,
            append: &self.request.append,
        };
        let mut cells = plan::boots(&input, sides.config, repeats.clone());
        cells.retain(|cell| kernels.contains(&cell.variant));
        cells.iter_mut().for_each(|cell| self.guests.locate(cell));
        let once = || cells.iter().filter(|c| c.repeat == *repeats.start());
        let mut more: Vec<Cell> = Vec::new();
        // They do the same again: one boot tells all.
        if judges_costs(sides.config) && *repeats.start() == 1 {
            let counts = self.guests.can_count()?;
            let apart = once().flat_map(plan::apart);
            more.extend(apart.filter(|cell| counts || cell.purpose != Purpose::Counted));
        }
        if self.wants_emulated(sides)? {
            more.extend(once().filter_map(plan::widened));
        }
        let cells = cells.iter().filter_map(plan::shared);
        Ok(cells.chain(more).collect())
    }

    /// Whether the run wants races widened, and no boot of its own accord would.
    fn wants_emulated(&self, sides: &Sides<'_>) -> Result<bool> {
        match sides.any_image() {
            Some(image) if self.request.profile.widens() => self.guests.wants_emulated(image),
            _ => Ok(false),
        }
    }

    /// Variants whose candidates further boots could settle.
    fn unsettled(&self, sides: &Sides<'_>, left: u32) -> Vec<String> {
        let open = sides
            .variants
            .iter()
            .filter(|v| v.kernel.is_ok() && !self.judge(sides, v, left).rerun.is_empty());
        open.map(|v| v.variant.name.clone()).collect()
    }

    fn judge(&self, sides: &Sides<'_>, one: &VariantSide<'_>, reruns_left: u32) -> Judged {
        match &one.kernel {
            Err(broken) => {
                let (scenario, name) = (&self.scenario.name, &one.variant.name);
                let comparison = match &sides.base {
                    Ok(_) => judge::untestable(sides.config, scenario, name, broken),
                    Err(base) => judge::broken_base(sides.config, scenario, name, base),
                };
                Judged {
                    comparison,
                    rerun: Vec::new(),
                }
            }
            Ok((side, touched)) => {
                let tree = self.kernels.tree_of(&one.variant.name);
                let symbols = symbols(tree, touched, &side.image);
                let mut judged = judge::judge(&JudgeInput {
                    base: sides.base_records(),
                    base_broken: sides.base.as_ref().err(),
                    earlier: sides.seen.earlier(),
                    touched: Some(touched),
                    proof: one.proof.as_ref(),
                    structures: &one.structures,
                    compiled: Some(&side.image.compiled),
                    unchanged: one.unchanged,
                    symbols: &symbols,
                    reruns_left,
                    rules: self.rules(sides),
                    uncounted: self.uncounted(sides.config),
                    unwatched: self.guests.unwatched(),
                    ..self.input(sides, &one.variant.name, &side.records)
                });
                overlay::note(self.request, self.scenario, &mut judged.comparison);
                self.interrupted(&mut judged.comparison);
                judged
            }
        }
    }

    fn judge_alone(&self, sides: &Sides<'_>) -> Comparison {
        let mut comparison = match &sides.base {
            Ok(side) => judge::judge(&self.input(sides, BASE, &side.records)).comparison,
            Err(broken) => judge::untestable(sides.config, &self.scenario.name, BASE, broken),
        };
        overlay::note(self.request, self.scenario, &mut comparison);
        self.interrupted(&mut comparison);
        comparison
    }

    fn input<'i>(
        &'i self,
        sides: &Sides<'i>,
        variant: &'i str,
        boots: &'i [RunRecord],
    ) -> JudgeInput<'i> {
        const NONE: &BTreeMap<String, String> = &BTreeMap::new();
        JudgeInput {
            config: sides.config,
            scenario: self.scenario,
            variant,
            base: &[],
            earlier: &[],
            boots,
            alone: sides.alone,
            base_broken: None,
            touched: None,
            compiled: None,
            unchanged: false,
            symbols: NONE,
            proof: None,
            structures: &[],
            reruns_left: 0,
            rules: None,
            uncounted: None,
            unwatched: None,
            today: &self.today,
        }
    }

    /// Boots that were not made because the user stopped are no verdict.
    fn interrupted(&self, comparison: &mut Comparison) {
        if self.ways.cancel.is_cancelled() {
            comparison.outcome = Outcome::Interrupted;
        }
    }
}

/// For touched files that this config does not compile, the symbol that would, by the makefiles of the
/// patched tree: base's know of no new file.
fn symbols(tree: &Path, touched: &Touched, image: &KernelImage) -> BTreeMap<String, String> {
    let built = Enabled::read(&image.config).unwrap_or_default();
    let on = |symbol: &str| built.has(symbol);
    let symbol = |file: &str| Some((file.to_owned(), would_compile(tree, file, on)?));
    touched
        .files()
        .filter(|f| !image.compiled.iter().any(|c| c == f))
        .filter_map(symbol)
        .collect()
}
