//! The agent's marks in the kernel log, which say what load was running.

/// What every mark holds.
pub(super) const MARK: &str = "ktwin: phase ";

/// A mark's meaning: a phase began, or the one that ran ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark<'a> {
    Begin(&'a str),
    End(&'a str),
}

/// Reads `ktwin: phase NAME begin|end`.
pub(super) fn read(text: &str) -> Option<Mark<'_>> {
    let rest = text.trim().strip_prefix(MARK)?;
    let (name, what) = rest.rsplit_once(' ')?;
    match what {
        "begin" => Some(Mark::Begin(name)),
        "end" => Some(Mark::End(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        assert_eq!(
            read("ktwin: phase hammer begin"),
            Some(Mark::Begin("hammer"))
        );
        assert_eq!(read("ktwin: phase fio 2 end"), Some(Mark::End("fio 2")));
        assert_eq!(read("x ktwin: phase fio end"), None);
        assert_eq!(read("ktwin: phase end"), None);
    }
}
