//! What can be wrong with a request before anything is built.

use std::path::PathBuf;

use protocol::Load;

use super::{
    Home, Kernel, Request, configs, kernels, overlay,
    subject::{self, Subject},
    watching,
};
use crate::{
    Error, Result,
    build::{ConfigText, locate},
    hash::hex_sha256,
    patch::{Chooser, Series},
    scenario::{LoadSpec, Scenario, judges_costs},
    source::{self, SourceTree, Ways},
};

/// A request whose names and files are there.
pub(super) struct Checked {
    /// Its configs, each once.
    pub(super) configs: Vec<String>,
    /// What each of them asks for.
    pub(super) stacks: Vec<ConfigText>,
    /// Its scenario and variants; without the one that comes from a git revision.
    pub(super) subject: Subject,
}

/// Resolves names and reads patches, scenario and fragments.
pub(super) fn checked(home: &Home, request: &Request, choose: &mut Chooser<'_>) -> Result<Checked> {
    let configs = configs::resolve(home, &request.configs)?;
    let subject = subject::resolve(home, request, choose)?;
    watching::can_hold(request)?;
    overlay::foresee(request, &subject)?;
    costs_are_judged(&configs, &subject.scenario)?;
    let stacks = configs::stacks(home, &configs, request, &subject.scenario)?;
    for stack in &stacks {
        stack.requests()?;
    }
    subject::check_covers(request, &subject)?;
    Ok(Checked {
        configs,
        stacks,
        subject,
    })
}

/// Refuses configs in which nothing of the scenario would be booted.
fn costs_are_judged(configs: &[String], scenario: &Scenario) -> Result<()> {
    let cost = |load: &LoadSpec| matches!(load, LoadSpec::Operations(_) | LoadSpec::Memory(_));
    let other = configs.iter().find(|config| !judges_costs(config));
    match other {
        Some(config) if scenario.loads.iter().all(cost) => {
            let name = &scenario.name;
            let what =
                format!("scenario {name} measures costs alone, and none are judged in {config}");
            Err(Error::input(what).mend(format!(
                "name the config `plain` and no other; a matrix leaves out cells under `exclude`: \
                 {{config: [{config}], scenario: [{name}]}}"
            )))
        }
        _ => Ok(()),
    }
}

/// A request whose kernel has come, too.
pub(super) struct Sourced {
    pub(super) configs: Vec<String>,
    /// What each of them asks for.
    pub(super) stacks: Vec<ConfigText>,
    pub(super) subject: Subject,
    /// Base's source.
    pub(super) source: SourceTree,
    /// What is put on base.
    pub(super) overlay: Option<Series>,
}

/// Resolves names, reads files, looks for programs, brings base's source and looks whether it will do.
pub(super) fn sourced(
    home: &Home,
    request: &Request,
    ways: Ways<'_>,
    choose: &mut Chooser<'_>,
) -> Result<Sourced> {
    let checked = checked(home, request, choose);
    // Whoever stopped at the question for a series gave no answer that could be wrong.
    ways.cancel.check()?;
    let Checked {
        configs,
        stacks,
        mut subject,
    } = checked?;
    for phase in request.profile.phases(&subject.scenario) {
        if let Load::Exec(exec) = &phase.load
            && let Some(program) = exec.command.first()
        {
            locate(program)?;
        }
    }
    let source = kernels::source(home, request, &mut subject, ways)?;
    subject::check_covers(request, &subject)?;
    kernels::check_requires(request, &source, &subject)?;
    let overlay = overlaid(request, &mut subject, ways, choose)?;
    Ok(Sourced {
        configs,
        stacks,
        subject,
        source,
        overlay,
    })
}

/// Puts the overlays on the variants; gives base's.
pub(super) fn overlaid(
    request: &Request,
    subject: &mut Subject,
    ways: Ways<'_>,
    choose: &mut Chooser<'_>,
) -> Result<Option<Series>> {
    let overlay = overlay::put(request, subject, choose);
    ways.cancel.check()?;
    let overlay = overlay?;
    // Old entries go before new ones come.
    ways.cache.sweep()?;
    Ok(overlay)
}

/// What a request comes to before there is a kernel.
#[derive(Debug, Clone)]
pub struct Foreseen {
    /// Its scenario.
    pub scenario: Scenario,
    /// SHA-256 of each variant's series; none without a patch, or where it comes from a git revision.
    pub patches: Vec<String>,
    /// SHA-256 of what its configs ask for.
    pub config: String,
    /// The one file that says what base's source is, a lock or a tarball, where there is one.
    pub kernel: Option<PathBuf>,
}

/// Refuses what is wrong with a request by itself.
///
/// # Errors
/// Bad input, as [`super::run`] refuses it before it brings a kernel.
pub fn refuse(request: &Request, choose: &mut Chooser<'_>) -> Result<()> {
    checked(&Home::here(), request, choose).map(drop)
}

/// Looks whether a run of one config would be refused, and what it would exercise.
///
/// # Errors
/// Bad input, as [`super::run`] refuses it before it brings a kernel.
pub fn foresee(request: &Request, choose: &mut Chooser<'_>) -> Result<Foreseen> {
    let home = Home::here();
    configs::each(&home, &request.configs)?;
    let checked = checked(&home, request, choose)?;
    let Checked {
        subject, stacks, ..
    } = checked;
    let texts: Vec<String> = stacks.iter().map(ConfigText::merged).collect();
    let texts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let kernel = match &request.kernel {
        Kernel::Locked => Some(kernels::lock_of(&home, &subject.scenario.subject)),
        Kernel::Source(source::Request::Tarball(path)) => Some(path.clone()),
        Kernel::Newest | Kernel::Source(_) => None,
    };
    let patches = subject
        .variants
        .into_iter()
        .map(|variant| variant.series.sha256);
    Ok(Foreseen {
        patches: patches.collect(),
        config: hex_sha256(&texts),
        kernel,
        scenario: subject.scenario,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::BTreeMap, path::Path};

    use protocol::{Memory, Operations};

    use super::*;
    use crate::{
        Fault,
        cache::Cache,
        cancel::Cancel,
        engine::{Kernel, Variants, Workload},
        event::Unwatched,
        patch::Ambiguous,
        source,
    };

    /// Two versions of one patch.
    fn thread() -> String {
        let diff =
            "diff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 @@\n-one\n+two\n";
        let mail = |tag: &str| {
            format!(
                "From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: A <a@example.org>\n\
                 Subject: [{tag}] x\n\nwhy\n---\n{tag}\n\n{diff}\n"
            )
        };
        mail("PATCH") + &mail("PATCH v2").replace("+two", "+three")
    }

    /// A cache of its own, and a request whose patch may be either of two.
    pub(in crate::engine) fn ambiguous(dir: &Path) -> (Cache, Request) {
        let file = dir.join("thread.mbox");
        std::fs::write(&file, thread()).unwrap();
        let request = Request {
            configs: vec!["plain".into()],
            variants: Variants::Patch(vec![file]),
            ..Request::default()
        };
        (Cache::at(&dir.join("cache")).unwrap(), request)
    }

    #[test]
    fn costs_alone_are_refused_where_none_are_judged() {
        let mut scenario = Scenario::of_command(vec!["true".into()]);
        let command = scenario.loads.clone();
        let costs = vec![
            LoadSpec::Memory(Memory { ids: vec![10] }),
            LoadSpec::Operations(Operations {
                times: 1000,
                ids: 1,
                functions: BTreeMap::new(),
            }),
        ];
        let both = [costs.clone(), command.clone()].concat();
        for (loads, configs, refused) in [
            (&costs, &["plain"][..], None),
            (
                &costs,
                &["kasan", "plain"],
                Some("none are judged in kasan"),
            ),
            (&command, &["kasan"], None),
            (&both, &["kasan"], None),
        ] {
            scenario.loads.clone_from(loads);
            let configs: Vec<String> = configs.iter().map(|&name| name.into()).collect();
            let got = costs_are_judged(&configs, &scenario);
            let said = got.err().map(|error| error.to_string());
            assert_eq!(said.is_some(), refused.is_some(), "{said:?}");
            assert!(
                said.unwrap_or_default()
                    .contains(refused.unwrap_or_default())
            );
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_told_before_the_kernel_is_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let ways = Ways {
            cache: &cache,
            cancel: &Cancel::new(),
            watcher: &Unwatched,
        };
        let request = Request {
            configs: vec!["plain".into()],
            kernel: Kernel::Source(source::Request::Tree(dir.path().join("none"))),
            workload: Workload::Command(vec!["./no-program".into()]),
            variants: Variants::None,
            ..Request::default()
        };
        let error = sourced(&Home::here(), &request, ways, &mut |_| None).map(drop);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("./no-program"), "{error}");
    }

    #[test]
    fn what_is_foreseen_has_one_config() {
        let foresee = |config: &str| {
            let request = Request {
                configs: vec![config.into()],
                variants: Variants::None,
                ..Request::default()
            };
            super::foresee(&request, &mut |_| None)
        };
        foresee("kasan").unwrap();
        for config in ["kassan", "all"] {
            let error = foresee(config).unwrap_err();
            assert!(error.chain().contains("no config"), "{error:?}");
            let mend = error.mending().unwrap();
            assert!(mend.contains("kasan") && !mend.contains("all"), "{mend}");
        }
    }

    #[test]
    fn what_a_kernel_is_made_of_is_foreseen() {
        let foresee = |config: &str, kernel: Kernel| {
            let request = Request {
                configs: vec![config.into()],
                variants: Variants::None,
                kernel,
                ..Request::default()
            };
            super::foresee(&request, &mut |_| None).unwrap()
        };
        let newest = foresee("kasan", Kernel::Newest);
        assert_eq!(newest.kernel, None);
        let locked = foresee("kcsan", Kernel::Locked);
        let lock = Home::here().subject("fuse-backing").join("kernel.lock");
        assert_eq!(locked.kernel, Some(lock));
        assert_ne!(locked.config, newest.config);
        let tarball = Kernel::Source(source::Request::Tarball("/x.tar".into()));
        let tarball = foresee("kasan", tarball);
        assert_eq!(tarball.kernel, Some("/x.tar".into()));
        assert_eq!(tarball.config, newest.config);
    }

    #[test]
    fn a_stop_at_the_question_for_a_series_is_no_wrong_answer() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, request) = ambiguous(dir.path());
        let ask = |answer: Option<usize>, stops: bool| {
            let cancel = Cancel::new();
            let ways = Ways {
                cache: &cache,
                cancel: &cancel,
                watcher: &Unwatched,
            };
            let mut asked = 0;
            let mut choose = |_: &Ambiguous| {
                asked += 1;
                if stops {
                    cancel.cancel();
                }
                answer
            };
            let sourced = sourced(&Home::here(), &request, ways, &mut choose);
            (asked, sourced.map(drop).unwrap_err().fault())
        };
        assert_eq!(ask(None, false), (1, Fault::Input));
        assert_eq!(ask(None, true), (1, Fault::Interrupted));
        assert_eq!(ask(Some(0), true), (1, Fault::Interrupted));
    }
}
