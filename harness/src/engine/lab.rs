//! Kernels and boots for measurements, outside of any comparison.

use std::collections::BTreeSet;

use protocol::{Phase, Plan};

use crate::{
    Error, Result,
    boot::Snapshot,
    build::KernelImage,
    cache::{Cache, Temp},
    cancel::Cancel,
    collect::{Provenance, record::RunRecord},
    drive::Until,
    engine::{
        Home, Request, configs,
        guests::Guests,
        kernels::{self, Built, Kernels},
        subject::{self, Subject},
        watching,
    },
    event::Watcher,
    judge::Touched,
    plan::{BASE, Cell},
    source::Ways,
};

/// One request's kernels and guests.
pub struct Lab<'a> {
    subject: Subject,
    guests: Guests<'a>,
    kernels: Kernels<'a>,
    dir: Temp,
    boots: u32,
}

impl<'a> Lab<'a> {
    /// Prepares what a run of this request would: sources, agent, programs.
    ///
    /// # Errors
    /// As [`super::run`].
    pub fn new(
        home: &Home,
        request: &'a Request,
        cache: &'a Cache,
        cancel: &'a Cancel,
        watcher: &'a dyn Watcher,
    ) -> Result<Self> {
        let ways = Ways {
            cache,
            cancel,
            watcher,
        };
        let mut subject = subject::resolve(home, request, &mut |_| None)?;
        let source = kernels::source(home, request, &mut subject, ways)?;
        let dir = cache.temp()?;
        let guests = Guests::prepare(
            request,
            &request.profile.phases(&subject.scenario),
            &subject.scenario.stalls,
            ways,
        )?;
        // Whoever measures names configs as the measurements come to them.
        let configs = configs::names(&home.configs())?;
        let stacks = configs::stacks(home, &configs, request, &subject.scenario)?;
        let kernels = Kernels::new(request, stacks, &subject, source, ways, dir.path())?;
        Ok(Self {
            subject,
            guests,
            kernels,
            dir,
            boots: 0,
        })
    }

    /// Base's kernel.
    ///
    /// # Errors
    /// It does not build.
    pub fn base(&self, config: &str) -> Result<KernelImage> {
        self.kernels
            .base(config)?
            .map_err(|broken| Error::infrastructure(broken.detail))
    }

    /// The first variant's kernel; base's must be there.
    ///
    /// # Errors
    /// It does not build.
    pub fn variant(&mut self, config: &str) -> Result<Option<(KernelImage, Touched)>> {
        let Some(variant) = self.subject.variants.first() else {
            return Ok(None);
        };
        let built: Built = self.kernels.variant(config, variant)?;
        Ok(built.ok())
    }

    /// What the scenario runs in this request's profile.
    pub fn phases(&self, request: &Request) -> Vec<Phase> {
        request.profile.phases(&self.subject.scenario)
    }

    /// One boot with these phases, watched as the request says where the kernel is a patch's.
    ///
    /// # Errors
    /// The host's.
    pub fn boot(
        &mut self,
        config: &str,
        image: &KernelImage,
        touched: Option<&Touched>,
        phases: Vec<Phase>,
    ) -> Result<RunRecord> {
        let cell = self.cell(config, phases);
        let near = Near::of(touched);
        let none = Provenance::default();
        let subject = near.subject(touched);
        let run = self.dir.path();
        self.guests.boot(&cell, image, subject, &none, run)
    }

    /// The same, to the first splat or the load's end.
    ///
    /// # Errors
    /// The host's.
    pub fn boot_until_splat(
        &mut self,
        config: &str,
        image: &KernelImage,
        touched: Option<&Touched>,
        phases: Vec<Phase>,
    ) -> Result<RunRecord> {
        let cell = self.cell(config, phases);
        let near = Near::of(touched);
        let subject = near.subject(touched);
        let run = self.dir.path();
        self.guests
            .boot_until(&cell, image, subject, Some(&|_| true), run)
    }

    /// Boots a machine as far as its agent's hello, and keeps it for [`Lab::restore`].
    ///
    /// # Errors
    /// The host's.
    pub fn keep(&mut self, config: &str, image: &KernelImage) -> Result<Snapshot> {
        let cell = self.cell(config, Vec::new());
        let to = self.dir.path().join(format!("{}.snapshot", cell.id));
        Ok(self.guests.keep(&cell, image, &to)?.snapshot)
    }

    /// The same as [`Lab::boot`] on a machine that is restored, with a seed of its own; to its end,
    /// or to the first splat.
    ///
    /// # Errors
    /// The host's.
    pub fn restore(
        &mut self,
        snapshot: &Snapshot,
        config: &str,
        image: &KernelImage,
        touched: Option<&Touched>,
        phases: Vec<Phase>,
        until_splat: bool,
    ) -> Result<RunRecord> {
        let cell = self.cell(config, phases);
        let near = Near::of(touched);
        let subject = near.subject(touched);
        let run = self.dir.path();
        let until: Option<Until<'_>> = if until_splat { Some(&|_| true) } else { None };
        self.guests
            .restore(snapshot, &cell, image, subject, until, run)
    }

    fn cell(&mut self, config: &str, phases: Vec<Phase>) -> Cell {
        self.boots += 1;
        let guest = self.subject.scenario.guest;
        let mut cell = Cell {
            id: format!("{config}-{}", self.boots),
            config: config.into(),
            variant: BASE.into(),
            scenario: self.subject.scenario.name.clone(),
            repeat: self.boots,
            plan: Plan {
                seed: u64::from(self.boots),
                phases,
            },
            memory_mib: guest.memory_mib,
            cpus: guest.cpus,
            append: Vec::new(),
            purpose: crate::plan::Purpose::Loads,
        };
        self.guests.locate(&mut cell);
        cell
    }
}

/// What lies near a patch's lines.
struct Near {
    functions: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Near {
    fn of(touched: Option<&Touched>) -> Self {
        let files = touched.into_iter().flat_map(Touched::files);
        Self {
            functions: touched.map(|t| t.related().clone()).unwrap_or_default(),
            files: files.map(str::to_owned).collect(),
        }
    }

    fn subject<'n>(&'n self, touched: Option<&'n Touched>) -> watching::Subject<'n> {
        watching::Subject {
            touched,
            functions: &self.functions,
            files: &self.files,
        }
    }
}
