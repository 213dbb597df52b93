//! How a call ended, against how it has to.

use nix::errno::Errno;

/// What to say where a call ended otherwise than it must: the same from run to run.
pub(super) fn unlike(
    call: &str,
    wanted: Result<(), Errno>,
    got: Result<(), Errno>,
) -> Option<String> {
    let word = |ended: Result<(), Errno>| match ended {
        Ok(()) => "success".to_owned(),
        Err(errno) => format!("{errno:?}"),
    };
    (got != wanted).then(|| format!("{call} ended with {}, not {}", word(got), word(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ended_otherwise_is_told() {
        let refused = Err(Errno::EPERM);
        assert_eq!(unlike("open", refused, refused), None);
        assert_eq!(unlike("open", Ok(()), Ok(())), None);
        for (wanted, got, told) in [
            (refused, Ok(()), "open ended with success, not EPERM"),
            (Ok(()), refused, "open ended with EPERM, not success"),
            (refused, Err(Errno::EIO), "open ended with EIO, not EPERM"),
        ] {
            assert_eq!(unlike("open", wanted, got).as_deref(), Some(told));
        }
    }
}
