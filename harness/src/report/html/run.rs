//! A run as a page: each comparison with its findings, base and variant side by side, and every splat.

use std::path::Path;

use askama::Template;

use super::{
    shell::Shell,
    view::{Columns as _, below},
};
use crate::{
    Result,
    error::Context,
    judge::verdict::{Comparison, Finding, Verdict},
    plan::BASE,
    report::{
        boots::{self, Boot, BootSplat, Line},
        content, costs,
        page::{Block, Page, Text},
        plots::plots,
        words,
    },
};

/// Lines of a trace that stand beside the other side's; the whole one is further down.
const EXCERPT: usize = 14;
/// Boots of a side whose splats a finding names.
const NAMED: usize = 6;

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    shell: Shell,
    facts: Block,
    command: String,
    comparisons: Vec<ComparisonView>,
    side_by_side: Page,
    plots: Vec<String>,
    boots: Vec<BootView>,
    splats: Vec<SplatView>,
}

struct ComparisonView {
    place: String,
    about: String,
    outcome: Text,
    reasons: Vec<Block>,
    findings: Vec<FindingView>,
    figures: Page,
}

struct FindingView {
    place: String,
    status: Text,
    kind: &'static str,
    class: String,
    count: u64,
    first: String,
    first_s: f64,
    title: Text,
    open: bool,
    said: Vec<String>,
    evidence: Option<(String, String)>,
    sides: Vec<SideView>,
}

/// What one side has of a finding.
struct SideView {
    name: String,
    boots: usize,
    seen: Vec<SeenView>,
    more: usize,
    excerpt: Vec<Line>,
    cut: bool,
}

struct SeenView {
    place: String,
    boot: String,
    at: String,
}

struct BootView {
    id: String,
    kernel: String,
    config: String,
    end: Text,
    why: String,
    elapsed: String,
    elapsed_s: f64,
    splats: usize,
    files: Vec<(&'static str, String)>,
    last_lines: Vec<String>,
}

struct SplatView {
    place: String,
    boot: String,
    kernel: String,
    at: String,
    console: Option<String>,
    file: Option<String>,
    splat: BootSplat,
}

/// The page of the run in `dir`; its links begin there.
///
/// # Errors
/// The host's.
pub(in crate::report) fn render(verdict: &Verdict, dir: &Path) -> Result<String> {
    let boots = boots::read(dir);
    let accel = &verdict.host.accel;
    let comparisons = verdict.comparisons.iter().zip(1..);
    let outcome = content::outcome(verdict.outcome);
    let page = RunPage {
        shell: Shell {
            title: format!("{}: {}", outcome.text, title(verdict)),
            about: words::outcome_meaning(verdict.outcome).into(),
            outcome,
            sifts: "findings, boots and splats",
        },
        facts: Block::Facts(content::facts(verdict)),
        command: verdict.command.join(" "),
        comparisons: comparisons
            .map(|(one, number)| comparison(one, number, accel, &boots))
            .collect(),
        side_by_side: costs::side_by_side(verdict),
        plots: plots(verdict).iter().map(|plot| plot.svg()).collect(),
        boots: boots.iter().map(boot).collect(),
        splats: boots.into_iter().flat_map(splats).collect(),
    };
    page.render()
        .host(|| "failed to make the page of a run".to_owned())
}

/// What the window is called: the variants, and where.
fn title(verdict: &Verdict) -> String {
    let mut names: Vec<&str> = Vec::new();
    for one in &verdict.comparisons {
        for name in [one.variant.as_str(), one.config.as_str()] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.push(&verdict.kernel.version);
    names.join(" ")
}

fn comparison(one: &Comparison, number: usize, accel: &str, boots: &[Boot]) -> ComparisonView {
    let findings = one.findings.iter().zip(1..);
    ComparisonView {
        place: format!("c{number}"),
        about: content::about(one),
        outcome: content::outcome(one.outcome),
        reasons: content::reasons(one).into_iter().collect(),
        findings: findings
            .map(|(finding, at)| found(one, finding, format!("c{number}f{at}"), boots))
            .collect(),
        figures: content::figures(one, accel),
    }
}

fn found(one: &Comparison, finding: &Finding, place: String, boots: &[Boot]) -> FindingView {
    let (status, tone) = words::counted(finding.status, finding.accepted.is_some());
    let counts = finding.counts();
    let accepted = finding.accepted.as_ref();
    let accepted = accepted.map(|why| format!("accepted: {why}"));
    let said = [
        Some(finding.why.clone()),
        Some(finding.detail.clone()),
        accepted,
    ];
    // Of one kernel alone, no base.
    let base = (!one.base.is_empty()).then_some(one.base.as_str());
    let kernels = base.into_iter().chain([one.variant.as_str()]);
    FindingView {
        place,
        status: Text::toned(status, tone),
        kind: words::kind(finding.kind),
        class: finding.class.clone(),
        count: finding.count,
        first: finding.first_s.map_or(String::new(), words::span),
        first_s: finding.first_s.unwrap_or(f64::MAX),
        title: match counts {
            true => finding.title.as_str().into(),
            false => Text::toned(finding.title.as_str(), crate::report::page::Tone::Quiet),
        },
        open: counts,
        said: said
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .collect(),
        evidence: below(&finding.evidence).map(|link| (finding.evidence.clone(), link)),
        sides: kernels
            .map(|kernel| side(one, finding, kernel, boots))
            .collect(),
    }
}

fn side(one: &Comparison, finding: &Finding, kernel: &str, boots: &[Boot]) -> SideView {
    let own = boots
        .iter()
        .filter(|boot| boot.is_of(&one.config, &one.scenario, kernel));
    let shown = own.clone().filter_map(|boot| {
        let at = *boot.showing(finding).first()?;
        Some((boot, &boot.splats[at]))
    });
    let mut shown: Vec<(&Boot, &BootSplat)> = shown.collect();
    // The evidence first.
    shown.sort_by_key(|(boot, _)| !finding.evidence.starts_with(&format!("{}/", boot.id)));
    let excerpt = shown.first().map_or(&[][..], |(_, splat)| &splat.trace);
    SideView {
        name: kernel.to_owned(),
        boots: own.count(),
        more: shown.len().saturating_sub(NAMED),
        cut: excerpt.len() > EXCERPT,
        excerpt: excerpt.iter().take(EXCERPT).cloned().collect(),
        seen: shown
            .iter()
            .take(NAMED)
            .map(|(boot, splat)| SeenView {
                place: splat.place(&boot.id),
                boot: boot.id.clone(),
                at: words::span(splat.at_s),
            })
            .collect(),
    }
}

fn boot(boot: &Boot) -> BootView {
    let files = boot.files.iter();
    BootView {
        id: boot.id.clone(),
        kernel: boot.variant.clone(),
        config: boot.config.clone(),
        end: boot.end.clone(),
        why: boot.why.clone(),
        elapsed: boot.elapsed_s.map_or(String::new(), words::span),
        elapsed_s: boot.elapsed_s.unwrap_or(f64::MAX),
        splats: boot.splats.len(),
        files: files
            .filter_map(|name| Some((*name, below(&format!("{}/{name}", boot.id))?)))
            .collect(),
        last_lines: boot.last_lines.clone(),
    }
}

fn splats(boot: Boot) -> Vec<SplatView> {
    let Boot {
        id, variant, files, ..
    } = boot;
    let console = files.contains(&"console.log");
    let splats = boot.splats.into_iter().map(|splat| SplatView {
        place: splat.place(&id),
        boot: id.clone(),
        kernel: variant.clone(),
        at: words::span(splat.at_s),
        console: below(&format!("{id}/console.log")).filter(|_| console),
        file: below(&format!("{id}/{}", splat.file)),
        splat,
    });
    splats.collect()
}

impl SideView {
    fn is_base(&self) -> bool {
        self.name == BASE
    }
}
