//! What `git bisect replay` accepts (pure).

use std::fmt::Write;

use super::found::Tried;
use crate::source::{Between, Range};

/// From so sure on a commit is called good or bad.
fn called(tried: &Tried, confidence: f64) -> Option<&'static str> {
    match tried {
        Tried { skipped: true, .. } => Some("skip"),
        Tried { has_it, .. } if *has_it >= confidence => Some("bad"),
        Tried { has_it, .. } if *has_it <= 1.0 - confidence => Some("good"),
        Tried { .. } => None,
    }
}

/// The log; `subject` is a commit's, `culprit` the one that was found.
///
/// git knows one bad commit, the last that it was told of: bad ones are told from the youngest to the
/// oldest, and the culprit after all of them, also where it was found without a trial of its own.
pub(super) fn log(
    range: &Range,
    between: &Between,
    trials: &[Tried],
    confidence: f64,
    culprit: Option<&str>,
    subject: &dyn Fn(&str) -> String,
) -> String {
    let mut out = String::from("git bisect start");
    if between.first_parent {
        out.push_str(" '--first-parent'");
    }
    if !between.paths.is_empty() {
        out.push_str(" '--'");
        for path in &between.paths {
            let _ = write!(out, " '{}'", path.replace('\'', r"'\''"));
        }
    }
    out.push('\n');
    let mut line = |word: &str, commit: &str, note: &str| {
        let _ = writeln!(out, "# {word}: [{commit}] {}{note}", subject(commit));
        match word {
            "good" | "bad" | "skip" => {
                let _ = writeln!(out, "git bisect {word} {commit}");
            }
            _ => {}
        }
    };
    let bad = range.commits.last().map_or("", String::as_str);
    line("bad", bad, "");
    line("good", &range.good, "");
    let note = |tried: &Tried| format!(" ({} of {})", tried.hits, tried.trials);
    let ends = [bad, range.good.as_str()];
    let inner = trials
        .iter()
        .filter(|tried| !ends.contains(&tried.commit.as_str()));
    let (own, others): (Vec<&Tried>, Vec<&Tried>) =
        inner.partition(|tried| culprit == Some(tried.commit.as_str()));
    let mut younger = Vec::new();
    for tried in others {
        match called(tried, confidence) {
            Some("bad") => younger.push(tried),
            word => line(word.unwrap_or("not sure yet"), &tried.commit, &note(tried)),
        }
    }
    for tried in younger.into_iter().rev() {
        line("bad", &tried.commit, &note(tried));
    }
    if let Some(culprit) = culprit {
        if culprit != bad {
            let note = own.first().map_or(String::new(), |tried| note(tried));
            line("bad", culprit, &note);
        }
        line("first bad commit", culprit, "");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cancel::Cancel, host::Cmd};

    #[test]
    fn only_what_is_sure_is_said_to_git() {
        let range = Range {
            good: "g".into(),
            commits: ["a", "b", "c", "d"].map(str::to_owned).into(),
            parents: vec![vec![], vec![0], vec![1], vec![2]],
            stand_ins: [].into(),
        };
        let between = Between {
            paths: vec!["fs/it's".into()],
            first_parent: true,
            ..Between::default()
        };
        let tried = |commit: &str, hits, has_it, skipped| Tried {
            commit: commit.into(),
            hits,
            trials: 9,
            skipped,
            why: None,
            has_it,
        };
        let trials = [
            tried("g", 0, 0.0, false),
            tried("a", 0, 0.001, false),
            tried("b", 0, 0.5, false),
            tried("c", 0, 1.0, true),
            tried("d", 3, 1.0, false),
        ];
        let text = log(&range, &between, &trials, 0.99, None, &|_| "S".into());
        let expected = "git bisect start '--first-parent' '--' 'fs/it'\\''s'\n\
            # bad: [d] S\ngit bisect bad d\n# good: [g] S\ngit bisect good g\n\
            # good: [a] S (0 of 9)\ngit bisect good a\n# not sure yet: [b] S (0 of 9)\n\
            # skip: [c] S (0 of 9)\ngit bisect skip c\n";
        assert_eq!(text, expected);
        // What is known of the culprit is known without its trials.
        let text = log(&range, &between, &trials, 0.99, Some("c"), &|_| "S".into());
        let end = "git bisect good a\n# not sure yet: [b] S (0 of 9)\n\
            # bad: [c] S (0 of 9)\ngit bisect bad c\n# first bad commit: [c] S\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn git_replays_it() {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let git = Cmd::new("git").args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
            let git = git
                .args(args)
                .cwd(dir.path())
                .env("GIT_CONFIG_GLOBAL", "/dev/null");
            git.run_ok(&Cancel::new()).unwrap().text()
        };
        git(&["init", "--quiet"]);
        let commits: Vec<String> = (0..9)
            .map(|n| {
                let message = format!("n{n}");
                git(&["commit", "--quiet", "--allow-empty", "-m", &message]);
                git(&["rev-parse", "HEAD"])
            })
            .collect();
        let range = Range {
            good: commits[0].clone(),
            commits: commits[1..].to_vec(),
            parents: (0..8_usize)
                .map(|at| at.checked_sub(1).into_iter().collect())
                .collect(),
            stand_ins: [].into(),
        };
        let tried = |at: usize, has_it, skipped| Tried {
            commit: commits[at].clone(),
            hits: 0,
            trials: 1,
            skipped,
            why: None,
            has_it,
        };
        let trials = [
            tried(1, 0.0, false),
            tried(2, 0.0, false),
            tried(3, 1.0, false),
            tried(4, 1.0, true),
            tried(5, 1.0, false),
            tried(7, 1.0, false),
        ];
        let culprit = Some(commits[3].as_str());
        let nasty = |_: &str| "a 'subject'; $(touch x)".to_owned();
        let text = log(&range, &Between::default(), &trials, 0.99, culprit, &nasty);
        let path = dir.path().join("log");
        std::fs::write(&path, text).unwrap();
        let said = git(&["bisect", "replay", "log"]);
        assert!(
            said.contains(&format!("{} is the first bad commit", commits[3])),
            "{said}"
        );
        assert_eq!(git(&["rev-parse", "refs/bisect/bad"]), commits[3]);
        assert!(!dir.path().join("x").exists());
    }
}
