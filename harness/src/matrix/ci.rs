//! A matrix as a job definition for the user's own CI (pure).

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use serde::Serialize;

use super::{plan::Plan, summary};
use crate::{Error, Result, error::Context, host::quote};

/// Whose job definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
}

/// What the jobs leave, relative to the checkout.
const OUT: &str = "matrix";
/// At night, and not on the hour, when everybody's begin.
const CRON: &str = "17 1 * * *";

/// The definition: one job a shard, and one that reports on all. `file` is the matrix file's path in the
/// checkout.
///
/// # Errors
/// Bad input: more shards than cells, or a path that such a definition cannot hold.
pub fn definition(system: System, plan: &Plan, file: &str, shards: usize) -> Result<String> {
    super::shard::split(plan, shards)?;
    if file.contains("${{") || file.contains(char::is_control) || file.starts_with('-') {
        let error = Error::input(format!("{file:?} cannot stand in a job definition"));
        return Err(error.mend("give the matrix file a plain name"));
    }
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(file).components().all(inside) {
        let error = Error::input(format!("{file:?} leads out of the checkout"));
        return Err(error.mend("name the matrix file by its path from the checkout's top"));
    }
    let text = match system {
        System::Github => serde_yaml::to_string(&github(plan, file, shards)),
        System::Gitlab => serde_yaml::to_string(&gitlab(plan, file, shards)),
    };
    let about = format!(
        "# Printed by `cargo xtask matrix ci {} --shards {shards}`; print it anew when the matrix changes.\n",
        quote(file)
    );
    Ok(about + &text.host(|| "failed to write the definition".to_owned())?)
}

/// A map with its keys in the order in which they are read.
type Map = BTreeMap<&'static str, String>;

#[derive(Serialize)]
struct Github {
    name: String,
    on: On,
    permissions: Map,
    jobs: GithubJobs,
}

#[derive(Serialize)]
struct On {
    schedule: Vec<Map>,
    workflow_dispatch: BTreeMap<(), ()>,
}

#[derive(Serialize)]
struct GithubJobs {
    cells: GithubJob,
    report: GithubJob,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct GithubJob {
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<&'static str>,
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    condition: Option<&'static str>,
    runs_on: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<Strategy>,
    timeout_minutes: u64,
    steps: Vec<Step>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Strategy {
    fail_fast: bool,
    matrix: Shards,
}

#[derive(Serialize)]
struct Shards {
    shard: Vec<usize>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Step {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    condition: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_minutes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    with: Map,
}

impl Step {
    fn uses(uses: &'static str, with: &[(&'static str, &str)]) -> Self {
        Self {
            uses: Some(uses),
            with: map(with),
            ..Self::default()
        }
    }

    fn run(name: &'static str, run: String) -> Self {
        Self {
            name: Some(name),
            run: Some(run),
            ..Self::default()
        }
    }
}

fn map(pairs: &[(&'static str, &str)]) -> Map {
    pairs
        .iter()
        .map(|(key, value)| (*key, (*value).to_owned()))
        .collect()
}

/// What is kept from night to night.
const CACHE: &str = "~/.cache/ktwin";
/// What one job takes at most, in minutes: GitHub's own machines end it after six hours.
const TIMEOUT_MIN: u64 = 360;
/// What cells take at most, in minutes: a job that is ended keeps neither its kernels nor what became of
/// its cells, and a step that is ended leaves the others the rest.
const CELLS_MIN: u64 = 330;

fn github(plan: &Plan, file: &str, shards: usize) -> Github {
    let key = format!("ktwin-{}-{shards}-${{{{ matrix.shard }}}}-", plan.name);
    let tonight = format!("{key}${{{{ github.run_id }}}}");
    let checkout = || Step::uses("actions/checkout@v4", &[]);
    let run = format!(
        "cargo xtask matrix run {} --shard ${{{{ matrix.shard }}}}/{shards} --out {OUT} --yes",
        quote(file)
    );
    let always = Some("${{ always() }}");
    let cells = vec![
        checkout(),
        // An entry is never written again, so each night has its own, and begins with the last one's.
        Step::uses(
            "actions/cache/restore@v4",
            &[("path", CACHE), ("key", &tonight), ("restore-keys", &key)],
        ),
        Step::run("What the host lacks", "cargo xtask doctor --fix".to_owned()),
        Step {
            timeout_minutes: Some(CELLS_MIN),
            ..Step::run("Cells of this shard", run)
        },
        // After a night with a regression, too: its kernels are as good as any.
        Step {
            condition: always,
            ..Step::uses(
                "actions/cache/save@v4",
                &[("path", CACHE), ("key", &tonight)],
            )
        },
        Step {
            condition: always,
            ..Step::uses(
                "actions/upload-artifact@v4",
                &[
                    ("name", "ktwin-${{ matrix.shard }}"),
                    ("path", OUT),
                    ("if-no-files-found", "error"),
                ],
            )
        },
    ];
    let report = vec![
        checkout(),
        Step::uses(
            "actions/download-artifact@v4",
            &[
                ("pattern", "ktwin-*"),
                ("path", OUT),
                ("merge-multiple", "true"),
            ],
        ),
        Step::run("All cells", format!("cargo xtask matrix report {OUT}")),
        // Not called as the shards' are, which a job that is begun again would take for another one.
        Step {
            condition: always,
            ..Step::uses(
                "actions/upload-artifact@v4",
                &[
                    ("name", "report"),
                    (
                        "path",
                        &format!("{OUT}/report.*\n{OUT}/{}\n", summary::FILE),
                    ),
                    ("if-no-files-found", "error"),
                ],
            )
        },
    ];
    Github {
        name: format!("ktwin {}", plan.name),
        on: On {
            schedule: vec![map(&[("cron", CRON)])],
            workflow_dispatch: BTreeMap::new(),
        },
        permissions: map(&[("contents", "read")]),
        jobs: GithubJobs {
            cells: GithubJob {
                needs: None,
                condition: None,
                runs_on: "ubuntu-latest",
                strategy: Some(Strategy {
                    fail_fast: false,
                    matrix: Shards {
                        shard: (1..=shards).collect(),
                    },
                }),
                timeout_minutes: TIMEOUT_MIN,
                steps: cells,
            },
            report: GithubJob {
                needs: Some("cells"),
                condition: always,
                runs_on: "ubuntu-latest",
                strategy: None,
                timeout_minutes: 30,
                steps: report,
            },
        },
    }
}

#[derive(Serialize)]
struct Gitlab {
    stages: [&'static str; 2],
    cells: GitlabJob,
    report: GitlabJob,
}

#[derive(Serialize)]
struct GitlabJob {
    stage: &'static str,
    image: &'static str,
    rules: Vec<Map>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    variables: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<Cache>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<Vec<Needs>>,
    script: Vec<String>,
    artifacts: Artifacts,
}

#[derive(Serialize)]
struct Needs {
    job: &'static str,
    artifacts: bool,
}

#[derive(Serialize)]
struct Cache {
    key: String,
    paths: [&'static str; 1],
    when: &'static str,
}

#[derive(Serialize)]
struct Artifacts {
    when: &'static str,
    paths: Vec<String>,
    expire_in: &'static str,
}

fn gitlab(plan: &Plan, file: &str, shards: usize) -> Gitlab {
    const IMAGE: &str = "rust:bookworm";
    let cache = ".cache/ktwin";
    let artifacts = || Artifacts {
        when: "always",
        paths: vec![format!("{OUT}/")],
        expire_in: "30 days",
    };
    // A lone shard has no number there.
    let shard = match shards {
        1 => "1/1",
        _ => "\"$CI_NODE_INDEX/$CI_NODE_TOTAL\"",
    };
    let from_schedule = r#"$CI_PIPELINE_SOURCE == "schedule" || $CI_PIPELINE_SOURCE == "web""#;
    let rules = |when| vec![map(&[("if", from_schedule), ("when", when)])];
    Gitlab {
        stages: ["cells", "report"],
        cells: GitlabJob {
            stage: "cells",
            image: IMAGE,
            rules: rules("on_success"),
            parallel: (shards > 1).then_some(shards),
            timeout: Some(format!("{TIMEOUT_MIN} minutes")),
            variables: map(&[
                ("KTWIN_CACHE", "$CI_PROJECT_DIR/.cache/ktwin"),
                ("RUNNER_SCRIPT_TIMEOUT", &format!("{CELLS_MIN}m")),
            ]),
            cache: Some(Cache {
                key: format!("ktwin-{}-{shards}-$CI_NODE_INDEX", plan.name),
                paths: [cache],
                when: "always",
            }),
            needs: None,
            script: vec![
                "cargo xtask doctor --fix".to_owned(),
                format!(
                    "cargo xtask matrix run {} --shard {shard} --out {OUT} --yes",
                    quote(file)
                ),
            ],
            artifacts: artifacts(),
        },
        report: GitlabJob {
            stage: "report",
            image: IMAGE,
            rules: rules("always"),
            parallel: None,
            timeout: None,
            variables: Map::new(),
            cache: None,
            needs: Some(vec![Needs {
                job: "cells",
                artifacts: true,
            }]),
            script: vec![format!("cargo xtask matrix report {OUT}")],
            artifacts: artifacts(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_yaml::Value;

    use super::*;
    use crate::matrix::plan::tests::of;

    const TEXT: &str = "\
name: nightly
kernels: [locked]
patches: [a, b, c, d]
configs: [kasan]
scenarios: [race]
";

    fn defined(system: System, file: &str, shards: usize) -> Result<Value> {
        let text = definition(system, &of(TEXT).unwrap(), file, shards)?;
        Ok(serde_yaml::from_str(&text).unwrap())
    }

    #[test]
    fn githubs_has_a_job_a_shard() {
        let yaml = defined(System::Github, "scenarios/matrices/nightly.yaml", 4).unwrap();
        let cells = &yaml["jobs"]["cells"];
        assert_eq!(
            cells["strategy"]["matrix"]["shard"]
                .as_sequence()
                .unwrap()
                .len(),
            4
        );
        assert_eq!(cells["strategy"]["fail-fast"], Value::from(false));
        let steps = cells["steps"].as_sequence().unwrap();
        let run = steps.iter().filter_map(|step| step["run"].as_str());
        assert_eq!(
            run.collect::<Vec<_>>(),
            [
                "cargo xtask doctor --fix",
                "cargo xtask matrix run scenarios/matrices/nightly.yaml --shard ${{ matrix.shard }}/4 \
                 --out matrix --yes",
            ]
        );
        // What the cells leave is kept although they took too long.
        let limit = |of: &Value| of["timeout-minutes"].as_u64();
        let bounded = steps.iter().filter_map(limit);
        assert_eq!(bounded.collect::<Vec<_>>(), [330]);
        let at = steps.iter().position(|step| limit(step).is_some()).unwrap();
        assert!(steps[at]["run"].as_str().unwrap().contains("matrix run"));
        assert_eq!(limit(cells), Some(360));
        let after = &steps[at + 1..];
        assert!(!after.is_empty() && after.iter().all(|step| step["if"] == "${{ always() }}"));
        // Each step does one thing.
        for step in steps {
            assert!(
                step.get("run").is_some() != step.get("uses").is_some(),
                "{step:?}"
            );
        }
        let report = &yaml["jobs"]["report"];
        assert_eq!(report["needs"], "cells");
        // What all shards came to is kept, and is no shard's to the job that gathers those.
        let [.., gathered, _, kept] = report["steps"].as_sequence().unwrap().as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!(kept["uses"], "actions/upload-artifact@v4");
        assert_eq!(kept["if"], "${{ always() }}");
        assert_eq!(
            kept["with"]["path"],
            "matrix/report.*\nmatrix/matrix.json\n"
        );
        let pattern = gathered["with"]["pattern"].as_str().unwrap();
        let name = kept["with"]["name"].as_str().unwrap();
        assert!(!name.starts_with(pattern.trim_end_matches('*')), "{name}");
        assert_eq!(yaml["on"]["schedule"][0]["cron"], CRON);
        assert_eq!(yaml["permissions"]["contents"], "read");
    }

    #[test]
    fn gitlabs_runs_in_parallel() {
        let yaml = defined(System::Gitlab, "m.yaml", 4).unwrap();
        assert_eq!(yaml["cells"]["parallel"], 4);
        let script = yaml["cells"]["script"][1].as_str().unwrap();
        assert!(script.ends_with(r#"--shard "$CI_NODE_INDEX/$CI_NODE_TOTAL" --out matrix --yes"#));
        let cells = &yaml["cells"];
        assert_eq!(cells["timeout"], "360 minutes");
        assert_eq!(cells["variables"]["RUNNER_SCRIPT_TIMEOUT"], "330m");
        assert_eq!(cells["cache"]["when"], "always");
        assert_eq!(yaml["report"]["needs"][0]["job"], "cells");
        for job in ["cells", "report"] {
            let stages = yaml["stages"].as_sequence().unwrap();
            assert!(stages.contains(&yaml[job]["stage"]), "{job}");
            assert_eq!(yaml[job]["artifacts"]["when"], "always");
        }
        let alone = defined(System::Gitlab, "m.yaml", 1).unwrap();
        assert!(alone["cells"].get("parallel").is_none());
        assert!(
            alone["cells"]["script"][1]
                .as_str()
                .unwrap()
                .contains("--shard 1/1 ")
        );
    }

    #[test]
    fn paths_are_quoted_or_refused() {
        for system in [System::Github, System::Gitlab] {
            let yaml = defined(system, "a b;$(id).yaml", 1).unwrap();
            let text = serde_yaml::to_string(&yaml).unwrap();
            assert!(text.contains("run '"), "{text}");
            for bad in ["${{ github.token }}.yaml", "a\nb", "-x"] {
                assert_eq!(
                    defined(system, bad, 1).unwrap_err().fault(),
                    crate::Fault::Input
                );
            }
            for outside in ["/m/m.yaml", "../m.yaml", "a/../../m.yaml"] {
                let error = defined(system, outside, 1).unwrap_err();
                assert_eq!(error.fault(), crate::Fault::Input);
                assert!(error.chain().contains("out of the checkout"), "{error:?}");
            }
            assert!(defined(system, "./m.yaml", 1).is_ok());
            let error = defined(system, "m.yaml", 5).unwrap_err();
            assert!(error.chain().contains("5 shards of 4 cells"));
        }
    }
}
