//! The question that a bisect is to answer.

use std::{fs, path::PathBuf};

use crate::{
    Error, Result,
    bisect::Aim,
    build::{ConfigText, locate},
    engine::{Kernel, Request, Variants},
    error::Context,
    hash::{file_sha256, hex_sha256},
    judge::Followed,
    scenario::{LoadSpec, Scenario},
    source::{self, Between, Range},
};

/// What a bisect is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Kernel tree, config, scenario and guest.
    pub request: Request,
    /// Which commits are in question.
    pub between: Between,
    /// The finding that is followed.
    pub followed: Followed,
    /// How sure the answer must be.
    pub aim: Aim,
    /// How long each load of a trial runs, in seconds, instead of what the profile says.
    pub seconds: Option<u64>,
}

impl Asked {
    /// The git tree.
    ///
    /// # Errors
    /// The request names something else.
    pub(super) fn tree(&self) -> Result<PathBuf> {
        match &self.request.kernel {
            Kernel::Source(source::Request::Tree(tree)) => tree
                .canonicalize()
                .input(|| format!("failed to resolve {}", tree.display())),
            _ => Err(Error::input("bisect needs a git tree").mend("give it with --kernel TREE")),
        }
    }

    /// The one config.
    ///
    /// # Errors
    /// There are several, or patches on top.
    pub(super) fn config(&self) -> Result<&str> {
        let alone = matches!(self.request.variants, Variants::None);
        match self.request.configs.as_slice() {
            [one] if one != "all" && alone => Ok(one),
            _ => Err(Error::input("bisect takes one config, and no patch")
                .mend("name the config in which the finding shows")),
        }
    }

    /// Whether the commits can be tried as they are.
    ///
    /// # Errors
    /// Debug overlays are asked for: the commits in between need not take them, and what they show
    /// with one is not what they bring.
    pub(super) fn without_overlays(&self, scenario: &Scenario) -> Result<()> {
        if !scenario.overlays.is_empty() {
            let error = format!(
                "scenario {} puts debug overlays on its kernels, and bisect tries commits as they are",
                scenario.name
            );
            return Err(Error::input(error).mend(
                "name a scenario without `overlays:`, or try single commits with run --overlay",
            ));
        }
        match self.request.overlays.is_empty() {
            true => Ok(()),
            false => Err(Error::input("bisect takes no debug overlay").mend("leave --overlay out")),
        }
    }

    /// What keys the trials: whatever decides how a trial of a commit ends. How sure the answer must
    /// be does not, so a bisect that ended goes on where more is asked.
    ///
    /// # Errors
    /// A file that it names cannot be read.
    pub(super) fn id(
        &self,
        range: &Range,
        scenario: &Scenario,
        stack: &ConfigText,
    ) -> Result<String> {
        let request = &self.request;
        let file = match scenario.file.as_os_str().is_empty() {
            true => Vec::new(),
            false => fs::read(&scenario.file)
                .input(|| format!("failed to read {}", scenario.file.display()))?,
        };
        let guest = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            request.memory_mib,
            request.cpus,
            request.append,
            request.accel,
            request.machine,
            request.stalls,
            request.profile,
        );
        let what = format!(
            "{:?} {:?} {:?}",
            request.workload, self.followed, self.seconds
        );
        let commits = format!("{:?} {:?}", range.commits, self.between.first_parent);
        let fields = [
            self.tree()?.display().to_string(),
            range.good.clone(),
            commits,
            stack.merged(),
            guest,
            what,
        ];
        let programs = programs(scenario)?;
        let mut fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
        fields.push(&file);
        fields.push(programs.as_bytes());
        Ok(hex_sha256(&fields))
    }
}

/// What the files hold that commands name: one that was mended or compiled again is another.
fn programs(scenario: &Scenario) -> Result<String> {
    let mut hashes = Vec::new();
    for load in &scenario.loads {
        let LoadSpec::Exec(exec) = load else { continue };
        let Some((program, arguments)) = exec.command.split_first() else {
            continue;
        };
        let named = arguments.iter().map(PathBuf::from);
        for path in std::iter::once(locate(program)?).chain(named) {
            if path.is_file() {
                hashes.push(file_sha256(&path)?);
            }
        }
    }
    Ok(hashes.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::Overlay, judge::verdict::Kind};

    fn asked(overlays: &[&str]) -> Asked {
        Asked {
            request: Request {
                overlays: overlays.iter().map(|text| Overlay::parse(text)).collect(),
                ..Request::default()
            },
            between: Between {
                good: "v1".into(),
                bad: "v2".into(),
                first_parent: false,
                paths: Vec::new(),
            },
            followed: Followed::Kind(Kind::Hang),
            aim: Aim::default(),
            seconds: None,
        }
    }

    #[test]
    fn a_program_that_was_made_again_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("repro");
        let scenario = Scenario::of_command(vec!["true".into(), file.display().to_string()]);
        let keys = ["one", "two", "one"].map(|text| {
            fs::write(&file, text).unwrap();
            programs(&scenario).unwrap()
        });
        assert_eq!(keys[0], keys[2]);
        assert_ne!(keys[0], keys[1]);
        assert_eq!(
            programs(&Scenario {
                loads: Vec::new(),
                ..scenario
            })
            .unwrap(),
            ""
        );
    }

    #[test]
    fn overlays_are_refused() {
        let mut scenario = Scenario::of_command(vec!["true".into()]);
        asked(&[]).without_overlays(&scenario).unwrap();
        let given = asked(&["d.patch"]).without_overlays(&scenario).unwrap_err();
        assert!(given.to_string().contains("takes no debug overlay"));
        scenario.overlays = [("base".into(), "a.patch".into())].into();
        let own = asked(&[]).without_overlays(&scenario).unwrap_err();
        assert!(own.to_string().contains("puts debug overlays"), "{own}");
        assert_eq!(own.fault(), crate::Fault::Input);
    }
}
