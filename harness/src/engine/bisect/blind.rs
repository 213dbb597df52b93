//! When a commit whose trials cannot say is tried no more (pure).

use super::journal::Line;

/// So many trials that cannot say, and none that can: the commit is skipped.
pub(super) const BLIND: usize = 3;
/// So many in a row, where others could.
const BLIND_AGAIN: usize = 12;

/// Whether a commit's trials say often enough in a row that they cannot say.
pub(super) fn cannot_say(lines: &[Line], commit: &str) -> bool {
    let said = lines.iter().rev().filter_map(|line| match line {
        Line::Blind { commit: of, .. } if of == commit => Some(false),
        Line::Trial { commit: of, .. } | Line::Scouted { commit: of, .. } if of == commit => {
            Some(true)
        }
        _ => None,
    });
    let said: Vec<bool> = said.collect();
    let in_a_row = said.iter().take_while(|said| !**said).count();
    let enough = match said.contains(&true) {
        true => BLIND_AGAIN,
        false => BLIND,
    };
    in_a_row >= enough
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_could_say_once_is_given_more_trials() {
        let blind = |commit: &str| Line::Blind {
            commit: commit.into(),
            why: "x".into(),
        };
        let trial = Line::Trial {
            commit: "a".into(),
            hit: false,
            seconds: 1.0,
            title: None,
            evidence: None,
            late: None,
        };
        let mut lines = vec![blind("a"), blind("b"), blind("a")];
        assert!(!cannot_say(&lines, "a"));
        lines.push(blind("a"));
        assert!(cannot_say(&lines, "a") && !cannot_say(&lines, "b"));
        lines.push(trial);
        assert!(!cannot_say(&lines, "a"));
        lines.extend((1..BLIND_AGAIN).map(|_| blind("a")));
        assert!(!cannot_say(&lines, "a"));
        lines.push(blind("a"));
        assert!(cannot_say(&lines, "a"));

        // A trial that only looked for where to hold vCPUs could say something, too.
        let scouted = |commit: &str| Line::Scouted {
            commit: commit.into(),
            hit: false,
            functions: [].into(),
            files: [].into(),
            late: None,
        };
        let mut lines = vec![blind("a"), blind("a"), scouted("a"), blind("a")];
        assert!(!cannot_say(&lines, "a"));
        lines[2] = scouted("b");
        assert!(cannot_say(&lines, "a"));
    }
}
